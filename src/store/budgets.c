/*-------------------------------------------------------------------------
 *
 * budgets.c
 *	  Budgets of judges and roles as rows, and as accounts.
 *
 * Whoever opens a budget reads the rows, makes the accounts that are not there
 * with what was spent this day, and passes the limits on; a stamp keeps an older
 * row from taking the place of a newer one.  A transaction that sets a budget passes
 * it on when it commits, so that it holds for queries that run.
 *
 * What a transaction has set, and not committed, it must not pass on: of such it
 * keeps the accounts as they are.  They were made before the row was changed.
 *
 * Known hole: what queries at work spend in the moment between adding up and
 * making the account of a budget that is the first of its judge or role is missed;
 * and without preload the accounts are the session's own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/store_spend.h"

#define LIMITS \
	"coalesce(calls, -1), coalesce(tokens, -1), coalesce(cost::float8, -1), stamp"

static StoreStatement select_budgets = {
	.sql = "SELECT judge IS NULL, " LIMITS " FROM gepa.budget"
	" WHERE judge = $1 OR role = $2::regrole"
};

static StoreStatement set_judge = {
	.sql = "INSERT INTO gepa.budget AS b (judge, calls, tokens, cost, stamp)"
	" VALUES ($1, nullif($2, -1), nullif($3, -1), $4::numeric, $5)"
	" ON CONFLICT (judge) DO UPDATE SET calls = excluded.calls, tokens = excluded.tokens,"
	" cost = excluded.cost, stamp = greatest(b.stamp + 1, excluded.stamp), changed_at = now()"
};

static StoreStatement set_role = {
	.sql = "INSERT INTO gepa.budget AS b (role, calls, tokens, cost, stamp)"
	" VALUES ($1::regrole, nullif($2, -1), nullif($3, -1), $4::numeric, $5)"
	" ON CONFLICT (role) DO UPDATE SET calls = excluded.calls, tokens = excluded.tokens,"
	" cost = excluded.cost, stamp = greatest(b.stamp + 1, excluded.stamp), changed_at = now()"
};

/* What this transaction has set. */
typedef struct Change
{
	LmBudgetKey key;
	bool		there;			/* the row, at the end */
	LmBudgetLimits limits;
} Change;

static List *changes = NIL;		/* in TopTransactionContext */

/*
 * Reading
 */

static LmBudgetKey
key_of(LmBudgetKind kind, uint32 id)
{
	LmBudgetKey key = {.kind = kind,.id = id};
	Oid			owner;

	key.space = gepa_store_extension(&owner);
	return key;
}

static LmBudgetLimits
read_limits(uint64 row)
{
	LmBudgetLimits limits;
	double		cost = gepa_store_double(row, 4);

	limits.limit.of[LM_CALLS] = gepa_store_bigint(row, 2);
	limits.limit.of[LM_TOKENS] = gepa_store_bigint(row, 3);
	limits.limit.of[LM_COST] = cost < 0 ? LM_NO_LIMIT : gepa_lm_cost_units(cost);
	limits.stamp = gepa_store_bigint(row, 5);
	return limits;
}

/* The rows of a judge and a role; at most one of each. */
static int
read_budgets(uint32 judge, Oid role, LmBudgetKind *kinds, LmBudgetLimits *limits)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			n;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	gepa_store_arg_int(&args, (int) judge);
	gepa_store_arg_oid(&args, role);
	n = (int) gepa_store_run(&scope, &select_budgets, &args);
	for (int i = 0; i < n; i++)
	{
		kinds[i] = gepa_store_bool(i, 1) ? LM_BUDGET_ROLE : LM_BUDGET_JUDGE;
		limits[i] = read_limits(i);
	}
	gepa_store_leave(&scope);
	return n;
}

static void
make_account(const LmBudgetKey *key, Oid owner)
{
	LmAmounts	spent;

	if (gepa_lm_budget_is_known(key))
		return;
	spent = gepa_store_spent(key);
	gepa_lm_budget_make(key, owner, &spent);
}

static Change *
find_change(const LmBudgetKey *key)
{
	ListCell   *cell;

	foreach(cell, changes)
	{
		Change	   *change = lfirst(cell);

		if (change->key.kind == key->kind && change->key.id == key->id)
			return change;
	}
	return NULL;
}

static bool
is_limited(const LmBudgetLimits *limits)
{
	for (int m = 0; m < LM_NMEASURES; m++)
		if (limits->limit.of[m] != LM_NO_LIMIT)
			return true;
	return false;
}

LmBudget *
gepa_store_open_budget(LmCharge *charge, Oid owner)
{
	LmBudgetKind kinds[2];
	LmBudgetLimits limits[2];
	int			n;

	charge->role = GetUserId();
	n = read_budgets(charge->judge, charge->role, kinds, limits);
	for (int i = 0; i < n; i++)
	{
		bool		of_judge = kinds[i] == LM_BUDGET_JUDGE;
		LmBudgetKey key = key_of(kinds[i], of_judge ? charge->judge : charge->role);

		if (find_change(&key) != NULL)
			continue;
		if (is_limited(&limits[i]))
			make_account(&key, of_judge ? owner : charge->role);
		gepa_lm_budget_limit(&key, &limits[i]);
	}
	charge->space = key_of(LM_BUDGET_JUDGE, charge->judge).space;
	return gepa_lm_budget_open(charge);
}

LmBudgetState *
gepa_store_budget_states(int *n)
{
	return gepa_lm_budget_states(key_of(LM_BUDGET_JUDGE, 0).space, n);
}

/*
 * Setting
 */

/* The rows as the transaction leaves them; some may be rolled back to a savepoint. */
static void
look_at_changes(void)
{
	ListCell   *cell;

	foreach(cell, changes)
	{
		Change	   *change = lfirst(cell);
		bool		of_judge = change->key.kind == LM_BUDGET_JUDGE;
		LmBudgetKind kinds[2];

		change->there = read_budgets(of_judge ? change->key.id : 0,
									 of_judge ? InvalidOid : change->key.id,
									 kinds, &change->limits) > 0;
	}
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	ListCell   *cell;

	if (changes == NIL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			look_at_changes();
			return;
		case XACT_EVENT_COMMIT:
			foreach(cell, changes)
			{
				const Change *change = lfirst(cell);

				if (change->there)
					gepa_lm_budget_limit(&change->key, &change->limits);
			}
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			break;
		default:
			return;
	}
	changes = NIL;
}

static void
note_change(const LmBudgetKey *key)
{
	static bool registered = false;
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Change	   *change;

	if (!registered)
		RegisterXactCallback(at_end_of_transaction, NULL);
	registered = true;
	if (find_change(key) == NULL)
	{
		change = palloc0(sizeof(Change));
		change->key = *key;
		changes = lappend(changes, change);
	}
	MemoryContextSwitchTo(old);
}

/* The row as it was is passed on first, in case nobody has opened it yet. */
static void
keep_account(const LmBudgetKey *key, const StoreBudget *budget)
{
	LmBudgetKind kinds[2];
	LmBudgetLimits limits[2];

	make_account(key, budget->owner);
	if (find_change(key) == NULL &&
		read_budgets(budget->judge, budget->judge != 0 ? InvalidOid : budget->role,
					 kinds, limits) > 0)
		gepa_lm_budget_limit(key, &limits[0]);
}

void
gepa_store_set_budget(const StoreBudget *budget)
{
	bool		of_judge = budget->judge != 0;
	LmBudgetKey key = key_of(of_judge ? LM_BUDGET_JUDGE : LM_BUDGET_ROLE,
							 of_judge ? (uint32) budget->judge : budget->role);
	StoreScope	scope;
	StoreArgs	args = {0};

	keep_account(&key, budget);
	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	if (of_judge)
		gepa_store_arg_int(&args, budget->judge);
	else
		gepa_store_arg_oid(&args, budget->role);
	gepa_store_arg_bigint(&args, budget->calls);
	gepa_store_arg_bigint(&args, budget->tokens);
	gepa_store_arg_text(&args, budget->cost);
	gepa_store_arg_bigint(&args, GetCurrentTimestamp());
	gepa_store_run(&scope, of_judge ? &set_judge : &set_role, &args);
	gepa_store_leave(&scope);
	note_change(&key);
}
