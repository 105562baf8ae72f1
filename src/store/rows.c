/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  What rows of jobs, runs, sweeps and schedules have in common.
 *
 * Each has a number, may be gone or another's of that number by the time it is
 * looked for again, and is at work in some of its states, whose names stand in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"

#include "store/store_internal.h"

/*
 * Names of states
 */

int
gepa_store_parse_word(const char *const *words, int n, const char *word)
{
	for (int i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	elog(ERROR, "unknown word \"%s\" in a row of gepa", word);
	return -1;
}

void
gepa_store_arg_words(StoreArgs *args, const char *const *words, int n, int mask)
{
	char	  **chosen = palloc(sizeof(char *) * n);
	int			nchosen = 0;

	for (int i = 0; i < n; i++)
		if (mask & (1 << i))
			chosen[nchosen++] = unconstify(char *, words[i]);
	gepa_store_arg_texts(args, nchosen, chosen);
	pfree(chosen);
}

/*
 * Rows
 */

uint64
gepa_store_run_by_number(StoreScope *scope, StoreStatement *statement, int number)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, number);
	return gepa_store_run(scope, statement, &args);
}

bool
gepa_store_is_mine(StoreScope *scope, uint64 row, int column)
{
	TransactionId xmin = strtoul(gepa_store_text(scope, row, column), NULL, 10);

	return TransactionIdIsCurrentTransactionId(xmin);
}

bool
gepa_store_is_there(StoreStatement *statement, StoreArgs *args)
{
	StoreScope	scope;
	bool		there;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	there = gepa_store_run(&scope, statement, args) > 0;
	gepa_store_leave(&scope);
	return there;
}

bool
gepa_store_still_exists(StoreStatement *statement, int number, int64 born)
{
	StoreArgs	args = {0};

	if (!OidIsValid(gepa_store_extension_owner()))
		return false;
	gepa_store_arg_int(&args, number);
	gepa_store_arg_bigint(&args, born);
	return gepa_store_is_there(statement, &args);
}

int
gepa_store_list_owned(StoreStatement *statement, int **numbers, Oid **owners)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			n;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	n = (int) gepa_store_run(&scope, statement, &args);
	*numbers = MemoryContextAlloc(scope.caller, sizeof(int) * Max(n, 1));
	*owners = MemoryContextAlloc(scope.caller, sizeof(Oid) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		(*numbers)[i] = gepa_store_int(i, 1, 0);
		(*owners)[i] = gepa_store_oid(i, 2);
	}
	gepa_store_leave(&scope);
	return n;
}
