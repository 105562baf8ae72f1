/*-------------------------------------------------------------------------
 *
 * recipe.c
 *	  Filtering recipes: what to keep of a scored table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "api/api_internal.h"
#include "base/draw.h"

#define MOST_COPIES 1000000

static void
refuse(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message),
			 errhint("%s", hint)));
}

static double
check_tau(double tau)
{
	if (isnan(tau) || tau < 0)
		refuse("\"tau\" must not be negative", "0 takes the best, a large one takes evenly.");
	return tau;
}

static double
check_copies(double copies)
{
	if (!(copies >= 0 && copies <= MOST_COPIES))
		refuse(psprintf("a number of copies must be between 0 and %d", MOST_COPIES),
			   "For example 2.5: two copies or three, evenly often.");
	return copies;
}

/*
 * What belongs to a key
 */

PG_FUNCTION_INFO_V1(gepa_draw);
Datum
gepa_draw(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(gepa_draw_text(DRAW_PLAIN, PG_GETARG_INT64(1), PG_GETARG_TEXT_PP(0)));
}

PG_FUNCTION_INFO_V1(gepa_sample_key);
Datum
gepa_sample_key(PG_FUNCTION_ARGS)
{
	double		tau = check_tau(PG_GETARG_FLOAT8(2));
	double		draw = gepa_draw_text(DRAW_SAMPLE, PG_GETARG_INT64(3), PG_GETARG_TEXT_PP(0));

	PG_RETURN_FLOAT8(gepa_judge_sample_key(PG_GETARG_FLOAT8(1), tau, draw));
}

PG_FUNCTION_INFO_V1(gepa_copies);
Datum
gepa_copies(PG_FUNCTION_ARGS)
{
	double		expected = check_copies(PG_GETARG_FLOAT8(1));

	PG_RETURN_INT32(gepa_judge_copies(expected, gepa_draw_text(DRAW_COPIES, PG_GETARG_INT64(2),
															   PG_GETARG_TEXT_PP(0))));
}

/*
 * What is kept of a source
 */

static double
double_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	gepa_api_require_arg(fcinfo, n, name);
	return PG_GETARG_FLOAT8(n);
}

static double
tokens_arg(FunctionCallInfo fcinfo, int n)
{
	int64		budget;

	gepa_api_require_arg(fcinfo, n, "budget");
	budget = PG_GETARG_INT64(n);
	if (budget < 0)
		refuse("\"budget\" must not be negative", "It is how many tokens to keep.");
	return (double) budget;
}

/* The first arguments of all of them, and the results. */
static StoreRecipe *
begin_recipe(FunctionCallInfo fcinfo, StoreKeep keep)
{
	StoreRecipe *recipe = palloc0(sizeof(StoreRecipe));

	recipe->keep = keep;
	recipe->source = gepa_api_text_arg(fcinfo, 0, "source");
	recipe->key = gepa_api_text_arg(fcinfo, 1, "key");
	recipe->score = gepa_api_text_arg(fcinfo, 2, "score");
	return recipe;
}

static void
take_seed(StoreRecipe *recipe, FunctionCallInfo fcinfo, int n)
{
	recipe->seed = PG_ARGISNULL(n) ? 0 : PG_GETARG_INT64(n);
}

static Datum
keep(FunctionCallInfo fcinfo, StoreRecipe *recipe)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	gepa_store_keep(recipe, rsinfo->setResult, rsinfo->setDesc);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(gepa_keep_threshold);
Datum
gepa_keep_threshold(PG_FUNCTION_ARGS)
{
	StoreRecipe *recipe = begin_recipe(fcinfo, STORE_KEEP_THRESHOLD);

	recipe->limit = double_arg(fcinfo, 3, "threshold");
	if (isnan(recipe->limit))
		refuse("\"threshold\" must be a number", "No score reaches NaN.");
	return keep(fcinfo, recipe);
}

PG_FUNCTION_INFO_V1(gepa_keep_quantile);
Datum
gepa_keep_quantile(PG_FUNCTION_ARGS)
{
	StoreRecipe *recipe = begin_recipe(fcinfo, STORE_KEEP_QUANTILE);

	recipe->limit = double_arg(fcinfo, 3, "q");
	recipe->group_by = gepa_api_text_arg_or_null(fcinfo, 4);
	take_seed(recipe, fcinfo, 5);
	if (!(recipe->limit >= 0 && recipe->limit <= 1))
		refuse("\"q\" must be between 0 and 1", "It is the share to keep: 0.1 keeps the best tenth.");
	return keep(fcinfo, recipe);
}

PG_FUNCTION_INFO_V1(gepa_keep_tiers);
Datum
gepa_keep_tiers(PG_FUNCTION_ARGS)
{
	StoreRecipe *recipe = begin_recipe(fcinfo, STORE_KEEP_TIERS);
	Datum	   *elems;
	bool	   *nulls;

	gepa_api_require_arg(fcinfo, 3, "copies");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &elems, &nulls, &recipe->ntiers);
	if (recipe->ntiers == 0)
		refuse("\"copies\" must not be empty",
			   "Give the copies of each tier, the best one first, for example '{4,2,1,0}'.");
	recipe->copies = palloc(sizeof(double) * recipe->ntiers);
	for (int i = 0; i < recipe->ntiers; i++)
		recipe->copies[i] = nulls[i] ? 0 : check_copies(DatumGetFloat8(elems[i]));
	recipe->group_by = gepa_api_text_arg_or_null(fcinfo, 4);
	take_seed(recipe, fcinfo, 5);
	return keep(fcinfo, recipe);
}

PG_FUNCTION_INFO_V1(gepa_keep_tokens);
Datum
gepa_keep_tokens(PG_FUNCTION_ARGS)
{
	StoreRecipe *recipe = begin_recipe(fcinfo, STORE_KEEP_TOKENS);

	recipe->tokens = gepa_api_text_arg(fcinfo, 3, "tokens");
	recipe->limit = tokens_arg(fcinfo, 4);
	recipe->tau = check_tau(double_arg(fcinfo, 5, "tau"));
	take_seed(recipe, fcinfo, 6);
	return keep(fcinfo, recipe);
}

/*
 * Quotas
 */

static int
compare_share(const void *a, const void *b)
{
	return strcmp(((const StoreShare *) a)->group, ((const StoreShare *) b)->group);
}

/* An object of numbers; returns their sum. */
static double
read_shares(StoreRecipe *recipe, Jsonb *shares)
{
	JsonbIterator *it = JsonbIteratorInit(&shares->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	double		sum = 0;
	int			n = 0;

	if (!JB_ROOT_IS_OBJECT(shares) || JB_ROOT_COUNT(shares) == 0)
		refuse("\"shares\" must be a JSON object that is not empty",
			   "For example '{\"code\": 0.6, \"prose\": 0.4}'; leave it out for the same share for all.");
	recipe->shares = palloc0(sizeof(StoreShare) * JB_ROOT_COUNT(shares));
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			recipe->shares[n].group = pnstrdup(value.val.string.val, value.val.string.len);
		if (token != WJB_VALUE)
			continue;
		if (value.type != jbvNumeric)
			refuse("the values of \"shares\" must be numbers", "For example '{\"code\": 0.6, \"prose\": 0.4}'.");
		recipe->shares[n].share =
			DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value.val.numeric)));
		if (recipe->shares[n].share < 0)
			refuse("a share must not be negative", "A group with no share gets nothing.");
		sum += recipe->shares[n++].share;
	}
	recipe->nshares = n;
	qsort(recipe->shares, n, sizeof(StoreShare), compare_share);
	return sum;
}

/* Numbers of tokens are made shares of their sum. */
static void
take_budget(StoreRecipe *recipe, FunctionCallInfo fcinfo, double sum)
{
	if (!PG_ARGISNULL(6))
	{
		recipe->limit = tokens_arg(fcinfo, 6);
		if (sum > 1 + 1e-9)
			refuse("the shares sum up to more than 1",
				   "Without \"budget\" the numbers are tokens; with it they are shares of it.");
		return;
	}
	if (recipe->nshares < 0)
		refuse("there are neither \"shares\" nor a \"budget\"", "Give at least one of them.");
	recipe->limit = sum;
	for (int i = 0; i < recipe->nshares && sum > 0; i++)
		recipe->shares[i].share /= sum;
}

static bool
read_left_over(const char *left_over)
{
	if (strcmp(left_over, "leave") != 0 && strcmp(left_over, "share") != 0)
		refuse(psprintf("\"left_over\" cannot be \"%s\"", left_over),
			   "Valid values are leave and share.");
	return strcmp(left_over, "share") == 0;
}

PG_FUNCTION_INFO_V1(gepa_keep_quota);
Datum
gepa_keep_quota(PG_FUNCTION_ARGS)
{
	StoreRecipe *recipe = begin_recipe(fcinfo, STORE_KEEP_QUOTA);
	double		sum = 0;

	recipe->tokens = gepa_api_text_arg(fcinfo, 3, "tokens");
	recipe->group_by = gepa_api_text_arg(fcinfo, 4, "group_by");
	recipe->nshares = -1;
	if (!PG_ARGISNULL(5))
		sum = read_shares(recipe, PG_GETARG_JSONB_P(5));
	take_budget(recipe, fcinfo, sum);
	recipe->tau = check_tau(double_arg(fcinfo, 7, "tau"));
	take_seed(recipe, fcinfo, 8);
	recipe->redistribute = read_left_over(gepa_api_text_arg(fcinfo, 9, "left_over"));
	return keep(fcinfo, recipe);
}

/*
 * How much of a corpus is good
 */

PG_FUNCTION_INFO_V1(gepa_corpus_rate);
Datum
gepa_corpus_rate(PG_FUNCTION_ARGS)
{
	double		counts[6];
	JudgeCorpus corpus;
	JudgeRate	rate;
	TupleDesc	desc;
	Datum		values[4] = {0};
	bool		nulls[4] = {0};

	for (int i = 0; i < lengthof(counts); i++)
	{
		counts[i] = (double) PG_GETARG_INT64(i);
		if (counts[i] < 0)
			refuse("a count must not be negative", "Give numbers of rows.");
	}
	if (counts[0] > counts[1])
		refuse("more rows are positive than have a verdict", "The first argument is a part of the second.");
	corpus = (JudgeCorpus)
	{
		counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]
	};
	rate = gepa_judge_corpus_rate(&corpus);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	nulls[0] = nulls[1] = nulls[2] = rate.reason != NULL;
	values[0] = Float8GetDatum(rate.rate);
	values[1] = Float8GetDatum(rate.low);
	values[2] = Float8GetDatum(rate.high);
	gepa_api_put_text(values, nulls, 3, rate.reason);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
