/*-------------------------------------------------------------------------
 *
 * partitions.c
 *	  The partitions of gepa.verdict: which there are, making and dropping them.
 *
 * A version that is deployed gets a partition for its verdicts, so that they
 * can be deleted at once however many they are (prune.c).  Everything else is
 * in the default partition: verdicts of candidates that are not deployed, of
 * versions that have not committed, or never did, and of servers where no
 * writer runs.  Versions that differ only in their threshold share a digest,
 * and so a partition.
 *
 * Partitions are made and dropped by the verdict writer only, which is one per
 * database, in a transaction for each: no query has to, and none can leave it
 * half done.  Both take ACCESS EXCLUSIVE on the parent; ATTACH PARTITION could
 * do with less, but a query that knows the old list of partitions and reads the
 * default one later would miss the rows that are moved.  The writer waits for a
 * lock as shortly as for any (writer.c), and tries again later.  Everybody else
 * waits while rows are moved and the default partition is searched for others,
 * so it is not done where that is much (MOVE_ROWS, CHECK_BYTES).
 *
 * A look-up locks a partition only while it looks; so it delays the writer, and
 * is delayed, by no more than one small transaction.  Which partition that is
 * cannot change between finding it and locking it, as the parent is locked
 * meanwhile.  To lock the parent again once the partition is locked would be a
 * deadlock with whoever locks the two in the usual order.
 *
 * They are not members of the extension, which pg_dump would take for tables
 * that CREATE EXTENSION makes.  They go with their parent.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "store/store_internal.h"

#define MOVE_ROWS 20000
#define CHECK_BYTES (256 * 1024 * 1024)

/* A version with verdicts in the default partition, which are not too many. */
static StoreStatement find_unparted = {
	.sql = "SELECT v.verdict_digest, v.judge, v.version"
	" FROM (SELECT DISTINCT ON (verdict_digest) verdict_digest, judge, version"
	" FROM gepa.judge_version ORDER BY verdict_digest, judge, version) v,"
	" LATERAL (SELECT count(*) AS n FROM (SELECT FROM gepa.verdict_default d"
	" WHERE d.verdict_digest = v.verdict_digest LIMIT $1 + 1) r) c"
	" WHERE c.n BETWEEN 1 AND $1 LIMIT 1"
};

static StoreStatement find_grantees = {
	.sql = "SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'"
	" ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END"
	" FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a"
	" WHERE c.oid = $1 AND a.grantee <> c.relowner"
};

Oid
gepa_store_relation(const char *name)
{
	Oid			schema = get_namespace_oid("gepa", false);
	Oid			relation = get_relname_relid(name, schema);

	if (!OidIsValid(relation))
		elog(ERROR, "relation gepa.%s does not exist", name);
	return relation;
}

/*
 * Finding
 */

/*
 * The table for a digest: the default one where it has none, or is NULL.  There single
 * rows are written, whatever is asked for, so it is locked for that at most.
 */
static Oid
find_partition(Relation parent, const uint8 *verdict_digest, LOCKMODE *lockmode)
{
	PartitionKey key = RelationGetPartitionKey(parent);
	PartitionDesc partitions = RelationGetPartitionDesc(parent, true);
	PartitionBoundInfo bounds = partitions->boundinfo;
	int			index = -1;

	if (bounds == NULL || bounds->default_index < 0)
		elog(ERROR, "gepa.verdict has no default partition");
	if (verdict_digest != NULL)
	{
		Datum		value = gepa_store_bytes_datum(verdict_digest, JUDGE_DIGEST_LENGTH);
		bool		equal = false;
		int			offset = partition_list_bsearch(key->partsupfunc, key->partcollation,
													bounds, value, &equal);

		if (offset >= 0 && equal)
			index = bounds->indexes[offset];
		pfree(DatumGetPointer(value));
	}
	if (index < 0)
	{
		index = bounds->default_index;
		*lockmode = Min(*lockmode, RowExclusiveLock);
	}
	return partitions->oids[index];
}

bool
gepa_store_is_default_partition(Relation rel)
{
	return RelationGetRelid(rel) == get_default_partition_oid(gepa_store_relation("verdict"));
}

Relation
gepa_store_open_partition(const uint8 *verdict_digest, LOCKMODE lockmode)
{
	Relation	parent = table_open(gepa_store_relation("verdict"), AccessShareLock);
	Oid			partition = find_partition(parent, verdict_digest, &lockmode);
	Relation	rel = table_open(partition, lockmode);

	table_close(parent, AccessShareLock);
	return rel;
}

static int
compare_locks(const void *a, const void *b)
{
	Oid			left = ((const StorePartitionLock *) a)->partition;
	Oid			right = ((const StorePartitionLock *) b)->partition;

	return (left > right) - (left < right);
}

/*
 * In the order in which ANALYZE, LOCK TABLE and every query on gepa.verdict lock:
 * the parent, then its partitions by OID.
 */
void
gepa_store_lock_partitions(StorePartitionLock *locks, int n)
{
	Relation	parent = table_open(gepa_store_relation("verdict"), AccessShareLock);

	for (int i = 0; i < n; i++)
		locks[i].partition = find_partition(parent, locks[i].verdict_digest, &locks[i].mode);
	table_close(parent, NoLock);
	qsort(locks, n, sizeof(StorePartitionLock), compare_locks);
	for (int i = 0; i < n; i++)
		LockRelationOid(locks[i].partition, locks[i].mode);
}

/*
 * Statements on tables whose names are not known beforehand
 */

static char *
qualified_name(Oid relation)
{
	return quote_qualified_identifier("gepa", get_rel_name(relation));
}

static void
execute(const char *sql)
{
	int			result = SPI_execute(sql, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
}

uint64
gepa_store_run_on(StoreScope *scope, Oid partition, const char *format, StoreArgs *args)
{
	char	   *sql = psprintf(format, qualified_name(partition));
	int			result;

	args->nulls[args->n] = '\0';
	result = SPI_execute_with_args(sql, args->n, args->types, args->values, args->nulls,
								   scope->read_only, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * Making one
 */

/* Somebody may have taken a name. */
static char *
choose_name(int judge, int version)
{
	Oid			schema = get_namespace_oid("gepa", false);
	char	   *name = psprintf("verdict_%d_%d", judge, version);

	for (int i = 1; OidIsValid(get_relname_relid(name, schema)); i++)
		name = psprintf("verdict_%d_%d_%d", judge, version, i);
	return name;
}

/* Default privileges of the owner may have granted some: nobody needs any. */
static void
revoke_all(StoreScope *scope, const char *table)
{
	StoreArgs	args = {0};
	char	  **grantees;
	int			n;

	gepa_store_arg_oid(&args, gepa_store_relation(table));
	n = (int) gepa_store_run(scope, &find_grantees, &args);
	grantees = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		grantees[i] = gepa_store_text(scope, i, 1);
	for (int i = 0; i < n; i++)
		execute(psprintf("REVOKE ALL ON gepa.%s FROM %s", table, grantees[i]));
}

/*
 * In the order in which look-ups lock.  The name needs no quotes.  All rows are of
 * one version, which its key need not say: a smaller index, and a third less to
 * compare.
 */
static void
make_partition(StoreScope *scope, const uint8 *verdict_digest, int judge, int version)
{
	char	   *name = choose_name(judge, version);
	char		hex[2 * JUDGE_DIGEST_LENGTH + 1];
	char	   *literal;

	hex[hex_encode((const char *) verdict_digest, JUDGE_DIGEST_LENGTH, hex)] = '\0';
	literal = quote_literal_cstr(psprintf("\\x%s", hex));
	execute("LOCK TABLE ONLY gepa.verdict IN ACCESS EXCLUSIVE MODE");
	execute("LOCK TABLE gepa.verdict_default IN ACCESS EXCLUSIVE MODE");
	execute(psprintf("CREATE TABLE gepa.%s (LIKE gepa.verdict_default INCLUDING ALL EXCLUDING INDEXES,"
					 " PRIMARY KEY (payer, digest))", name));
	execute(psprintf("COMMENT ON TABLE gepa.%s IS 'verdicts of judge %d, version %d'",
					 name, judge, version));
	revoke_all(scope, name);
	execute(psprintf("WITH moved AS (DELETE FROM gepa.verdict_default"
					 " WHERE verdict_digest = %s RETURNING *)"
					 " INSERT INTO gepa.%s SELECT * FROM moved", literal, name));
	execute(psprintf("ALTER TABLE gepa.verdict ATTACH PARTITION gepa.%s FOR VALUES IN (%s)",
					 name, literal));
}

static bool
default_is_small(void)
{
	Relation	rel = table_open(gepa_store_relation("verdict_default"), AccessShareLock);
	uint64		bytes = (uint64) RelationGetNumberOfBlocks(rel) * BLCKSZ;

	table_close(rel, AccessShareLock);
	return bytes <= CHECK_BYTES;
}

static bool
make_next(StoreScope *scope)
{
	StoreArgs	args = {0};
	uint8		digest[JUDGE_DIGEST_LENGTH];

	gepa_store_arg_int(&args, MOVE_ROWS);
	if (!default_is_small() || gepa_store_run(scope, &find_unparted, &args) == 0)
		return false;
	gepa_store_digest(0, 1, digest, JUDGE_DIGEST_LENGTH);
	make_partition(scope, digest, gepa_store_int(0, 2, 0), gepa_store_int(0, 3, 0));
	return true;
}

/*
 * Dropping one
 */

static bool
is_empty(Oid partition)
{
	Relation	rel = try_table_open(partition, NoLock);
	bool		empty = rel != NULL && RelationGetNumberOfBlocks(rel) == 0;

	if (rel != NULL)
		table_close(rel, NoLock);
	return empty;
}

/* One that somebody has locked is left for later. */
static Oid
find_empty(void)
{
	Relation	parent = table_open(gepa_store_relation("verdict"), AccessShareLock);
	PartitionDesc partitions = RelationGetPartitionDesc(parent, true);
	Oid			default_oid = get_default_partition_oid(RelationGetRelid(parent));
	Oid			found = InvalidOid;

	for (int i = 0; i < partitions->nparts && !OidIsValid(found); i++)
	{
		Oid			oid = partitions->oids[i];

		if (oid == default_oid || !ConditionalLockRelationOid(oid, AccessShareLock))
			continue;
		if (is_empty(oid))
			found = oid;
		UnlockRelationOid(oid, AccessShareLock);
	}
	table_close(parent, AccessShareLock);
	return found;
}

/* Locked in the order in which look-ups and DROP TABLE do. */
static bool
drop_next(void)
{
	Oid			partition = find_empty();

	if (!OidIsValid(partition))
		return false;
	LockRelationOid(gepa_store_relation("verdict"), AccessExclusiveLock);
	LockRelationOid(partition, AccessExclusiveLock);
	if (is_empty(partition))
		execute(psprintf("DROP TABLE %s", qualified_name(partition)));
	return true;
}

bool
gepa_store_tend_partitions(void)
{
	StoreScope	scope;
	bool		done;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	done = make_next(&scope) || drop_next();
	gepa_store_leave(&scope);
	return done;
}
