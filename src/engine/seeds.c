/*-------------------------------------------------------------------------
 *
 * seeds.c
 *	  The texts that a run begins with.
 *
 * The first seed is the program as it is; the others are further candidates
 * without parents.  All are proposed before anything is asked, and evaluated on the
 * same samples at a time; they become candidates in their order once all answers are
 * there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_internal.h"

/* A seed's text of a component; 0 is the first seed. */
static const char *
text_of(const EngineConfig *config, int seed, int component)
{
	return seed == 0 ? config->components[component].seed_text :
		config->seeds[seed - 1][component];
}

static bool
are_same(const EngineConfig *config, int a, int b)
{
	int			i;

	for (i = 0; i < config->ncomponents; i++)
		if (strcmp(text_of(config, a, i), text_of(config, b, i)) != 0)
			return false;
	return true;
}

const char *
gepa_engine_check_seeds(const EngineConfig *config)
{
	const char *error = NULL;
	int			s;
	int			i;

	if (config->nseeds < 0 || config->nseeds > ENGINE_MAX_SEEDS)
		return "there may be at most 100 further seeds";
	for (s = 1; s <= config->nseeds && error == NULL; s++)
	{
		for (i = 0; i < config->ncomponents && error == NULL; i++)
			if (text_of(config, s, i) == NULL)
				error = "a seed lacks the text of a component";
			else if (config->components[i].kind == ENGINE_COMPONENT_EXAMPLES)
				error = gepa_engine_check_examples(config, text_of(config, s, i));
		for (i = 0; i < s && error == NULL; i++)
			if (are_same(config, i, s))
				error = "two seeds have the same texts; leave one out";
	}
	return error;
}

void
gepa_engine_adopt_seeds(Engine *engine, const EngineConfig *given)
{
	EngineArena *arena = &engine->arena;
	const char *const **seeds;
	int			s;
	int			i;

	if (given->nseeds == 0)
		return;
	seeds = gepa_engine_alloc(arena, given->nseeds * sizeof(*seeds));
	for (s = 0; s < given->nseeds; s++)
	{
		const char **texts = gepa_engine_alloc(arena, given->ncomponents * sizeof(char *));

		for (i = 0; i < given->ncomponents; i++)
			texts[i] = gepa_engine_strdup(arena, given->seeds[s][i]);
		seeds[s] = (const char *const *) texts;
	}
	engine->config.seeds = seeds;
}

void
gepa_engine_propose_seeds(Engine *engine, const char *reason)
{
	const EngineConfig *config = &engine->config;
	int			s;
	int			i;

	for (s = 0; s <= config->nseeds; s++)
	{
		const char **texts = gepa_engine_alloc(&engine->arena,
											   config->ncomponents * sizeof(char *));
		EngineEvent *event;

		for (i = 0; i < config->ncomponents; i++)
			texts[i] = text_of(config, s, i);
		gepa_engine_add_proposal(engine, (const char *const *) texts);
		event = gepa_engine_add_event(engine, ENGINE_EVENT_PROPOSED, NULL, reason);
		event->proposal = s;
		event->texts = (const char *const *) texts;
	}
}

EngineEvent *
gepa_engine_add_seed_event(Engine *engine, EngineEventKind kind, int seed, const char *reason)
{
	EngineEvent *event = gepa_engine_add_event(engine, kind, NULL, reason);

	event->proposal = seed;
	event->candidate = engine->proposals[seed].candidate;
	event->texts = engine->proposals[seed].texts;
	return event;
}
