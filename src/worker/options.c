/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options of a run: from the jsonb of gepa.start() and back.
 *
 * One table names every option, its kind and its range; reading, writing and
 * the hint that lists the valid keys all follow it.  A run stores the options
 * complete, so that a later change of defaults changes no run that exists.
 * docs/engine.md says what each is for.
 *
 * The mode sets the defaults of what the reference implementation does
 * otherwise; each can be set by itself as well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "common/shortest_dec.h"

#include "base/json.h"
#include "worker/worker_internal.h"

typedef enum OptionKind
{
	OPTION_BOOL,
	OPTION_INT,
	OPTION_NUMBER,				/* NaN = not set */
	OPTION_TEXT,				/* NULL = not set */
	OPTION_KEYS,				/* WorkerKeys; n = 0 is not set */
	OPTION_WORD					/* int: place in the list of words */
} OptionKind;

typedef struct OptionDef
{
	const char *name;
	OptionKind	kind;
	size_t		offset;
	double		min;
	double		max;
	const char *const *words;	/* ends with NULL */
} OptionDef;

static const char *const acceptance_words[] = {"strict", "improvement_or_equal", NULL};
static const char *const selection_words[] = {
	"pareto", "current_best", "epsilon_greedy", "top_k_pareto", NULL
};
static const char *const choice_words[] = {"round_robin", "all", NULL};
static const char *const frontier_words[] = {
	"instance", "objective", "hybrid", "cartesian", NULL
};
static const char *const metric_words[] = {"label", "score", "ranking", NULL};
static const char *const keep_words[] = {"all", "best", "top_k", NULL};
static const char *const mode_words[] = {"default", "reference", NULL};

#define FIELD(name) offsetof(WorkerRunOptions, name)

/* In alphabetical order. */
static const OptionDef defs[] = {
	{"acceptance", OPTION_WORD, FIELD(acceptance), 0, 0, acceptance_words},
	{"ascending_order", OPTION_BOOL, FIELD(ascending_order), 0, 0, NULL},
	{"cache", OPTION_BOOL, FIELD(cache), 0, 0, NULL},
	{"candidate_selection", OPTION_WORD, FIELD(candidate_selection), 0, 0, selection_words},
	{"component_choice", OPTION_WORD, FIELD(component_choice), 0, 0, choice_words},
	{"epsilon", OPTION_NUMBER, FIELD(epsilon), 0, 1, NULL},
	{"examples", OPTION_BOOL, FIELD(examples), 0, 0, NULL},
	{"expand_placeholders", OPTION_BOOL, FIELD(expand_placeholders), 0, 0, NULL},
	{"frontier_type", OPTION_WORD, FIELD(frontier_type), 0, 0, frontier_words},
	{"hard_budget", OPTION_BOOL, FIELD(hard_budget), 0, 0, NULL},
	{"max_calls", OPTION_NUMBER, FIELD(max_calls), 0, INFINITY, NULL},
	{"max_candidates", OPTION_INT, FIELD(max_candidates), 0, INT_MAX, NULL},
	{"max_cost", OPTION_NUMBER, FIELD(max_cost), 0, INFINITY, NULL},
	{"max_examples", OPTION_INT, FIELD(max_examples), 0, 100, NULL},
	{"max_merges", OPTION_INT, FIELD(max_merges), 0, INT_MAX, NULL},
	{"max_prompt_chars", OPTION_INT, FIELD(max_prompt_chars), 1, INT_MAX, NULL},
	{"max_proposals", OPTION_INT, FIELD(max_proposals), 0, INT_MAX, NULL},
	{"max_seconds", OPTION_NUMBER, FIELD(max_seconds), 0, INFINITY, NULL},
	{"max_tokens", OPTION_NUMBER, FIELD(max_tokens), 0, INFINITY, NULL},
	{"merge", OPTION_BOOL, FIELD(merge), 0, 0, NULL},
	{"merge_overlap", OPTION_INT, FIELD(merge_overlap), 1, INT_MAX, NULL},
	{"metric", OPTION_WORD, FIELD(metric), 0, 0, metric_words},
	{"minibatch_size", OPTION_INT, FIELD(minibatch_size), 1, 1000, NULL},
	{"mode", OPTION_WORD, FIELD(mode), 0, 0, mode_words},
	{"no_improvement", OPTION_INT, FIELD(no_improvement), 0, INT_MAX, NULL},
	{"parallel_proposals", OPTION_INT, FIELD(parallel_proposals), 1, 100, NULL},
	{"perfect_score", OPTION_NUMBER, FIELD(perfect_score), 0, 1, NULL},
	{"precision", OPTION_NUMBER, FIELD(precision), 0, 1, NULL},
	{"proposal_selection", OPTION_WORD, FIELD(proposal_selection), 0, 0, keep_words},
	{"proposal_top_k", OPTION_INT, FIELD(proposal_top_k), 1, INT_MAX, NULL},
	{"proposals_per_parent", OPTION_INT, FIELD(proposals_per_parent), 1, 10, NULL},
	{"reflection_template", OPTION_TEXT, FIELD(reflection_template), 0, 0, NULL},
	{"reuse_rollouts", OPTION_BOOL, FIELD(reuse_rollouts), 0, 0, NULL},
	{"shared_sets", OPTION_BOOL, FIELD(shared_sets), 0, 0, NULL},
	{"skip_known_texts", OPTION_BOOL, FIELD(skip_known_texts), 0, 0, NULL},
	{"skip_perfect", OPTION_BOOL, FIELD(skip_perfect), 0, 0, NULL},
	{"stop_at_score", OPTION_NUMBER, FIELD(stop_at_score), 0, 1, NULL},
	{"stop_on_all", OPTION_BOOL, FIELD(stop_on_all), 0, 0, NULL},
	{"task_lm", OPTION_TEXT, FIELD(task_lm), 0, 0, NULL},
	{"top_k", OPTION_INT, FIELD(top_k), 1, INT_MAX, NULL},
	{"validate", OPTION_KEYS, FIELD(validate), 0, 0, NULL},
	{"zero_mean_merge", OPTION_BOOL, FIELD(zero_mean_merge), 0, 0, NULL},
};

/* "split" is an object: {"train": 0.4, "val": 0.3, "test": 0.3, "seed": 0} */
static const char *const split_keys[] = {"train", "val", "test"};

static void *
field_of(const WorkerRunOptions *options, const OptionDef *def)
{
	return (char *) unconstify(WorkerRunOptions *, options) + def->offset;
}

/*
 * Errors
 */

static void
refuse(const char *name, const char *must)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for run option \"%s\"", name),
			 errhint("It must be %s.", must)));
}

static void
refuse_key(const char *key)
{
	StringInfoData valid;

	initStringInfo(&valid);
	for (int i = 0; i < lengthof(defs); i++)
		appendStringInfo(&valid, "%s, ", defs[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown run option \"%s\"", key),
			 errhint("Valid options are: %ssplit.", valid.data)));
}

static void
refuse_word(const OptionDef *def)
{
	StringInfoData valid;

	initStringInfo(&valid);
	for (int i = 0; def->words[i] != NULL; i++)
		appendStringInfo(&valid, "%s\"%s\"", i == 0 ? "" : ", ", def->words[i]);
	refuse(def->name, psprintf("one of %s", valid.data));
}

/*
 * Reading
 */

static double
read_number(const char *name, const GepaJson *value, double min, double max, bool integer)
{
	double		number = 0;
	const char *what = integer ? "an integer" : "a number";

	if (value->kind == GEPA_JSON_NUMBER)
		number = strtod(value->text, NULL);
	if (value->kind != GEPA_JSON_NUMBER || !isfinite(number) ||
		!(number >= min && number <= max) ||
		(integer && number != floor(number)))
		refuse(name, max >= INT_MAX ? psprintf("%s of at least %g", what, min) :
			   psprintf("%s from %g to %g", what, min, max));
	return number;
}

static int
read_word(const OptionDef *def, const GepaJson *value)
{
	int			word;

	if (value->kind != GEPA_JSON_STRING)
		refuse_word(def);
	for (word = 0; def->words[word] != NULL; word++)
		if (strcmp(def->words[word], value->text) == 0)
			break;
	if (def->words[word] == NULL)
		refuse_word(def);
	return word;
}

static void
read_keys(const OptionDef *def, const GepaJson *value, WorkerKeys *keys)
{
	const char *must = "an array of distinct keys of samples";

	if (value->kind != GEPA_JSON_ARRAY || value->nitems == 0)
		refuse(def->name, must);
	keys->n = value->nitems;
	keys->keys = palloc(sizeof(char *) * value->nitems);
	for (int i = 0; i < value->nitems; i++)
	{
		const GepaJson *item = value->items[i];

		if (item->kind != GEPA_JSON_STRING && item->kind != GEPA_JSON_NUMBER)
			refuse(def->name, must);
		keys->keys[i] = pstrdup(item->text);
		for (int k = 0; k < i; k++)
			if (strcmp(keys->keys[k], keys->keys[i]) == 0)
				refuse(def->name, must);
	}
}

/* null is the same as leaving the key out. */
static void
read_option(const OptionDef *def, const GepaJson *value, WorkerRunOptions *options)
{
	void	   *field = field_of(options, def);

	if (value->kind == GEPA_JSON_NULL)
		return;
	switch (def->kind)
	{
		case OPTION_BOOL:
			if (value->kind != GEPA_JSON_BOOL)
				refuse(def->name, "true or false");
			*(bool *) field = value->boolean;
			break;
		case OPTION_INT:
			*(int *) field = (int) read_number(def->name, value, def->min, def->max, true);
			break;
		case OPTION_NUMBER:
			*(double *) field = read_number(def->name, value, def->min, def->max, false);
			break;
		case OPTION_TEXT:
			if (value->kind != GEPA_JSON_STRING || value->text[0] == '\0')
				refuse(def->name, "a string that is not empty");
			*(char **) field = pstrdup(value->text);
			break;
		case OPTION_KEYS:
			read_keys(def, value, field);
			break;
		case OPTION_WORD:
			*(int *) field = read_word(def, value);
			break;
	}
}

/* Shares that are left out are 0 once one is given; their sum is 1. */
static void
read_split(const GepaJson *value, WorkerRunOptions *options)
{
	const char *must = "an object with \"train\", \"val\" and optionally \"test\" that sum to 1, and optionally an integer \"seed\"";
	double		shares[WORKER_NSPLITS] = {0};
	double		sum = 0;
	int			known = 0;
	const GepaJson *seed = gepa_json_get(value, "seed");

	if (value->kind != GEPA_JSON_OBJECT)
		refuse("split", must);
	for (int s = 0; s < WORKER_NSPLITS; s++)
	{
		const GepaJson *share = gepa_json_get(value, split_keys[s]);

		if (share == NULL)
			continue;
		known++;
		shares[s] = read_number(psprintf("split.%s", split_keys[s]), share, 0, 1, false);
		sum += shares[s];
	}
	if (seed != NULL)
	{
		known++;
		options->split_seed = (int) read_number("split.seed", seed, 0, INT_MAX, true);
	}
	if (known != value->nitems)
		refuse("split", must);
	if (known == (seed != NULL))
		return;
	if (shares[0] <= 0 || shares[1] <= 0 || fabs(sum - 1) > 1e-6)
		refuse("split", must);
	memcpy(options->split, shares, sizeof(shares));
}

static void
set_defaults(WorkerRunOptions *options, WorkerMode mode)
{
	EngineConfig config;

	gepa_engine_config_init(&config);
	if (mode == WORKER_MODE_REFERENCE)
		gepa_engine_config_reference(&config);

	memset(options, 0, sizeof(WorkerRunOptions));
	options->mode = mode;
	options->acceptance = config.acceptance;
	options->ascending_order = config.ascending_order;
	options->candidate_selection = config.selection;
	options->component_choice = config.component_choice;
	options->epsilon = config.epsilon;
	options->expand_placeholders = config.expand_placeholders;
	options->frontier_type = config.frontier;
	options->hard_budget = config.hard_budget;
	options->max_calls = options->max_cost = options->max_seconds = options->max_tokens = NAN;
	options->max_examples = config.max_examples;
	options->max_merges = config.max_merges;
	options->max_prompt_chars = 20000;
	options->merge = config.merge;
	options->merge_overlap = config.merge_overlap;
	options->metric = JUDGE_METRIC_LABEL;
	options->minibatch_size = config.minibatch_size;
	options->parallel_proposals = config.parents;
	options->proposal_selection = config.keep;
	options->proposal_top_k = config.keep_k;
	options->proposals_per_parent = config.mutations;
	options->perfect_score = config.perfect_score;
	options->reuse_rollouts = (mode != WORKER_MODE_REFERENCE);
	options->skip_known_texts = config.skip_known_texts;
	options->skip_perfect = config.skip_perfect;
	options->split[STORE_SPLIT_TRAIN] = 0.4;
	options->split[STORE_SPLIT_VAL] = 0.3;
	options->split[STORE_SPLIT_TEST] = 0.3;
	options->stop_at_score = config.stop_at_score;
	options->top_k = config.top_k;
	options->zero_mean_merge = config.zero_mean_merge;
}

static const OptionDef *
find_def(const char *key)
{
	for (int i = 0; i < lengthof(defs); i++)
		if (strcmp(defs[i].name, key) == 0)
			return &defs[i];
	return NULL;
}

void
gepa_worker_parse_options(const char *json, WorkerRunOptions *options)
{
	const char *error = NULL;
	GepaJson   *object = gepa_json_parse(json, strlen(json), &error);
	const char *missing;

	if (object == NULL || object->kind != GEPA_JSON_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of a run are not a JSON object%s%s",
						error ? ": " : "", error ? error : ""),
				 errhint("Give an object, such as '{\"minibatch_size\": 5}'.")));

	/* The mode first: it sets the defaults of the others. */
	set_defaults(options, WORKER_MODE_DEFAULT);
	if (gepa_json_get(object, "mode") != NULL)
		read_option(find_def("mode"), gepa_json_get(object, "mode"), options);
	set_defaults(options, (WorkerMode) options->mode);
	for (int i = 0; i < object->nitems; i++)
	{
		const OptionDef *def = find_def(object->keys[i]);

		if (def != NULL)
			read_option(def, object->items[i], options);
		else if (strcmp(object->keys[i], "split") == 0)
			read_split(object->items[i], options);
		else
			refuse_key(object->keys[i]);
	}

	missing = options->reflection_template ?
		gepa_engine_check_template(options->reflection_template) : NULL;
	if (missing != NULL)
		refuse("reflection_template",
			   psprintf("a text with the placeholders <curr_param> and <side_info>; %s", missing));
}

/*
 * Writing
 */

static void
write_keys(StringInfo buf, const WorkerKeys *keys)
{
	for (int i = 0; i < keys->n; i++)
	{
		appendStringInfoChar(buf, i == 0 ? '[' : ',');
		gepa_json_quote(buf, keys->keys[i]);
	}
	appendStringInfoChar(buf, ']');
}

static void
write_option(StringInfo buf, const OptionDef *def, const WorkerRunOptions *options)
{
	const void *field = field_of(options, def);

	/* Numbers and texts that are not set have no value to write. */
	if ((def->kind == OPTION_TEXT && *(char *const *) field == NULL) ||
		(def->kind == OPTION_KEYS && ((const WorkerKeys *) field)->n == 0) ||
		(def->kind == OPTION_NUMBER && isnan(*(const double *) field)))
		return;
	appendStringInfo(buf, "\"%s\":", def->name);
	switch (def->kind)
	{
		case OPTION_BOOL:
			appendStringInfoString(buf, *(const bool *) field ? "true" : "false");
			break;
		case OPTION_INT:
			appendStringInfo(buf, "%d", *(const int *) field);
			break;
		case OPTION_NUMBER:
			appendStringInfoString(buf, double_to_shortest_decimal(*(const double *) field));
			break;
		case OPTION_TEXT:
			gepa_json_quote(buf, *(char *const *) field);
			break;
		case OPTION_KEYS:
			write_keys(buf, field);
			break;
		case OPTION_WORD:
			gepa_json_quote(buf, def->words[*(const int *) field]);
			break;
	}
	appendStringInfoChar(buf, ',');
}

char *
gepa_worker_options_json(const WorkerRunOptions *options)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	for (int i = 0; i < lengthof(defs); i++)
		write_option(&buf, &defs[i], options);
	appendStringInfoString(&buf, "\"split\":{");
	for (int s = 0; s < WORKER_NSPLITS; s++)
		appendStringInfo(&buf, "\"%s\":%s,", split_keys[s],
						 double_to_shortest_decimal(options->split[s]));
	appendStringInfo(&buf, "\"seed\":%d}}", options->split_seed);
	return buf.data;
}
