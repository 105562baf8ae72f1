/*-------------------------------------------------------------------------
 *
 * text_start.c
 *	  The start of a run of other texts than a judge's.
 *
 * As in start.c everything that can be known to be wrong is said here, with the rights
 * of the current user.  The evaluator is not called: it may take its time.
 *
 * Without a dataset there is one task, which is training and validation set in one; its
 * sample has no fields, and the evaluator is told NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "base/text.h"
#include "worker/worker_reflect.h"
#include "worker/worker_text.h"

#define FEWEST_SAMPLES 10		/* to be divided */
#define TASK_KEY "task"

typedef struct TextStart
{
	const WorkerStartRequest *request;
	WorkerRunOptions options;
	Oid			proposer_owner;
	StoreText	text;
	StoreDataset *dataset;		/* NULL = none */
	JudgeSpec  *program;
	int			nsamples;
	StoreSample *samples;
	WorkerSplitReport report;
	int			sizes[STORE_NSPLITS];
} TextStart;

/*
 * What is named
 */

/* Who writes new texts: the reflection LM, or a function. */
static void
check_writer(TextStart *start)
{
	const char *lm = start->request->reflection_lm;
	WorkerRunOptions *options = &start->options;

	if (!gepa_worker_can_reflect(lm, options))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("texts cannot be tuned without a reflection LM"),
				 errhint("Name a server of the wrapper gepa_lm as reflection_lm, or a function in run option \"proposer\".")));
	if (lm != NULL)
		gepa_lm_free(gepa_lm_resolve(lm, GetUserId()));
	if (options->proposer != NULL)
		options->proposer = gepa_worker_find_proposer(options->proposer, &start->proposer_owner);
}

static void
check_evaluator(TextStart *start)
{
	Oid			function = start->request->text->evaluator;

	gepa_store_check_function(function, &gepa_store_evaluator_kind, GetUserId(),
							  &start->text.evaluator);
	if (start->request->dataset == NULL && func_strict(function))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("evaluator %s is STRICT, but without a dataset its sample is null",
						start->text.evaluator.name),
				 errhint("ALTER FUNCTION %s CALLED ON NULL INPUT, or name a dataset.",
						 start->text.evaluator.name)));
}

static void
refuse_seed(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the seed is not an object of named texts: %s", what),
			 errhint("Give for example '{\"query\": \"cats & dogs\"}'; a text that is null the reflection LM writes.")));
}

static void
check_seed(TextStart *start)
{
	const char *given = start->request->text->seed;
	GepaJson   *seed = given ? gepa_json_parse(given, strlen(given), NULL) : NULL;

	start->text.seed = unconstify(char *, given ? given : "{\"text\": null}");
	if (given == NULL)
		return;
	if (seed == NULL || seed->kind != GEPA_JSON_OBJECT)
		refuse_seed("it is no object");
	if (seed->nitems == 0)
		refuse_seed("it is empty");
	for (int i = 0; i < seed->nitems; i++)
	{
		const GepaJson *value = seed->items[i];

		if (gepa_is_blank(seed->keys[i]))
			refuse_seed("a name is empty");
		gepa_worker_check_no_placeholder("a name in the seed", seed->keys[i]);
		if (value->kind != GEPA_JSON_NULL && value->kind != GEPA_JSON_STRING)
			refuse_seed(psprintf("\"%s\" is no text", seed->keys[i]));
		if (value->kind == GEPA_JSON_STRING && gepa_is_blank(value->text))
			refuse_seed(psprintf("\"%s\" is blank", seed->keys[i]));
	}
}

static void
check_can_be_written(const TextStart *start, const char *name)
{
	const char *objective = start->request->text->objective;

	if (start->request->reflection_lm == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the text \"%s\" cannot be written without a reflection LM", name),
				 errhint("Name a reflection LM, or give a seed.")));
	if (objective == NULL || gepa_is_blank(objective))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the reflection LM cannot write the text \"%s\" without an objective", name),
				 errhint("Say as objective what is to be achieved, or give a seed.")));
}

static void
check_aims(TextStart *start)
{
	const WorkerTextRequest *text = start->request->text;

	gepa_worker_check_no_placeholder("objective", text->objective);
	gepa_worker_check_no_placeholder("background", text->background);
	start->text.objective = unconstify(char *, text->objective);
	start->text.background = unconstify(char *, text->background);
	for (int i = 0; i < start->program->ncomponents; i++)
		if (start->program->components[i].text == NULL)
			check_can_be_written(start, start->program->components[i].name);
}

static void
find_dataset(TextStart *start)
{
	const char *name = start->request->dataset;

	if (name == NULL)
	{
		start->text.inputs = palloc0(sizeof(char *));
		return;
	}
	start->dataset = gepa_store_get_dataset(name);
	gepa_store_check_owner("dataset", name, start->dataset->owner, GetUserId());
	start->text.ninputs = start->dataset->ninputs;
	start->text.inputs = start->dataset->inputs;
}

static WorkerTuned
tuned(const TextStart *start)
{
	return start->dataset == NULL ? WORKER_TUNES_TASK : WORKER_TUNES_TEXT;
}

static void
check_options(TextStart *start)
{
	WorkerRunOptions *options = &start->options;

	gepa_worker_parse_options(start->request->options, tuned(start), options);
	if (start->dataset == NULL && !options->shared_sets)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("run option \"shared_sets\" cannot be false without a dataset"),
				 errdetail("There is a single task, for training and for validation."),
				 errhint("Leave the option out, or name a dataset.")));
	if (options->mode == ENGINE_MODE_DEFAULT &&
		(options->error_score < 0 || options->error_score > 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for run option \"error_score\""),
				 errhint("In mode \"default\" it must be a number from 0 to 1.")));
}

/*
 * Samples
 */

static void
add_task(TextStart *start)
{
	static const char *const none[] = {NULL};
	StoreSample *task = palloc0(sizeof(StoreSample));

	task->split = STORE_SPLIT_TRAIN;
	task->key = TASK_KEY;
	task->label = "";
	task->document.fields = none;
	gepa_judge_content_digest(&task->document, task->digest);
	start->samples = task;
	start->nsamples = 1;
}

/* Labels that are no classes do not say how samples are to be divided. */
static StoreSample *
without_labels(const StoreSample *samples, int n)
{
	StoreSample *copies = palloc(sizeof(StoreSample) * Max(n, 1));

	memcpy(copies, samples, sizeof(StoreSample) * n);
	for (int i = 0; i < n; i++)
		copies[i].label = NULL;
	return copies;
}

static void
divide(TextStart *start)
{
	bool		classes = start->program->nlabels > 0;
	StoreSample *samples = classes ? start->samples :
		without_labels(start->samples, start->nsamples);

	gepa_worker_place_samples(samples, start->nsamples, NULL, &start->options, &start->report);
	for (int i = 0; i < start->nsamples; i++)
	{
		start->samples[i].split = samples[i].split;
		start->samples[i].sample = samples[i].sample;
	}
}

static void
read_samples(TextStart *start)
{
	int			fewest = start->options.shared_sets ? 1 : FEWEST_SAMPLES;

	start->samples = gepa_store_read_samples(start->dataset, start->program, &start->nsamples);
	if (start->nsamples < fewest)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dataset \"%s\" has %d samples, but a run needs at least %d",
						start->dataset->name, start->nsamples, fewest),
				 errhint("Add samples, or set run option \"shared_sets\", with which all of them are for training and validation.")));
	gepa_worker_text_labels(start->program, start->samples, start->nsamples);
	divide(start);
}

static void
gather_samples(TextStart *start)
{
	if (start->dataset == NULL)
		add_task(start);
	else
		read_samples(start);
	if (start->options.shared_sets)
		start->samples = gepa_worker_share_samples(start->samples, &start->nsamples);
	for (int i = 0; i < start->nsamples; i++)
		start->sizes[start->samples[i].split]++;
	for (int s = STORE_SPLIT_TRAIN; s <= STORE_SPLIT_VAL; s++)
		if (start->sizes[s] == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("dataset \"%s\" has no sample in split \"%s\"", start->dataset->name,
							gepa_store_split_name((StoreSplit) s)),
					 errhint("Change the split column or the shares in run option \"split\", or set \"shared_sets\".")));
}

/* In reference mode; of the default mode, and of a hard budget, the engine says it. */
static void
check_budget(const TextStart *start)
{
	int			nseeds = 1 + start->options.seeds.n;
	int			needed = nseeds * start->sizes[STORE_SPLIT_VAL] + 1;

	if (start->options.mode == ENGINE_MODE_DEFAULT || start->request->budget >= needed)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a budget of %d rollouts is too small", start->request->budget),
			 errdetail("Validating what it begins with takes %d.", needed - 1),
			 errhint("Give a budget of at least %d.", needed)));
}

static char *
make_notes(const TextStart *start)
{
	const char *idle = gepa_worker_idle_options(start->request->options, &start->options);
	List	   *notes = NIL;

	if (start->dataset != NULL)
		notes = lappend(notes, psprintf("samples: train %d, val %d, test %d",
										start->sizes[STORE_SPLIT_TRAIN],
										start->sizes[STORE_SPLIT_VAL],
										start->sizes[STORE_SPLIT_TEST]));
	if (idle != NULL)
		notes = lappend(notes, psprintf("options without effect in mode \"%s\": %s",
										start->options.mode == ENGINE_MODE_DEFAULT ? "default" : "reference",
										idle));
	if (start->report.copies > 0)
		notes = lappend(notes, psprintf("%d samples repeat the inputs of another; copies are kept in one split",
										start->report.copies));
	return gepa_worker_write_notes(notes);
}

static int
create_run(TextStart *start)
{
	const WorkerStartRequest *request = start->request;
	StoreRun	row = {0};

	row.text = &start->text;
	row.dataset = unconstify(char *, request->dataset);
	row.owner = GetUserId();
	row.reflection_lm = unconstify(char *, request->reflection_lm);
	row.budget = request->budget;
	row.seed = request->seed;
	row.proposer_owner = start->proposer_owner;
	row.options = gepa_worker_options_json(&start->options, tuned(start));
	return gepa_store_create_run(&row, make_notes(start), start->text.inputs, start->samples,
								 start->nsamples);
}

int
gepa_worker_start_text(const WorkerStartRequest *request)
{
	TextStart	start = {.request = request};
	int			run;

	check_evaluator(&start);
	check_seed(&start);
	find_dataset(&start);
	check_options(&start);
	check_writer(&start);
	start.program = gepa_worker_text_program(&start.text, 0);
	gepa_worker_check_named(start.program, &start.options);
	check_aims(&start);
	gather_samples(&start);
	check_budget(&start);
	run = create_run(&start);
	/* What the engine has to say against it, it says now. */
	(void) gepa_worker_prepare_run(gepa_store_get_run(run));
	gepa_worker_start_at_commit(run, GetUserId());
	return run;
}
