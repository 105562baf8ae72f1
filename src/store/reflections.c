/*-------------------------------------------------------------------------
 *
 * reflections.c
 *	  Calls of a reflection before its last, and earlier proposals.
 *
 * A reflection is one entry in the journal, with the answer that its text is from.
 * What was paid before that answer (groups of records, answers of no use) is recorded as it
 * comes in, and booked with it, so that a worker that dies in between has nothing to pay
 * for again.
 *
 * What a reflection is told of earlier proposals is what was decided before its
 * iteration began, so that a resumed run says the same whatever came in since.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/store_spend.h"

static StoreStatement insert_call = {
	.sql = "INSERT INTO gepa.reflection_call (run, step, part, attempt, records, prompt, answer,"
	" new_text, detail, input_tokens, output_tokens, cost)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::numeric)"
};

static StoreStatement add_call = {
	.sql = "UPDATE gepa.run SET input_tokens = input_tokens + $2,"
	" output_tokens = output_tokens + $3, cost = cost + $4::numeric, calls = calls + $5"
	" WHERE run = $1"
};

static StoreStatement select_calls = {
	.sql = "SELECT part, attempt, answer, new_text, detail, prompt FROM gepa.reflection_call"
	" WHERE run = $1 AND step = $2 ORDER BY part, attempt"
};

static StoreStatement select_tried = {
	.sql = "SELECT text, parent_text, accepted, reason, parent_sum, child_sum FROM ("
	" SELECT p.proposal, p.components ->> $2 AS text, q.components ->> $2 AS parent_text,"
	" p.accepted, p.reason, p.parent_sum, p.child_sum"
	" FROM gepa.proposal p"
	" JOIN gepa.proposal q ON q.run = p.run AND q.candidate = p.parents[1]"
	" WHERE p.run = $1 AND p.iteration < $3 AND p.child_sum IS NOT NULL"
	" AND p.components ->> $2 <> q.components ->> $2"
	" AND (NOT p.accepted OR ($5 AND p.child_sum <= p.parent_sum AND p.candidate <> ALL ($6)))"
	" ORDER BY p.parents[1] = $4 DESC, p.proposal DESC LIMIT $7) t ORDER BY proposal"
};

void
gepa_store_insert_reflection_call(int run, const StoreReflectionCall *call)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreArgs	figures = {0};
	StoreSpend	spend = {.calls = call->calls,.ok = call->new_text != NULL,
		.failed = call->new_text == NULL,.input_tokens = call->input_tokens,
	.output_tokens = call->output_tokens,.cost = call->cost};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, call->step);
	gepa_store_arg_int(&args, call->part);
	gepa_store_arg_int(&args, call->attempt);
	gepa_store_arg_ints(&args, call->nrecords, call->records);
	gepa_store_arg_text(&args, call->prompt);
	gepa_store_arg_text(&args, call->answer);
	gepa_store_arg_text(&args, call->new_text);
	gepa_store_arg_text(&args, call->detail);
	gepa_store_arg_int(&args, call->input_tokens);
	gepa_store_arg_int(&args, call->output_tokens);
	gepa_store_arg_double(&args, call->cost);
	gepa_store_run(&scope, &insert_call, &args);
	gepa_store_arg_int(&figures, run);
	gepa_store_arg_int(&figures, call->input_tokens);
	gepa_store_arg_int(&figures, call->output_tokens);
	gepa_store_arg_double(&figures, call->cost);
	gepa_store_arg_bigint(&figures, call->calls);
	gepa_store_run(&scope, &add_call, &figures);
	gepa_store_book_run(&scope, run, LM_PURPOSE_REFLECTION, &spend);
	gepa_store_leave(&scope);
}

StoreReflectionCall *
gepa_store_get_reflection_calls(int run, int step, int *n)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreReflectionCall *calls;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, step);
	*n = (int) gepa_store_run(&scope, &select_calls, &args);
	calls = MemoryContextAllocZero(scope.caller, sizeof(StoreReflectionCall) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		calls[i].step = step;
		calls[i].part = gepa_store_int(i, 1, 0);
		calls[i].attempt = gepa_store_int(i, 2, 0);
		calls[i].answer = gepa_store_text(&scope, i, 3);
		calls[i].new_text = gepa_store_text(&scope, i, 4);
		calls[i].detail = gepa_store_text(&scope, i, 5);
		calls[i].prompt = gepa_store_text(&scope, i, 6);
	}
	gepa_store_leave(&scope);
	return calls;
}

StoreTried *
gepa_store_get_tried(const StoreTriedFilter *filter, int *n)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreTried *tried;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_int(&args, filter->run);
	gepa_store_arg_text(&args, filter->component);
	gepa_store_arg_int(&args, filter->iteration);
	gepa_store_arg_int(&args, filter->parent);
	gepa_store_arg_bool(&args, filter->lost);
	gepa_store_arg_ints(&args, filter->nlineage, filter->lineage);
	gepa_store_arg_int(&args, filter->most);
	*n = (int) gepa_store_run(&scope, &select_tried, &args);
	tried = MemoryContextAllocZero(scope.caller, sizeof(StoreTried) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		tried[i].text = gepa_store_text(&scope, i, 1);
		tried[i].parent_text = gepa_store_text(&scope, i, 2);
		tried[i].accepted = gepa_store_bool(i, 3);
		tried[i].reason = gepa_store_text(&scope, i, 4);
		tried[i].parent_sum = gepa_store_double(i, 5);
		tried[i].child_sum = gepa_store_double(i, 6);
	}
	gepa_store_leave(&scope);
	return tried;
}
