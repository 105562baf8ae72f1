/*-------------------------------------------------------------------------
 *
 * texts.c
 *	  What a run of texts has beside its row in gepa.run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/store_internal.h"

static StoreStatement insert_text = {
	.sql = "INSERT INTO gepa.text_run (run, evaluator, evaluator_owner, seed, inputs, objective,"
	" background) VALUES ($1, $2, $3::regrole, $4::jsonb, $5, $6, $7)"
};

static StoreStatement select_text = {
	.sql = "SELECT evaluator, evaluator_owner::oid, seed::text, inputs, objective, background"
	" FROM gepa.text_run WHERE run = $1"
};

/* Of each component the steps are ncomponents apart. */
static StoreStatement select_seed = {
	.sql = "SELECT new_text FROM gepa.step WHERE run = $1 AND kind = 'seed'"
	" AND (-1 - step) % $3 = $2 AND new_text IS NOT NULL"
};

static StoreStatement number_seed = {
	.sql = "SELECT count(*)::int, (count(*) FILTER (WHERE (-1 - step) % $3 = $2))::int"
	" FROM gepa.step WHERE run = $1 AND kind = 'seed'"
};

static StoreStatement count_seed = {
	.sql = "SELECT count(*)::int FROM gepa.step WHERE run = $1 AND kind = 'seed'"
};

static StoreStatement select_fence = {
	.sql = "SELECT key FROM gepa.fence"
};

void
gepa_store_put_text(StoreScope *scope, int run, const StoreText *text)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, run);
	gepa_store_arg_text(&args, text->evaluator.name);
	gepa_store_arg_oid(&args, text->evaluator.owner);
	gepa_store_arg_text(&args, text->seed);
	gepa_store_arg_texts(&args, text->ninputs, text->inputs);
	gepa_store_arg_text(&args, text->objective);
	gepa_store_arg_text(&args, text->background);
	gepa_store_run(scope, &insert_text, &args);
}

StoreText *
gepa_store_get_text(StoreScope *scope, int run)
{
	StoreText  *text = MemoryContextAllocZero(scope->caller, sizeof(StoreText));

	if (gepa_store_run_by_number(scope, &select_text, run) == 0)
		return NULL;
	text->evaluator.name = gepa_store_text(scope, 0, 1);
	text->evaluator.owner = gepa_store_oid(0, 2);
	text->seed = gepa_store_text(scope, 0, 3);
	text->inputs = gepa_store_texts(scope, 0, 4, &text->ninputs);
	text->objective = gepa_store_text(scope, 0, 5);
	text->background = gepa_store_text(scope, 0, 6);
	return text;
}

char *
gepa_store_get_seed_text(int run, int component, int ncomponents)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	char	   *text = NULL;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, component);
	gepa_store_arg_int(&args, ncomponents);
	if (gepa_store_run(&scope, &select_seed, &args) > 0)
		text = gepa_store_text(&scope, 0, 1);
	gepa_store_leave(&scope);
	return text;
}

void
gepa_store_number_seed_step(int run, int component, int ncomponents, StoreStep *step)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, component);
	gepa_store_arg_int(&args, ncomponents);
	gepa_store_run(&scope, &number_seed, &args);
	step->seq = gepa_store_int(0, 1, 0);
	step->step = -1 - component - ncomponents * gepa_store_int(0, 2, 0);
	step->reflect = step->seed = true;
	gepa_store_leave(&scope);
}

int
gepa_store_count_seed_steps(int run)
{
	StoreScope	scope;
	int			n;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	gepa_store_run_by_number(&scope, &count_seed, run);
	n = gepa_store_int(0, 1, 0);
	gepa_store_leave(&scope);
	return n;
}

void
gepa_store_fence_key(uint8 *key)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	if (gepa_store_run(&scope, &select_fence, &args) == 0)
		elog(ERROR, "the key of the fences is missing");
	gepa_store_digest(0, 1, key, JUDGE_FENCE_KEY_LENGTH);
	gepa_store_leave(&scope);
}
