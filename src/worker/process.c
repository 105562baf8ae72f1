/*-------------------------------------------------------------------------
 *
 * process.c
 *	  What all workers do alike: signals, connecting, registering, transactions.
 *
 * Only core's signal handlers: SIGTERM is die(), so CHECK_FOR_INTERRUPTS()
 * ends a worker at once wherever it waits (that is also what DROP DATABASE
 * needs, besides SIGUSR1 for its barrier); SIGHUP sets a flag.
 *
 * Between transactions a worker keeps a resource owner of its own: hashing a
 * document takes one, and prompts are rendered while no transaction is open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "worker/worker_internal.h"

static ResourceOwner process_owner = NULL;

/*
 * Settings of a role or database that are meant for its queries would make a
 * worker's few fixed statements fail, or give it another role's rights.  In a
 * deadlock with somebody's statement it is the worker, which tries again, that
 * shall notice first.
 */
static const char *const own_settings[][2] = {
	{"default_transaction_read_only", "off"},
	{"default_transaction_isolation", "read committed"},
	{"deadlock_timeout", "10ms"},
	{"lock_timeout", "0"},
	{"role", "none"},
	GEPA_MORE_OWN_SETTINGS
};

void
gepa_worker_setup_signals(void)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
}

/*
 * Roles that own a run need not be able to log in (groups that were taken on
 * with SET ROLE), but before PostgreSQL 17 a worker can connect only as one
 * that is: then it connects as the bootstrap superuser and steps down before
 * it does anything.
 */
void
gepa_worker_connect(Oid database, Oid role, bool can_login)
{
	if (!OidIsValid(role) || can_login || GEPA_BYPASS_LOGIN_CHECK != 0)
		BackgroundWorkerInitializeConnectionByOid(database, role,
												  can_login ? 0 : GEPA_BYPASS_LOGIN_CHECK);
	else
	{
		BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
		StartTransactionCommand();
		SetSessionAuthorization(role, superuser_arg(role));
		CommitTransactionCommand();
	}
	for (int i = 0; i < lengthof(own_settings); i++)
		SetConfigOption(own_settings[i][0], own_settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	process_owner = ResourceOwnerCreate(NULL, "gepa worker");
	CurrentResourceOwner = process_owner;
	MemoryContextSwitchTo(TopMemoryContext);
}

bool
gepa_worker_come_up(WorkerArgs *args, bool owner_only, const char *what)
{
	char		name[NAMEDATALEN];
	bool		as_owner;

	memcpy(args, MyBgworkerEntry->bgw_extra, sizeof(WorkerArgs));
	gepa_worker_setup_signals();
	if (!gepa_worker_attach(args))
		return false;
	as_owner = !args->orphan && (owner_only || !args->shut_out);
	gepa_worker_connect(args->database, as_owner ? args->owner : InvalidOid,
						args->can_login || !as_owner);
	gepa_worker_mark_connected();
	snprintf(name, sizeof(name), "gepa %s %d", what, args->id);
	SetConfigOption("application_name", name, PGC_USERSET, PGC_S_SESSION);
	return true;
}

char *
gepa_worker_why_not_owner(const WorkerArgs *args, const char *what, const char *resume)
{
	if (args->orphan)
		return psprintf("the role that owned the %s was dropped", what);
	if (args->shut_out)
		return psprintf("workers of the %s could not connect to database \"%s\" as role \"%s\"; the server log says why."
						" Grant CONNECT or raise the connection limit, then SELECT gepa.%s(%d) goes on",
						what, get_database_name(MyDatabaseId),
						GetUserNameFromId(args->owner, true), resume, args->id);
	return NULL;
}

bool
gepa_worker_can_login(Oid role, bool *exists)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool		can_login = false;

	if (exists != NULL)
		*exists = HeapTupleIsValid(tuple);
	if (HeapTupleIsValid(tuple))
	{
		can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
		ReleaseSysCache(tuple);
	}
	return can_login;
}

bool
gepa_worker_register(const char *function, const char *name, const char *type,
					 const void *extra, Size length, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	Assert(length <= BGW_EXTRALEN);
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "gepa", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, name, sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, type, sizeof(worker.bgw_type));
	memcpy(worker.bgw_extra, extra, length);
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

void
gepa_worker_begin(MemoryContext context)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
}

void
gepa_worker_commit(MemoryContext context)
{
	CommitTransactionCommand();
	pgstat_report_stat(false);
	CurrentResourceOwner = process_owner;
	MemoryContextSwitchTo(context);
}

void
gepa_worker_abort(MemoryContext context)
{
	AbortCurrentTransaction();
	CurrentResourceOwner = process_owner;
	MemoryContextSwitchTo(context);
}

ErrorData *
gepa_worker_take_error(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	gepa_worker_abort(context);
	return error;
}

bool
gepa_worker_is_blocked(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK;
}

int
gepa_worker_backoff_ms(int failures, int longest_ms)
{
	return Min(1000 << Min(failures, 6), longest_ms);
}

void
gepa_worker_reload(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
}
