/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The one place that knows how to run a statement on gepa's tables.
 *
 * Callers have no rights on the tables.  A scope switches to the extension's
 * owner, as referential integrity triggers switch to the table's owner, and
 * pins search_path, so that no object of the caller can be picked up in place
 * of ours.  All statements are constants of this folder, but for the names of
 * partitions (partitions.c); values travel as parameters only.  Reading a
 * dataset is the exception: it enters a scope as the dataset's owner, under the
 * search_path that owner gave.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/store_internal.h"

/* NULL as snapshot: as catalogs are read. */
static Oid
find_extension(Snapshot snapshot, Oid *owner)
{
	Oid			extension = InvalidOid;
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	*owner = InvalidOid;
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("gepa"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		extension = ((Form_pg_extension) GETSTRUCT(tuple))->oid;
		*owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return extension;
}

Oid
gepa_store_extension(Oid *owner)
{
	return find_extension(NULL, owner);
}

/* Prepared transactions count as well. */
bool
gepa_store_extension_is_coming(void)
{
	SnapshotData dirty;
	Oid			owner;

	InitDirtySnapshot(dirty);
	return OidIsValid(find_extension(&dirty, &owner));
}

Oid
gepa_store_extension_owner(void)
{
	Oid			owner;

	(void) gepa_store_extension(&owner);
	return owner;
}

void
gepa_store_check_owner(const char *kind, const char *name, Oid owner, Oid userid)
{
	if (has_privs_of_role(userid, owner))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("must be owner of %s \"%s\"", kind, name),
			 errhint("Its owner, a member of that role, or a superuser may do this.")));
}

/*
 * Scopes
 */

static void
enter_snapshot(StoreScope *scope, StoreView view)
{
	scope->read_only = (view != STORE_VIEW_WRITE);
	scope->pushed_snapshot = false;

	/* GetLatestSnapshot() is refused while parallel workers are at work. */
	if (view == STORE_VIEW_LATEST && !IsInParallelMode())
	{
		PushActiveSnapshot(GetLatestSnapshot());
		scope->pushed_snapshot = true;
	}
	else if (!ActiveSnapshotSet())
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		scope->pushed_snapshot = true;
	}
}

void
gepa_store_enter_as(StoreScope *scope, StoreView view, Oid userid,
					const char *search_path)
{
	scope->caller = CurrentMemoryContext;
	GetUserIdAndSecContext(&scope->save_userid, &scope->save_sec_context);
	SetUserIdAndSecContext(userid,
						   scope->save_sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	scope->guc_nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", search_path,
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	enter_snapshot(scope, view);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

Oid
gepa_store_check_extension(void)
{
	Oid			owner;
	Oid			extension = gepa_store_extension(&owner);

	if (!OidIsValid(extension))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"gepa\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION gepa.")));
	gepa_store_note_extension(extension);
	return owner;
}

void
gepa_store_enter(StoreScope *scope, StoreView view)
{
	gepa_store_enter_as(scope, view, gepa_store_check_extension(), "pg_catalog, pg_temp");
}

void
gepa_store_leave(StoreScope *scope)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	if (scope->pushed_snapshot)
		PopActiveSnapshot();
	AtEOXact_GUC(true, scope->guc_nestlevel);
	SetUserIdAndSecContext(scope->save_userid, scope->save_sec_context);
	MemoryContextSwitchTo(scope->caller);
}

/*
 * Arguments
 */

static void
add_arg(StoreArgs *args, Oid type, Datum value, bool isnull)
{
	Assert(args->n < STORE_MAX_ARGS);
	args->types[args->n] = type;
	args->values[args->n] = value;
	args->nulls[args->n] = isnull ? 'n' : ' ';
	args->n++;
}

void
gepa_store_arg_bool(StoreArgs *args, bool value)
{
	add_arg(args, BOOLOID, BoolGetDatum(value), false);
}

void
gepa_store_arg_int(StoreArgs *args, int value)
{
	add_arg(args, INT4OID, Int32GetDatum(value), false);
}

void
gepa_store_arg_int_or_null(StoreArgs *args, int value, int null_value)
{
	add_arg(args, INT4OID, Int32GetDatum(value), value == null_value);
}

void
gepa_store_arg_bigint(StoreArgs *args, int64 value)
{
	add_arg(args, INT8OID, Int64GetDatum(value), false);
}

void
gepa_store_arg_oid(StoreArgs *args, Oid value)
{
	add_arg(args, OIDOID, ObjectIdGetDatum(value), false);
}

void
gepa_store_arg_double(StoreArgs *args, double value)
{
	add_arg(args, FLOAT8OID, Float8GetDatum(value), false);
}

/* DT_NOBEGIN is SQL NULL. */
void
gepa_store_arg_timestamp(StoreArgs *args, TimestampTz value)
{
	add_arg(args, TIMESTAMPTZOID, TimestampTzGetDatum(value), TIMESTAMP_IS_NOBEGIN(value));
}

void
gepa_store_arg_interval(StoreArgs *args, const Interval *value)
{
	add_arg(args, INTERVALOID, PointerGetDatum(value), value == NULL);
}

void
gepa_store_arg_text(StoreArgs *args, const char *value)
{
	add_arg(args, TEXTOID, value ? CStringGetTextDatum(value) : (Datum) 0,
			value == NULL);
}

Datum
gepa_store_bytes_datum(const uint8 *value, int length)
{
	bytea	   *bytes = palloc(VARHDRSZ + length);

	SET_VARSIZE(bytes, VARHDRSZ + length);
	memcpy(VARDATA(bytes), value, length);
	return PointerGetDatum(bytes);
}

void
gepa_store_arg_bytes(StoreArgs *args, const uint8 *value, int length)
{
	add_arg(args, BYTEAOID, gepa_store_bytes_datum(value, length), false);
}

void
gepa_store_arg_array(StoreArgs *args, Oid type, int n, Datum *elems, bool *nulls)
{
	int			lower_bound = 1;
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	add_arg(args, get_array_type(type),
			PointerGetDatum(construct_md_array(elems, nulls, 1, &n, &lower_bound, type, length,
											   by_value, align)), false);
}

void
gepa_store_arg_texts(StoreArgs *args, int n, char *const *values)
{
	Datum	   *elems = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elems[i] = CStringGetTextDatum(values[i]);
	gepa_store_arg_array(args, TEXTOID, n, elems, NULL);
}

void
gepa_store_arg_ints(StoreArgs *args, int n, const int *values)
{
	Datum	   *elems = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elems[i] = Int32GetDatum(values[i]);
	gepa_store_arg_array(args, INT4OID, n, elems, NULL);
}

void
gepa_store_arg_doubles(StoreArgs *args, int n, const double *values)
{
	Datum	   *elems = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elems[i] = Float8GetDatum(values[i]);
	gepa_store_arg_array(args, FLOAT8OID, n, elems, NULL);
}

/*
 * Statements
 */

SPIPlanPtr
gepa_store_plan(const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	return plan;
}

static void
prepare(StoreStatement *statement, StoreArgs *args)
{
	SPIPlanPtr	plan = gepa_store_plan(statement->sql, args->n, args->types);

	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	statement->plan = plan;
}

uint64
gepa_store_run(StoreScope *scope, StoreStatement *statement, StoreArgs *args)
{
	int			result;

	if (statement->plan == NULL)
		prepare(statement, args);
	args->nulls[args->n] = '\0';
	result = SPI_execute_plan(statement->plan, args->values, args->nulls,
							  scope->read_only, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * Results
 */

static Datum
fetch(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

static Datum
fetch_not_null(uint64 row, int column)
{
	bool		isnull;
	Datum		value = fetch(row, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d of a catalog row", column);
	return value;
}

bool
gepa_store_bool(uint64 row, int column)
{
	return DatumGetBool(fetch_not_null(row, column));
}

int
gepa_store_int(uint64 row, int column, int if_null)
{
	bool		isnull;
	Datum		value = fetch(row, column, &isnull);

	return isnull ? if_null : DatumGetInt32(value);
}

int64
gepa_store_bigint(uint64 row, int column)
{
	return DatumGetInt64(fetch_not_null(row, column));
}

Oid
gepa_store_oid(uint64 row, int column)
{
	return DatumGetObjectId(fetch_not_null(row, column));
}

double
gepa_store_double(uint64 row, int column)
{
	return DatumGetFloat8(fetch_not_null(row, column));
}

TimestampTz
gepa_store_timestamp(uint64 row, int column)
{
	bool		isnull;
	Datum		value = fetch(row, column, &isnull);

	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
}

Interval *
gepa_store_interval(StoreScope *scope, uint64 row, int column)
{
	bool		isnull;
	Datum		value = fetch(row, column, &isnull);
	Interval   *result;

	if (isnull)
		return NULL;
	result = MemoryContextAlloc(scope->caller, sizeof(Interval));
	*result = *DatumGetIntervalP(value);
	return result;
}

char *
gepa_store_text(StoreScope *scope, uint64 row, int column)
{
	bool		isnull;
	Datum		value = fetch(row, column, &isnull);
	MemoryContext old;
	char	   *result;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(scope->caller);
	result = TextDatumGetCString(value);
	MemoryContextSwitchTo(old);
	return result;
}

Datum
gepa_store_jsonb(StoreScope *scope, uint64 row, int column)
{
	MemoryContext old = MemoryContextSwitchTo(scope->caller);
	Datum		result = PointerGetDatum(PG_DETOAST_DATUM_COPY(fetch_not_null(row, column)));

	MemoryContextSwitchTo(old);
	return result;
}

void
gepa_store_digest(uint64 row, int column, uint8 *digest, int length)
{
	bytea	   *bytes = DatumGetByteaPP(fetch_not_null(row, column));

	if (VARSIZE_ANY_EXHDR(bytes) != length)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("catalog of gepa holds a digest of the wrong length"),
				 errhint("Restore the gepa tables from a backup.")));
	memcpy(digest, VARDATA_ANY(bytes), length);
}

char **
gepa_store_texts(StoreScope *scope, uint64 row, int column, int *n)
{
	MemoryContext old = MemoryContextSwitchTo(scope->caller);
	Datum	   *elems;
	char	  **texts;

	deconstruct_array(DatumGetArrayTypeP(fetch_not_null(row, column)), TEXTOID,
					  -1, false, TYPALIGN_INT, &elems, NULL, n);
	texts = palloc(sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		texts[i] = TextDatumGetCString(elems[i]);
	MemoryContextSwitchTo(old);
	return texts;
}

int *
gepa_store_ints(StoreScope *scope, uint64 row, int column, int *n)
{
	MemoryContext old = MemoryContextSwitchTo(scope->caller);
	Datum	   *elems;
	int		   *values;

	deconstruct_array(DatumGetArrayTypeP(fetch_not_null(row, column)), INT4OID,
					  4, true, TYPALIGN_INT, &elems, NULL, n);
	values = palloc(sizeof(int) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		values[i] = DatumGetInt32(elems[i]);
	MemoryContextSwitchTo(old);
	return values;
}
