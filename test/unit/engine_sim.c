/*-------------------------------------------------------------------------
 *
 * engine_sim.c
 *	  A world for the engine; see engine_sim.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "common/hashfn.h"
#include "lib/stringinfo.h"

#include "engine_sim.h"

uint32
sim_hash(uint32 seed, const char *text)
{
	return hash_combine(seed, hash_bytes((const unsigned char *) text, (int) strlen(text)));
}

static uint32
hash_texts(const SimWorld *world, const EngineStep *step, int ncomponents)
{
	uint32		hash = world->salt;
	int			i;

	for (i = 0; i < ncomponents; i++)
		hash = sim_hash(hash, step->texts[i]);
	return hash;
}

static uint32
hash_rollout(const SimWorld *world, const EngineStep *step, int ncomponents, int sample)
{
	uint32		hash = hash_texts(world, step, ncomponents);

	return hash_bytes_uint32(hash_combine(hash, hash_bytes_uint32(step->split * 100003 + sample)));
}

double
sim_score(const SimWorld *world, const EngineStep *step, int ncomponents, int sample)
{
	uint32		hash = hash_rollout(world, step, ncomponents, sample);

	return world->binary ? (double) (hash % 2) : hash % 1001 / 1000.0;
}

void
sim_open(Sim *sim, const SimWorld *world, const EngineConfig *config, uint32 order)
{
	memset(sim, 0, sizeof(Sim));
	sim->world = *world;
	sim->order = order;
	sim->budget = config->hard_budget ? config->budget : 0;
	initStringInfo(&sim->proposals);
	sim->journal = palloc0(SIM_MAX_STEPS * sizeof(SimEntry));
	sim->steps = palloc0(SIM_MAX_STEPS * sizeof(EngineStep));
	sim->observed = palloc0(SIM_MAX_STEPS * sizeof(bool));
	sim->asked_for = palloc0(SIM_MAX_ROLLOUTS * sizeof(uint64));
	sim->engine = gepa_engine_create(config, NULL);
}

void
sim_close(Sim *sim)
{
	int			i;

	for (i = 0; i < sim->nentries; i++)
		if (sim->journal[i].text != NULL)
			pfree(sim->journal[i].text);
	pfree(sim->journal);
	pfree(sim->proposals.data);
	pfree(sim->steps);
	pfree(sim->observed);
	pfree(sim->asked_for);
	gepa_engine_free(sim->engine);
}

static void
describe_decision(StringInfo buf, const EngineEvent *event)
{
	const EngineDecision *decision = event->decision;
	int			i;

	appendStringInfo(buf, "%d: %d then %d, %s:", event->iteration, decision->led,
					 decision->leads, event->reason);
	for (i = 0; i < decision->ncompared; i++)
		appendStringInfo(buf, " %d %d %.17g %.17g %.17g", decision->compared[i].candidate,
						 decision->compared[i].rollouts, decision->compared[i].estimate,
						 decision->compared[i].sd, decision->compared[i].chance);
	for (i = 0; i < decision->nsamples; i++)
		appendStringInfo(buf, " %d/%d", decision->samples[i].split,
						 decision->samples[i].sample);
	appendStringInfoChar(buf, '\n');
}

static void
count_events(Sim *sim, int ncomponents)
{
	EngineEvent event;
	int			i;

	while (gepa_engine_next_event(sim->engine, &event))
	{
		if (event.kind == ENGINE_EVENT_DECISION)
			describe_decision(&sim->proposals, &event);
		if (event.iteration == 0)
			continue;
		if (event.kind == ENGINE_EVENT_PROPOSED)
		{
			sim->proposed++;
			appendStringInfo(&sim->proposals, "%d: %d by %d,", event.iteration, event.proposal,
							 event.reflect_step);
			for (i = 0; i < ncomponents; i++)
				appendStringInfo(&sim->proposals, " [%s]", event.texts[i]);
			appendStringInfoChar(&sim->proposals, '\n');
		}
		sim->accepted += event.kind == ENGINE_EVENT_ACCEPTED;
		sim->rejected += event.kind == ENGINE_EVENT_REJECTED;
		sim->skipped += event.kind == ENGINE_EVENT_SKIPPED;
	}
}

static bool
tell_scores(Sim *sim, const EngineStep *step, int ncomponents)
{
	static const char *const names[] = {"precision", "brevity", "tone"};
	int			nobjectives = sim->world.nobjectives;
	double	   *scores = palloc(step->nsamples * sizeof(double));
	double	   *objectives = palloc((step->nsamples * nobjectives + 1) * sizeof(double));
	bool		taken;
	int			i;
	int			k;

	for (i = 0; i < step->nsamples; i++)
	{
		uint32		hash = hash_rollout(&sim->world, step, ncomponents, step->samples[i]);

		scores[i] = sim_score(&sim->world, step, ncomponents, step->samples[i]);
		if (sim->world.empty > 0 && (hash >> 8) % sim->world.empty == 0)
			scores[i] = NAN;
		for (k = 0; k < nobjectives; k++)
			objectives[i * nobjectives + k] = (hash >> (8 * k)) % 5 / 4.0;
	}
	taken = gepa_engine_observe_scores(sim->engine, step->step, step->nsamples, scores,
									   nobjectives, names, nobjectives > 0 ? objectives : NULL);
	sim->asked += taken ? step->nsamples : 0;
	pfree(objectives);
	pfree(scores);
	return taken;
}

/* What the model writes depends on the step's number: the same in a replay. */
static char *
write_text(const Sim *sim, const EngineStep *step, int ncomponents)
{
	uint32		hash = hash_combine(hash_texts(&sim->world, step, ncomponents),
									hash_bytes_uint32(step->step));

	if (sim->world.failing > 0 && hash % sim->world.failing == 0)
		return NULL;
	if (sim->world.lines)
		return psprintf("%s\nrule %u", step->texts[step->component],
						(hash >> 8) % (uint32) sim->world.vocabulary);
	return psprintf("text %u", (hash >> 8) % (uint32) sim->world.vocabulary);
}

static bool
tell(Sim *sim, int number, int ncomponents, const SimEntry *recorded)
{
	const EngineStep *step = &sim->steps[number];
	SimEntry   *entry = &sim->journal[sim->nentries];
	bool		taken;

	entry->step = number;
	entry->reflect = step->kind == ENGINE_STEP_REFLECT;
	entry->text = NULL;
	if (recorded != NULL && recorded->reflect != entry->reflect)
		return false;
	if (!entry->reflect)
		taken = tell_scores(sim, step, ncomponents);
	else
	{
		if (recorded == NULL)
			entry->text = write_text(sim, step, ncomponents);
		else if (recorded->text != NULL)
			entry->text = pstrdup(recorded->text);
		taken = gepa_engine_observe_text(sim->engine, number, entry->text);
	}
	sim->nentries++;
	sim->observed[number] = true;
	count_events(sim, ncomponents);
	if (sim->budget > 0 && gepa_engine_rollouts(sim->engine) > sim->budget)
		sim->overspent = true;
	return taken;
}

/* Was any of it asked for before? */
static void
note_asked(Sim *sim, const EngineStep *step, int ncomponents)
{
	int			i;

	for (i = 0; i < step->nsamples; i++)
	{
		uint64		key = hash_texts(&sim->world, step, ncomponents);
		uint32		place;

		key = key << 32 | (uint32) (step->split * 100003 + step->samples[i] + 1);
		place = hash_bytes((const unsigned char *) &key, sizeof(key)) % SIM_MAX_ROLLOUTS;
		while (sim->asked_for[place] != 0 && sim->asked_for[place] != key)
			place = (place + 1) % SIM_MAX_ROLLOUTS;
		sim->repeated = sim->repeated || sim->asked_for[place] == key;
		sim->asked_for[place] = key;
	}
}

/* Fetch one step; false when there is none (now). */
static bool
fetch(Sim *sim, int ncomponents, bool *finished)
{
	EngineStep	step = gepa_engine_next(sim->engine);

	count_events(sim, ncomponents);
	*finished = step.kind == ENGINE_STEP_FINISHED;
	if (step.kind == ENGINE_STEP_FINISHED || step.kind == ENGINE_STEP_WAIT ||
		sim->nsteps >= SIM_MAX_STEPS)
		return false;
	Assert(step.step == sim->nsteps);
	sim->steps[sim->nsteps++] = step;
	note_asked(sim, &step, ncomponents);
	return true;
}

/* A step without answer: the oldest, or by the order's draw; -1 if none. */
static int
pick_outstanding(Sim *sim)
{
	int			outstanding[1024];
	int			n = 0;
	int			i;

	/* nothing older than a few hundred steps is ever outstanding */
	for (i = Max(0, sim->nsteps - (int) lengthof(outstanding)); i < sim->nsteps; i++)
		if (!sim->observed[i])
			outstanding[n++] = i;
	if (n == 0)
		return -1;
	if (sim->order == 0)
		return outstanding[0];
	sim->order = hash_bytes_uint32(sim->order) | 1;
	return outstanding[(sim->order >> 4) % n];
}

void
sim_run(Sim *sim, int ncomponents, int limit)
{
	bool		finished = false;

	while (sim->nentries < limit && sim->nentries < SIM_MAX_STEPS && !finished)
	{
		int			number;

		/* out of order, some steps are fetched late */
		while ((sim->order == 0 || sim->order % 5 != 0 || pick_outstanding(sim) < 0) &&
			   fetch(sim, ncomponents, &finished))
			;
		number = pick_outstanding(sim);
		if (number >= 0)
			tell(sim, number, ncomponents, NULL);
		else if (!finished)
		{
			sim->waited_idle = true;
			break;
		}
	}
}

bool
sim_replay(Sim *sim, int ncomponents, const Sim *from, int nentries)
{
	int			i;

	for (i = 0; i < nentries; i++)
	{
		const SimEntry *entry = &from->journal[i];
		bool		finished;

		while (sim->nsteps <= entry->step)
			if (!fetch(sim, ncomponents, &finished))
				return false;
		if (!tell(sim, entry->step, ncomponents, entry))
			return false;
	}
	return true;
}

char *
sim_describe(Engine *engine, int ncomponents)
{
	StringInfoData buf;
	EngineHeldOut held_out;
	int			i;
	int			k;

	initStringInfo(&buf);
	for (i = 0; i < gepa_engine_ncandidates(engine); i++)
	{
		int			parents[2] = {-1, -1};

		gepa_engine_candidate_parents(engine, i, parents);
		appendStringInfo(&buf, "%d(%d,%d) %.17g @" INT64_FORMAT, i, parents[0], parents[1],
						 gepa_engine_candidate_score(engine, i),
						 gepa_engine_candidate_discovery(engine, i));
		for (k = 0; k < ncomponents; k++)
			appendStringInfo(&buf, " [%s]", gepa_engine_candidate_texts(engine, i)[k]);
		appendStringInfoChar(&buf, '\n');
	}
	for (i = 0; i < gepa_engine_nfronts(engine); i++)
	{
		EngineFront front = gepa_engine_front(engine, i);

		appendStringInfo(&buf, "%s=%.17g:", front.key, front.score);
		for (k = 0; k < front.ncandidates; k++)
			appendStringInfo(&buf, " %d", front.candidates[k]);
		appendStringInfoChar(&buf, '\n');
	}
	if (gepa_engine_held_out(engine, &held_out))
		appendStringInfo(&buf, "held out %d on %d: %.17g %.17g %.17g %.17g %.17g %.17g\n",
						 held_out.candidate, held_out.n, held_out.seed_score, held_out.score,
						 held_out.gain, held_out.low, held_out.high, held_out.search_score);
	appendStringInfo(&buf, "rounds %d iterations %d rollouts " INT64_FORMAT " best %d reason %s\n",
					 gepa_engine_rounds(engine), gepa_engine_iteration(engine), gepa_engine_rollouts(engine),
					 gepa_engine_best(engine),
					 gepa_engine_stop_reason(engine) ? gepa_engine_stop_reason(engine) : "-");
	return buf.data;
}
