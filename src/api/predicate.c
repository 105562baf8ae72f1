/*-------------------------------------------------------------------------
 *
 * predicate.c
 *	  gepa_judge(), gepa_score(), gepa_verdict().
 *
 * The current version of a judge is resolved once per query and call site:
 * the resolved judge hangs on fn_extra, which lives as long as the execution.
 * PL/pgSQL keeps the state of simple expressions longer, so a judge is
 * resolved again when the snapshot is another one.  Within a query all call
 * sites see one snapshot and therefore one version.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "api/api_internal.h"
#include "apply/apply.h"
#include "base/settings.h"

typedef struct OpenJudge
{
	struct OpenJudge *next;
	char	   *name;
	MemoryContext context;		/* of version and judge */
	Oid			userid;
	CommandId	curcid;			/* of the snapshot it was resolved under */
	TransactionId xmax;
	uint32		running;
	ApplyJudge *judge;
} OpenJudge;

/* Of two snapshots with one xmax the later has the fewer running. */
static uint32
running(Snapshot snapshot)
{
	return snapshot->xcnt + snapshot->subxcnt;
}

static bool
still_current(const OpenJudge *open)
{
	Snapshot	snapshot = GetActiveSnapshot();

	return open->curcid == snapshot->curcid && open->xmax == snapshot->xmax &&
		open->running == running(snapshot) && open->userid == GetUserId();
}

static OpenJudge *
add_judge(FunctionCallInfo fcinfo, const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	OpenJudge  *open = palloc0(sizeof(OpenJudge));

	open->name = pstrdup(name);
	open->context = AllocSetContextCreate(CurrentMemoryContext, "gepa call site",
										  ALLOCSET_DEFAULT_SIZES);
	open->next = fcinfo->flinfo->fn_extra;
	fcinfo->flinfo->fn_extra = open;
	MemoryContextSwitchTo(old);
	return open;
}

static void
resolve(OpenJudge *open)
{
	ApplyJudge *stale = open->judge;
	MemoryContext old;

	open->judge = NULL;
	if (stale != NULL)
		gepa_apply_close(stale);
	MemoryContextReset(open->context);

	old = MemoryContextSwitchTo(open->context);
	open->userid = GetUserId();
	open->curcid = GetActiveSnapshot()->curcid;
	open->xmax = GetActiveSnapshot()->xmax;
	open->running = running(GetActiveSnapshot());
	open->judge = gepa_apply_open(gepa_store_get_version(open->name, 0),
								  LM_PURPOSE_JUDGE);
	MemoryContextSwitchTo(old);
}

static ApplyJudge *
find_judge(FunctionCallInfo fcinfo, const char *name)
{
	OpenJudge  *open = fcinfo->flinfo->fn_extra;

	while (open != NULL && strcmp(open->name, name) != 0)
		open = open->next;
	if (open == NULL)
		open = add_judge(fcinfo, name);
	if (open->judge == NULL || !still_current(open))
		resolve(open);
	return open->judge;
}

/*
 * One document; false means NULL in, NULL out.
 */
static bool
judge_one(FunctionCallInfo fcinfo, bool is_jsonb, ApplyJudge **judge, ApplyVerdict *result)
{
	JudgeDocument document;

	*judge = find_judge(fcinfo, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (!gepa_apply_document((*judge)->spec, PG_GETARG_DATUM(1), is_jsonb, &document))
		return false;

	*result = *gepa_apply_documents(*judge, &document, 1);
	if (result->verdict.status != GEPA_STATUS_OK &&
		gepa_on_error == GEPA_ON_ERROR_ERROR)
		gepa_judge_report((*judge)->spec, (*judge)->lm, &result->verdict);
	return true;
}

static Datum
judge_datum(FunctionCallInfo fcinfo, bool is_jsonb)
{
	ApplyJudge *judge;
	ApplyVerdict result;

	if (!judge_one(fcinfo, is_jsonb, &judge, &result) ||
		result.verdict.status != GEPA_STATUS_OK)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(result.verdict.positive);
}

static Datum
score_datum(FunctionCallInfo fcinfo, bool is_jsonb)
{
	ApplyJudge *judge;
	ApplyVerdict result;

	if (!judge_one(fcinfo, is_jsonb, &judge, &result) ||
		result.verdict.status != GEPA_STATUS_OK)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(result.verdict.score);
}

static Datum
verdict_datum(FunctionCallInfo fcinfo, bool is_jsonb)
{
	ApplyJudge *judge;
	ApplyVerdict result;
	JudgeVerdict *v = &result.verdict;
	TupleDesc	tupdesc;
	Datum		values[13];
	bool		nulls[13] = {0};
	bool		ok;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!judge_one(fcinfo, is_jsonb, &judge, &result))
		PG_RETURN_NULL();

	ok = v->status == GEPA_STATUS_OK;
	nulls[0] = nulls[1] = nulls[2] = !ok;
	nulls[3] = v->reasoning == NULL;
	values[0] = ok ? CStringGetTextDatum(v->label) : (Datum) 0;
	values[1] = BoolGetDatum(v->positive);
	values[2] = Float8GetDatum(v->score);
	values[3] = v->reasoning ? CStringGetTextDatum(v->reasoning) : (Datum) 0;
	values[4] = CStringGetTextDatum(gepa_status_name(v->status));
	values[5] = BoolGetDatum(result.cached);
	values[6] = Int32GetDatum(v->input_tokens);
	values[7] = Int32GetDatum(v->output_tokens);
	values[8] = DirectFunctionCall1(float8_numeric, Float8GetDatum(v->cost));
	values[9] = Float8GetDatum(v->latency_ms);
	values[10] = Int32GetDatum(v->chars_seen);
	values[11] = Int32GetDatum(v->chars_total);
	values[12] = Int32GetDatum(judge->version->version);
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
