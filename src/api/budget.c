/*-------------------------------------------------------------------------
 *
 * budget.c
 *	  gepa.set_budget(), and the accounts behind gepa.budgets.
 *
 * The budget of a judge is its owner's to set.  That of a role is not the role's:
 * whoever administers it sets it, so that nobody raises their own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "api/api_internal.h"

/* -1 = not given */
static int64
amount_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	int64		amount = PG_ARGISNULL(n) ? -1 : PG_GETARG_INT64(n);

	if (!PG_ARGISNULL(n) && amount < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", name),
				 errhint("Leave it out for no limit; 0 allows nothing.")));
	return amount;
}

static char *
cost_arg(FunctionCallInfo fcinfo, int n)
{
	char	   *text;

	if (PG_ARGISNULL(n))
		return NULL;
	text = DatumGetCString(DirectFunctionCall1(numeric_out, PG_GETARG_DATUM(n)));
	if (strspn(text, "0123456789.") != strlen(text))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"cost\" must be a number that is not negative"),
				 errhint("Leave it out for no limit; 0 allows only what is free.")));
	return text;
}

static void
name_judge(StoreBudget *budget, const char *name)
{
	StoreVersion *version = gepa_store_get_version(name, 0);

	gepa_store_check_owner("judge", name, version->owner, GetUserId());
	budget->judge = version->judge;
	budget->owner = version->owner;
}

static void
name_role(StoreBudget *budget, const char *name)
{
	Oid			user = GetUserId();

	budget->role = budget->owner = get_role_oid(name, false);
	if (superuser() || (user != budget->role && is_admin_of_role(user, budget->role)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to set the budget of role \"%s\"", name),
			 errhint("A superuser, or another role with ADMIN OPTION on it, may do this.")));
}

PG_FUNCTION_INFO_V1(gepa_set_budget);
Datum
gepa_set_budget(PG_FUNCTION_ARGS)
{
	char	   *judge = gepa_api_text_arg_or_null(fcinfo, 0);
	char	   *role = gepa_api_name_arg_or_null(fcinfo, 1);
	StoreBudget budget = {0};

	if ((judge == NULL) == (role == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a budget is that of a judge or of a role"),
				 errhint("Give either \"judge\" or \"role\".")));
	budget.calls = amount_arg(fcinfo, 2, "calls");
	budget.tokens = amount_arg(fcinfo, 3, "tokens");
	budget.cost = cost_arg(fcinfo, 4);
	if (judge != NULL)
		name_judge(&budget, judge);
	else
		name_role(&budget, role);
	gepa_store_set_budget(&budget);
	PG_RETURN_VOID();
}

static void
put_state(ReturnSetInfo *rsinfo, const LmBudgetState *state)
{
	const LmAccount *account = &state->account;
	bool		of_judge = state->key.kind == LM_BUDGET_JUDGE;
	Datum		values[8];
	bool		nulls[8] = {0};

	nulls[of_judge ? 1 : 0] = true;
	values[0] = Int32GetDatum((int) state->key.id);
	values[1] = ObjectIdGetDatum(state->key.id);
	values[2] = Int64GetDatum(account->spent.of[LM_CALLS]);
	values[3] = Int64GetDatum(account->spent.of[LM_TOKENS]);
	values[4] = Float8GetDatum(account->spent.of[LM_COST] / LM_COST_UNITS);
	values[5] = Int64GetDatum(account->reserved.of[LM_CALLS]);
	values[6] = Int64GetDatum(account->reserved.of[LM_TOKENS]);
	values[7] = Float8GetDatum(account->reserved.of[LM_COST] / LM_COST_UNITS);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(gepa_budget_accounts);
Datum
gepa_budget_accounts(PG_FUNCTION_ARGS)
{
	bool		sees_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	LmBudgetState *states;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	states = gepa_store_budget_states(&n);
	for (int i = 0; i < n; i++)
		if (sees_all || has_privs_of_role(GetUserId(), states[i].owner))
			put_state((ReturnSetInfo *) fcinfo->resultinfo, &states[i]);
	return (Datum) 0;
}
