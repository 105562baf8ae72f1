/*-------------------------------------------------------------------------
 *
 * estimate.c
 *	  gepa.estimate(): what judging the rows of a table will take.
 *
 * A random sample of the rows is looked up in the store, which tells how many calls
 * there are to make, and how much text there is in them.  What a call takes is what
 * stored verdicts of the same version took; where there are too few, guesses that
 * are known to hold for most models, with wide intervals, and the basis of the figure says
 * so.  Nothing is sent.
 *
 * Rows with equal documents are one call.  How many there are of these a sample cannot
 * tell, so they count one by one unless all rows are in the sample; the basis says when
 * copies were seen.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/api_internal.h"

#define LEAST_SAMPLE 100
#define MOST_SAMPLE 100000

/* So many verdicts say more than a guess does. */
#define LEAST_RATES 10

/* Guesses: value, low, high. */
static const JudgeInterval bytes_per_token = {4, 2.5, 6};
static const JudgeInterval label_tokens = {10, 5, 30};
static const JudgeInterval reason_tokens = {110, 30, 400};
static const JudgeInterval call_seconds = {0.5, 0.1, 3};

#define FRAME_BYTES 200			/* what a prompt says around its parts */

/* What is summed up of the rows of a unit. */
enum
{
	VALUE_LOOKED,
	VALUE_DOCUMENTS,
	VALUE_STORED,
	VALUE_CALLS,
	VALUE_CALLS_SIZE,			/* of their text, as the model is shown it */
	VALUE_SIZE
};

/* A row without a verdict. */
typedef struct Looked
{
	uint8		digest[JUDGE_DIGEST_LENGTH];
	int			unit;
	double		size;
} Looked;

typedef struct Estimate
{
	StoreVersion *version;
	const LmServer *lm;
	JudgePace	pace;
	StoreAccount account;
	StoreScan	scan;
	StoreRates	rates;
	bool		measured;		/* there are enough of these */
	int			wanted;
	int64		seed;
	JudgeUnit  *units;
	JudgeSurvey survey;
	bool		blocks;
	Looked	   *looked;			/* without a verdict */
	int			nlooked;
	int			ncopies;		/* of these, of another one's document */
	ReturnSetInfo *rsinfo;
} Estimate;

/*
 * The sample
 */

/* In characters that the model is shown, or else in bytes of the prompts of all steps. */
static double
size_of(const Estimate *estimate, const JudgeDocument *document)
{
	const JudgeSpec *spec = estimate->version->spec;
	double		size = FRAME_BYTES;

	if (estimate->measured)
	{
		size = 0;
		for (int i = 0; i < document->nfields; i++)
			if (!gepa_judge_is_image(spec, spec->inputs[i]))
				size += gepa_judge_cut(document->fields[i], spec->window,
									   spec->max_chars).chars_seen;
		return size;
	}
	size += strlen(gepa_judge_render_document(spec, document)) +
		(double) spec->nimages * LM_IMAGE_WEIGHT;
	size *= estimate->pace.calls;
	for (int i = 0; i < spec->ncomponents; i++)
		size += strlen(spec->components[i].text);
	return size;
}

static void
look_at(Estimate *estimate, JudgeUnit *unit, const ApiRow *row)
{
	double		size = size_of(estimate, &row->document);
	Looked	   *looked = &estimate->looked[estimate->nlooked];

	unit->values[VALUE_DOCUMENTS]++;
	unit->values[VALUE_SIZE] += size;
	if (row->verdict != NULL)
	{
		unit->values[VALUE_STORED]++;
		return;
	}
	unit->values[VALUE_CALLS]++;
	unit->values[VALUE_CALLS_SIZE] += size;
	memcpy(looked->digest, row->digest, JUDGE_DIGEST_LENGTH);
	looked->unit = unit - estimate->units;
	looked->size = size;
	estimate->nlooked++;
}

static void
take_rows(const StoreScanRow *rows, int n, void *arg)
{
	Estimate   *estimate = arg;
	ApiRow	   *known = gepa_api_look_up_rows(estimate->version->spec, &estimate->account,
											  &estimate->scan, rows, n);

	for (int i = 0; i < n; i++)
	{
		JudgeUnit  *unit = &estimate->units[rows[i].unit];

		unit->looked++;
		unit->values[VALUE_LOOKED]++;
		if (known[i].present)
			look_at(estimate, unit, &known[i]);
	}
}

static int
compare_looked(const void *a, const void *b)
{
	return memcmp(((const Looked *) a)->digest, ((const Looked *) b)->digest,
				  JUDGE_DIGEST_LENGTH);
}

/* Where no row was left out a copy is no call. */
static void
count_copies(Estimate *estimate, bool all)
{
	qsort(estimate->looked, estimate->nlooked, sizeof(Looked), compare_looked);
	for (int i = 1; i < estimate->nlooked; i++)
	{
		Looked	   *looked = &estimate->looked[i];

		if (compare_looked(looked - 1, looked) != 0)
			continue;
		estimate->ncopies++;
		if (!all)
			continue;
		estimate->units[looked->unit].values[VALUE_CALLS]--;
		estimate->units[looked->unit].values[VALUE_CALLS_SIZE] -= looked->size;
	}
}

static void
take_sample(Estimate *estimate)
{
	StoreFrame *frame;
	double		left_out = 0;

	estimate->units = palloc_extended(sizeof(JudgeUnit) * estimate->wanted,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	estimate->looked = palloc(sizeof(Looked) * estimate->wanted);
	frame = gepa_store_sample_scan(&estimate->scan, estimate->wanted, estimate->seed, take_rows,
								   estimate);
	for (int i = 0; i < frame->ntaken; i++)
	{
		estimate->units[i].rows = frame->rows[i];
		left_out += frame->rows[i] - estimate->units[i].looked;
	}
	estimate->blocks = frame->blocks;
	estimate->survey.units = estimate->units;
	estimate->survey.n = frame->ntaken;
	estimate->survey.nunits = frame->nunits;
	count_copies(estimate, left_out == 0 && frame->ntaken == frame->nunits);
}

static double
sum(const Estimate *estimate, int value)
{
	double		result = 0;

	for (int i = 0; i < estimate->survey.n; i++)
		result += estimate->units[i].values[value];
	return result;
}

/*
 * Figures
 */

static JudgeInterval
times(JudgeInterval interval, double factor)
{
	interval.value *= factor;
	interval.low *= factor;
	interval.high *= factor;
	return interval;
}

static JudgeInterval
plus(JudgeInterval a, JudgeInterval b)
{
	JudgeInterval result;

	result.value = a.value + b.value;
	result.low = Max(result.value - hypot(a.value - a.low, b.value - b.low), 0);
	result.high = result.value + hypot(a.high - a.value, b.high - b.value);
	return result;
}

static JudgeInterval
at_most(JudgeInterval interval, double most)
{
	interval.value = Min(interval.value, most);
	interval.low = Min(interval.low, most);
	interval.high = Min(interval.high, most);
	return interval;
}

/* Of one document. */
static JudgeInterval
input_tokens(const Estimate *estimate)
{
	bool		none = sum(estimate, VALUE_CALLS) == 0;
	JudgeInterval size = gepa_judge_ratio(&estimate->survey,
										  none ? VALUE_SIZE : VALUE_CALLS_SIZE,
										  none ? VALUE_DOCUMENTS : VALUE_CALLS);
	JudgeInterval tokens;

	if (estimate->measured)
		return gepa_judge_line_at(&estimate->rates.input, size);
	tokens.value = size.value / bytes_per_token.value;
	tokens.low = size.low / bytes_per_token.high;
	tokens.high = size.high / bytes_per_token.low;
	return tokens;
}

static JudgeInterval
output_tokens(const Estimate *estimate)
{
	const StoreRates *rates = &estimate->rates;
	int			nsteps = estimate->version->spec->nsteps;
	JudgeInterval answer;

	if (estimate->measured)
		return gepa_judge_mean(rates->output_tokens, rates->output_deviation, rates->input.n);
	answer = at_most(estimate->version->spec->reasoning ? reason_tokens : label_tokens,
					 estimate->lm->max_tokens > 0 ? estimate->lm->max_tokens : INFINITY);
	return plus(times(answer, estimate->pace.calls - nsteps), times(reason_tokens, nsteps));
}

static JudgeInterval
at_least(JudgeInterval interval, JudgeInterval least)
{
	interval.value = Max(interval.value, least.value);
	interval.low = Max(interval.low, least.low);
	interval.high = Max(interval.high, least.high);
	return interval;
}

/* From one verdict to the next, with as many calls in flight as the LMs may have. */
static JudgeInterval
seconds(const Estimate *estimate, JudgeInterval tokens)
{
	const StoreRates *rates = &estimate->rates;
	const JudgePace *pace = &estimate->pace;
	JudgeInterval minute = {60, 60, 60};
	JudgeInterval latency = times(call_seconds, pace->calls);

	if (estimate->measured)
		latency = times(gepa_judge_mean(rates->latency_ms, rates->latency_deviation,
										rates->input.n), 0.001);
	latency = times(latency, 1.0 / pace->places);
	if (pace->documents_per_minute > 0)
		latency = at_least(latency, times(minute, 1.0 / pace->documents_per_minute));
	if (pace->tokens_per_minute > 0)
		latency = at_least(latency, times(tokens, 60.0 / pace->tokens_per_minute));
	return latency;
}

static void
put(const Estimate *estimate, const char *item, JudgeInterval figure, const char *unit,
	const char *basis)
{
	Datum		values[6];
	bool		nulls[6] = {0};

	values[0] = CStringGetTextDatum(item);
	values[1] = Float8GetDatum(figure.value);
	values[2] = Float8GetDatum(figure.low);
	values[3] = Float8GetDatum(figure.high);
	values[4] = CStringGetTextDatum(unit);
	values[5] = CStringGetTextDatum(basis);
	tuplestore_putvalues(estimate->rsinfo->setResult, estimate->rsinfo->setDesc, values, nulls);
}

/* Returns how many documents there are to judge. */
static JudgeInterval
put_rows(const Estimate *estimate)
{
	int			votes = estimate->version->spec->votes;
	int			in_vain = votes > 1 ? votes - (votes / 2 + 1) : 0;
	JudgeInterval calls;
	const JudgeSurvey *survey = &estimate->survey;
	JudgeInterval rows = gepa_judge_count_rows(survey);
	JudgeInterval documents = gepa_judge_product(rows, gepa_judge_share(survey, VALUE_CALLS,
																		VALUE_LOOKED));
	char	   *looked = psprintf("%.0f rows looked up", sum(estimate, VALUE_LOOKED));

	put(estimate, "rows", rows, "rows", !estimate->blocks ? "counted" :
		psprintf("counted in %d of %.0f blocks", survey->n, survey->nunits));
	put(estimate, "stored", gepa_judge_share(survey, VALUE_STORED, VALUE_DOCUMENTS), "share",
		looked);
	if (estimate->ncopies > 0)
		looked = psprintf("%s; %d of them have the document of another one, and are one call with it",
						  looked, estimate->ncopies);
	if (votes > 1)
		looked = psprintf("%s; %d to %d calls each, as votes agree", looked,
						  estimate->pace.calls - in_vain, estimate->pace.calls);
	else if (estimate->pace.calls > 1)
		looked = psprintf("%s; %d calls each", looked, estimate->pace.calls);
	calls = times(documents, estimate->pace.calls);
	calls.low = documents.low * (estimate->pace.calls - in_vain);
	put(estimate, "to_judge", calls, "calls", looked);
	return documents;
}

static void
put_calls(const Estimate *estimate, JudgeInterval documents)
{
	const LmServer *lm = estimate->lm;
	const JudgePace *pace = &estimate->pace;
	JudgeInterval input = input_tokens(estimate);
	JudgeInterval output = output_tokens(estimate);
	JudgeInterval cost = plus(times(input, pace->input_price * 1e-6),
							  times(output, pace->output_price * 1e-6));
	bool		measured = estimate->measured;
	char	   *stored = psprintf("%d stored verdicts of version %d", estimate->rates.input.n,
								  estimate->version->version);

	put(estimate, "input_tokens", gepa_judge_product(documents, input), "tokens", measured ? stored :
		"a guess: 2.5 to 6 bytes a token");
	put(estimate, "output_tokens", gepa_judge_product(documents, output), "tokens", measured ? stored :
		psprintf("a guess: %.0f to %.0f a call", output.low, output.high));
	put(estimate, "cost", gepa_judge_product(documents, cost), "money",
		pace->input_price == 0 && pace->output_price == 0 ?
		psprintf("LM \"%s\" has no prices", lm->name) :
		psprintf("prices of LM \"%s\", nothing off for its prompt cache", lm->name));
	put(estimate, "hours", gepa_judge_product(documents, times(seconds(estimate, plus(input, output)),
															   1.0 / 3600)),
		"hours", psprintf("%.0f calls at a time%s; %s", pace->places,
						  pace->documents_per_minute > 0 || pace->tokens_per_minute > 0 ?
						  " within the LM's rates" : "",
						  measured ? stored : "a guess: 0.1 to 3 seconds a call"));
}

/*
 * Arguments
 */

/* A whole number that a double holds exactly. */
static int64
whole_number(const GepaJson *options, int i, double least, double most)
{
	double		value = 0;

	if (!gepa_json_get_number(options, options->keys[i], &value) || value != floor(value) ||
		value < least || value > most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be a whole number of at least %.0f",
						options->keys[i], least),
				 errhint("For example '{\"%s\": 1}'.", options->keys[i])));
	return (int64) value;
}

/* Returns the version; 0 = the current one. */
static int
read_options(Estimate *estimate, const char *text)
{
	const GepaJson *options = gepa_json_parse(text, strlen(text), NULL);
	int			version = 0;

	for (int i = 0; options != NULL && i < options->nitems; i++)
	{
		if (strcmp(options->keys[i], "seed") == 0)
			estimate->seed = whole_number(options, i, 0, 9007199254740992.0);
		else if (strcmp(options->keys[i], "version") == 0)
			version = (int) whole_number(options, i, 1, PG_INT32_MAX);
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized option \"%s\"", options->keys[i]),
					 errhint("Options are \"seed\" and \"version\".")));
	}
	return version;
}

static void
open_estimate(Estimate *estimate, FunctionCallInfo fcinfo)
{
	char	   *judge = gepa_api_text_arg(fcinfo, 0, "judge");
	int			version;
	JudgeServers *lms;

	estimate->scan.relation = gepa_api_text_arg(fcinfo, 1, "source");
	estimate->scan.document = gepa_api_text_arg(fcinfo, 2, "document");
	estimate->scan.filter = gepa_api_text_arg_or_null(fcinfo, 3);
	estimate->wanted = gepa_api_int_arg(fcinfo, 4, "sample");
	version = read_options(estimate, gepa_api_object_arg(fcinfo, 5, "options"));
	if (estimate->wanted < LEAST_SAMPLE || estimate->wanted > MOST_SAMPLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"sample\" must be between %d and %d", LEAST_SAMPLE, MOST_SAMPLE),
				 errhint("Four times as many rows halve the intervals.")));
	estimate->version = gepa_store_get_version(judge, version);
	gepa_judge_check_usage(estimate->version->spec, estimate->version->lm, GetUserId());
	lms = gepa_judge_describe(estimate->version->spec, estimate->version->lm, GetUserId());
	estimate->lm = lms->lm;
	estimate->pace = gepa_judge_pace(lms);
	gepa_store_account(&estimate->account, estimate->version->verdict_digest,
					   estimate->version->owner, GetUserId());
	gepa_store_get_rates(&estimate->account, &estimate->rates);
	estimate->measured = estimate->rates.input.n >= LEAST_RATES &&
		estimate->rates.input.mean_y > 0;
	InitMaterializedSRF(fcinfo, 0);
	estimate->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	gepa_store_open_scan(&estimate->scan);
}

PG_FUNCTION_INFO_V1(gepa_estimate);
Datum
gepa_estimate(PG_FUNCTION_ARGS)
{
	Estimate	estimate = {0};

	open_estimate(&estimate, fcinfo);
	take_sample(&estimate);
	put_calls(&estimate, put_rows(&estimate));
	return (Datum) 0;
}
