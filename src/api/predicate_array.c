/*-------------------------------------------------------------------------
 *
 * predicate_array.c
 *	  gepa_judge() and gepa_score() of an array of documents.
 *
 * For places that the judge node does not reach, PL/pgSQL above all: the documents
 * of an array are judged side by side, wherever the call stands.  The result
 * has the shape of the argument; what is NULL there is NULL here, and so is
 * a document without a verdict, or all of it is an error (gepa.on_error).
 *
 * The judge is opened anew for each array, under the snapshot of the query, as
 * it is for a single document.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "api/api_internal.h"
#include "apply/apply.h"
#include "node/node.h"

typedef Datum (*MakeElement) (const JudgeVerdict *verdict);

static void
take_apart(ArrayType *array, ApplyContents *contents, Datum **values)
{
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, values,
					  &contents->nulls, &contents->n);
	contents->values = *values;
}

/* The contents' places are taken by what their verdicts are worth. */
static void
make_elements(const ApplyContents *contents, MakeElement make, Datum *values)
{
	for (int i = 0; i < contents->n; i++)
	{
		const JudgeVerdict *verdict = &contents->verdicts[i].verdict;
		const ApplyJudge *judge = contents->judges[i];

		if (contents->nulls[i])
			continue;
		if (gepa_apply_raises(verdict))
			gepa_judge_report(judge->spec, judge->servers, verdict);
		contents->nulls[i] = verdict->status != GEPA_STATUS_OK;
		values[i] = make(verdict);
	}
}

static Datum
judge_array(FunctionCallInfo fcinfo, bool is_jsonb, Oid type, MakeElement make)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(1);
	ApplyContents contents = {.is_jsonb = is_jsonb};
	Datum	   *values;
	ApplyNamed *named;
	int16		length;
	bool		by_value;
	char		align;

	if (gepa_node_is_planning())
		PG_RETURN_NULL();
	named = gepa_apply_open_named(text_to_cstring(PG_GETARG_TEXT_PP(0)), LM_PURPOSE_JUDGE);
	take_apart(array, &contents, &values);
	gepa_apply_contents(named, &contents);
	make_elements(&contents, make, values);
	gepa_apply_close_named(named);
	get_typlenbyvalalign(type, &length, &by_value, &align);
	PG_RETURN_ARRAYTYPE_P(construct_md_array(values, contents.nulls, ARR_NDIM(array),
											 ARR_DIMS(array), ARR_LBOUND(array), type, length,
											 by_value, align));
}

static Datum
make_bool(const JudgeVerdict *verdict)
{
	return BoolGetDatum(verdict->positive);
}

static Datum
make_score(const JudgeVerdict *verdict)
{
	return Float8GetDatum(verdict->score);
}

PG_FUNCTION_INFO_V1(gepa_judge_text_array);
Datum
gepa_judge_text_array(PG_FUNCTION_ARGS)
{
	return judge_array(fcinfo, false, BOOLOID, make_bool);
}

PG_FUNCTION_INFO_V1(gepa_judge_jsonb_array);
Datum
gepa_judge_jsonb_array(PG_FUNCTION_ARGS)
{
	return judge_array(fcinfo, true, BOOLOID, make_bool);
}

PG_FUNCTION_INFO_V1(gepa_score_text_array);
Datum
gepa_score_text_array(PG_FUNCTION_ARGS)
{
	return judge_array(fcinfo, false, FLOAT8OID, make_score);
}

PG_FUNCTION_INFO_V1(gepa_score_jsonb_array);
Datum
gepa_score_jsonb_array(PG_FUNCTION_ARGS)
{
	return judge_array(fcinfo, true, FLOAT8OID, make_score);
}
