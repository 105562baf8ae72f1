/*-------------------------------------------------------------------------
 *
 * classifier.c
 *	  Training, dropping and asking classifiers that ask nobody.
 *
 * The source is read twice under one snapshot: rows go into as many models as there
 * are folds, and then each is classified by what the other folds have learned.  Which
 * fold is a matter of the text (and the seed), so copies of a text are in one, and no
 * row is classified by a model that has seen it; and neither the order of rows nor the
 * machine changes the result.  Memory is half a megabyte per label and fold, and one
 * more per label, whatever the source has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "api/api_internal.h"
#include "apply/apply.h"
#include "base/draw.h"

#define LEAST_FOLDS 2
#define MOST_FOLDS 10
#define DEFAULT_FOLDS 5
#define DEFAULT_SMOOTHING 0.01
#define MOST_SMOOTHING 1000.0

/* "gepa", and that it is for this */
#define FOLD UINT64CONST(0x6765706100000200)

typedef struct Trainer
{
	MemoryContext context;		/* of the models */
	JudgeFeatures *features;
	JudgeBayes *folds[MOST_FOLDS];
	JudgeBayes *all;			/* NULL: the first pass */
	double		smoothing;
	int64		right;
	int64		tried;
	StoreTraining training;
} Trainer;

/*
 * Options
 */

static void
refuse_option(const char *key, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" %s", key, what),
			 errhint("Options are \"folds\", \"seed\" and \"smoothing\", for example {\"folds\": 10, \"seed\": 7}.")));
}

static void
read_option(Trainer *trainer, const GepaJson *options, const char *key)
{
	double		value = 0;
	bool		is_number = gepa_json_get_number(options, key, &value);

	if (strcmp(key, "folds") == 0)
	{
		if (!is_number || value != floor(value) || value < LEAST_FOLDS || value > MOST_FOLDS)
			refuse_option(key, psprintf("must be a whole number from %d to %d", LEAST_FOLDS, MOST_FOLDS));
		trainer->training.folds = (int) value;
	}
	else if (strcmp(key, "seed") == 0)
	{
		if (!is_number || value != floor(value) || value < 0 || value > 9007199254740992.0)
			refuse_option(key, "must be a whole number that is not negative");
		trainer->training.seed = (int64) value;
	}
	else if (strcmp(key, "smoothing") == 0)
	{
		if (!is_number || !(value > 0 && value <= MOST_SMOOTHING))
			refuse_option(key, psprintf("must be greater than 0 and at most %.0f", MOST_SMOOTHING));
		trainer->smoothing = value;
	}
	else
		refuse_option(key, "is not recognized");
}

static void
begin_training(Trainer *trainer, const char *text)
{
	const GepaJson *options = gepa_json_parse(text, strlen(text), NULL);

	trainer->context = CurrentMemoryContext;
	trainer->features = gepa_judge_features_new();
	trainer->smoothing = DEFAULT_SMOOTHING;
	trainer->training.folds = DEFAULT_FOLDS;
	for (int i = 0; options != NULL && i < options->nitems; i++)
		read_option(trainer, options, options->keys[i]);
	for (int i = 0; i < trainer->training.folds; i++)
		trainer->folds[i] = gepa_judge_bayes_new(trainer->smoothing);
}

/*
 * Rows
 */

/* In all models, so that labels have the same numbers. */
static int
find_label(Trainer *trainer, const char *label)
{
	int			n = gepa_judge_bayes_find(trainer->folds[0], label);
	MemoryContext old;

	if (n >= 0)
		return n;
	old = MemoryContextSwitchTo(trainer->context);
	for (int i = 0; i < trainer->training.folds; i++)
		n = gepa_judge_bayes_add(trainer->folds[i], label);
	MemoryContextSwitchTo(old);
	if (n < 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the rows have more than %d labels", JUDGE_BAYES_LABELS),
				 errhint("Name an expression as label that has few values, and give a filter for the rows to train with.")));
	return n;
}

static void
take_row(Datum document, bool is_jsonb, const char *label, void *arg)
{
	Trainer    *trainer = arg;
	size_t		length;
	char	   *text = gepa_apply_classified_text(document, is_jsonb, &length);
	uint64		hash = gepa_siphash(trainer->training.seed, FOLD, text, length);
	JudgeBayes *fold = trainer->folds[hash % trainer->training.folds];
	int			best;

	gepa_judge_features(text, length, trainer->features);
	if (trainer->all == NULL)
	{
		gepa_judge_bayes_learn(fold, find_label(trainer, label), trainer->features);
		return;
	}
	best = gepa_judge_bayes_classify(trainer->all, fold, trainer->features, NULL);
	trainer->tried++;
	trainer->right += strcmp(trainer->all->labels[best], label) == 0;
}

static void
join_folds(Trainer *trainer)
{
	const JudgeBayes *first = trainer->folds[0];

	if (first->nlabels < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the rows have %d labels, and a classifier needs two", first->nlabels),
				 errhint("Rows without a document or a label are left out; see whether the source has others.")));
	trainer->all = gepa_judge_bayes_new(trainer->smoothing);
	for (int i = 0; i < trainer->training.folds; i++)
		gepa_judge_bayes_sort(trainer->folds[i]);
	for (int i = 0; i < first->nlabels; i++)
		(void) gepa_judge_bayes_add(trainer->all, first->labels[i]);
	for (int i = 0; i < trainer->training.folds; i++)
		gepa_judge_bayes_join(trainer->all, trainer->folds[i]);
}

static void
check_name(const char *name)
{
	if (name[0] == '\0' || strlen(name) >= 256)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name of a classifier must have 1 to 255 bytes"),
				 errhint("Choose another name.")));
}

PG_FUNCTION_INFO_V1(gepa_create_classifier);
Datum
gepa_create_classifier(PG_FUNCTION_ARGS)
{
	Trainer		trainer = {0};
	char	   *name = gepa_api_text_arg(fcinfo, 0, "name");
	StoreLabelled labelled = {
		.source = gepa_api_text_arg(fcinfo, 1, "source"),
		.document = gepa_api_text_arg(fcinfo, 2, "document"),
		.label = gepa_api_text_arg(fcinfo, 3, "label"),
		.filter = gepa_api_text_arg_or_null(fcinfo, 4)
	};

	check_name(name);
	begin_training(&trainer, gepa_api_object_arg(fcinfo, 5, "options"));
	gepa_store_read_labelled(&labelled, take_row, &trainer);
	join_folds(&trainer);
	gepa_store_read_labelled(&labelled, take_row, &trainer);
	gepa_judge_wilson(&trainer.training.accuracy, trainer.right, trainer.tried);
	PG_RETURN_INT32(gepa_store_create_classifier(name, GetUserId(), trainer.all,
												 &trainer.training));
}

static StoreClassifier *
get_own(const char *name)
{
	StoreClassifier *classifier = gepa_store_get_classifier(name);

	gepa_store_check_owner("classifier", name, classifier->owner, GetUserId());
	return classifier;
}

PG_FUNCTION_INFO_V1(gepa_drop_classifier);
Datum
gepa_drop_classifier(PG_FUNCTION_ARGS)
{
	gepa_store_drop_classifier(get_own(text_to_cstring(PG_GETARG_TEXT_PP(0)))->classifier);
	PG_RETURN_VOID();
}

/*
 * Asking one.  Which it is and whose, each call looks up; what has its number is the
 * same for ever, and is read once per call site.
 */

typedef struct Asked
{
	int			id;
	ApplyClassifier *classifier;
	MemoryContext context;
} Asked;

static ApplyClassifier *
open_asked(FunctionCallInfo fcinfo, const StoreClassifier *named)
{
	Asked	   *asked = fcinfo->flinfo->fn_extra;
	MemoryContext old;

	if (asked != NULL && asked->id == named->classifier && asked->classifier != NULL)
		return asked->classifier;
	if (asked == NULL)
	{
		asked = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Asked));
		asked->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "gepa classifier",
											   ALLOCSET_SMALL_SIZES);
		fcinfo->flinfo->fn_extra = asked;
	}
	asked->classifier = NULL;
	MemoryContextReset(asked->context);
	old = MemoryContextSwitchTo(asked->context);
	asked->classifier = gepa_apply_open_classifier(named->name, named->classifier);
	asked->id = named->classifier;
	MemoryContextSwitchTo(old);
	return asked->classifier;
}

static Datum
classify(FunctionCallInfo fcinfo, bool is_jsonb)
{
	StoreClassifier *named = get_own(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	ApplyClassifier *classifier = open_asked(fcinfo, named);
	const char *label = gepa_apply_classify(classifier, PG_GETARG_DATUM(1), is_jsonb);

	PG_RETURN_TEXT_P(cstring_to_text(label));
}

PG_FUNCTION_INFO_V1(gepa_classify_text);
Datum
gepa_classify_text(PG_FUNCTION_ARGS)
{
	return classify(fcinfo, false);
}

PG_FUNCTION_INFO_V1(gepa_classify_jsonb);
Datum
gepa_classify_jsonb(PG_FUNCTION_ARGS)
{
	return classify(fcinfo, true);
}
