/*-------------------------------------------------------------------------
 *
 * budget.c
 *	  Budgets: accounts that all processes of the server share, and what the
 *	  calls of a batch are charged to.
 *
 * Shared memory has the accounts of judges and roles that have, or had, limits.
 * What was spent before an account was made its maker says (src/store/budgets.c);
 * from then on whoever calls adds to it.  The account of a run belongs to its
 * worker, that of a statement to the session; both are reserved and settled along
 * with the others, on all or on none.
 *
 * Actors: batch.c reserves before it sends an attempt, and settles when that has
 * ended.  A call that finds others' reservations in the way waits inside its batch.
 * A transaction that sets limits passes them on at its commit; budgets that are
 * open notice by the generation that there are accounts they did not know.
 *
 * Life cycle: an account without limits, or of a day that has passed, goes when
 * nobody has a budget open on it and its entry is needed.  What a process has
 * reserved goes back with it at the latest, as spent: its calls were sent.  A
 * crash makes shared memory anew, and accounts are made from what was stored.
 *
 * Locking: one LWLock (tranche "GepaBudgets") protects all accounts.  Without
 * preload they are this process's own, and there is no lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "base/shmem.h"
#include "lm/lm_internal.h"

/* So many judges and roles with budgets are at work in a server. */
#define MAX_ACCOUNTS 1024

typedef struct SharedAccount
{
	Oid			database;		/* InvalidOid = unused */
	LmBudgetKey key;
	Oid			owner;
	int			nusers;			/* budgets open on it */
	int64		stamp;			/* of its limits */
	LmAccount	account;
} SharedAccount;

typedef struct Accounts
{
	volatile uint32 generation; /* changes when an account is made */
	int			nused;			/* entries, from the first */
	SharedAccount entries[MAX_ACCOUNTS];
} Accounts;

/* One of the accounts that a budget charges to. */
typedef struct Part
{
	bool		present;
	char	   *label;			/* whose it is, for messages */
	LmBudgetKey key;			/* of a day's */
	SharedAccount *entry;		/* of a day's; NULL = there is none */
	LmAccount  *account;		/* NULL = there is none */
	LmAmounts	held;			/* sum of what its calls have reserved */
} Part;

struct LmBudget
{
	dlist_node	node;			/* in open_budgets */
	MemoryContextCallback on_reset;
	uint32		generation;		/* when accounts were looked for */
	Part		parts[LM_NBUDGETS];
	bool		denied;
	LmBudgetKind denied_by;		/* the last time */
	LmMeasure	denied_for;
	int64		denied_limit;
	int64		denied_spent;
	int64		denied_need;
};

static struct
{
	Accounts   *accounts;		/* NULL = not preloaded, and none yet */
	LWLock	   *lock;			/* NULL = they are this process's own */
	bool		registered;		/* for the end of the process */
}			budgets;

static dlist_head open_budgets = DLIST_STATIC_INIT(open_budgets);

static const LmAmounts nothing;

/* What the statement at work has spent. */
static struct
{
	TimestampTz start;
	LmAccount	account;
}			statement;

/*
 * Set-up
 */

static Size
accounts_size(void)
{
	return sizeof(Accounts);
}

static void
attach(void *memory, LWLock *lock, bool made)
{
	budgets.accounts = memory;
	budgets.lock = lock;
}

void
gepa_lm_budget_init(void)
{
	static const GepaShmem area = {
		.name = "gepa lm budgets",
		.tranche = "GepaBudgets",
		.size = accounts_size,
		.attach = attach
	};

	gepa_shmem_add(&area);
}

static void
lock_accounts(void)
{
	if (budgets.accounts == NULL)
		budgets.accounts = MemoryContextAllocZero(TopMemoryContext, sizeof(Accounts));
	if (budgets.lock != NULL)
		LWLockAcquire(budgets.lock, LW_EXCLUSIVE);
}

static void
unlock_accounts(void)
{
	if (budgets.lock != NULL)
		LWLockRelease(budgets.lock);
}

int
gepa_lm_budget_day(void)
{
	return (int) (GetCurrentTimestamp() / USECS_PER_DAY);
}

TimestampTz
gepa_lm_budget_renewal(void)
{
	return (gepa_lm_budget_day() + 1) * USECS_PER_DAY;
}

/*
 * Accounts; the lock is held
 */

static SharedAccount *
find_account(const LmBudgetKey *key)
{
	for (int i = 0; i < budgets.accounts->nused; i++)
	{
		SharedAccount *entry = &budgets.accounts->entries[i];

		if (entry->database == MyDatabaseId && entry->key.space == key->space &&
			entry->key.kind == key->kind && entry->key.id == key->id)
			return entry;
	}
	return NULL;
}

/* What it has can be made again from what is stored. */
static bool
is_idle(const SharedAccount *entry, int day)
{
	for (int m = 0; m < LM_NMEASURES; m++)
		if (entry->account.reserved.of[m] != 0)
			return false;
	return entry->nusers == 0 &&
		(!gepa_lm_account_is_limited(&entry->account) || entry->account.day < day);
}

static SharedAccount *
unused_account(int day)
{
	Accounts   *accounts = budgets.accounts;

	if (accounts->nused < MAX_ACCOUNTS)
		return &accounts->entries[accounts->nused++];
	for (int i = 0; i < MAX_ACCOUNTS; i++)
		if (is_idle(&accounts->entries[i], day))
			return &accounts->entries[i];
	return NULL;
}

bool
gepa_lm_budget_is_known(const LmBudgetKey *key)
{
	bool		known;

	lock_accounts();
	known = find_account(key) != NULL;
	unlock_accounts();
	return known;
}

void
gepa_lm_budget_make(const LmBudgetKey *key, Oid owner, const LmAmounts *spent)
{
	int			day = gepa_lm_budget_day();
	SharedAccount *entry;

	lock_accounts();
	entry = find_account(key);
	if (entry == NULL && (entry = unused_account(day)) != NULL)
	{
		entry->database = MyDatabaseId;
		entry->key = *key;
		entry->nusers = 0;
		entry->stamp = 0;
		gepa_lm_account_clear(&entry->account);
		entry->account.day = day;
		entry->account.spent = *spent;
		budgets.accounts->generation++;
	}
	if (entry != NULL)
		entry->owner = owner;
	unlock_accounts();
	if (entry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many judges and roles have a budget"),
				 errdetail("A server keeps %d accounts at a time.", MAX_ACCOUNTS),
				 errhint("Remove budgets with gepa.set_budget(), or end the sessions that use them.")));
}

void
gepa_lm_budget_limit(const LmBudgetKey *key, const LmBudgetLimits *limits)
{
	SharedAccount *entry;

	lock_accounts();
	entry = find_account(key);
	if (entry != NULL && entry->stamp < limits->stamp)
	{
		entry->account.limit = limits->limit;
		entry->stamp = limits->stamp;
	}
	unlock_accounts();
}

LmBudgetState *
gepa_lm_budget_states(Oid space, int *n)
{
	LmBudgetState *states = palloc(sizeof(LmBudgetState) * MAX_ACCOUNTS);
	int			day = gepa_lm_budget_day();

	*n = 0;
	lock_accounts();
	for (int i = 0; i < budgets.accounts->nused; i++)
	{
		SharedAccount *entry = &budgets.accounts->entries[i];

		if (entry->database != MyDatabaseId || entry->key.space != space)
			continue;
		gepa_lm_account_renew(&entry->account, day);
		states[*n].key = entry->key;
		states[*n].owner = entry->owner;
		states[(*n)++].account = entry->account;
	}
	unlock_accounts();
	return states;
}

/*
 * Budgets
 */

/* What is still reserved was sent, and is perhaps paid for. */
static void
leave_accounts(LmBudget *budget)
{
	for (int i = 0; i < LM_NBUDGETS; i++)
	{
		Part	   *part = &budget->parts[i];

		if (part->account != NULL)
			gepa_lm_account_settle(part->account, &part->held, &part->held);
		if (part->entry != NULL)
			part->entry->nusers--;
		part->account = NULL;
		part->entry = NULL;
		part->present = false;
	}
}

static void
end_budget(void *arg)
{
	LmBudget   *budget = arg;

	dlist_delete(&budget->node);
	lock_accounts();
	leave_accounts(budget);
	unlock_accounts();
}

static void
at_exit(int code, Datum arg)
{
	dlist_iter	iter;

	lock_accounts();
	dlist_foreach(iter, &open_budgets)
		leave_accounts(dlist_container(LmBudget, node, iter.cur));
	unlock_accounts();
}

static void
add_part(LmBudget *budget, LmBudgetKind kind, LmAccount *account, char *label)
{
	Part	   *part = &budget->parts[kind];

	part->present = true;
	part->label = label;
	part->account = account;
}

/* Its account is looked for when a call is to be sent. */
static void
add_daily(LmBudget *budget, LmBudgetKind kind, Oid space, uint32 id, char *label)
{
	Part	   *part = &budget->parts[kind];

	add_part(budget, kind, NULL, label);
	part->key.space = space;
	part->key.kind = kind;
	part->key.id = id;
}

LmBudget *
gepa_lm_budget_open(const LmCharge *charge)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "gepa lm budget",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LmBudget   *budget = palloc0(sizeof(LmBudget));
	const char *role_name = GetUserNameFromId(charge->role, true);

	if (charge->statement)
		add_part(budget, LM_BUDGET_QUERY, &statement.account, "this statement");
	if (charge->run_account != NULL)
		add_part(budget, LM_BUDGET_RUN, charge->run_account, psprintf("run %d", charge->run));
	add_daily(budget, LM_BUDGET_JUDGE, charge->space, charge->judge,
			  psprintf("judge \"%s\"", charge->judge_name));
	add_daily(budget, LM_BUDGET_ROLE, charge->space, charge->role,
			  psprintf("role \"%s\"", role_name ? role_name : ""));
	MemoryContextSwitchTo(old);
	if (!budgets.registered)
		on_shmem_exit(at_exit, (Datum) 0);
	budgets.registered = true;
	lock_accounts();
	budget->generation = budgets.accounts->generation - 1;
	unlock_accounts();
	dlist_push_tail(&open_budgets, &budget->node);
	budget->on_reset.func = end_budget;
	budget->on_reset.arg = budget;
	MemoryContextRegisterResetCallback(context, &budget->on_reset);
	return budget;
}

/* Accounts may have been made since; the lock is held. */
static void
find_accounts(LmBudget *budget)
{
	if (budget->generation == budgets.accounts->generation)
		return;
	for (int i = LM_BUDGET_JUDGE; i <= LM_BUDGET_ROLE; i++)
	{
		Part	   *part = &budget->parts[i];

		if (!part->present || part->entry != NULL)
			continue;
		part->entry = find_account(&part->key);
		if (part->entry == NULL)
			continue;
		part->entry->nusers++;
		part->account = &part->entry->account;
	}
	budget->generation = budgets.accounts->generation;
}

/* The settings are read each time: a function may have changed them. */
static void
look_at_statement(void)
{
	LmAccount  *account = &statement.account;
	TimestampTz start = GetCurrentStatementStartTimestamp();

	if (statement.start != start)
		memset(&account->spent, 0, sizeof(account->spent));
	statement.start = start;
	account->limit.of[LM_CALLS] = gepa_max_query_calls;
	account->limit.of[LM_TOKENS] = gepa_max_query_tokens;
	account->limit.of[LM_COST] = gepa_max_query_cost < 0 ? LM_NO_LIMIT :
		gepa_lm_cost_units(gepa_max_query_cost);
}

/* Has nobody set any limit that this one has to keep?  Then there is nothing to lock. */
static bool
is_free(LmBudget *budget)
{
	if (budget->parts[LM_BUDGET_QUERY].present)
		look_at_statement();
	if (budget->generation != budgets.accounts->generation)
		return false;
	for (int i = 0; i < LM_NBUDGETS; i++)
		if (budget->parts[i].account != NULL &&
			(budget->parts[i].entry != NULL ||
			 gepa_lm_account_is_limited(budget->parts[i].account)))
			return false;
	return true;
}

/*
 * Reserving and settling
 */

static void
note_denial(LmBudget *budget, LmBudgetKind kind, LmMeasure of, const LmAmounts *need)
{
	const LmAccount *account = budget->parts[kind].account;

	budget->denied = true;
	budget->denied_by = kind;
	budget->denied_for = of;
	budget->denied_limit = account->limit.of[of];
	budget->denied_spent = account->spent.of[of];
	budget->denied_need = need->of[of];
}

/* What to ask of an account: the calls that are held need not be asked for again. */
static LmExpected
expect_of(const LmReservation *reservation, const LmHold *hold, int account)
{
	LmExpected	expected = reservation->expected;
	int64		calls;

	if (hold == NULL || (hold->held && hold->left[account] <= 0))
		return expected;
	calls = hold->held ? 0 : hold->wanted;
	expected.most.of[LM_CALLS] = expected.likely.of[LM_CALLS] = calls;
	return expected;
}

/* On all accounts or on none; the lock is held. */
static LmGrant
ask_all(LmBudget *budget, const LmHold *hold, LmReservation *reservation)
{
	LmGrant		worst = LM_GRANTED;
	int			day = gepa_lm_budget_day();

	for (int i = 0; i < LM_NBUDGETS; i++)
	{
		LmAccount  *account = budget->parts[i].account;
		LmExpected	expected = expect_of(reservation, hold, i);
		LmMeasure	of = LM_CALLS;
		LmGrant		grant;

		if (account == NULL)
			continue;
		gepa_lm_account_renew(account, day);
		grant = gepa_lm_account_ask(account, &expected.most, &expected.likely,
									&reservation->take[i], &of);
		if (grant == LM_DENIED && worst != LM_DENIED)
			note_denial(budget, (LmBudgetKind) i, of, &expected.likely);
		worst = Max(worst, grant);
		reservation->exact = reservation->exact || account->limit.of[LM_CALLS] != LM_NO_LIMIT;
	}
	return worst;
}

/* The calls of one that is granted with others go over to these. */
static void
take_hold(LmHold *hold, LmReservation *reservation)
{
	hold->held = true;
	for (int i = 0; i < LM_NBUDGETS; i++)
	{
		hold->left[i] = reservation->take[i].of[LM_CALLS];
		reservation->take[i].of[LM_CALLS] = 0;
	}
}

static void
hold_all(LmBudget *budget, LmHold *hold, LmReservation *reservation)
{
	reservation->held = true;
	for (int i = 0; i < LM_NBUDGETS; i++)
	{
		Part	   *part = &budget->parts[i];

		if (part->account == NULL)
			continue;
		gepa_lm_account_reserve(part->account, &reservation->take[i]);
		for (int m = 0; m < LM_NMEASURES; m++)
			part->held.of[m] += reservation->take[i].of[m];
	}
	if (hold != NULL && !hold->held)
		take_hold(hold, reservation);
}

LmGrant
gepa_lm_budget_reserve(LmBudget *budget, const LmServer *server, const LmShown *shown,
					   size_t bytes, LmHold *hold, LmReservation *reservation)
{
	LmGrant		grant;

	if (budget == NULL)
		return LM_GRANTED;
	memset(reservation, 0, sizeof(*reservation));
	gepa_lm_expect(shown, bytes, server->max_tokens,
				   Max(server->input_price, server->cached_input_price), server->output_price,
				   &reservation->expected);
	if (is_free(budget))
		return LM_GRANTED;
	lock_accounts();
	find_accounts(budget);
	grant = ask_all(budget, hold, reservation);
	if (grant == LM_GRANTED)
		hold_all(budget, hold, reservation);
	unlock_accounts();
	return grant;
}

/* Of what is held the calls that were sent, at most; they are held no longer. */
static int64
draw_from(LmHold *hold, int account, const LmAmounts *spent)
{
	int64		calls;

	if (hold == NULL || !hold->held)
		return 0;
	calls = Min(hold->left[account], spent->of[LM_CALLS]);
	hold->left[account] -= calls;
	return calls;
}

void
gepa_lm_budget_settle(LmBudget *budget, LmReservation *reservation, LmHold *hold,
					  const LmAmounts *spent)
{
	int			day;

	if (budget == NULL || (!reservation->held && is_free(budget)))
		return;
	day = gepa_lm_budget_day();
	lock_accounts();
	find_accounts(budget);
	for (int i = 0; i < LM_NBUDGETS; i++)
	{
		Part	   *part = &budget->parts[i];
		LmAmounts	held = reservation->held ? reservation->take[i] : nothing;

		if (part->account == NULL)
			continue;
		gepa_lm_account_renew(part->account, day);
		held.of[LM_CALLS] += draw_from(hold, i, spent);
		gepa_lm_account_settle(part->account, &held, spent);
		for (int m = 0; m < LM_NMEASURES; m++)
			part->held.of[m] -= held.of[m];
	}
	reservation->held = false;
	unlock_accounts();
}

void
gepa_lm_budget_release(LmBudget *budget, LmReservation *reservation)
{
	if (reservation->held)
		gepa_lm_budget_settle(budget, reservation, NULL, &nothing);
}

void
gepa_lm_budget_release_hold(LmBudget *budget, LmHold *hold)
{
	LmReservation reservation = {.held = hold->held};

	if (!hold->held)
		return;
	for (int i = 0; i < LM_NBUDGETS; i++)
		reservation.take[i].of[LM_CALLS] = hold->left[i];
	gepa_lm_budget_release(budget, &reservation);
	memset(hold, 0, sizeof(*hold));
}

/*
 * Denials
 */

bool
gepa_lm_budget_denied(const LmBudget *budget, LmBudgetKind *kind, LmMeasure *measure)
{
	*kind = budget->denied_by;
	*measure = budget->denied_for;
	return budget->denied;
}

static char *
amount_text(LmMeasure measure, int64 amount)
{
	if (measure == LM_COST)
		return psprintf("%.9g", amount / LM_COST_UNITS);
	return psprintf("%lld", (long long) amount);
}

static char *
denial_detail(const LmBudget *budget)
{
	static const char *const units[] = {" calls", " tokens", " in money"};
	LmMeasure	measure = budget->denied_for;
	bool		daily = budget->denied_by >= LM_BUDGET_JUDGE;
	char	   *need = "";

	if (measure != LM_CALLS && budget->denied_spent < budget->denied_limit)
		need = psprintf(", and the next call may take %s",
						amount_text(measure, budget->denied_need));
	return psprintf("The budget of %s is %s%s%s, of which %s %s spent%s.%s",
					budget->parts[budget->denied_by].label,
					amount_text(measure, budget->denied_limit), units[measure],
					daily ? " a day" : "",
					amount_text(measure, budget->denied_spent),
					measure == LM_COST ? "is" : "are", need,
					!daily ? "" : psprintf(" It is renewed at %s.",
										   timestamptz_to_str(gepa_lm_budget_renewal())));
}

static char *
denial_hint(const LmBudget *budget)
{
	static const char *const settings[] = {"calls", "tokens", "cost"};

	switch (budget->denied_by)
	{
		case LM_BUDGET_QUERY:
			return psprintf("Raise gepa.max_query_%s, or ask for fewer documents in a statement.",
							settings[budget->denied_for]);
		case LM_BUDGET_RUN:
			return psprintf("Start a run with a higher max_%s.", settings[budget->denied_for]);
		case LM_BUDGET_JUDGE:
		case LM_BUDGET_ROLE:
			break;
	}
	return "Wait until it is renewed, or have it raised with gepa.set_budget().";
}

void
gepa_lm_budget_explain(const LmBudget *budget, LmReply *reply)
{
	gepa_lm_set_failure(reply, GEPA_STATUS_BUDGET, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
						denial_detail(budget), denial_hint(budget));
}
