/*-------------------------------------------------------------------------
 *
 * conformance_run.c
 *	  Replay of whole runs on the toy tasks, and of budgets.
 *
 * The engine is run in the reference's ways through its door.  The toy task
 * and the toy reflection model are described in words in the input: a sample
 * is one letter or two, a component is good for the letters at its end, and
 * call k of the model appends wanted[k mod count].  The task is a function of
 * the texts, so that whatever a case lists can be computed from the engine's
 * events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "conformance.h"

/* The toy task. */
typedef struct Toy
{
	bool		two_letters;	/* per sample, one per component */
	int			reach[2];		/* letters at a component's end that count */
	EngineComponent components[2];
	const char **train;
	const char **val;
} Toy;

/* What is listed of an iteration; empty = left out. */
typedef struct IterationLog
{
	StringInfoData parents,
				minibatches,
				parent_scores,
				components,
				new_texts,
				child_scores,
				accepted,
				merge_scores;
	const char *skipped;
	int			rejected;
	bool		found_nothing;
	EngineEvent merge;			/* nparents = 0: none */
	bool		merge_accepted;
	int64		metric_calls;
} IterationLog;

typedef struct RunLog
{
	const Toy  *toy;
	Engine	   *engine;
	int			niterations;
	int			allocated;
	IterationLog *iterations;
	int			nsteps;
	int			steps_allocated;
	EngineStep *steps;			/* as handed out, by number */
	StringInfoData calls;		/* of the reflection model */
	int			ncalls;
	int			merges_accepted;
	int			merges_rejected;
	int64		asked;			/* rollouts */
} RunLog;

/* --- the toy task --- */

/* Is a letter among the last ones of a text? */
static bool
at_end(const char *text, char letter, int reach)
{
	size_t		length = strlen(text);
	const char *end = text + (length > (size_t) reach ? length - reach : 0);

	return strchr(end, letter) != NULL;
}

static double
toy_score(const Toy *toy, const char *const *texts, const char *sample)
{
	bool		first = at_end(texts[0], sample[0], toy->reach[0]);

	if (!toy->two_letters)
		return first || at_end(texts[1], sample[0], toy->reach[1]) ? 1.0 : 0.0;
	return (first ? 0.5 : 0.0) + (at_end(texts[1], sample[1], toy->reach[1]) ? 0.5 : 0.0);
}

static double *
toy_scores(const Toy *toy, const char *const *texts, const char **samples, int n,
		   const int *numbers)
{
	double	   *scores = palloc((n + 1) * sizeof(double));
	int			i;

	for (i = 0; i < n; i++)
		scores[i] = toy_score(toy, texts, samples[numbers[i]]);
	return scores;
}

static char *
copy_word(const char *start, const char *ends)
{
	return pnstrdup(start, strcspn(start, ends));
}

/* "... Components in order: left, right; seed texts p and q." */
static bool
read_toy(Toy *toy, const GepaJson *input)
{
	static const char reach_phrase[] = "among the last ";
	static const char names_phrase[] = "Components in order: ";
	static const char seeds_phrase[] = "seed texts ";
	const char *words = gepa_json_get_string(input, "toy");
	const char *names;
	const char *seeds;
	const char *reach;
	const char *second;
	const GepaJson *train = gepa_json_get(input, "train");
	const GepaJson *val = gepa_json_get(input, "val");

	if (words == NULL || json_count(train) == 0 || json_count(val) == 0)
		return false;
	names = strstr(words, names_phrase);
	seeds = strstr(words, seeds_phrase);
	reach = strstr(words, reach_phrase);
	if (names == NULL || seeds == NULL || reach == NULL)
		return false;

	names += strlen(names_phrase);
	seeds += strlen(seeds_phrase);
	reach += strlen(reach_phrase);
	toy->reach[0] = toy->reach[1] = atoi(reach);
	second = strstr(reach, reach_phrase);
	if (second != NULL)
		toy->reach[1] = atoi(second + strlen(reach_phrase));
	memset(toy->components, 0, sizeof(toy->components));
	toy->components[0].name = copy_word(names, ",");
	toy->components[1].name = copy_word(names + strcspn(names, ",") + 2, ";");
	toy->components[0].seed_text = copy_word(seeds, " ");
	toy->components[1].seed_text = copy_word(seeds + strcspn(seeds, " ") + strlen(" and "), ".");
	toy->train = json_strings(train);
	toy->val = json_strings(val);
	toy->two_letters = strlen(toy->train[0]) > 1;
	return true;
}

/* --- options of a case --- */

/* Letters of a name or value in lower case, nothing else. */
static char *
squeeze(const char *text)
{
	char	   *result = palloc(strlen(text) + 1);
	char	   *p = result;

	for (; *text != '\0'; text++)
		if (isalpha((unsigned char) *text))
			*p++ = (char) tolower((unsigned char) *text);
	*p = '\0';
	return result;
}

/* The n-th number in a text; otherwise if there are fewer. */
static int
number_in(const char *text, int n, int otherwise)
{
	while (*text != '\0')
	{
		if (!isdigit((unsigned char) *text))
		{
			text++;
			continue;
		}
		if (n-- == 0)
			return atoi(text);
		text += strspn(text, "0123456789");
	}
	return otherwise;
}

static bool
read_word_option(EngineConfig *config, const char *word, const char *whole)
{
	if (strstr(word, "currentbest"))
		config->selection = ENGINE_SELECT_CURRENT_BEST;
	else if (strstr(word, "epsilongreedy"))
		config->selection = ENGINE_SELECT_EPSILON_GREEDY;
	else if (strstr(word, "topkpareto"))
		config->selection = ENGINE_SELECT_TOP_K_PARETO;
	else if (strstr(word, "candpareto"))
		config->selection = ENGINE_SELECT_PARETO;
	else if (strstr(word, "improvementorequal") || strstr(word, "orequal"))
		config->acceptance = ENGINE_ACCEPT_OR_EQUAL;
	else if (strstr(word, "strict"))
		config->acceptance = ENGINE_ACCEPT_STRICT;
	else if (strstr(word, "roundrobin"))
		config->component_choice = ENGINE_CHOOSE_ROUND_ROBIN;
	else if (strstr(word, "sameparent"))
		config->mutations = number_in(whole, 0, 2);
	else if (strstr(word, "independent"))
		config->parents = number_in(whole, 0, 2);
	else if (strstr(word, "pxn"))
	{
		config->parents = number_in(whole, 0, 2);
		config->mutations = number_in(whole, 1, 2);
	}
	else if (strstr(word, "singlemutation"))
		config->parents = config->mutations = 1;
	else if (strstr(word, "allimprovements") || strcmp(word, "selectionall") == 0)
		config->keep = ENGINE_KEEP_ALL;
	else if (strstr(word, "bestimprovement") || strcmp(word, "selectionbest") == 0)
		config->keep = ENGINE_KEEP_BEST;
	else if (strstr(word, "topkimprovements") || strstr(word, "selectiontop"))
	{
		config->keep = ENGINE_KEEP_TOP_K;
		config->keep_k = number_in(whole, 0, 1);
	}
	else if (strstr(word, "moduleall") || strstr(word, "componentsall") ||
			 strstr(word, "componentall") || strstr(word, "selectorall"))
		config->component_choice = ENGINE_CHOOSE_ALL;
	else if (strstr(word, "instance"))
		config->frontier = ENGINE_FRONTIER_INSTANCE;
	else
		return false;
	return true;
}

static bool
read_option(EngineConfig *config, const char *key, const GepaJson *value)
{
	int64		number = value->kind == GEPA_JSON_NUMBER ? (int64) json_double(value) : 0;
	StringInfoData whole;

	if (strcmp(key, "seed") == 0)
		config->seed = number;
	else if (strcmp(key, "budget") == 0 || strcmp(key, "max_metric_calls") == 0)
		config->budget = number;
	else if (strcmp(key, "merge") == 0 || strcmp(key, "use_merge") == 0)
		config->merge = value->boolean;
	else if (strcmp(key, "merges") == 0 || strcmp(key, "max_merge_invocations") == 0)
		config->max_merges = (int) number;
	else if (strcmp(key, "shared") == 0)
		config->shared_sets = value->boolean;
	else if (strcmp(key, "cache") == 0 || strcmp(key, "cache_evaluation") == 0)
		config->cache = value->boolean;
	else if (strcmp(key, "skip_perfect") == 0 || strcmp(key, "skip_perfect_score") == 0)
		config->skip_perfect = value->boolean;
	else if (strcmp(key, "perfect_score") == 0)
		config->perfect_score = json_double(value);
	else if (strcmp(key, "minibatch") == 0 || strcmp(key, "minibatch_size") == 0 ||
			 strcmp(key, "b") == 0)
		config->minibatch_size = (int) number;
	else if (strcmp(key, "epsilon") == 0)
		config->epsilon = json_double(value);
	else if (strcmp(key, "k") == 0 || strcmp(key, "top_k") == 0)
		config->top_k = (int) number;
	else if (strcmp(key, "max_proposals") == 0)
		config->max_proposals = number;
	else
	{
		/* strategies are told by name, with their numbers */
		initStringInfo(&whole);
		appendStringInfo(&whole, "%s ", key);
		gepa_json_write(&whole, value);
		return read_word_option(config, squeeze(whole.data), whole.data);
	}
	return true;
}

static bool
read_config(EngineConfig *config, const Toy *toy, const GepaJson *input,
			const GepaJson *expected)
{
	const GepaJson *options = gepa_json_get(input, "options");
	int			i;

	gepa_engine_config_init(config);
	gepa_engine_config_reference(config);
	config->ncomponents = 2;
	config->components = toy->components;
	config->ntrain = json_count(gepa_json_get(input, "train"));
	config->nval = json_count(gepa_json_get(input, "val"));
	/* runs with merge tell of merges, and do not always name the option */
	config->merge = gepa_json_get(expected, "merges_accepted") != NULL;
	for (i = 0; i < json_count(options); i++)
		if (!read_option(config, options->keys[i], options->items[i]))
			return false;
	return json_count(options) > 0;
}

/* --- the run --- */

static IterationLog *
log_of(RunLog *log, int iteration)
{
	IterationLog *one;

	while (log->niterations < iteration)
	{
		if (log->niterations == log->allocated)
		{
			log->allocated = log->allocated * 2 + 16;
			log->iterations = log->iterations == NULL ?
				palloc(log->allocated * sizeof(IterationLog)) :
				repalloc(log->iterations, log->allocated * sizeof(IterationLog));
		}
		one = &log->iterations[log->niterations++];
		memset(one, 0, sizeof(IterationLog));
		/* it may end without any, when all is in the cache */
		one->metric_calls = gepa_engine_rollouts(log->engine);
		initStringInfo(&one->parents);
		initStringInfo(&one->minibatches);
		initStringInfo(&one->parent_scores);
		initStringInfo(&one->components);
		initStringInfo(&one->new_texts);
		initStringInfo(&one->child_scores);
		initStringInfo(&one->accepted);
		initStringInfo(&one->merge_scores);
	}
	return &log->iterations[iteration - 1];
}

static void
log_started(RunLog *log, IterationLog *one, const EngineEvent *event)
{
	const char *const *texts;

	if (event->nparents == 2)
	{
		one->merge = *event;
		return;
	}
	texts = gepa_engine_candidate_texts(log->engine, event->parents[0]);
	json_put_int(&one->parents, NULL, event->parents[0]);
	json_put_ints(&one->minibatches, NULL, event->samples, event->nsamples);
	json_put_doubles(&one->parent_scores, NULL,
					 toy_scores(log->toy, texts, log->toy->train, event->nsamples,
								event->samples), event->nsamples);
}

static void
log_proposed(RunLog *log, IterationLog *one, const EngineEvent *event)
{
	const EngineStep *run;
	int			i;

	if (one->merge.nparents == 2)
	{
		json_put_doubles(&one->merge_scores, NULL,
						 toy_scores(log->toy, event->texts, log->toy->val,
									one->merge.nsamples, one->merge.samples),
						 one->merge.nsamples);
		return;
	}
	run = &log->steps[log->steps[event->reflect_step].records[0].step];
	json_put_doubles(&one->child_scores, NULL,
					 toy_scores(log->toy, event->texts, log->toy->train, run->nsamples,
								run->samples), run->nsamples);
	json_open(&one->components, NULL, '[');
	json_open(&one->new_texts, NULL, '{');
	for (i = 0; i < 2; i++)
	{
		if (event->component >= 0 && event->component != i)
			continue;
		json_put_string(&one->components, NULL, log->toy->components[i].name);
		json_put_string(&one->new_texts, log->toy->components[i].name, event->texts[i]);
	}
	json_close(&one->components, ']');
	json_close(&one->new_texts, '}');
}

static void
log_event(RunLog *log, const EngineEvent *event)
{
	IterationLog *one;

	if (event->iteration == 0)
		return;
	one = log_of(log, event->iteration);
	switch (event->kind)
	{
		case ENGINE_EVENT_ITERATION:
			log_started(log, one, event);
			break;
		case ENGINE_EVENT_PROPOSED:
			log_proposed(log, one, event);
			break;
		case ENGINE_EVENT_SKIPPED:
			one->skipped = "all_scores_perfect";
			break;
		case ENGINE_EVENT_NO_MERGE:
			one->found_nothing = true;
			break;
		case ENGINE_EVENT_REJECTED:
			if (event->nparents == 2)
				log->merges_rejected++;
			else
				one->rejected++;
			break;
		case ENGINE_EVENT_ACCEPTED:
			one->merge_accepted = event->nparents == 2;
			log->merges_accepted += one->merge_accepted ? 1 : 0;
			json_open(&one->accepted, NULL, '{');
			json_put_int(&one->accepted, "idx", event->candidate);
			json_put_ints(&one->accepted, "parents", event->parents, event->nparents);
			json_close(&one->accepted, '}');
			break;
		case ENGINE_EVENT_DECISION:
			break;
	}
}

/* The toy reflection model. */
static void
answer_reflection(RunLog *log, const EngineStep *step)
{
	const Toy  *toy = log->toy;
	const EngineStep *run = &log->steps[step->records[0].step];
	const char *current = step->texts[step->component];
	char	   *wanted = palloc(run->nsamples + 1);
	char	   *answer;
	int			n = 0;
	int			i;

	for (i = 0; i < run->nsamples; i++)
	{
		const char *sample = toy->train[run->samples[i]];

		if (toy->two_letters)
			wanted[n++] = sample[step->component];
		else if (toy_score(toy, step->texts, sample) < 1.0)
			wanted[n++] = sample[0];
	}
	answer = n > 0 ? psprintf("%s%c", current, wanted[log->ncalls % n]) : pstrdup(current);
	json_open(&log->calls, NULL, '{');
	json_put_string(&log->calls, "current", current);
	json_open(&log->calls, "needs", '[');
	for (i = 0; i < n; i++)
		json_put_string(&log->calls, NULL, psprintf("%c", wanted[i]));
	json_close(&log->calls, ']');
	json_put_string(&log->calls, "answer", answer);
	json_close(&log->calls, '}');
	log->ncalls++;
	gepa_engine_observe_text(log->engine, step->step, answer);
}

static void
answer_evaluation(RunLog *log, const EngineStep *step)
{
	const char **samples = step->split == ENGINE_SPLIT_TRAIN ? log->toy->train : log->toy->val;

	log->asked += step->nsamples;
	gepa_engine_observe_scores(log->engine, step->step, step->nsamples,
							   toy_scores(log->toy, step->texts, samples, step->nsamples,
										  step->samples),
							   0, NULL, NULL);
}

static void
drain_events(RunLog *log)
{
	EngineEvent event;

	while (gepa_engine_next_event(log->engine, &event))
		log_event(log, &event);
}

static void
run_engine(RunLog *log)
{
	EngineStep	step;
	int			iteration;

	for (;;)
	{
		step = gepa_engine_next(log->engine);
		drain_events(log);
		if (step.kind == ENGINE_STEP_FINISHED || step.kind == ENGINE_STEP_WAIT)
			break;
		if (log->nsteps == log->steps_allocated)
		{
			log->steps_allocated = log->steps_allocated * 2 + 64;
			log->steps = log->steps == NULL ?
				palloc(log->steps_allocated * sizeof(EngineStep)) :
				repalloc(log->steps, log->steps_allocated * sizeof(EngineStep));
		}
		log->steps[log->nsteps++] = step;
		if (step.kind == ENGINE_STEP_EVALUATE)
			answer_evaluation(log, &step);
		else
			answer_reflection(log, &step);
		drain_events(log);
		iteration = gepa_engine_iteration(log->engine);
		if (iteration > 0)
			log_of(log, iteration)->metric_calls = gepa_engine_rollouts(log->engine);
	}
}

/* --- the outcome --- */

static void
put_list(StringInfo got, const char *key, const StringInfo list)
{
	if (list->len == 0)
		return;
	json_open(got, key, '[');
	appendStringInfoString(got, list->data);
	json_close(got, ']');
}

static void
put_merge(StringInfo got, const RunLog *log, const IterationLog *one)
{
	const EngineEvent *merge = &one->merge;
	int			triple[3] = {merge->parents[0], merge->parents[1], merge->ancestor};
	int			i;
	int			k;

	appendStringInfo(got, ",\"merge_scores\":%s", one->merge_scores.data);
	json_open(got, "merge", '{');
	json_put_ints(got, "i_j_ancestor", triple, 3);
	json_put_ints(got, "subsample_ids", merge->samples, merge->nsamples);
	json_open(got, "parent_scores", '[');
	for (i = 0; i < 2; i++)
	{
		json_open(got, NULL, '[');
		for (k = 0; k < merge->nsamples; k++)
			json_put_double(got, NULL,
							gepa_engine_candidate_sample_score(log->engine, merge->parents[i],
															   merge->samples[k]));
		json_close(got, ']');
	}
	json_close(got, ']');
	appendStringInfo(got, ",\"merged_scores\":%s", one->merge_scores.data);
	json_put_bool(got, "accepted", one->merge_accepted);
	json_close(got, '}');
}

static void
put_iterations(StringInfo got, const RunLog *log)
{
	int			i;

	json_open(got, "iterations", '[');
	for (i = 0; i < log->niterations; i++)
	{
		IterationLog *one = &log->iterations[i];

		json_open(got, NULL, '{');
		json_put_int(got, "iteration", i + 1);
		put_list(got, "parents", &one->parents);
		put_list(got, "minibatches", &one->minibatches);
		put_list(got, "parent_scores", &one->parent_scores);
		put_list(got, "components", &one->components);
		put_list(got, "new_texts", &one->new_texts);
		put_list(got, "child_scores", &one->child_scores);
		put_list(got, "accepted", &one->accepted);
		if (one->skipped != NULL)
			json_put_string(got, "skipped", one->skipped);
		if (one->rejected > 0)
			json_put_int(got, "rejected", one->rejected);
		if (one->found_nothing)
			json_put_bool(got, "merge_found_nothing", true);
		if (one->merge.nparents == 2)
			put_merge(got, log, one);
		json_put_int(got, "metric_calls", one->metric_calls);
		json_close(got, '}');
	}
	json_close(got, ']');
}

static void
put_candidates(StringInfo got, const RunLog *log, int nval)
{
	Engine	   *engine = log->engine;
	int			n = gepa_engine_ncandidates(engine);
	StringInfoData texts,
				parents,
				scores,
				means,
				discovery;
	int			i;
	int			k;

	initStringInfo(&texts);
	initStringInfo(&parents);
	initStringInfo(&scores);
	initStringInfo(&means);
	initStringInfo(&discovery);
	for (i = 0; i < n; i++)
	{
		int			numbers[2];
		int			nparents = gepa_engine_candidate_parents(engine, i, numbers);

		json_open(&texts, NULL, '{');
		for (k = 0; k < 2; k++)
			json_put_string(&texts, log->toy->components[k].name,
							gepa_engine_candidate_texts(engine, i)[k]);
		json_close(&texts, '}');
		if (nparents > 0)
			json_put_ints(&parents, NULL, numbers, nparents);
		else
		{
			json_next(&parents, NULL);
			appendStringInfoString(&parents, "[null]");
		}
		json_open(&scores, NULL, '[');
		for (k = 0; k < nval; k++)
			json_put_double(&scores, NULL, gepa_engine_candidate_sample_score(engine, i, k));
		json_close(&scores, ']');
		json_put_double(&means, NULL, gepa_engine_candidate_score(engine, i));
		json_put_int(&discovery, NULL, gepa_engine_candidate_discovery(engine, i));
	}
	put_list(got, "candidates", &texts);
	put_list(got, "parents", &parents);
	put_list(got, "val_scores", &scores);
	put_list(got, "means", &means);
	put_list(got, "metric_calls_at_discovery", &discovery);
	json_put_int(got, "num_full_val_evals", n);
}

static void
put_outcome(StringInfo got, RunLog *log, int nval)
{
	int			i;

	json_open(got, NULL, '{');
	put_iterations(got, log);
	put_candidates(got, log, nval);
	json_open(got, "reflection_calls", '[');
	appendStringInfoString(got, log->calls.data);
	json_close(got, ']');
	json_open(got, "instance_fronts", '{');
	for (i = 0; i < gepa_engine_nfronts(log->engine); i++)
	{
		EngineFront front = gepa_engine_front(log->engine, i);

		json_put_ints(got, front.key, front.candidates, front.ncandidates);
	}
	json_close(got, '}');
	json_put_int(got, "total_metric_calls", gepa_engine_rollouts(log->engine));
	json_put_int(got, "metric_calls_seen_by_adapter", log->asked);
	json_put_int(got, "best_idx", gepa_engine_best(log->engine));
	json_put_int(got, "merges_accepted", log->merges_accepted);
	json_put_int(got, "merges_rejected", log->merges_rejected);
	json_close(got, '}');
}

bool
replay_run(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	Toy			toy;
	EngineConfig config;
	RunLog		log;

	if (!read_toy(&toy, input) || !read_config(&config, &toy, input, expected))
		return false;
	memset(&log, 0, sizeof(log));
	initStringInfo(&log.calls);
	log.toy = &toy;
	log.engine = gepa_engine_create(&config, NULL);
	if (log.engine == NULL)
		return false;
	run_engine(&log);
	put_outcome(got, &log, config.nval);
	gepa_engine_free(log.engine);
	return true;
}

/* --- budgets --- */

static void
put_auto_budget(StringInfo got, const GepaJson *input, const GepaJson *row)
{
	int			n = json_int(row, "n", 0);
	int			components = json_int(row, "components", 0);
	int			nval = json_int(row, "val_size", 0);

	json_open(got, NULL, '{');
	json_put_string(got, "auto", gepa_json_get_string(row, "auto"));
	json_put_int(got, "n", n);
	json_put_int(got, "components", components);
	json_put_int(got, "val_size", nval);
	json_put_int(got, "max_metric_calls",
				 gepa_engine_auto_budget(n, components, nval,
										 json_int(input, "minibatch_constant", 35),
										 json_int(input, "full_eval_steps", 5)));
	json_close(got, '}');
}

/* A run in which every proposal improves, up to the limit. */
static bool
put_overshoot(StringInfo got, const GepaJson *row)
{
	static const EngineComponent component = {"p", ENGINE_COMPONENT_TEXT, "seed"};
	EngineConfig config;
	Engine	   *engine;
	EngineStep	step;
	double		scores[1024];
	int			i;

	gepa_engine_config_init(&config);
	gepa_engine_config_reference(&config);
	config.ncomponents = 1;
	config.components = &component;
	config.ntrain = config.nval = json_int(row, "val_size", 0);
	config.minibatch_size = json_int(row, "minibatch", 3);
	config.budget = json_int(row, "max_metric_calls", 0);
	engine = gepa_engine_create(&config, NULL);
	if (engine == NULL || config.nval > lengthof(scores) ||
		config.minibatch_size > lengthof(scores))
		return false;
	while ((step = gepa_engine_next(engine)).kind != ENGINE_STEP_FINISHED)
	{
		if (step.kind == ENGINE_STEP_REFLECT)
		{
			gepa_engine_observe_text(engine, step.step, psprintf("text %d", step.step));
			continue;
		}
		for (i = 0; i < step.nsamples; i++)
			scores[i] = 1.0 - 1.0 / (step.proposal + 2);
		gepa_engine_observe_scores(engine, step.step, step.nsamples, scores, 0, NULL, NULL);
	}
	json_open(got, NULL, '{');
	json_put_int(got, "val_size", config.nval);
	json_put_int(got, "minibatch", config.minibatch_size);
	json_put_int(got, "max_metric_calls", config.budget);
	json_put_bool(got, "always_improving", true);
	json_put_int(got, "total_metric_calls", gepa_engine_rollouts(engine));
	json_put_int(got, "candidates", gepa_engine_ncandidates(engine));
	json_close(got, '}');
	gepa_engine_free(engine);
	return true;
}

bool
replay_budget(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	bool		formula = gepa_json_get(input, "minibatch_constant") != NULL;
	int			i;

	json_open(got, NULL, '[');
	for (i = 0; i < json_count(expected); i++)
	{
		const GepaJson *row = expected->items[i];

		if (formula)
			put_auto_budget(got, input, row);
		else if (gepa_json_get(row, "always_improving") == NULL || !put_overshoot(got, row))
			return false;
	}
	json_close(got, ']');
	return json_count(expected) > 0;
}
