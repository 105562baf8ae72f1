/*-------------------------------------------------------------------------
 *
 * seeds.c
 *	  Texts that the options of a run give: further seeds, templates.
 *
 * They name components, which are known once the program is.  A seed that leaves a
 * component out has the version's text of it; examples are those of the
 * version, since a further seed is another wording.
 *
 * What seed_from names is copied into the options at the start, so that the run does
 * not depend on the other judge from then on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/worker_internal.h"

/* A component with a text that can be given; -1 = there is none of this name. */
static int
find_text(const JudgeSpec *program, const char *name)
{
	for (int i = 0; i < program->ncomponents; i++)
		if (program->components[i].kind != JUDGE_COMPONENT_EXAMPLES &&
			strcmp(program->components[i].name, name) == 0)
			return i;
	return -1;
}

static const char *
find_given(const WorkerTexts *given, const char *name)
{
	for (int i = 0; i < given->n; i++)
		if (strcmp(given->names[i], name) == 0)
			return given->texts[i];
	return NULL;
}

static void
check_names(const JudgeSpec *program, const char *option, const WorkerTexts *given)
{
	StringInfoData valid;
	int			i;

	for (i = 0; i < given->n; i++)
		if (find_text(program, given->names[i]) < 0)
			break;
	if (i == given->n)
		return;
	initStringInfo(&valid);
	for (int k = 0; k < program->ncomponents; k++)
		if (program->components[k].kind != JUDGE_COMPONENT_EXAMPLES)
			appendStringInfo(&valid, "%s\"%s\"", valid.len > 0 ? ", " : "",
							 program->components[k].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("run option \"%s\" names \"%s\", which is no text of judge \"%s\"",
					option, given->names[i], program->name),
			 errhint("Its texts are: %s.", valid.data)));
}

void
gepa_worker_check_named(const JudgeSpec *program, const WorkerRunOptions *options)
{
	check_names(program, "reflection_templates", &options->reflection_templates);
	for (int i = 0; i < options->seeds.n; i++)
		check_names(program, "seeds", &options->seeds.seeds[i]);
}

/*
 * Seed from another judge
 */

/* "judge@3" is a version, anything else the current one of a judge. */
static StoreVersion *
find_version(const char *named)
{
	const char *at = strrchr(named, '@');

	if (at == NULL || at[1] == '\0' || strlen(at + 1) > 9 ||
		strspn(at + 1, "0123456789") != strlen(at + 1))
		return gepa_store_get_version(named, 0);
	return gepa_store_get_version(pnstrdup(named, at - named), atoi(at + 1));
}

/* Its texts of those components that both have. */
static WorkerTexts
common_texts(const JudgeSpec *program, const JudgeSpec *other)
{
	WorkerTexts texts = {0};

	texts.names = palloc(sizeof(char *) * Max(other->ncomponents, 1));
	texts.texts = palloc(sizeof(char *) * Max(other->ncomponents, 1));
	for (int i = 0; i < other->ncomponents; i++)
	{
		const JudgeComponent *component = &other->components[i];

		if (component->kind == JUDGE_COMPONENT_EXAMPLES ||
			find_text(program, component->name) < 0)
			continue;
		texts.names[texts.n] = pstrdup(component->name);
		texts.texts[texts.n++] = pstrdup(component->text);
	}
	return texts;
}

static bool
are_same(const WorkerTexts *a, const WorkerTexts *b)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++)
	{
		const char *text = find_given(b, a->names[i]);

		if (text == NULL || strcmp(text, a->texts[i]) != 0)
			return false;
	}
	return true;
}

static void
add_first(WorkerSeeds *seeds, WorkerTexts texts)
{
	WorkerTexts *grown = palloc(sizeof(WorkerTexts) * (seeds->n + 1));

	/* the options of a run that is started again have it already */
	for (int i = 0; i < seeds->n; i++)
		if (are_same(&seeds->seeds[i], &texts))
			return;
	grown[0] = texts;
	for (int i = 0; i < seeds->n; i++)
		grown[i + 1] = seeds->seeds[i];
	seeds->seeds = grown;
	seeds->n++;
}

void
gepa_worker_take_seed_from(const JudgeSpec *program, WorkerRunOptions *options, Oid userid)
{
	StoreVersion *version;
	WorkerTexts texts;

	if (options->seed_from == NULL)
		return;
	version = find_version(options->seed_from);
	gepa_store_check_owner("judge", version->spec->name, version->owner, userid);
	texts = common_texts(program, version->spec);
	if (texts.n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("judge \"%s\" of run option \"seed_from\" has no text in common with judge \"%s\"",
						version->spec->name, program->name),
				 errhint("Give the texts by option \"seeds\".")));
	options->seed_from = psprintf("%s@%d", version->spec->name, version->version);
	add_first(&options->seeds, texts);
}

/*
 * For the engine
 */

void
gepa_worker_fill_seeds(const WorkerRun *run, EngineConfig *config)
{
	const WorkerSeeds *seeds = &run->options.seeds;
	const char *const **all = palloc(sizeof(char *const *) * Max(seeds->n, 1));

	for (int s = 0; s < seeds->n; s++)
	{
		const char **texts = palloc(sizeof(char *) * Max(run->ntuned, 1));

		for (int i = 0; i < run->ntuned; i++)
		{
			const JudgeComponent *component = &run->seed->components[run->tuned[i]];
			const char *given = find_given(&seeds->seeds[s], component->name);

			if (component->kind == JUDGE_COMPONENT_EXAMPLES)
				texts[i] = run->seed_examples;
			else
				texts[i] = given != NULL ? given : component->text ? component->text : "";
		}
		all[s] = (const char *const *) texts;
	}
	config->nseeds = seeds->n;
	config->seeds = all;
}
