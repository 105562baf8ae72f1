/*-------------------------------------------------------------------------
 *
 * moved.c
 *	  A server that moves loses the keys of its user mappings.
 *
 * Who owns a server may change its base_url, and need not be allowed to read
 * the keys that others have put into their mappings.  A key was given for the
 * endpoint that stood there at the time, so it goes when the endpoint changes,
 * and has to be given again.  For everybody alike, superusers included: whether
 * a key is still there must not depend on who made the change.  The endpoint
 * is what decides where a request goes and whom TLS believes (below).
 *
 * The hook runs inside ALTER SERVER, after its row was written and before the
 * command counter moves: the catalog's snapshot has the old row, SnapshotSelf
 * the new one.  The validator has loaded this library by then, so nothing has to
 * be preloaded.  What is done belongs to the transaction.  Readers read the server
 * first and the mapping by a later snapshot (server.c), so that they never
 * see the new base_url beside the old key.
 *
 * Who moves a server and who gives it a key exclude each other until their
 * transactions end, prepared ones included: the one locks the server as an
 * object exclusively, the other shares it.  So the mover sees all keys.  Who
 * had to wait with a key, and finds the server elsewhere, gets an ERROR: the key was
 * meant for what could be seen before.  There is no hook in ALTER USER MAPPING,
 * so the server is locked when the statement begins; in the statement that
 * loads the library, of which only the validator knows, all LMs are.
 *
 * It is here, too, that who may not set privileged options is kept from
 * altering a server that had some: the validator sees what is left of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "lm/lm_internal.h"

static object_access_hook_type next_access;

/*
 * Where a request goes, and whom TLS believes.  Not allow_private_address, which
 * only says which addresses are refused, nor the certificate that is shown.
 */
static const char *const endpoint_options[] = {"base_url", "proxy", "unix_socket", "ca_file"};

/* The first of these options that differs; NULL for the same endpoint. */
static const char *
moved_option(List *before, List *after)
{
	for (int i = 0; i < lengthof(endpoint_options); i++)
	{
		const char *a = gepa_lm_option(before, endpoint_options[i]);
		const char *b = gepa_lm_option(after, endpoint_options[i]);

		if (a != b && (a == NULL || b == NULL || strcmp(a, b) != 0))
			return endpoint_options[i];
	}
	return NULL;
}

/*
 * Giving a key
 */

static void
share_server(const ForeignServer *before)
{
	ForeignServer *after;

	LockDatabaseObject(ForeignServerRelationId, before->serverid, 0, AccessShareLock);
	after = GetForeignServerExtended(before->serverid, FSV_MISSING_OK);
	if (after != NULL && strcmp(before->servername, after->servername) == 0 &&
		moved_option(before->options, after->options) == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("LM \"%s\" was moved, renamed or dropped by another transaction", before->servername),
			 errdetail("The key was not given to what is there now."),
			 errhint("Look at the server's options, then give the key again.")));
}

void
gepa_lm_share_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	if (server != NULL && gepa_lm_is_lm(server))
		share_server(server);
}

void
gepa_lm_share_servers(void)
{
	Oid			wrapper = get_foreign_data_wrapper_oid("gepa_lm", true);
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, ForeignServerOidIndexId, true, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
		ForeignServer *server = GetForeignServerExtended(form->oid, FSV_MISSING_OK);

		if (form->srvfdw == wrapper && server != NULL)
			share_server(server);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/*
 * Moving
 */

/* Options as the command at work has written them. */
static List *
new_options(Oid serverid)
{
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Datum		datum = (Datum) 0;
	bool		isnull = true;
	List	   *options = NIL;

	ScanKeyInit(&key, Anum_pg_foreign_server_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(serverid));
	scan = systable_beginscan(rel, ForeignServerOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		datum = heap_getattr(tuple, Anum_pg_foreign_server_srvoptions,
							 RelationGetDescr(rel), &isnull);
	if (!isnull)
		options = untransformRelOptions(datum);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return options;
}

/* True if the mapping had a key. */
static bool
drop_key(Relation rel, HeapTuple tuple)
{
	Datum		values[Natts_pg_user_mapping] = {0};
	bool		nulls[Natts_pg_user_mapping] = {false};
	bool		replaces[Natts_pg_user_mapping] = {false};
	DefElem    *drop = makeDefElemExtended(NULL, "api_key", NULL, DEFELEM_DROP, -1);
	int			column = Anum_pg_user_mapping_umoptions - 1;
	bool		isnull;
	Datum		old = heap_getattr(tuple, column + 1, RelationGetDescr(rel), &isnull);
	HeapTuple	changed;

	if (isnull || gepa_lm_option(untransformRelOptions(old), "api_key") == NULL)
		return false;
	values[column] = transformGenericOptions(UserMappingRelationId, old, list_make1(drop),
											 InvalidOid);
	nulls[column] = values[column] == (Datum) 0;
	replaces[column] = true;
	changed = heap_modify_tuple(tuple, RelationGetDescr(rel), values, nulls, replaces);
	CatalogTupleUpdate(rel, &tuple->t_self, changed);
	InvokeObjectPostAlterHook(UserMappingRelationId,
							  ((Form_pg_user_mapping) GETSTRUCT(tuple))->oid, 0);
	return true;
}

static int
drop_keys(Oid serverid)
{
	Relation	rel = table_open(UserMappingRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int			n = 0;

	InvalidateCatalogSnapshot();
	ScanKeyInit(&key, Anum_pg_user_mapping_umserver, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(serverid));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		n += drop_key(rel, tuple) ? 1 : 0;
	systable_endscan(scan);
	table_close(rel, RowExclusiveLock);
	return n;
}

static void
server_altered(Oid serverid)
{
	ForeignServer *server = GetForeignServer(serverid);
	List	   *options;
	const char *moved;
	int			n;

	if (!gepa_lm_is_lm(server))
		return;
	options = new_options(serverid);
	if (!equal(server->options, options))
		gepa_lm_check_privileges(server->options);
	moved = moved_option(server->options, options);
	if (moved == NULL)
		return;
	LockDatabaseObject(ForeignServerRelationId, serverid, 0, AccessExclusiveLock);
	n = drop_keys(serverid);
	if (n > 0)
		ereport(WARNING,
				(errmsg_plural("dropped the key of %d user mapping of LM \"%s\"",
							   "dropped the keys of %d user mappings of LM \"%s\"",
							   n, n, server->servername),
				 errdetail("Its %s was changed, and a key is sent only to the endpoint that it was given for.",
						   moved),
				 errhint("Give each again with ALTER USER MAPPING ... OPTIONS (ADD api_key ...).")));
}

static void
object_accessed(ObjectAccessType access, Oid classid, Oid objectid, int subid, void *arg)
{
	if (next_access)
		next_access(access, classid, objectid, subid, arg);
	if (access == OAT_POST_ALTER && classid == ForeignServerRelationId)
		server_altered(objectid);
}

void
gepa_lm_moved_init(void)
{
	next_access = object_access_hook;
	object_access_hook = object_accessed;
}
