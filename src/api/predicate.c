/*-------------------------------------------------------------------------
 *
 * predicate.c
 *	  gepa_judge(), gepa_score(), gepa_verdict().
 *
 * Which verdict it is, and where it comes from, src/node knows: the one that the
 * judge node has ready for the row, or the answer to a call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "api/api_internal.h"
#include "node/node.h"

/* NULL means NULL in, NULL out. */
static const ApplyVerdict *
judge_one(FunctionCallInfo fcinfo, bool is_jsonb, ApplyJudge **judge)
{
	const ApplyVerdict *answer;

	if (gepa_node_is_planning())
		return NULL;
	answer = gepa_node_known(fcinfo, judge);
	if (answer == NULL)
		answer = gepa_node_ask(fcinfo, is_jsonb, judge);
	if (answer != NULL && gepa_apply_raises(&answer->verdict))
		gepa_judge_report((*judge)->spec, (*judge)->servers, &answer->verdict);
	return answer;
}

static Datum
judge_datum(FunctionCallInfo fcinfo, bool is_jsonb)
{
	ApplyJudge *judge;
	const ApplyVerdict *answer = judge_one(fcinfo, is_jsonb, &judge);

	if (answer == NULL || answer->verdict.status != GEPA_STATUS_OK)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(answer->verdict.positive);
}

static Datum
score_datum(FunctionCallInfo fcinfo, bool is_jsonb)
{
	ApplyJudge *judge;
	const ApplyVerdict *answer = judge_one(fcinfo, is_jsonb, &judge);

	if (answer == NULL || answer->verdict.status != GEPA_STATUS_OK)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(answer->verdict.score);
}

static Datum
verdict_datum(FunctionCallInfo fcinfo, bool is_jsonb)
{
	ApplyJudge *judge;
	const ApplyVerdict *answer;
	const JudgeVerdict *v;
	TupleDesc	tupdesc;
	Datum		values[16];
	bool		nulls[16] = {0};
	bool		ok;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	answer = judge_one(fcinfo, is_jsonb, &judge);
	if (answer == NULL)
		PG_RETURN_NULL();

	v = &answer->verdict;
	ok = v->status == GEPA_STATUS_OK;
	nulls[0] = nulls[1] = nulls[2] = !ok;
	nulls[3] = v->reasoning == NULL;
	values[0] = ok ? CStringGetTextDatum(v->label) : (Datum) 0;
	values[1] = BoolGetDatum(v->positive);
	values[2] = Float8GetDatum(v->score);
	values[3] = v->reasoning ? CStringGetTextDatum(v->reasoning) : (Datum) 0;
	values[4] = CStringGetTextDatum(gepa_status_name(v->status));
	values[5] = BoolGetDatum(answer->cached);
	values[6] = Int32GetDatum(v->input_tokens);
	values[7] = Int32GetDatum(v->output_tokens);
	values[8] = DirectFunctionCall1(float8_numeric, Float8GetDatum(v->cost));
	values[9] = Float8GetDatum(v->latency_ms);
	values[10] = Int32GetDatum(v->chars_seen);
	values[11] = Int32GetDatum(v->chars_total);
	values[12] = Int32GetDatum(judge->version->version);
	values[13] = CStringGetTextDatum(judge->spec->name);
	gepa_api_put_text(values, nulls, 14, v->thinking);
	nulls[15] = v->votes == NULL;
	if (v->votes != NULL)
		values[15] = DirectFunctionCall1(jsonb_in, CStringGetDatum(v->votes));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}

PG_FUNCTION_INFO_V1(gepa_judge_text);
Datum
gepa_judge_text(PG_FUNCTION_ARGS)
{
	return judge_datum(fcinfo, false);
}

PG_FUNCTION_INFO_V1(gepa_judge_jsonb);
Datum
gepa_judge_jsonb(PG_FUNCTION_ARGS)
{
	return judge_datum(fcinfo, true);
}

PG_FUNCTION_INFO_V1(gepa_score_text);
Datum
gepa_score_text(PG_FUNCTION_ARGS)
{
	return score_datum(fcinfo, false);
}

PG_FUNCTION_INFO_V1(gepa_score_jsonb);
Datum
gepa_score_jsonb(PG_FUNCTION_ARGS)
{
	return score_datum(fcinfo, true);
}

PG_FUNCTION_INFO_V1(gepa_verdict_text);
Datum
gepa_verdict_text(PG_FUNCTION_ARGS)
{
	return verdict_datum(fcinfo, false);
}

PG_FUNCTION_INFO_V1(gepa_verdict_jsonb);
Datum
gepa_verdict_jsonb(PG_FUNCTION_ARGS)
{
	return verdict_datum(fcinfo, true);
}
