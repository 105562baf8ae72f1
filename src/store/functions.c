/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  Functions that a role names: finding them, and calling them for it.
 *
 * A function is named as an OID, checked, and kept as a name with the role that
 * owns it.  Whoever calls it has its owner's trust in the caller's own rights, as in any
 * query; what the name must not become is a way for a third role to get at these
 * rights: a function that was dropped and made again by another role is refused.
 *
 * A call runs in a subtransaction that is rolled back, whether it succeeds or not: what
 * it wrote, locked, set or announced is gone.  What is not transactional stays: sequences
 * have moved on, session-level advisory locks are taken back here, and what
 * was sent elsewhere was sent.  Errors are data.  So is the statement timeout, which is
 * armed here where no statement has done so, which is in background workers.  A worker
 * that is asked to stop cancels the call: a timer looks for that, because the function
 * looks at nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "base/attempt.h"
#include "base/compat.h"
#include "store/store_internal.h"

#define CALL_PATH "pg_catalog, pg_temp"
#define LOOK_MS 100				/* for a request to stop */

/*
 * Finding
 */

static void
refuse_missing(const StoreFunctionKind *kind, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("%s %s does not exist", kind->what, name),
			 errhint("Create a function %s.", kind->declaration)));
}

static bool
is_one_of(Oid type, const Oid *types, int n)
{
	for (int i = 0; i < n; i++)
		if (types[i] == type)
			return true;
	return false;
}

static bool
is_of_kind(Form_pg_proc proc, const StoreFunctionKind *kind)
{
	if (proc->prokind != PROKIND_FUNCTION || proc->proretset || proc->pronargs != kind->nargs ||
		!is_one_of(proc->prorettype, kind->results, kind->nresults))
		return false;
	for (int i = 0; i < kind->nargs; i++)
		if (proc->proargtypes.values[i] != kind->args[i])
			return false;
	return true;
}

void
gepa_store_check_function(Oid function, const StoreFunctionKind *kind, Oid userid,
						  StoreFunction *found)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;

	if (!HeapTupleIsValid(tuple))
		refuse_missing(kind, psprintf("with OID %u", function));
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	found->function = function;
	found->name = format_procedure_qualified(function);
	found->owner = proc->proowner;
	if (!is_of_kind(proc, kind))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s cannot be used as %s", found->name, kind->what),
				 errdetail("It returns %s%s.", proc->proretset ? "a set of " : "",
						   format_type_be(proc->prorettype)),
				 errhint("It must be a function %s.", kind->declaration)));
	ReleaseSysCache(tuple);
	if (!gepa_may_execute(function, userid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", found->name),
				 errhint("GRANT EXECUTE ON FUNCTION %s TO %s.", found->name,
						 quote_identifier(GetUserNameFromId(userid, false)))));
}

typedef struct Signature
{
	const char *text;
	Oid			function;
} Signature;

static void
read_signature(void *argument)
{
	Signature  *signature = argument;

	signature->function =
		DatumGetObjectId(DirectFunctionCall1(regprocedurein, CStringGetDatum(signature->text)));
}

/* What is wrong with a name core says without a way out. */
Oid
gepa_store_named_function(const char *name, const StoreFunctionKind *kind)
{
	Signature	signature = {.text = name};
	ErrorData  *error = gepa_attempt(read_signature, &signature);

	if (error == NULL)
		return signature.function;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg("%s \"%s\" is no function: %s", kind->what, name, error->message),
			 errhint("Name a function %s, with the types of its arguments, such as 'my_schema.propose(text, text, jsonb)'.",
					 kind->declaration)));
	return InvalidOid;
}

/* Its name is qualified, types included, so no search_path matters. */
static Oid
look_up(const char *name)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		found;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = CStringGetTextDatum(name);
	fcinfo->args[0].isnull = false;
	found = to_regprocedure(fcinfo);
	return fcinfo->isnull ? InvalidOid : DatumGetObjectId(found);
}

static const char *
role_name(Oid role)
{
	const char *name = GetUserNameFromId(role, true);

	return name != NULL ? name : "a role that was dropped";
}

void
gepa_store_find_function(const StoreFunctionKind *kind, Oid userid, StoreFunction *function)
{
	Oid			owner = function->owner;
	Oid			oid = look_up(function->name);

	if (!OidIsValid(oid))
		refuse_missing(kind, function->name);
	gepa_store_check_function(oid, kind, userid, function);
	if (function->owner != owner)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function %s belongs to another role than when it was named",
						function->name),
				 errdetail("It was owned by %s, and is owned by %s.", role_name(owner),
						   role_name(function->owner)),
				 errhint("Name it anew if that role is to be trusted.")));
}

/*
 * Calling
 */

static bool
make_args(const StoreCall *call, FunctionCallInfo fcinfo)
{
	bool		any_null = false;

	for (int i = 0; i < call->nargs; i++)
	{
		Oid			input;
		Oid			param;

		fcinfo->args[i].isnull = call->args[i] == NULL;
		fcinfo->args[i].value = (Datum) 0;
		any_null = any_null || call->args[i] == NULL;
		if (call->args[i] == NULL)
			continue;
		getTypeInputInfo(call->types[i], &input, &param);
		fcinfo->args[i].value = OidInputFunctionCall(input, unconstify(char *, call->args[i]),
													 param, -1);
	}
	return any_null;
}

/* A number is written so that it can be read back as it is. */
static char *
result_text(Oid type, Datum value)
{
	Oid			output;
	bool		is_varlena;

	if (type == FLOAT8OID && isfinite(DatumGetFloat8(value)))
		return psprintf("%.17g", DatumGetFloat8(value));
	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

/*
 * As in a statement of the caller's own, but for the search_path, and that it cannot become
 * another role: a worker may be one that began as a superuser.
 */
static char *
invoke(const StoreCall *call)
{
	LOCAL_FCINFO(fcinfo, STORE_FUNCTION_MAX_ARGS);
	FmgrInfo	flinfo;
	Datum		value;
	bool		any_null;
	Oid			userid;
	int			sec_context;

	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(userid, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	(void) set_config_option("search_path", CALL_PATH, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	fmgr_info(call->function, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, call->nargs, InvalidOid, NULL, NULL);
	any_null = make_args(call, fcinfo);
	if (flinfo.fn_strict && any_null)
		return NULL;
	InvokeFunctionExecuteHook(call->function);
	value = FunctionCallInvoke(fcinfo);
	return fcinfo->isnull ? NULL : result_text(get_func_rettype(call->function), value);
}

/* A statement has armed it for itself. */
static bool
arm_timeout(void)
{
	if (StatementTimeout <= 0 || get_timeout_active(STATEMENT_TIMEOUT))
		return false;
	enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
	return true;
}

/* What it has set off just now is not for what comes next. */
static void
disarm_timeout(void)
{
	disable_timeout(STATEMENT_TIMEOUT, true);
	if (get_timeout_indicator(STATEMENT_TIMEOUT, true))
		QueryCancelPending = false;
}

/*
 * Requests to stop
 */

static TimeoutId look_timeout;
static const volatile bool *stop_flag;

/* In a signal handler; the flag is set once and read again by those who decide. */
static void
look_for_stop(void)
{
	if (!*stop_flag)
		return;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

static void
watch_for_stop(const volatile bool *flag)
{
	static bool registered = false;

	if (!registered)
		look_timeout = RegisterTimeout(USER_TIMEOUT, look_for_stop);
	registered = true;
	stop_flag = flag;
	enable_timeout_every(look_timeout,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_MS), LOOK_MS);
}

static void
end_watch(void)
{
	disable_timeout(look_timeout, false);
	/* it may have come when the call was over */
	if (*stop_flag)
		QueryCancelPending = false;
}

/* Everything that lives in scratch is gone with the subtransaction's own memory. */
static void
attempt(StoreCall *call, MemoryContext context, MemoryContext scratch)
{
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool armed = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(scratch);
	PG_TRY();
	{
		char	   *result;

		armed = arm_timeout();
		result = invoke(call);
		call->result = result != NULL ? MemoryContextStrdup(context, result) : NULL;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		call->error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (armed)
		disarm_timeout();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

void
gepa_store_call_function(StoreCall *call)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(context, "gepa function call",
												  ALLOCSET_DEFAULT_SIZES);
	instr_time	start;
	instr_time	end;

	call->result = NULL;
	call->error = NULL;
	INSTR_TIME_SET_CURRENT(start);
	if (call->stop != NULL)
		watch_for_stop(call->stop);
	attempt(call, context, scratch);
	if (call->stop != NULL)
		end_watch();
	INSTR_TIME_SET_CURRENT(end);
	call->stopped = call->error != NULL && call->stop != NULL && *call->stop;
	INSTR_TIME_SUBTRACT(end, start);
	call->latency_ms = INSTR_TIME_GET_MILLISEC(end);
	MemoryContextDelete(scratch);
	if (MyBackendType == B_BG_WORKER)
		LockReleaseSession(USER_LOCKMETHOD);
	else if (call->error != NULL && call->error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(call->error);
}
