/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15 and 18, and nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_COMPAT_H
#define GEPA_BASE_COMPAT_H

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "gepa supports PostgreSQL 15 to 18"
#endif

/* 18: the magic block carries name and version. */
#if PG_VERSION_NUM >= 180000
#define GEPA_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "gepa", .version = GEPA_VERSION)
#else
#define GEPA_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* 18: said before the declaration, and by another word. */
#if PG_VERSION_NUM >= 180000
#define GEPA_NORETURN pg_noreturn
#else
#define GEPA_NORETURN pg_attribute_noreturn()
#endif

/*
 * JSON (json.c only includes these after common/jsonapi.h).
 * 16: actions return a result.  17: the lexer can live on the stack.
 */
#ifdef JSONAPI_H

#if PG_VERSION_NUM >= 160000
#define GEPA_JSON_ACTION JsonParseErrorType
#define GEPA_JSON_ACTION_DONE return JSON_SUCCESS
#else
#define GEPA_JSON_ACTION void
#define GEPA_JSON_ACTION_DONE return
#endif

static inline JsonParseErrorType
gepa_parse_json_tokens(const char *text, int len, JsonSemAction *actions)
{
#if PG_VERSION_NUM >= 170000
	return pg_parse_json(makeJsonLexContextCstringLen(NULL, text, len, PG_UTF8, true),
						 actions);
#else
	return pg_parse_json(makeJsonLexContextCstringLen(unconstify(char *, text), len,
													  PG_UTF8, true),
						 actions);
#endif
}

#endif							/* JSONAPI_H */

#ifndef FRONTEND

#include "catalog/objectaddress.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/memutils.h"

/* 16: what reads values of variable length has a header of its own. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16: one function for all kinds of objects. */
static inline bool
gepa_has_server_usage(Oid serverid, Oid userid)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, serverid, userid,
						   ACL_USAGE) == ACLCHECK_OK;
#else
	return pg_foreign_server_aclcheck(serverid, userid, ACL_USAGE) == ACLCHECK_OK;
#endif
}

static inline bool
gepa_may_execute(Oid function, Oid userid)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, function, userid,
						   ACL_EXECUTE) == ACLCHECK_OK;
#else
	return pg_proc_aclcheck(function, userid, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

/* 18: parts of EXPLAIN have headers of their own. */
#if defined(EXPLAIN_H) && PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

/* 17: what numbers a process among those with a PGPROC. */
#ifdef _PROC_H_
static inline int
gepa_process_number(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}
#endif							/* _PROC_H_ */

/* 18: what a scan does is counted for EXPLAIN. */
#ifdef GENAM_H
static inline IndexScanDesc
gepa_index_beginscan(Relation heap, Relation index, Snapshot snapshot, int nkeys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(heap, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(heap, index, snapshot, nkeys, 0);
#endif
}
#endif							/* GENAM_H */

/* 17: wait events have names. */
#if PG_VERSION_NUM >= 170000
#define gepa_new_wait_event(name) WaitEventExtensionNew(name)
#else
#define gepa_new_wait_event(name) ((uint32) PG_WAIT_EXTENSION)
#endif

/* 17: one that ends with a resource owner, or with none. */
#if PG_VERSION_NUM >= 170000
#define gepa_lasting_wait_event_set(n) CreateWaitEventSet(NULL, n)
#else
#define gepa_lasting_wait_event_set(n) CreateWaitEventSet(TopMemoryContext, n)
#endif

/* 17: a transaction may be given a time limit, which ends its process. */
#if PG_VERSION_NUM >= 170000
#define GEPA_MORE_OWN_SETTINGS {"transaction_timeout", "0"},
#else
#define GEPA_MORE_OWN_SETTINGS
#endif

/* 17: a worker may connect as a role that cannot log in. */
#if PG_VERSION_NUM >= 170000
#define GEPA_BYPASS_LOGIN_CHECK BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define GEPA_BYPASS_LOGIN_CHECK 0
#endif

/* 18: a portal knows by itself whether it may be run again. */
#if PG_VERSION_NUM >= 180000
#define GEPA_EXECUTOR_RUN_PARAMS QueryDesc *query, ScanDirection direction, uint64 count
#define GEPA_EXECUTOR_RUN_ARGS query, direction, count
#else
#define GEPA_EXECUTOR_RUN_PARAMS \
	QueryDesc *query, ScanDirection direction, uint64 count, bool execute_once
#define GEPA_EXECUTOR_RUN_ARGS query, direction, count, execute_once
#endif

#endif							/* FRONTEND */

#endif							/* GEPA_BASE_COMPAT_H */
