/*-------------------------------------------------------------------------
 *
 * runstate.c
 *	  Loading a run: row, options, program, samples, and an engine that is
 *	  told the journal again.
 *
 * An engine that was told the same observations in the same order is in the
 * same state.  So a run that was killed goes on from its last journal entry;
 * the step after it is handed out again, with those of its rollouts that had
 * been recorded.  Events that the engine emits on the way were written in the
 * transactions of their journal entries, and are passed over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "worker/worker_text.h"

#define EXAMPLES_COMPONENT "examples"

static int
find_kind(const JudgeSpec *spec, JudgeComponentKind kind)
{
	for (int i = 0; i < spec->ncomponents; i++)
		if (spec->components[i].kind == kind)
			return i;
	return -1;
}

bool
gepa_worker_can_reflect(const char *reflection_lm, const WorkerRunOptions *options)
{
	return reflection_lm != NULL || options->proposer != NULL;
}

JudgeSpec *
gepa_worker_program(const JudgeSpec *version, const WorkerRunOptions *options,
					bool can_reflect, char *lm_identity)
{
	JudgeSpec  *spec = palloc(sizeof(JudgeSpec));
	bool		has_examples = find_kind(version, JUDGE_COMPONENT_EXAMPLES) >= 0;
	bool		adds = !has_examples && options->max_examples > 0 &&
		(!can_reflect || options->examples);

	if (adds && version->nimages > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("examples of a judge of images cannot be tuned"),
				 errhint("Give a reflection LM, and leave out run option \"examples\".")));
	*spec = *version;
	spec->lm_identity = lm_identity;
	spec->components = palloc0(sizeof(JudgeComponent) * (version->ncomponents + 1));
	memcpy(spec->components, version->components,
		   sizeof(JudgeComponent) * version->ncomponents);
	if (adds)
	{
		JudgeComponent *component = &spec->components[spec->ncomponents++];

		component->name = EXAMPLES_COMPONENT;
		component->kind = JUDGE_COMPONENT_EXAMPLES;
		component->text = "[]";
	}
	if (!can_reflect && options->max_examples == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nothing can be tuned without a reflection LM and without examples"),
				 errhint("Give a reflection LM, or set run option \"max_examples\" to at least 1.")));
	return spec;
}

/* Examples that are not to be tuned stay as the seed has them. */
static void
find_tuned(WorkerRun *run)
{
	run->tuned = palloc(sizeof(int) * run->seed->ncomponents);
	for (int i = 0; i < run->seed->ncomponents; i++)
		if (run->seed->components[i].kind != JUDGE_COMPONENT_EXAMPLES ||
			run->options.max_examples > 0)
			run->tuned[run->ntuned++] = i;
}

static void
fill_components(const WorkerRun *run, EngineComponent *components)
{
	for (int i = 0; i < run->ntuned; i++)
	{
		const JudgeComponent *component = &run->seed->components[run->tuned[i]];

		components[i].name = component->name;
		components[i].kind = ENGINE_COMPONENT_TEXT;
		components[i].seed_text = component->text ? component->text : "";
		if (component->kind == JUDGE_COMPONENT_EXAMPLES)
		{
			components[i].kind = ENGINE_COMPONENT_EXAMPLES;
			components[i].seed_text = run->seed_examples;
		}
	}
}

/* From keys to numbers; start.c has checked that they are there. */
static void
find_validated(WorkerRun *run)
{
	const WorkerKeys *keys = &run->options.validate;

	if (keys->n == 0)
		return;
	run->validate = palloc(sizeof(int) * keys->n);
	for (int i = 0; i < run->nsamples[STORE_SPLIT_VAL]; i++)
		for (int k = 0; k < keys->n; k++)
			if (strcmp(run->samples[STORE_SPLIT_VAL][i].key, keys->keys[k]) == 0)
				run->validate[run->nvalidate++] = i;
}

/* Default mode: rows that the report on winner and seed may take. */
static bool
uses_test_samples(const WorkerRunOptions *options)
{
	return options->mode == ENGINE_MODE_DEFAULT && options->policy.held_out != 0;
}

static int
label_number(const WorkerRun *run, const StoreSample *sample)
{
	return sample->label != NULL ? gepa_judge_label_index(run->seed, sample->label) : -1;
}

static void
number_labels(WorkerRun *run)
{
	for (int s = STORE_SPLIT_TRAIN; s <= STORE_SPLIT_VAL; s++)
	{
		run->sample_labels[s] = palloc(sizeof(int) * Max(run->nsamples[s], 1));
		for (int i = 0; i < run->nsamples[s]; i++)
			run->sample_labels[s][i] = label_number(run, &run->samples[s][i]);
	}
}

/* What a division into splits keeps together, the engine holds out together. */
static void
find_units(WorkerRun *run)
{
	int			ntrain = run->nsamples[STORE_SPLIT_TRAIN];
	int			n = ntrain + run->nsamples[STORE_SPLIT_VAL];
	WorkerSplitItem *items = palloc0(sizeof(WorkerSplitItem) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		const StoreSample *sample = i < ntrain ? &run->samples[STORE_SPLIT_TRAIN][i] :
			&run->samples[STORE_SPLIT_VAL][i - ntrain];

		items[i].group = sample->group_key;
		items[i].digest = sample->digest;
	}
	run->sample_units = gepa_worker_split_units(items, n);
	pfree(items);
}

static void
fill_samples(const WorkerRun *run, EngineConfig *config)
{
	config->ntrain = run->nsamples[STORE_SPLIT_TRAIN];
	config->nval = run->nsamples[STORE_SPLIT_VAL];
	config->ntest = run->nsamples[STORE_SPLIT_TEST];
	config->nlabels = run->seed->nlabels;
	config->train_label = run->sample_labels[STORE_SPLIT_TRAIN];
	config->val_label = run->sample_labels[STORE_SPLIT_VAL];
	config->sample_group = run->sample_units;
	config->nclasses = run->seed->nlabels;
	config->nexamples = run->nexamples;
	config->example_class = run->example_class;
	config->nvalidate = run->nvalidate;
	config->validate = run->validate;
}

static void
fill_stops(const WorkerRunOptions *options, EngineConfig *config)
{
	config->max_proposals = options->max_proposals;
	config->stop_at_score = options->stop_at_score;
	config->max_candidates = options->max_candidates;
	config->no_improvement = options->no_improvement;
	config->stop_on_all = options->stop_on_all;
	config->caller_stops = !isnan(options->max_calls) || !isnan(options->max_cost) ||
		!isnan(options->max_seconds) || !isnan(options->max_tokens);
}

/* What a mode does, and what the reference mode does otherwise than the reference. */
static void
fill_search(const WorkerRunOptions *options, EngineConfig *config)
{
	config->mode = (EngineMode) options->mode;
	config->policy = options->policy;
	config->max_examples = options->max_examples;
	config->minibatch_size = options->minibatch_size;
	config->skip_perfect = options->skip_perfect;
	config->perfect_score = options->perfect_score;
	config->selection = (EngineSelection) options->candidate_selection;
	config->epsilon = options->epsilon;
	config->top_k = options->top_k;
	config->frontier = (EngineFrontier) options->frontier_type;
	config->component_choice = (EngineComponentChoice) options->component_choice;
	config->acceptance = (EngineAcceptance) options->acceptance;
	config->parents = options->parallel_proposals;
	config->mutations = options->proposals_per_parent;
	config->keep = (EngineKeep) options->proposal_selection;
	config->keep_k = options->proposal_top_k;
	config->merge = options->merge;
	config->max_merges = options->max_merges;
	config->merge_overlap = options->merge_overlap;
	config->cache = options->cache;
	config->shared_sets = options->shared_sets;
	config->hard_budget = options->hard_budget;
	config->expand_placeholders = options->expand_placeholders;
	config->skip_known_texts = options->skip_known_texts;
	config->ascending_order = options->ascending_order;
	config->zero_mean_merge = options->zero_mean_merge;
}

static void
fill_config(const WorkerRun *run, EngineConfig *config)
{
	gepa_engine_config_init(config);
	config->seed = run->row->seed;
	config->budget = run->row->budget;
	config->can_reflect = gepa_worker_can_reflect(run->row->reflection_lm, &run->options);
	fill_samples(run, config);
	fill_search(&run->options, config);
	fill_stops(&run->options, config);
}

/* The engine names a way out after what is wrong. */
static void
refuse_config(const WorkerRun *run, const char *error)
{
	const char *way_out = strstr(error, "; ");
	int			length = way_out != NULL ? (int) (way_out - error) : (int) strlen(error);
	char	   *hint = pstrdup(way_out != NULL ? way_out + 2 : "Start it with other options");

	hint[0] = pg_toupper((unsigned char) hint[0]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 run->row->text != NULL ?
			 errmsg("a run of texts like this cannot be carried out") :
			 errmsg("a run of judge \"%s\" like this cannot be carried out",
					run->row->judge_name),
			 errdetail("The engine says: %.*s.", length, error),
			 errhint("%s.", hint)));
}

static Engine *
create_engine(const WorkerRun *run)
{
	EngineComponent *components = palloc0(sizeof(EngineComponent) * Max(run->ntuned, 1));
	EngineConfig config;
	const char *error = NULL;
	Engine	   *engine;

	fill_components(run, components);
	fill_config(run, &config);
	gepa_worker_fill_seeds(run, &config);
	config.ncomponents = run->ntuned;
	config.components = components;
	engine = gepa_engine_create(&config, &error);
	if (engine == NULL)
		refuse_config(run, error);
	return engine;
}

/*
 * Replay
 */

static void
refuse_journal(const WorkerRun *run, int seq)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("journal of run %d does not fit its engine at entry %d", run->row->run, seq),
			 errdetail("The rows of the run were changed, or were written by another version of gepa."),
			 errhint("Start a new run; the candidates of this one can still be deployed.")));
}

StoreSplit
gepa_worker_split_of(const EngineStep *step)
{
	switch (step->split)
	{
		case ENGINE_SPLIT_TRAIN:
			return STORE_SPLIT_TRAIN;
		case ENGINE_SPLIT_VAL:
			return STORE_SPLIT_VAL;
		case ENGINE_SPLIT_TEST:
			return STORE_SPLIT_TEST;
	}
	return STORE_SPLIT_NONE;
}

bool
gepa_worker_observe_part(WorkerRun *run, const EngineStep *step)
{
	int			n;
	StoreRollout *rollouts = gepa_store_get_rollouts(run->row->run, run->seed, step->step, &n);
	double	   *scores = palloc0(sizeof(double) * Max(step->nsamples, 1));
	bool	   *came = palloc0(sizeof(bool) * Max(step->nsamples, 1));

	for (int i = 0; i < n; i++)
	{
		int			slot = rollouts[i].slot;

		if (slot < 0 || slot >= step->nsamples)
			return false;
		scores[slot] = rollouts[i].score;
		came[slot] = !rollouts[i].ungraded;
	}
	return gepa_engine_observe_part(run->engine, step->step, step->nsamples, scores, came);
}

static bool
replay_scores(WorkerRun *run, const EngineStep *step)
{
	int			n;
	StoreRollout *rollouts = gepa_store_get_rollouts(run->row->run, run->seed, step->step, &n);
	double	   *scores = palloc(sizeof(double) * Max(n, 1));
	const char **objectives = palloc(sizeof(char *) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		scores[i] = rollouts[i].score;
		objectives[i] = rollouts[i].objectives;
	}
	gepa_worker_note_step(run, rollouts, n);
	return n == step->nsamples && gepa_worker_observe_scores(run, step, scores, objectives);
}

void
gepa_worker_add_asked(WorkerRun *run, const EngineStep *step)
{
	if (run->nasked == run->asked_allocated)
	{
		MemoryContext old = MemoryContextSwitchTo(run->context);
		int			allocated = Max(8, run->asked_allocated * 2);

		run->asked = run->asked == NULL ? palloc(sizeof(EngineStep) * allocated) :
			repalloc(run->asked, sizeof(EngineStep) * allocated);
		run->asked_allocated = allocated;
		MemoryContextSwitchTo(old);
	}
	run->asked[run->nasked++] = *step;
}

static int
find_asked(const WorkerRun *run, int step)
{
	for (int i = 0; i < run->nasked; i++)
		if (run->asked[i].step == step)
			return i;
	return -1;
}

void
gepa_worker_drop_asked(WorkerRun *run, int step)
{
	int			place = find_asked(run, step);

	Assert(place >= 0);
	memmove(&run->asked[place], &run->asked[place + 1],
			sizeof(EngineStep) * (run->nasked - place - 1));
	run->nasked--;
}

bool
gepa_worker_tell(WorkerRun *run, const StoreStep *entry)
{
	EngineStepKind kind = entry->reflect ? ENGINE_STEP_REFLECT : ENGINE_STEP_EVALUATE;
	EngineStep	step;
	bool		told;
	int			place;

	while ((place = find_asked(run, entry->step)) < 0)
	{
		step = gepa_engine_next(run->engine);
		if (step.kind == ENGINE_STEP_FINISHED || step.kind == ENGINE_STEP_WAIT)
			return false;
		gepa_worker_add_asked(run, &step);
	}
	step = run->asked[place];
	if (step.kind != kind)
		return false;
	if (entry->reflect)
		told = gepa_engine_observe_text(run->engine, step.step, entry->new_text);
	else if (entry->detail != NULL)
		told = gepa_worker_observe_part(run, &step);
	else
		told = replay_scores(run, &step);
	if (told)
		gepa_worker_drop_asked(run, step.step);
	return told;
}

/* A run that was giving up what was outstanding goes on with that. */
static void
note_limit(WorkerRun *run, const StoreStep *entry)
{
	if (entry->new_text == NULL && entry->detail != NULL && gepa_worker_is_limit(entry->detail))
		run->exhausted = MemoryContextStrdup(run->context, entry->detail);
}

static void
replay_journal(WorkerRun *run)
{
	int			n;
	StoreStep  *entries = gepa_store_get_steps(run->row->run, &n);
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "gepa replay",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);

	for (int i = 0; i < n; i++)
	{
		EngineEvent event;

		if (!gepa_worker_tell(run, &entries[i]))
			refuse_journal(run, entries[i].seq);
		note_limit(run, &entries[i]);
		/* Written with its entry. */
		while (gepa_engine_next_event(run->engine, &event))
			run->ndecisions += event.kind == ENGINE_EVENT_DECISION;
		run->seq = entries[i].seq + 1;
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/* Of other texts: those of the samples that the engine searches with. */
static void
take_labels(WorkerRun *run)
{
	int			ntrain = run->nsamples[STORE_SPLIT_TRAIN];
	int			nval = run->nsamples[STORE_SPLIT_VAL];
	StoreSample *samples = palloc(sizeof(StoreSample) * Max(ntrain + nval, 1));

	memcpy(samples, run->samples[STORE_SPLIT_TRAIN], sizeof(StoreSample) * ntrain);
	memcpy(samples + ntrain, run->samples[STORE_SPLIT_VAL], sizeof(StoreSample) * nval);
	gepa_worker_text_labels(run->seed, samples, ntrain + nval);
	pfree(samples);
}

static void
prepare_judge(WorkerRun *run)
{
	const StoreRun *row = run->row;
	StoreVersion *version = gepa_store_get_version_by_id(row->judge, row->seed_version);

	gepa_worker_parse_options(row->options, WORKER_TUNES_JUDGE, &run->options);
	run->seed = gepa_worker_program(version->spec, &run->options,
									gepa_worker_can_reflect(row->reflection_lm, &run->options),
									row->lm_identity);
}

static void
prepare_text(WorkerRun *run)
{
	gepa_worker_parse_options(run->row->options, run->row->dataset == NULL ?
							  WORKER_TUNES_TASK : WORKER_TUNES_TEXT, &run->options);
	run->seed = gepa_worker_text_program(run->row->text, run->row->run);
	run->seq = gepa_store_count_seed_steps(run->row->run);
}

/* Without a seed too it is made, to hear what it has against the rest, and given up. */
static void
prepare_engine(WorkerRun *run)
{
	bool		has_seed = gepa_worker_has_seed(run);

	run->engine = create_engine(run);
	if (has_seed)
		return;
	gepa_engine_free(run->engine);
	run->engine = NULL;
}

WorkerRun *
gepa_worker_prepare_run(StoreRun *row)
{
	WorkerRun  *run = palloc0(sizeof(WorkerRun));

	run->context = CurrentMemoryContext;
	run->step_context = AllocSetContextCreate(run->context, "gepa run step",
											  ALLOCSET_DEFAULT_SIZES);
	run->row = row;
	if (row->text != NULL)
		prepare_text(run);
	else
		prepare_judge(run);
	for (int s = 0; s < STORE_NSPLITS; s++)
		if (s != STORE_SPLIT_TEST || uses_test_samples(&run->options))
			run->samples[s] = gepa_store_get_samples(row->run, run->seed, (StoreSplit) s,
													 &run->nsamples[s]);
	if (row->text != NULL)
		take_labels(run);
	number_labels(run);
	find_units(run);
	find_validated(run);
	find_tuned(run);
	gepa_worker_number_examples(run);
	prepare_engine(run);
	return run;
}

WorkerRun *
gepa_worker_load_run(StoreRun *row)
{
	WorkerRun  *run = gepa_worker_prepare_run(row);

	if (run->engine != NULL)
		replay_journal(run);
	return run;
}
