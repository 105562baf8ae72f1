/*-------------------------------------------------------------------------
 *
 * exchange_program.c
 *	  Files of programs that judges were made from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/store_internal.h"

static StoreStatement select_program = {
	.sql = "SELECT program::text, predictors::text FROM gepa.imported_program WHERE judge = $1"
};

static StoreStatement put_program = {
	.sql = "INSERT INTO gepa.imported_program (judge, program, predictors)"
	" VALUES ($1, $2::json, $3::jsonb) ON CONFLICT (judge)"
	" DO UPDATE SET program = excluded.program, predictors = excluded.predictors"
};

char *
gepa_store_get_program(int judge, char **predictors)
{
	StoreScope	scope;
	char	   *program = NULL;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	if (gepa_store_run_by_number(&scope, &select_program, judge) > 0)
	{
		program = gepa_store_text(&scope, 0, 1);
		*predictors = gepa_store_text(&scope, 0, 2);
	}
	gepa_store_leave(&scope);
	return program;
}

void
gepa_store_put_program(int judge, const char *program, const char *predictors)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, judge);
	gepa_store_arg_text(&args, program);
	gepa_store_arg_text(&args, predictors);
	gepa_store_run(&scope, &put_program, &args);
	gepa_store_leave(&scope);
}
