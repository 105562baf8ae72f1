/*-------------------------------------------------------------------------
 *
 * moved.c
 *	  A server that moves loses the keys of its user mappings.
 *
 * Who owns a server may change its base_url, and need not be allowed to read
 * the keys that others have put into their mappings.  A key was given for the
 * endpoint that stood there at the time, so it goes when the endpoint changes,
 * and has to be given again.  For everybody alike, superusers included: whether
 * a key is still there must not depend on who made the change.
 *
 * The hook runs inside ALTER SERVER, after its row was written and before the
 * command counter moves: the catalog's snapshot has the old row, SnapshotSelf
 * the new one.  The validator has loaded this library by then, so nothing has to
 * be preloaded.  What is done belongs to the transaction.  Readers read the server
 * first and the mapping by a later snapshot (server.c), so that they never
 * see the new base_url beside the old key.
 *
 * Known hole: a mapping that another transaction creates meanwhile keeps its
 * key, as if it had been created a moment later.
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
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "lm/lm_internal.h"

static object_access_hook_type next_access;

static char *
option_of(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *def = lfirst(cell);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

/* base_url as the command at work has written it; NULL for none. */
static char *
new_base_url(Oid serverid)
{
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Datum		options = (Datum) 0;
	bool		isnull = true;
	char	   *url = NULL;

	ScanKeyInit(&key, Anum_pg_foreign_server_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(serverid));
	scan = systable_beginscan(rel, ForeignServerOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		options = heap_getattr(tuple, Anum_pg_foreign_server_srvoptions,
							   RelationGetDescr(rel), &isnull);
	if (!isnull)
		url = option_of(untransformRelOptions(options), "base_url");
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return url;
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

	if (isnull || option_of(untransformRelOptions(old), "api_key") == NULL)
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
	char	   *old_url;
	char	   *new_url;
	int			n;

	if (!gepa_lm_is_lm(server))
		return;
	old_url = option_of(server->options, "base_url");
	new_url = new_base_url(serverid);
	if (old_url == new_url || (old_url && new_url && strcmp(old_url, new_url) == 0))
		return;
	n = drop_keys(serverid);
	if (n > 0)
		ereport(WARNING,
				(errmsg_plural("dropped the key of %d user mapping of LM \"%s\"",
							   "dropped the keys of %d user mappings of LM \"%s\"",
							   n, n, server->servername),
				 errdetail("Its base_url was changed, and a key is sent only to the endpoint that it was given for."),
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
