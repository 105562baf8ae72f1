/*-------------------------------------------------------------------------
 *
 * start.c
 *	  The start of a run: everything that can be known to be wrong is said
 *	  here, before a call is paid.
 *
 * All in the current transaction and with the rights of the current user:
 * checks of judge, dataset and LMs, the samples as they are now, their split,
 * and the row with what was found worth saying ("notes").  The launcher
 * learns of it at commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"

#include "apply/apply.h"
#include "base/settings.h"
#include "worker/worker_reflect.h"
#include "worker/worker_text.h"

#define FEWEST_SAMPLES 10
#define MOST_NAMED 5			/* offending labels named in a message */

/* A start in progress. */
typedef struct Start
{
	const WorkerStartRequest *request;
	WorkerRunOptions options;
	const ApplyGraders *graders;	/* NULL = none */
	StoreVersion *version;
	StoreDataset *dataset;
	JudgeSpec  *program;
	const char *lm;
	char	   *lm_identity;
	Oid			proposer_owner;
	int			nsamples;
	StoreSample *samples;
	WorkerSplitReport report;
	int			(*counts)[STORE_NSPLITS];	/* per label */
	int			sizes[STORE_NSPLITS];
	List	   *notes;			/* of char * */
} Start;

/*
 * What is named in the request
 */

/* A task LM of another name takes the judge's place; the steps' own LMs stay. */
static void
check_identity(const Start *start, const JudgeServers *lms)
{
	const StoreVersion *version = start->version;
	JudgeSpec	spec = *version->spec;
	const char *expected;
	char	   *found;
	const LmServer *lm;

	if (strcmp(start->lm, version->lm) != 0)
		spec.lm_identity = start->lm_identity;
	lm = gepa_judge_find_mismatch(&spec, lms, &expected, &found);
	if (lm == NULL || gepa_allow_lm_mismatch)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("settings of LM \"%s\" differ from those that version %d of judge \"%s\" was made for",
					lm->name, version->version, version->spec->name),
			 errdetail("The version has %s, the LM now %s.", expected, found),
			 errhint("Make a version with the present settings with gepa.alter_judge('%s'), or set gepa.allow_lm_mismatch.",
					 version->spec->name)));
}

static void
note_confidence(Start *start, const LmServer *lm)
{
	if (start->options.metric == JUDGE_METRIC_CONFIDENCE && start->graders == NULL &&
		!lm->logprobs && start->version->spec->votes <= 1)
		start->notes = lappend(start->notes,
							   psprintf("LM \"%s\" gives no log-probabilities and the judge takes no votes: metric \"confidence\" cannot tell how sure it is, and right answers score 1.",
										lm->name));
}

static void
check_lms(Start *start)
{
	const char *reflection_lm = start->request->reflection_lm;
	JudgeServers *lms;

	start->lm = start->options.task_lm ? start->options.task_lm : start->version->lm;
	lms = gepa_judge_resolve(start->version->spec, start->lm, GetUserId());
	gepa_judge_check_sampling(start->version->spec, lms->lm);
	start->lm_identity = gepa_lm_identity(lms->lm);
	check_identity(start, lms);
	note_confidence(start, lms->lm);
	gepa_judge_free_servers(lms);
	if (reflection_lm != NULL)
		gepa_lm_free(gepa_lm_resolve(reflection_lm, GetUserId()));
}

static bool
can_reflect(const Start *start)
{
	return gepa_worker_can_reflect(start->request->reflection_lm, &start->options);
}

/* The dataset's, unless the run has its own; complete, as they are now. */
static void
check_graders(Start *start)
{
	const char *options = start->dataset->options;
	const GepaJson *list = gepa_json_get(gepa_json_parse(options, strlen(options), NULL),
										 "graders");
	StringInfoData text;

	if (start->options.graders == NULL && list != NULL)
	{
		initStringInfo(&text);
		gepa_json_write(&text, list);
		start->options.graders = text.data;
	}
	if (start->options.graders != NULL)
	{
		start->graders = gepa_apply_open_graders(start->options.graders);
		start->options.graders = gepa_apply_graders_json(start->graders);
	}
	if (start->dataset->label == NULL &&
		(start->graders == NULL || gepa_apply_graders_need_label(start->graders)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dataset \"%s\" has no labels", start->dataset->name),
				 start->graders == NULL ?
				 errdetail("Without graders a run compares with labels.") :
				 errdetail("A grader of kind \"labels\" compares with labels."),
				 errhint("Name graders that need no labels with the run option \"graders\", or create a dataset with a label column.")));
}

/* An example shows a label: where there are none, examples stay as they are. */
static void
check_examples(Start *start)
{
	if (start->dataset->label != NULL)
		return;
	if (start->options.examples || !can_reflect(start))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("examples cannot be tuned without labels"),
				 errhint("Give a reflection LM and set \"examples\" to false, or use a dataset with labels.")));
	start->options.max_examples = 0;
}

static void
check_names(Start *start)
{
	const WorkerStartRequest *request = start->request;
	Oid			userid = GetUserId();

	start->version = gepa_store_get_version(request->judge, request->version);
	gepa_store_check_owner("judge", request->judge, start->version->owner, userid);
	start->dataset = gepa_store_get_dataset(request->dataset);
	gepa_store_check_owner("dataset", request->dataset, start->dataset->owner, userid);
	gepa_worker_parse_options(request->options, WORKER_TUNES_JUDGE, &start->options);
	check_graders(start);
	check_examples(start);
	check_lms(start);
	if (start->options.proposer != NULL)
		start->options.proposer = gepa_worker_find_proposer(start->options.proposer,
															&start->proposer_owner);
	start->program = gepa_worker_program(start->version->spec, &start->options,
										 can_reflect(start), start->lm_identity);
	gepa_worker_check_named(start->program, &start->options);
	gepa_worker_take_seed_from(start->program, &start->options, userid);
}

/*
 * Labels
 */

static bool
is_new_label(const Start *start, int sample)
{
	for (int i = 0; i < sample; i++)
		if (strcmp(start->samples[i].label, start->samples[sample].label) == 0)
			return false;
	return true;
}

static void
check_known_labels(const Start *start)
{
	const JudgeSpec *spec = start->program;
	StringInfoData unknown;
	StringInfoData known;
	int			named = 0;

	initStringInfo(&unknown);
	for (int i = 0; i < start->nsamples && named < MOST_NAMED; i++)
	{
		if (gepa_judge_label_index(spec, start->samples[i].label) >= 0 ||
			!is_new_label(start, i))
			continue;
		appendStringInfo(&unknown, "%s\"%s\"", named++ > 0 ? ", " : "",
						 start->samples[i].label);
	}
	if (named == 0)
		return;
	initStringInfo(&known);
	for (int i = 0; i < spec->nlabels; i++)
		appendStringInfo(&known, "%s\"%s\"", i > 0 ? ", " : "", spec->labels[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("dataset \"%s\" has labels that judge \"%s\" does not have: %s",
					start->dataset->name, spec->name, unknown.data),
			 errdetail("Labels of the judge: %s.", known.data),
			 errhint("Translate the labels with a query or a view as source, or create a judge with these labels.")));
}

static void
check_both_sides(const Start *start)
{
	const JudgeSpec *spec = start->program;
	bool		seen[2] = {false, false};

	for (int i = 0; i < start->nsamples; i++)
		seen[spec->positive[gepa_judge_label_index(spec, start->samples[i].label)]] = true;
	if (seen[true] && seen[false])
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("dataset \"%s\" has no %s sample", start->dataset->name,
					seen[true] ? "negative" : "positive"),
			 errdetail("A judge can be tuned only against samples of both sides."),
			 errhint("Add samples of the missing side.")));
}

/*
 * Samples and splits
 */

static bool
is_seed_example(const Start *start, const StoreSample *sample)
{
	const JudgeSpec *spec = start->program;
	JudgeExample *examples;
	int			n;

	for (int i = 0; i < spec->ncomponents; i++)
	{
		if (spec->components[i].kind != JUDGE_COMPONENT_EXAMPLES)
			continue;
		examples = gepa_judge_examples_parse(spec, spec->components[i].text, &n);
		for (int k = 0; k < n; k++)
			if (memcmp(examples[k].digest, sample->digest, JUDGE_DIGEST_LENGTH) == 0)
				return true;
	}
	return false;
}

void
gepa_worker_place_samples(StoreSample *samples, int n, const bool *pinned,
						  const WorkerRunOptions *options, WorkerSplitReport *report)
{
	WorkerSplitItem *items = palloc0(sizeof(WorkerSplitItem) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		items[i].key = samples[i].key;
		items[i].group = samples[i].group_key;
		items[i].label = samples[i].label ? samples[i].label : "";
		items[i].digest = samples[i].digest;
		items[i].given = samples[i].split;
		items[i].pinned = pinned != NULL && pinned[i];
	}
	if (!gepa_worker_split(items, n, options->split, options->split_seed, report))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute SHA-256"),
				 errhint("Check the OpenSSL configuration of the server.")));
	for (int i = 0; i < n; i++)
	{
		samples[i].split = (StoreSplit) items[i].split;
		samples[i].sample = items[i].number;
	}
	pfree(items);
}

static void
split_samples(Start *start)
{
	bool	   *pinned = palloc(sizeof(bool) * Max(start->nsamples, 1));

	for (int i = 0; i < start->nsamples; i++)
		pinned[i] = is_seed_example(start, &start->samples[i]);
	gepa_worker_place_samples(start->samples, start->nsamples, pinned, &start->options,
							  &start->report);
	pfree(pinned);
}

/* Under one number in both. */
StoreSample *
gepa_worker_share_samples(const StoreSample *samples, int *nsamples)
{
	StoreSample *both = palloc0(sizeof(StoreSample) * 2 * Max(*nsamples, 1));
	int			shared = 0;
	int			n = 0;

	for (int i = 0; i < *nsamples; i++)
	{
		both[n++] = samples[i];
		if (samples[i].split == STORE_SPLIT_TEST)
			continue;
		both[n - 1].split = STORE_SPLIT_TRAIN;
		both[n - 1].sample = shared++;
		both[n] = both[n - 1];
		both[n++].split = STORE_SPLIT_VAL;
	}
	*nsamples = n;
	return both;
}

static bool
tunes_examples(const Start *start)
{
	return start->options.max_examples > 0 &&
		(start->options.examples || !can_reflect(start) ||
		 start->version->spec->ncomponents < start->program->ncomponents);
}

/* A validation sample shown as an example would be judged by its own label. */
static void
check_shared_sets(const Start *start)
{
	if (start->options.shared_sets && tunes_examples(start))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("run option \"shared_sets\" cannot be combined with the tuning of examples"),
				 errdetail("Examples are training samples, and every training sample would be a validation sample."),
				 errhint("Give a reflection LM and set \"examples\" to false, or leave \"shared_sets\" out.")));
}

/* Scores that are relative to their step cannot be taken over into another. */
static void
check_ranking(const Start *start)
{
	if (start->options.metric != JUDGE_METRIC_RANKING)
		return;
	if (start->graders != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("run option \"metric\" \"ranking\" cannot be combined with graders"),
				 errhint("Leave \"metric\" out: graders take its place.")));
	if (start->options.mode == ENGINE_MODE_DEFAULT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("run option \"metric\" \"ranking\" needs \"mode\" \"reference\""),
				 errdetail("Its scores are relative to the samples of their step, and the default mode compares scores of all steps."),
				 errhint("Add \"mode\": \"reference\", or use metric \"score\".")));
	if ((start->options.merge || start->options.shared_sets))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("run option \"metric\" \"ranking\" cannot be combined with \"merge\" or \"shared_sets\""),
				 errdetail("Its scores are relative to the samples of their step; these options compare scores of different steps."),
				 errhint("Use metric \"score\", or leave these options out.")));
}

static void
count_samples(Start *start)
{
	start->counts = palloc0(sizeof(*start->counts) * start->program->nlabels);
	for (int i = 0; i < start->nsamples; i++)
	{
		const StoreSample *sample = &start->samples[i];

		if (start->dataset->label != NULL)
			start->counts[gepa_judge_label_index(start->program, sample->label)][sample->split]++;
		start->sizes[sample->split]++;
	}
}

static void
refuse_missing(const Start *start, int label, StoreSplit split)
{
	const int  *counts = start->counts[label];

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("label \"%s\" has no sample in split \"%s\" of dataset \"%s\"",
					start->program->labels[label], gepa_store_split_name(split),
					start->dataset->name),
			 errdetail("It has %d in train, %d in val and %d in test.",
					   counts[STORE_SPLIT_TRAIN], counts[STORE_SPLIT_VAL],
					   counts[STORE_SPLIT_TEST]),
			 start->dataset->split ?
			 errhint("Change the split column \"%s\", or add samples.", start->dataset->split) :
			 errhint("Add samples of this label, in more groups if they are grouped, or change the shares with option \"split\".")));
}

/* Every label that occurs must be in every split that there is. */
static void
check_splits(const Start *start)
{
	for (int label = 0; label < start->program->nlabels; label++)
	{
		const int  *counts = start->counts[label];

		if (counts[0] + counts[1] + counts[2] == 0)
			continue;
		for (int s = 0; s < STORE_NSPLITS; s++)
			if (counts[s] == 0 && (s != STORE_SPLIT_TEST || start->sizes[s] > 0))
				refuse_missing(start, label, (StoreSplit) s);
	}
}

static bool
is_validation_key(const Start *start, const char *key)
{
	for (int i = 0; i < start->nsamples; i++)
		if (start->samples[i].split == STORE_SPLIT_VAL &&
			strcmp(start->samples[i].key, key) == 0)
			return true;
	return false;
}

/* Option "validate" may only name what is in the split. */
static void
check_validated(const Start *start)
{
	const WorkerKeys *keys = &start->options.validate;

	for (int i = 0; i < keys->n; i++)
		if (!is_validation_key(start, keys->keys[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("run option \"validate\" names \"%s\", which is no validation sample",
							keys->keys[i]),
					 errhint("Use a split column, so that it is known which samples are in split \"val\".")));
}

/* Another run's samples, numbered and shared as it has them. */
static void
copy_samples(Start *start)
{
	int			run = start->request->samples_of;

	for (int s = 0; s < STORE_NSPLITS; s++)
	{
		StoreSample *samples;
		int			n;

		samples = gepa_store_get_samples(run, start->program, (StoreSplit) s, &n);
		start->samples = start->samples == NULL ? palloc(sizeof(StoreSample) * Max(n, 1)) :
			repalloc(start->samples, sizeof(StoreSample) * Max(start->nsamples + n, 1));
		memcpy(start->samples + start->nsamples, samples, sizeof(StoreSample) * n);
		start->nsamples += n;
	}
}

/* Both are in the order of keys. */
static void
cut_slice(Start *start)
{
	const WorkerStartRequest *request = start->request;
	int			n = 0;
	int			k = 0;

	for (int i = 0; i < start->nsamples; i++)
	{
		while (k < request->nkeys && strcmp(request->keys[k], start->samples[i].key) < 0)
			k++;
		if (k < request->nkeys && strcmp(request->keys[k], start->samples[i].key) == 0)
			start->samples[n++] = start->samples[i];
	}
	start->nsamples = n;
}

static void
read_samples(Start *start)
{
	start->samples = gepa_store_read_samples(start->dataset, start->program,
											 &start->nsamples);
	if (start->request->sliced)
		cut_slice(start);
	if (start->nsamples < FEWEST_SAMPLES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dataset \"%s\" has %d samples, but a run needs at least %d",
						start->dataset->name, start->nsamples, FEWEST_SAMPLES),
				 errhint("Add labelled samples; 100 and more give results worth having.")));
	if (start->dataset->label != NULL)
	{
		check_known_labels(start);
		check_both_sides(start);
	}
	split_samples(start);
	if (start->options.shared_sets)
		start->samples = gepa_worker_share_samples(start->samples, &start->nsamples);
}

static void
gather_samples(Start *start)
{
	check_shared_sets(start);
	check_ranking(start);
	if (start->request->samples_of == 0)
		read_samples(start);
	else
		copy_samples(start);
	count_samples(start);
	check_splits(start);
	check_validated(start);
}

/*
 * The smallest budget with which an iteration can be carried out; of the default
 * mode the engine says it.
 */
static void
check_budget(const Start *start)
{
	const WorkerRunOptions *options = &start->options;
	int64		nval = options->validate.n > 0 ? options->validate.n :
		start->sizes[STORE_SPLIT_VAL];
	int64		proposals = (int64) options->parallel_proposals * options->proposals_per_parent;
	int64		kept = proposals;
	int64		seeds = (1 + (int64) options->seeds.n) * nval;
	int64		needed = seeds + 1;

	if (options->mode == ENGINE_MODE_DEFAULT)
		return;
	if (options->proposal_selection == ENGINE_KEEP_BEST)
		kept = 1;
	else if (options->proposal_selection == ENGINE_KEEP_TOP_K)
		kept = Min(proposals, options->proposal_top_k);
	if (options->hard_budget)
		needed = seeds + proposals * 2 * options->minibatch_size + kept * nval;
	if (start->request->budget >= needed)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a budget of %d rollouts is too small", start->request->budget),
			 errdetail("Validating what it begins with takes %lld; each of the %lld proposals of an iteration takes twice the minibatch of %d, and up to %lld are validated on %lld.",
					   (long long) seeds, (long long) proposals, options->minibatch_size,
					   (long long) kept, (long long) nval),
			 errhint("Give a budget of at least %lld, or a smaller validation split.",
					 (long long) needed)));
}

/*
 * Notes
 */

static void add_note(Start *start, const char *fmt,...) pg_attribute_printf(2, 3);

static void
add_note(Start *start, const char *fmt,...)
{
	StringInfoData buf;
	va_list		args;
	int			more;

	initStringInfo(&buf);
	for (;;)
	{
		va_start(args, fmt);
		more = appendStringInfoVA(&buf, fmt, args);
		va_end(args);
		if (more == 0)
			break;
		enlargeStringInfo(&buf, more);
	}
	start->notes = lappend(start->notes, buf.data);
}

static void
note_sizes(Start *start)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int s = 0; s < STORE_NSPLITS; s++)
	{
		if (start->sizes[s] == 0)
			continue;
		appendStringInfo(&buf, "%s%s %d", s > 0 ? ", " : "",
						 gepa_store_split_name((StoreSplit) s), start->sizes[s]);
		if (start->dataset->label == NULL)
			continue;
		appendStringInfoString(&buf, " (");
		for (int label = 0, n = 0; label < start->program->nlabels; label++)
			if (start->counts[label][s] > 0)
				appendStringInfo(&buf, "%s%s %d", n++ > 0 ? ", " : "",
								 start->program->labels[label], start->counts[label][s]);
		appendStringInfoChar(&buf, ')');
	}
	add_note(start, "samples: %s", buf.data);
}

static void
note_unused_labels(Start *start)
{
	for (int label = 0; label < start->program->nlabels; label++)
	{
		const int  *counts = start->counts[label];

		if (counts[STORE_SPLIT_TRAIN] + counts[STORE_SPLIT_VAL] + counts[STORE_SPLIT_TEST] == 0)
			add_note(start, "no sample has the label \"%s\"", start->program->labels[label]);
	}
}

/* Of a sweep's or schedule's options too: they may be older than a default. */
static void
note_no_test(Start *start)
{
	const WorkerRunOptions *options = &start->options;

	if (options->mode == ENGINE_MODE_DEFAULT && options->policy.held_out != 0)
		add_note(start, "there are no test samples: some of the others are held out for the report, if there are enough");
	else
		add_note(start, "there are no test samples: gepa.report() will have nothing held out to measure on");
}

/* What graders take the place of. */
static void
note_idle_metric(Start *start)
{
	static const char *const names[] = {"metric", "confidence"};
	const char *options = start->request->options;
	const GepaJson *given = gepa_json_parse(options, strlen(options), NULL);

	for (int i = 0; i < lengthof(names) && start->graders != NULL; i++)
		if (gepa_json_get(given, names[i]) != NULL)
			add_note(start, "run option \"%s\" has no effect: graders take the place of the metric",
					 names[i]);
}

static void
note_idle_options(Start *start)
{
	const char *idle = gepa_worker_idle_options(start->request->options, &start->options);

	note_idle_metric(start);
	if (idle != NULL)
		add_note(start, "options without effect in mode \"%s\": %s",
				 start->options.mode == ENGINE_MODE_DEFAULT ? "default" : "reference", idle);
}

char *
gepa_worker_write_notes(List *notes)
{
	StringInfoData json;
	ListCell   *cell;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	foreach(cell, notes)
	{
		ereport(NOTICE, (errmsg("%s", (char *) lfirst(cell))));
		if (json.len > 1)
			appendStringInfoChar(&json, ',');
		gepa_json_quote(&json, lfirst(cell));
	}
	appendStringInfoChar(&json, ']');
	return json.data;
}

static char *
make_notes(Start *start)
{
	const WorkerSplitReport *report = &start->report;

	note_sizes(start);
	if (start->dataset->label != NULL)
		note_unused_labels(start);
	note_idle_options(start);
	if (report->copies > 0 || report->moved > 0)
		add_note(start, "%d samples repeat the document of another; copies are kept in one split, and %d samples were moved for that",
				 report->copies, report->moved);
	if (report->conflicting > 0)
		add_note(start, "%d documents have copies with different labels",
				 report->conflicting);
	if (start->sizes[STORE_SPLIT_TEST] == 0)
		note_no_test(start);
	return gepa_worker_write_notes(start->notes);
}

static int
create_run(Start *start)
{
	const WorkerStartRequest *request = start->request;
	StoreRun	row;

	memset(&row, 0, sizeof(row));
	row.judge = start->version->judge;
	row.seed_version = start->version->version;
	row.dataset = start->dataset->name;
	row.owner = GetUserId();
	row.lm = unconstify(char *, start->lm);
	row.lm_identity = start->lm_identity;
	row.reflection_lm = unconstify(char *, request->reflection_lm);
	row.proposer_owner = start->proposer_owner;
	row.budget = request->budget;
	row.seed = request->seed;
	row.options = gepa_worker_options_json(&start->options, WORKER_TUNES_JUDGE);
	return gepa_store_create_run(&row, make_notes(start), start->program->inputs,
								 start->samples, start->nsamples);
}

int
gepa_worker_start_run(const WorkerStartRequest *request)
{
	Start		start;
	int			run;

	if (request->text != NULL)
		return gepa_worker_start_text(request);
	memset(&start, 0, sizeof(start));
	start.request = request;
	check_names(&start);
	gather_samples(&start);
	check_budget(&start);
	run = create_run(&start);
	/* What the engine has to say against it, it says now. */
	(void) gepa_worker_prepare_run(gepa_store_get_run(run));
	gepa_worker_start_at_commit(run, GetUserId());
	return run;
}

void
gepa_worker_check_start(const WorkerStartRequest *request)
{
	Start		start;

	memset(&start, 0, sizeof(start));
	start.request = request;
	check_names(&start);
}

void
gepa_worker_check_labelled(const char *dataset, const char *hint)
{
	if (gepa_store_get_dataset(dataset)->label == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dataset \"%s\" has no labels to compare versions by", dataset),
				 errhint("%s", hint)));
}

/* In order of their keys, so that the same rows give the same. */
void
gepa_worker_digest_samples(const WorkerStartRequest *request, uint8 *digest)
{
	enum
	{
		KEY, LABEL, FEEDBACK, GROUP, SPLIT, CONTENT, NPARTS
	};
	Start		start;
	const char **parts;
	JudgeDocument all;

	memset(&start, 0, sizeof(start));
	start.request = request;
	check_names(&start);
	start.samples = gepa_store_read_samples(start.dataset, start.program, &start.nsamples);
	parts = palloc0(sizeof(char *) * Max(start.nsamples, 1) * NPARTS);
	for (int i = 0; i < start.nsamples; i++)
	{
		const StoreSample *sample = &start.samples[i];
		const char **part = &parts[i * NPARTS];
		char	   *hex = palloc0(2 * JUDGE_DIGEST_LENGTH + 1);

		(void) hex_encode((const char *) sample->digest, JUDGE_DIGEST_LENGTH, hex);
		part[KEY] = sample->key;
		part[LABEL] = sample->label;
		part[FEEDBACK] = sample->feedback ? sample->feedback : "";
		part[GROUP] = sample->group_key ? sample->group_key : "";
		part[SPLIT] = sample->split == STORE_SPLIT_NONE ? "" : gepa_store_split_name(sample->split);
		part[CONTENT] = hex;
	}
	all.nfields = start.nsamples * NPARTS;
	all.fields = parts;
	gepa_judge_content_digest(&all, digest);
}
