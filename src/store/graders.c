/*-------------------------------------------------------------------------
 *
 * graders.c
 *	  Graders as rows, and what they said.
 *
 * A grader has no versions: what it said is kept under its digest, which covers all that
 * can change a result, so an altered grader is another one there.  What a call said
 * belongs to the role that paid for it, like a verdict.
 *
 * A call that has ended is booked in the transaction that keeps its result, and on the
 * run that made it, whose calls, tokens and cost include its graders'.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "store/store_spend.h"

static StoreStatement insert_grader = {
	.sql = "INSERT INTO gepa.grader (name, owner, kind, lm, options, function_owner)"
	" VALUES ($1, $2::regrole, $3, $4, $5::jsonb, nullif($6, 0::oid)::regrole) ON CONFLICT (name) DO NOTHING RETURNING grader"
};

static StoreStatement select_grader = {
	.sql = "SELECT g.grader, g.owner::oid, g.kind, g.lm, g.options::text, f.key, coalesce(g.function_owner::oid, 0)"
	" FROM gepa.grader g, gepa.fence f WHERE g.name = $1"
};

static StoreStatement update_grader = {
	.sql = "UPDATE gepa.grader SET lm = $2, options = $3::jsonb,"
	" function_owner = nullif($4, 0::oid)::regrole, changed_at = now() WHERE grader = $1"
};

static StoreStatement delete_grader = {
	.sql = "DELETE FROM gepa.grader WHERE grader = $1"
};

static StoreStatement select_grade = {
	.sql = "SELECT result::text FROM gepa.grade"
	" WHERE grader_digest = $1 AND owner = $2::regrole AND digest = $3"
};

static StoreStatement insert_grade = {
	.sql = "INSERT INTO gepa.grade (grader_digest, owner, digest, result, input_tokens,"
	" output_tokens, cost) VALUES ($1, $2::regrole, $3, $4::jsonb, $5, $6, $7::numeric)"
	" ON CONFLICT DO NOTHING"
};

static StoreStatement add_to_run = {
	.sql = "UPDATE gepa.run SET calls = calls + $2, input_tokens = input_tokens + $3,"
	" output_tokens = output_tokens + $4, cost = cost + $5::numeric,"
	" grader_calls = grader_calls + $2, grader_cost = grader_cost + $5::numeric WHERE run = $1"
};

int
gepa_store_create_grader(const JudgeGrader *grader, Oid owner, const StoreFunction *function)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			id;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_make_fence(&scope);
	gepa_store_arg_text(&args, grader->name);
	gepa_store_arg_oid(&args, owner);
	gepa_store_arg_text(&args, gepa_judge_grader_kind_name(grader->kind));
	gepa_store_arg_text(&args, grader->lm);
	gepa_store_arg_text(&args, grader->options);
	gepa_store_arg_oid(&args, function->owner);
	if (gepa_store_run(&scope, &insert_grader, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("grader \"%s\" already exists", grader->name),
				 errhint("Change it with gepa.alter_grader(), or choose another name.")));
	id = gepa_store_int(0, 1, 0);
	gepa_store_leave(&scope);
	return id;
}

StoreGrader *
gepa_store_get_grader(const char *name)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreGrader *grader = palloc0(sizeof(StoreGrader));
	char	   *options;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_text(&args, name);
	if (gepa_store_run(&scope, &select_grader, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("grader \"%s\" does not exist", name),
				 errhint("See gepa.graders, or create it with gepa.create_grader().")));
	grader->id = gepa_store_int(0, 1, 0);
	grader->owner = gepa_store_oid(0, 2);
	(void) gepa_judge_grader_kind(gepa_store_text(&scope, 0, 3), &grader->def.kind);
	grader->def.lm = gepa_store_text(&scope, 0, 4);
	options = gepa_store_text(&scope, 0, 5);
	gepa_store_digest(0, 6, grader->def.fence_key, JUDGE_FENCE_KEY_LENGTH);
	grader->function.owner = gepa_store_oid(0, 7);
	gepa_store_leave(&scope);
	grader->def.name = pstrdup(name);
	gepa_judge_grader_parse(&grader->def, options);
	grader->function.name = grader->def.function;
	return grader;
}

void
gepa_store_alter_grader(int id, const JudgeGrader *grader, const StoreFunction *function)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, id);
	gepa_store_arg_text(&args, grader->lm);
	gepa_store_arg_text(&args, grader->options);
	gepa_store_arg_oid(&args, function->owner);
	gepa_store_run(&scope, &update_grader, &args);
	gepa_store_leave(&scope);
}

void
gepa_store_drop_grader(int id)
{
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_run_by_number(&scope, &delete_grader, id);
	gepa_store_leave(&scope);
}

/*
 * Functions
 */

static const StoreFunctionKind function_kind = {
	.what = "grader",
	.declaration = "f(sample jsonb, output jsonb) RETURNS jsonb, or a number",
	.nargs = 2,
	.args = {JSONBOID, JSONBOID},
	.nresults = 4,
	.results = {JSONBOID, FLOAT8OID, NUMERICOID, INT4OID}
};

void
gepa_store_name_grader_function(const char *name, StoreFunction *function)
{
	gepa_store_check_function(gepa_store_named_function(name, &function_kind), &function_kind,
							  GetUserId(), function);
}

void
gepa_store_find_grader_function(StoreGrader *grader)
{
	gepa_store_find_function(&function_kind, grader->owner, &grader->function);
}

/* Whoever uses somebody's grader does not lend his rights to its function. */
void
gepa_store_call_grader(const StoreGrader *grader, const char *sample, const char *output,
					   const volatile bool *stop, StoreCall *call)
{
	Oid			userid;
	int			sec_context;

	memset(call, 0, sizeof(StoreCall));
	call->function = grader->function.function;
	call->nargs = function_kind.nargs;
	memcpy(call->types, function_kind.args, sizeof(call->types));
	call->args[0] = sample;
	call->args[1] = output;
	call->stop = stop;
	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(grader->owner, sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	gepa_store_call_function(call);
	SetUserIdAndSecContext(userid, sec_context);
}

/*
 * What they said
 */

bool
gepa_store_find_grade(const uint8 *grader, Oid owner, const uint8 *shown,
					  JudgeGraderResult *result)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	char	   *text = NULL;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_bytes(&args, grader, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_oid(&args, owner);
	gepa_store_arg_bytes(&args, shown, JUDGE_DIGEST_LENGTH);
	if (gepa_store_run(&scope, &select_grade, &args) > 0)
		text = gepa_store_text(&scope, 0, 1);
	gepa_store_leave(&scope);
	if (text == NULL || !gepa_judge_grader_result_parse(text, result))
		return false;
	result->cached = true;
	return true;
}

static void
put_grade(StoreScope *scope, const StoreGraderCall *call, Oid owner)
{
	StoreArgs	args = {0};

	gepa_store_arg_bytes(&args, call->grader, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_oid(&args, owner);
	gepa_store_arg_bytes(&args, call->shown, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_text(&args, gepa_judge_grader_result_json(&call->result));
	gepa_store_arg_int(&args, call->result.input_tokens);
	gepa_store_arg_int(&args, call->result.output_tokens);
	gepa_store_arg_double(&args, call->result.cost);
	gepa_store_run(scope, &insert_grade, &args);
}

static void
charge_run(StoreScope *scope, int run, const StoreSpend *spend)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, run);
	gepa_store_arg_bigint(&args, spend->calls);
	gepa_store_arg_bigint(&args, spend->input_tokens);
	gepa_store_arg_bigint(&args, spend->output_tokens);
	gepa_store_arg_double(&args, spend->cost);
	gepa_store_run(scope, &add_to_run, &args);
}

static StoreSpend
spend_of(const JudgeGraderResult *result)
{
	bool		ok = result->status == GEPA_STATUS_OK;
	StoreSpend	spend = {.calls = result->calls,.ok = ok,.failed = !ok,
		.input_tokens = result->input_tokens,.output_tokens = result->output_tokens,
	.cost = result->cost};

	return spend;
}

void
gepa_store_put_grader_calls(int run, int judge, const StoreGraderCall *calls, int n)
{
	Oid			owner = GetUserId();
	StoreScope	scope;

	if (n == 0)
		return;
	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	for (int i = 0; i < n; i++)
	{
		StoreSpend	spend = spend_of(&calls[i].result);

		if (calls[i].result.status == GEPA_STATUS_OK)
			put_grade(&scope, &calls[i], owner);
		if (spend.calls == 0)
			continue;
		gepa_store_book_grader(&scope, judge, calls[i].lm, owner, &spend);
		if (run != 0)
			charge_run(&scope, run, &spend);
	}
	gepa_store_leave(&scope);
}
