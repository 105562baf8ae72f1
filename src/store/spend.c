/*-------------------------------------------------------------------------
 *
 * spend.c
 *	  What was spent: booked by day, and added up.
 *
 * What calls have taken is booked in gepa.spend_day by the transaction that
 * stores what came of them: the verdict writer's, a run worker's, or, without a
 * writer, the one that paid.  So it is handed over with the verdicts, and survives
 * what they survive.  What a crash has brought back is booked once, because then
 * only a row that was not there counts (verdicts.c).
 *
 * Processes that write at a time have rows of their own (writer), so none waits
 * for another, nor fails because its snapshot does not show the other's.
 *
 * An account that is made in the middle of a day adds up the table and what still
 * lies in the spool, of which the writer may commit some meanwhile: so the spool is
 * looked at before and after, and again until it has not changed.  After PATIENCE
 * looks what was seen twice counts twice, which is the safe side.
 *
 * Known hole: a call that ended without an answer, in a session that was
 * terminated, or one that was called back, is booked nowhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"

#include "base/compat.h"
#include "base/wait.h"
#include "store/store_entries.h"
#include "store/store_spend.h"

#define LOOK_MS 10
#define PATIENCE 100

static StoreStatement add_spend = {
	.sql = "INSERT INTO gepa.spend_day AS d (day, judge, lm, role, purpose, writer, calls, ok, failed,"
	" input_tokens, output_tokens, cost)"
	" VALUES (date '2000-01-01' + $1, $2, $3, $4::regrole, $5, $6, $7, $8, $9, $10, $11, $12::numeric)"
	" ON CONFLICT (day, judge, lm, role, purpose, writer) DO UPDATE SET"
	" calls = d.calls + excluded.calls, ok = d.ok + excluded.ok, failed = d.failed + excluded.failed,"
	" input_tokens = d.input_tokens + excluded.input_tokens,"
	" output_tokens = d.output_tokens + excluded.output_tokens, cost = d.cost + excluded.cost"
};

static StoreStatement select_run = {
	.sql = "SELECT judge, CASE WHEN $2 THEN reflection_lm ELSE lm END, owner::oid FROM gepa.run"
	" WHERE run = $1"
};

static StoreStatement select_spent = {
	.sql = "SELECT coalesce(sum(calls), 0)::bigint,"
	" coalesce(sum(input_tokens + output_tokens), 0)::bigint, coalesce(sum(cost), 0)::float8"
	" FROM gepa.spend_day WHERE day = date '2000-01-01' + $1"
	" AND CASE WHEN $2 THEN judge = $3 ELSE role = $4::regrole END"
};

static StoreStatement select_run_spent = {
	.sql = "SELECT calls, input_tokens + output_tokens, cost::float8 FROM gepa.run WHERE run = $1"
};

/*
 * Booking
 */

/* What the rows of one writer are told apart by. */
typedef struct SpendKey
{
	int			day;
	int			judge;
	const char *lm;
	Oid			role;
	LmPurpose	purpose;
} SpendKey;

typedef struct Booking
{
	SpendKey	key;
	StoreSpend	spend;
} Booking;

static int
day_of(TimestampTz when)
{
	return (int) (when / USECS_PER_DAY);
}

void
gepa_store_spend_add(StoreSpend *spend, const JudgeVerdict *verdict)
{
	if (verdict->calls == 0)
		return;
	spend->calls += verdict->calls;
	if (verdict->status == GEPA_STATUS_OK)
		spend->ok++;
	else
		spend->failed++;
	spend->input_tokens += verdict->input_tokens;
	spend->output_tokens += verdict->output_tokens;
	spend->cost += verdict->cost;
}

static void
book(StoreScope *scope, const SpendKey *key, const StoreSpend *spend)
{
	StoreArgs	args = {0};

	if (spend->calls == 0)
		return;
	gepa_store_arg_int(&args, key->day);
	gepa_store_arg_int(&args, key->judge);
	gepa_store_arg_text(&args, key->lm);
	gepa_store_arg_oid(&args, key->role);
	gepa_store_arg_text(&args, gepa_lm_purpose_name(key->purpose));
	gepa_store_arg_int(&args, gepa_process_number());
	gepa_store_arg_bigint(&args, spend->calls);
	gepa_store_arg_bigint(&args, spend->ok);
	gepa_store_arg_bigint(&args, spend->failed);
	gepa_store_arg_bigint(&args, spend->input_tokens);
	gepa_store_arg_bigint(&args, spend->output_tokens);
	gepa_store_arg_double(&args, spend->cost);
	gepa_store_run(scope, &add_spend, &args);
}

/* Of a record that an older library has written nobody knows for whom it was. */
static bool
is_booked_here(const StoreVerdict *verdict)
{
	return verdict->lm != NULL && OidIsValid(verdict->caller);
}

static bool
is_same(const SpendKey *a, const SpendKey *b)
{
	return a->day == b->day && a->judge == b->judge && a->role == b->role &&
		a->purpose == b->purpose && strcmp(a->lm, b->lm) == 0;
}

/* The one of that key, added if need be; there are few. */
static Booking *
find_booking(Booking *bookings, int *n, const SpendKey *key)
{
	int			i = 0;

	while (i < *n && !is_same(&bookings[i].key, key))
		i++;
	if (i == *n)
	{
		memset(&bookings[i], 0, sizeof(Booking));
		bookings[(*n)++].key = *key;
	}
	return &bookings[i];
}

void
gepa_store_book_verdicts(StoreScope *scope, const StoreVerdict *verdicts, const bool *fresh, int n)
{
	Booking    *bookings = palloc(sizeof(Booking) * Max(n, 1));
	int			nbookings = 0;

	for (int i = 0; i < n; i++)
	{
		const StoreVerdict *v = &verdicts[i];
		SpendKey	key = {day_of(v->paid_at), v->judge, v->lm, v->caller, v->purpose};

		if (fresh[i] && is_booked_here(v))
			gepa_store_spend_add(&find_booking(bookings, &nbookings, &key)->spend, &v->verdict);
	}
	for (int i = 0; i < nbookings; i++)
		book(scope, &bookings[i].key, &bookings[i].spend);
	pfree(bookings);
}

void
gepa_store_book_run(StoreScope *scope, int run, LmPurpose purpose, const StoreSpend *spend)
{
	StoreArgs	args = {0};
	SpendKey	key = {.day = gepa_lm_budget_day(),.purpose = purpose};

	if (spend->calls == 0)
		return;
	gepa_store_arg_int(&args, run);
	gepa_store_arg_bool(&args, purpose == LM_PURPOSE_REFLECTION);
	if (gepa_store_run(scope, &select_run, &args) == 0)
		return;
	key.judge = gepa_store_int(0, 1, 0);
	key.lm = gepa_store_text(scope, 0, 2);
	key.role = gepa_store_oid(0, 3);
	book(scope, &key, spend);
}

void
gepa_store_book_grader(StoreScope *scope, int judge, const char *lm, Oid role,
					   const StoreSpend *spend)
{
	SpendKey	key = {gepa_lm_budget_day(), judge, lm, role, LM_PURPOSE_GRADER};

	book(scope, &key, spend);
}

/*
 * Adding up
 */

typedef struct Waiting
{
	const LmBudgetKey *key;
	int			day;
	int			n;				/* records */
	LmAmounts	amounts;
} Waiting;

static void
add_waiting(const char *data, int length, void *arg)
{
	Waiting    *waiting = arg;
	StoreVerdict stored;

	gepa_store_unpack_head(data, &stored);
	if (day_of(stored.paid_at) != waiting->day ||
		waiting->key->id != (waiting->key->kind == LM_BUDGET_JUDGE ?
							 (uint32) stored.judge : stored.caller))
		return;
	waiting->n++;
	waiting->amounts.of[LM_CALLS] += stored.verdict.calls;
	waiting->amounts.of[LM_TOKENS] += (int64) stored.verdict.input_tokens +
		stored.verdict.output_tokens;
	waiting->amounts.of[LM_COST] += gepa_lm_cost_units(stored.verdict.cost);
}

/* Returns false when a writer is at work: what it has may be in the table already. */
static bool
look_at_waiting(Waiting *waiting)
{
	bool		quiet = true;
	dlist_iter	iter;

	waiting->n = 0;
	memset(&waiting->amounts, 0, sizeof(waiting->amounts));
	if (gepa_store_spool == NULL)
		return true;
	LWLockAcquire(gepa_store_spool_lock, LW_SHARED);
	gepa_store_spool_walk(MyDatabaseId, add_waiting, waiting);
	LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
	dlist_foreach(iter, &gepa_store_ring->entries)
	{
		const RingSlot *slot = dlist_container(RingSlot, by_age, iter.cur);

		quiet = quiet && !(slot->state == RING_TAKEN && slot->key.database == MyDatabaseId);
	}
	LWLockRelease(gepa_store_ring_lock);
	LWLockRelease(gepa_store_spool_lock);
	return quiet;
}

static LmAmounts
look_into_table(const LmBudgetKey *key, int day)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	LmAmounts	spent;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	gepa_store_arg_int(&args, day);
	gepa_store_arg_bool(&args, key->kind == LM_BUDGET_JUDGE);
	gepa_store_arg_int(&args, (int) key->id);
	gepa_store_arg_oid(&args, key->id);
	gepa_store_run(&scope, &select_spent, &args);
	spent.of[LM_CALLS] = gepa_store_bigint(0, 1);
	spent.of[LM_TOKENS] = gepa_store_bigint(0, 2);
	spent.of[LM_COST] = gepa_lm_cost_units(gepa_store_double(0, 3));
	gepa_store_leave(&scope);
	return spent;
}

LmAmounts
gepa_store_spent(const LmBudgetKey *key)
{
	Waiting		before = {.key = key,.day = gepa_lm_budget_day()};
	Waiting		after = before;
	LmAmounts	spent;

	for (int look = 0; look < PATIENCE; look++)
	{
		bool		quiet = look_at_waiting(&before);

		spent = look_into_table(key, before.day);
		quiet = look_at_waiting(&after) && quiet;
		if (quiet && before.n == after.n)
			break;
		gepa_wait_sleep(NULL, LOOK_MS, GEPA_WAIT_VERDICTS_WRITTEN);
	}
	for (int m = 0; m < LM_NMEASURES; m++)
		spent.of[m] += before.amounts.of[m];
	return spent;
}

void
gepa_store_load_run_account(int run, LmAccount *account)
{
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	if (gepa_store_run_by_number(&scope, &select_run_spent, run) > 0)
	{
		account->spent.of[LM_CALLS] = gepa_store_bigint(0, 1);
		account->spent.of[LM_TOKENS] = gepa_store_bigint(0, 2);
		account->spent.of[LM_COST] = gepa_lm_cost_units(gepa_store_double(0, 3));
	}
	gepa_store_leave(&scope);
}
