/*-------------------------------------------------------------------------
 *
 * watch.c
 *	  The triggers of a watched table: making and dropping.
 *
 * There are two: gepa_watch_JOB, AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW, and
 * gepa_watch_JOB_truncate.  A row trigger of a partitioned table is one of all its
 * partitions, those included that are attached later, and it fires whichever of
 * them a statement names; statement triggers with transition tables would do neither, and
 * keep a copy of every row that a COPY brings.  The truncate trigger, which cannot
 * be had for rows, is made on each partition that there is.
 *
 * Arguments of the row trigger say which columns matter: the job, the number of key
 * columns, these, and the columns that document and filter read.  An update that leaves
 * them alone queues nothing, so the job's own writes into a target column do not.
 * The row's other columns are not looked at, and no expression is evaluated: whoever
 * writes to the table runs no code of the job's owner.
 *
 * Making triggers takes the right TRIGGER, dropping them ownership of the table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "store/store_internal.h"

static StoreStatement select_watching = {
	.sql = "SELECT min(job) FROM gepa.job WHERE kind = 'watch' AND job <> $1"
	" AND status NOT IN ('cancelled', 'finished') AND owner = $2::regrole AND judge = $3"
	" AND source = $4 AND key = $5 AND document = $6 AND filter IS NOT DISTINCT FROM $7"
	" AND target_column IS NOT DISTINCT FROM $8 AND target_table IS NOT DISTINCT FROM $9"
};

/*
 * What matters
 */

static bool
is_key(const StoreJob *job, const char *column)
{
	for (int i = 0; i < job->nkeys; i++)
		if (strcmp(job->keys[i], column) == 0)
			return true;
	return false;
}

/*
 * The columns that document and filter read.  What reads the row as a whole, a
 * subquery, or a column that is computed of others, may read any.
 */
static List *
find_columns(const StoreJob *job, Relation rel)
{
	char	   *sql = psprintf("SELECT (%s\n), (%s\n) FROM %s", job->document,
							   job->filter ? job->filter : "true", job->source);
	const Query *query = gepa_store_analyze(sql);
	TupleDesc	desc = RelationGetDescr(rel);
	Bitmapset  *attributes = NULL;
	List	   *columns = NIL;
	bool		all = query->hasSubLinks;

	if (!all)
		attributes = gepa_store_columns_read((Node *) query->targetList);
	all = all || bms_is_member(0, attributes);
	for (int i = 0; i < desc->natts && !all; i++)
		all = TupleDescAttr(desc, i)->attgenerated != '\0' && bms_is_member(i + 1, attributes);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		char	   *name = NameStr(attribute->attname);
		bool		target = job->target_column != NULL && strcmp(job->target_column, name) == 0;

		if (attribute->attisdropped || is_key(job, name) || (target && query->hasSubLinks))
			continue;
		if (target && (bms_is_member(i + 1, attributes) || bms_is_member(0, attributes)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("document or filter reads the target column \"%s\"", name),
					 errdetail("Each verdict would change what was judged."),
					 errhint("Name the columns of the document one by one, or let a verdict table be the target.")));
		if (!target && (all || bms_is_member(i + 1, attributes)))
			columns = lappend(columns, pstrdup(name));
	}
	return columns;
}

/*
 * Making
 */

static void
check_kind(const StoreJob *job, Relation rel)
{
	char		relkind = rel->rd_rel->relkind;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is no table and cannot be watched", job->source),
				 errhint("Watch the table behind it, or start gepa.judge_table() every so often: it judges what is new.")));
	if (relkind == RELKIND_RELATION && has_subclass(RelationGetRelid(rel)) &&
		list_length(find_inheritance_children(RelationGetRelid(rel), AccessShareLock)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s has tables that inherit from it, whose rows cannot be watched with its own",
						job->source),
				 errhint("Use partitions, or start gepa.judge_table() every so often: it judges what is new.")));
}

static void
execute(const char *sql)
{
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not change a trigger");
}

static void
create_row_trigger(const StoreJob *job, const List *columns)
{
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TRIGGER gepa_watch_%d AFTER INSERT OR UPDATE OR DELETE ON %s"
					 " FOR EACH ROW EXECUTE FUNCTION gepa.watch_row('%d', '%d'", job->job,
					 job->source, job->job, job->nkeys);
	for (int i = 0; i < job->nkeys; i++)
		appendStringInfo(&sql, ", %s", quote_literal_cstr(job->keys[i]));
	foreach(cell, columns)
		appendStringInfo(&sql, ", %s", quote_literal_cstr(lfirst(cell)));
	appendStringInfoChar(&sql, ')');
	execute(sql.data);
}

/* Foreign tables have no such trigger before PostgreSQL 16, and need none. */
static void
create_truncate_triggers(const StoreJob *job, Oid relid)
{
	List	   *relids = find_all_inheritors(relid, AccessShareLock, NULL);
	ListCell   *cell;

	foreach(cell, relids)
	{
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_FOREIGN_TABLE)
			continue;
		execute(psprintf("CREATE TRIGGER gepa_watch_%d_truncate AFTER TRUNCATE ON %s"
						 " FOR EACH STATEMENT EXECUTE FUNCTION gepa.watch_truncate('%d')",
						 job->job, gepa_store_relation_name(lfirst_oid(cell)), job->job));
	}
}

/* The triggers keep two sessions from doing this at a time. */
static void
check_is_first(const StoreJob *job)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			other;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, job->job);
	gepa_store_arg_oid(&args, job->owner);
	gepa_store_arg_int(&args, job->judge);
	gepa_store_arg_text(&args, job->source);
	gepa_store_arg_texts(&args, job->nkeys, job->keys);
	gepa_store_arg_text(&args, job->document);
	gepa_store_arg_text(&args, job->filter);
	gepa_store_arg_text(&args, job->target_column);
	gepa_store_arg_text(&args, job->target_table);
	gepa_store_run(&scope, &select_watching, &args);
	other = gepa_store_int(0, 1, 0);
	if (other != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("job %d watches %s for judge \"%s\" already", other, job->source,
						job->judge_name),
				 errhint("Resume it if it is paused or failed; SELECT gepa.unwatch_table(%d) ends it.",
						 other)));
	gepa_store_leave(&scope);
}

static void
check_delete(const StoreJob *job)
{
	if (SPI_execute(psprintf("DELETE FROM %s WHERE false", job->target_table), false, 0) !=
		SPI_OK_DELETE)
		elog(ERROR, "could not delete from %s", job->target_table);
}

void
gepa_store_create_watch(const StoreJob *job)
{
	StoreScope	scope;
	Oid			relid;
	Relation	rel;

	gepa_store_enter_as(&scope, STORE_VIEW_WRITE, GetUserId(), job->search_path);
	relid = gepa_store_find_relation(job->source, ShareRowExclusiveLock);
	rel = table_open(relid, NoLock);
	check_kind(job, rel);
	if (job->target_table != NULL)
		check_delete(job);
	create_row_trigger(job, find_columns(job, rel));
	create_truncate_triggers(job, relid);
	table_close(rel, NoLock);
	gepa_store_leave(&scope);
	check_is_first(job);
}

/*
 * Dropping
 */

bool
gepa_store_drop_watch(const StoreJob *job)
{
	StoreScope	scope;
	char	   *sql;
	char	  **statements;
	bool		all = true;
	int			n = 0;

	gepa_store_enter_as(&scope, STORE_VIEW_WRITE, GetUserId(), "pg_catalog, pg_temp");
	sql = psprintf("SELECT pg_catalog.format('DROP TRIGGER %%I ON %%s', t.tgname,"
				   " t.tgrelid::pg_catalog.regclass), pg_catalog.pg_has_role(c.relowner, 'USAGE')"
				   " FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid"
				   " WHERE t.tgname IN ('gepa_watch_%d', 'gepa_watch_%d_truncate')"
				   " AND t.tgparentid = 0 AND t.tgfoid IN ('gepa.watch_row'::pg_catalog.regproc,"
				   " 'gepa.watch_truncate'::pg_catalog.regproc)", job->job, job->job);
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for triggers");
	statements = palloc(sizeof(char *) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		if (gepa_store_bool(i, 2))
			statements[n++] = gepa_store_text(&scope, i, 1);
		all = all && gepa_store_bool(i, 2);
	}
	for (int i = 0; i < n; i++)
		execute(statements[i]);
	gepa_store_leave(&scope);
	return all;
}
