/*-------------------------------------------------------------------------
 *
 * prune.c
 *	  Deleting verdicts: of a judge that is dropped, and of old versions.
 *
 * A judge's verdicts come in groups: one per digest of its versions, and one
 * of what has no version, the candidates that were measured and not deployed.
 * A group that goes as a whole and has a partition is emptied by TRUNCATE, which
 * takes as long for a million rows as for one, and is undone by a rollback as
 * everything else; the writer drops the empty table (partitions.c).  Until the
 * transaction ends look-ups in that partition wait, those in others do not.  In
 * the default partition rows are deleted.
 *
 * All tables are locked before any is changed, in the order in which others lock
 * them, so that nobody who reads or analyzes all of them is in a deadlock with a
 * deletion.
 *
 * A digest that another judge has as well is kept by the rule on versions, and
 * when the judge is dropped its rows go to the other one.
 *
 * Known hole: what is on its way to the table arrives after a deletion.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"

#include "store/store_internal.h"

/* Instead of a number of versions. */
#define KEEP_ALL (-1)
#define KEEP_NONE (-2)

typedef struct VerdictGroup
{
	uint8		verdict_digest[JUDGE_DIGEST_LENGTH];
	int			version;		/* newest of the digest */
	bool		kept;			/* by the rule on versions */
	int			heir;			/* another judge with this digest, 0 = none */
	int			heir_version;
} VerdictGroup;

typedef struct Rules
{
	int			judge;
	int			keep;			/* newest versions */
	const Interval *older_than; /* NULL = whatever their age */
} Rules;

static StoreStatement lock_judge = {
	.sql = "SELECT 1 FROM gepa.judge WHERE judge = $1 FOR UPDATE"
};

static StoreStatement select_groups = {
	.sql = "SELECT v.verdict_digest, max(v.version), pg_catalog.bool_or(v.kept),"
	" max(o.judge), max(o.version)"
	" FROM (SELECT w.verdict_digest, w.version, CASE $2 WHEN -1 THEN true WHEN -2 THEN false"
	" ELSE w.version = j.current_version"
	" OR pg_catalog.row_number() OVER (ORDER BY w.version DESC) <= $2 END AS kept"
	" FROM gepa.judge j JOIN gepa.judge_version w ON w.judge = j.judge"
	" WHERE j.judge = $1) v"
	" LEFT JOIN LATERAL (SELECT o.judge, o.version FROM gepa.judge_version o"
	" WHERE o.verdict_digest = v.verdict_digest AND o.judge <> $1"
	" ORDER BY o.judge, o.version LIMIT 1) o ON true"
	" GROUP BY v.verdict_digest ORDER BY v.verdict_digest"
};

#define HAS_NO_VERSION \
	" AND NOT EXISTS (SELECT FROM gepa.judge_version v WHERE v.verdict_digest = d.verdict_digest)"
#define IS_OLD(column) \
	" AND ($2 IS NULL OR d." column " < pg_catalog.now() - $2)"

static StoreStatement delete_candidates = {
	.sql = "DELETE FROM gepa.verdict_default d WHERE d.judge = $1"
	IS_OLD("created_at") HAS_NO_VERSION
};

static StoreStatement delete_candidate_errors = {
	.sql = "DELETE FROM gepa.verdict_error d WHERE d.judge = $1"
	IS_OLD("last_at") HAS_NO_VERSION
};

static StoreStatement delete_errors = {
	.sql = "DELETE FROM gepa.verdict_error d WHERE d.judge = $1"
	IS_OLD("last_at") " AND d.verdict_digest = $3"
};

static StoreStatement delete_all_errors = {
	.sql = "DELETE FROM gepa.verdict_error WHERE judge = $1"
};

static VerdictGroup *
get_groups(StoreScope *scope, const Rules *rules, int *n)
{
	StoreArgs	args = {0};
	VerdictGroup *groups;

	gepa_store_arg_int(&args, rules->judge);
	gepa_store_arg_int(&args, rules->keep);
	*n = (int) gepa_store_run(scope, &select_groups, &args);
	groups = palloc(sizeof(VerdictGroup) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		gepa_store_digest(i, 1, groups[i].verdict_digest, JUDGE_DIGEST_LENGTH);
		groups[i].version = gepa_store_int(i, 2, 0);
		groups[i].kept = gepa_store_bool(i, 3);
		groups[i].heir = gepa_store_int(i, 4, 0);
		groups[i].heir_version = gepa_store_int(i, 5, 0);
	}
	return groups;
}

static void
arg_rules(StoreArgs *args, const Rules *rules, const uint8 *verdict_digest)
{
	gepa_store_arg_int(args, rules->judge);
	gepa_store_arg_interval(args, rules->older_than);
	if (verdict_digest != NULL)
		gepa_store_arg_bytes(args, verdict_digest, JUDGE_DIGEST_LENGTH);
}

/* Not while a query of this session is reading it. */
static bool
can_be_emptied(Relation rel)
{
	return !gepa_store_is_default_partition(rel) && rel->rd_refcnt == 1 &&
		RelationGetNumberOfBlocks(rel) > 0;
}

/* What another judge does not use goes by the rule on versions, else by age. */
static bool
goes_as_a_whole(const VerdictGroup *group)
{
	return !group->kept && group->heir == 0;
}

static void
lock_groups(const Rules *rules, const VerdictGroup *groups, int n)
{
	StorePartitionLock *locks = palloc(sizeof(StorePartitionLock) * (n + 1));
	bool		rows = rules->older_than != NULL || rules->keep == KEEP_NONE;
	int			nlocks = 0;

	for (int i = 0; i < n; i++)
	{
		bool		all = goes_as_a_whole(&groups[i]);

		if (!all && !rows)
			continue;
		locks[nlocks].verdict_digest = groups[i].verdict_digest;
		locks[nlocks++].mode = all ? AccessExclusiveLock : RowExclusiveLock;
	}
	locks[nlocks].verdict_digest = NULL;
	locks[nlocks++].mode = RowExclusiveLock;
	gepa_store_lock_partitions(locks, nlocks);
	pfree(locks);
}

/*
 * Locked already, until the transaction ends; TRUNCATE wants nobody to have the
 * table open.
 */
static Oid
find_partition(const VerdictGroup *group, LOCKMODE lockmode, bool *can_empty)
{
	Relation	rel = gepa_store_open_partition(group->verdict_digest, lockmode);
	Oid			partition = RelationGetRelid(rel);

	if (can_empty != NULL)
		*can_empty = can_be_emptied(rel);
	table_close(rel, NoLock);
	return partition;
}

/* All verdicts of a digest, whoever paid. */
static void
empty_group(StoreScope *scope, const VerdictGroup *group, StorePruned *pruned)
{
	Oid			partition = find_partition(group, AccessExclusiveLock, &pruned->emptied);
	StoreArgs	args = {0};

	if (pruned->emptied)
	{
		pruned->verdicts = DatumGetInt64(DirectFunctionCall1(pg_stat_get_live_tuples,
															 ObjectIdGetDatum(partition)));
		gepa_store_run_on(scope, partition, "TRUNCATE %s", &args);
		return;
	}
	gepa_store_arg_bytes(&args, group->verdict_digest, JUDGE_DIGEST_LENGTH);
	pruned->verdicts = gepa_store_run_on(scope, partition,
										 "DELETE FROM %s WHERE verdict_digest = $1", &args);
}

static void
delete_old(StoreScope *scope, const Rules *rules, const VerdictGroup *group, StorePruned *pruned)
{
	Oid			partition = find_partition(group, RowExclusiveLock, NULL);
	StoreArgs	args = {0};

	arg_rules(&args, rules, group->verdict_digest);
	pruned->verdicts = gepa_store_run_on(scope, partition, "DELETE FROM %s d WHERE d.judge = $1"
										 IS_OLD("created_at") " AND d.verdict_digest = $3",
										 &args);
}

static void
prune_group(StoreScope *scope, const Rules *rules, const VerdictGroup *group,
			StorePruned *pruned)
{
	bool		all = goes_as_a_whole(group);
	Rules		applied = {rules->judge, rules->keep, all ? NULL : rules->older_than};
	StoreArgs	args = {0};

	pruned->version = group->version;
	if (all)
		empty_group(scope, group, pruned);
	else if (rules->older_than != NULL)
		delete_old(scope, rules, group, pruned);
	else
		return;
	arg_rules(&args, &applied, group->verdict_digest);
	pruned->errors = gepa_store_run(scope, &delete_errors, &args);
}

/* A candidate is no version, so the rule on versions keeps none. */
static void
prune_candidates(StoreScope *scope, const Rules *rules, StorePruned *pruned)
{
	Rules		applied = {rules->judge, rules->keep, rules->older_than};
	StoreArgs	args = {0};
	StoreArgs	error_args = {0};

	if (rules->keep != KEEP_ALL)
		applied.older_than = NULL;
	arg_rules(&args, &applied, NULL);
	pruned->verdicts = gepa_store_run(scope, &delete_candidates, &args);
	arg_rules(&error_args, &applied, NULL);
	pruned->errors = gepa_store_run(scope, &delete_candidate_errors, &error_args);
}

StorePruned *
gepa_store_prune_verdicts(int judge, int keep, const Interval *older_than, int *n)
{
	StoreScope	scope;
	Rules		rules = {judge, keep, older_than};
	VerdictGroup *groups;
	StorePruned *pruned;
	int			ngroups;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_run_by_number(&scope, &lock_judge, judge);
	groups = get_groups(&scope, &rules, &ngroups);
	lock_groups(&rules, groups, ngroups);
	pruned = MemoryContextAllocZero(scope.caller, sizeof(StorePruned) * (ngroups + 1));
	for (int i = 0; i < ngroups; i++)
		prune_group(&scope, &rules, &groups[i], &pruned[i]);
	prune_candidates(&scope, &rules, &pruned[ngroups]);
	gepa_store_leave(&scope);
	gepa_store_forget_known();
	*n = ngroups + 1;
	return pruned;
}

/*
 * Dropping
 */

static void
bequeath(StoreScope *scope, int judge, const VerdictGroup *group)
{
	Oid			partition = find_partition(group, RowExclusiveLock, NULL);
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, judge);
	gepa_store_arg_bytes(&args, group->verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_int(&args, group->heir);
	gepa_store_arg_int(&args, group->heir_version);
	gepa_store_run_on(scope, partition, "UPDATE %s SET judge = $3, version = $4"
					  " WHERE judge = $1 AND verdict_digest = $2", &args);
}

void
gepa_store_drop_verdicts(int judge)
{
	StoreScope	scope;
	Rules		rules = {judge, KEEP_NONE, NULL};
	StorePruned pruned;
	VerdictGroup *groups;
	int			n;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_run_by_number(&scope, &lock_judge, judge);
	groups = get_groups(&scope, &rules, &n);
	lock_groups(&rules, groups, n);
	for (int i = 0; i < n; i++)
	{
		if (groups[i].heir != 0)
			bequeath(&scope, judge, &groups[i]);
		else
			empty_group(&scope, &groups[i], &pruned);
	}
	prune_candidates(&scope, &rules, &pruned);
	gepa_store_run_by_number(&scope, &delete_all_errors, judge);
	gepa_store_leave(&scope);
}
