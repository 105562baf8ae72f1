/*-------------------------------------------------------------------------
 *
 * job_target.c
 *	  Where a corpus job writes verdicts besides the verdict store.
 *
 * A column of the source gets what its type can hold; a verdict table gets a
 * row per key, is joined to the source by the key, and is the user's own.  Both
 * are written with the rights of the job's owner.  A verdict table that is
 * missing is made when the job is; one that is there must have the columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "store/store_internal.h"

/* Columns of a verdict table beside the key. */
static const struct
{
	const char *name;
	Oid			type;
	const char *definition;
}			columns[] = {

	{"version", INT4OID, "int4 NOT NULL"},
	{"digest", BYTEAOID, "bytea NOT NULL"},
	{"label", TEXTOID, "text"},
	{"positive", BOOLOID, "bool"},
	{"score", FLOAT8OID, "float8"},
	{"status", TEXTOID, "text NOT NULL"},
	{"reasoning", TEXTOID, "text"},
	{"judged_at", TIMESTAMPTZOID, "timestamptz NOT NULL DEFAULT pg_catalog.now()"}
};

static void
refuse_privilege(const char *what, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for %s \"%s\"", what, name),
			 errhint("A job writes its target with the rights of its owner; grant them, or choose another target.")));
}

/*
 * A column of the source
 */

static void
check_not_read(const StoreSource *source, AttrNumber attnum, const char *column)
{
	if (bms_is_member(attnum, source->reads) || bms_is_member(0, source->reads))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the document reads the target column \"%s\"", column),
				 errdetail("Each verdict would change what was judged."),
				 errhint("Name the columns of the document one by one, or let a verdict table be the target.")));
}

/* Raises what a rule or a view has against it. */
static void
check_writable(const StoreSource *source, const char *column)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *sql = psprintf("UPDATE %s SET %s = NULL RETURNING 1", source->relation,
							   quote_identifier(column));

	(void) gepa_store_plan(sql, 0, NULL);
	MemoryContextSwitchTo(context); /* not SPI's */
}

static StoreJobValue
value_of(Oid type, const char *column)
{
	switch (getBaseType(type))
	{
		case BOOLOID:
			return STORE_JOB_POSITIVE;
		case FLOAT8OID:
			return STORE_JOB_SCORE;
		case TEXTOID:
			return STORE_JOB_LABEL;
		case JSONBOID:
			return STORE_JOB_VERDICT;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of type %s cannot hold a verdict", column,
					format_type_be(type)),
			 errhint("A target column is boolean (positive), double precision (score), text (label) or jsonb (the verdict).")));
}

static void
open_column(StoreJobTarget *target, const StoreSource *source, const char *column)
{
	AttrNumber	attnum = get_attnum(source->relid, column);
	HeapTuple	tuple = SearchSysCacheAttName(source->relid, column);
	Oid			type;
	bool		generated;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("target column \"%s\" of %s does not exist", column, source->relation),
				 errhint("Add it, or start a job with another target.")));
	type = ((Form_pg_attribute) GETSTRUCT(tuple))->atttypid;
	generated = ((Form_pg_attribute) GETSTRUCT(tuple))->attgenerated != '\0';
	ReleaseSysCache(tuple);
	if (source->relkind == RELKIND_MATVIEW || generated)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("column \"%s\" of %s cannot be written", column, source->relation),
				 errhint("Name a verdict table as target; it is made if it is missing.")));
	for (int i = 0; i < source->nkeys; i++)
		if (strcmp(source->keys[i], column) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" is both key and target", column),
					 errhint("Name a column that the job may overwrite.")));
	check_not_read(source, attnum, column);
	target->value = value_of(type, column);
	if (pg_class_aclcheck(source->relid, source->owner, ACL_UPDATE) != ACLCHECK_OK &&
		pg_attribute_aclcheck(source->relid, attnum, source->owner, ACL_UPDATE) != ACLCHECK_OK)
		refuse_privilege("column", column);
	check_writable(source, column);
	target->column = pstrdup(column);
}

/*
 * A verdict table
 */

static void
check_column(Relation rel, const char *name, Oid type)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), name);

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("\"%s\" is no verdict table of this source: it has no column \"%s\"",
						RelationGetRelationName(rel), name),
				 errhint("Name a column of the source, or a table that does not exist yet.")));
	if (get_atttype(RelationGetRelid(rel), attnum) != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of \"%s\" is of type %s, not %s", name,
						RelationGetRelationName(rel),
						format_type_be(get_atttype(RelationGetRelid(rel), attnum)),
						format_type_be(type)),
				 errhint("Name a table that does not exist yet; it is made as it has to be.")));
}

static void
check_table(const StoreSource *source, Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	AttrNumber	attnums[STORE_JOB_MAX_KEYS];

	for (int i = 0; i < source->nkeys; i++)
	{
		check_column(rel, source->keys[i],
					 get_atttype(source->relid, get_attnum(source->relid, source->keys[i])));
		attnums[i] = get_attnum(relid, source->keys[i]);
	}
	for (int i = 0; i < lengthof(columns); i++)
		check_column(rel, columns[i].name, columns[i].type);
	if (!gepa_store_has_unique_index(rel, attnums, source->nkeys))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FOREIGN_KEY),
				 errmsg("there is no unique index on the key columns of \"%s\"",
						RelationGetRelationName(rel)),
				 errhint("Make one: a verdict table has one row for each key.")));
	if (pg_class_aclcheck(relid, source->owner, ACL_SELECT) != ACLCHECK_OK ||
		pg_class_aclcheck(relid, source->owner, ACL_INSERT) != ACLCHECK_OK ||
		pg_class_aclcheck(relid, source->owner, ACL_UPDATE) != ACLCHECK_OK)
		refuse_privilege("table", RelationGetRelationName(rel));
	relation_close(rel, AccessShareLock);
}

static void
append_key_column(StringInfo buf, const StoreSource *source, int i)
{
	HeapTuple	tuple = SearchSysCacheAttName(source->relid, source->keys[i]);
	Oid			collation = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		collation = ((Form_pg_attribute) GETSTRUCT(tuple))->attcollation;
		ReleaseSysCache(tuple);
	}
	appendStringInfo(buf, "%s %s", quote_identifier(source->keys[i]), source->key_types[i]);
	if (OidIsValid(collation) && collation != DEFAULT_COLLATION_OID)
		appendStringInfo(buf, " COLLATE %s", generate_collation_name(collation));
	appendStringInfoString(buf, ", ");
}

static void
make_table(const StoreSource *source, const char *name)
{
	MemoryContext context = CurrentMemoryContext;
	StringInfoData sql;

	for (int i = 0; i < source->nkeys; i++)
		for (int k = 0; k < lengthof(columns); k++)
			if (strcmp(source->keys[i], columns[k].name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("a verdict table cannot have a key column \"%s\"",
								columns[k].name),
						 errdetail("It has a column of that name already."),
						 errhint("Name a view as source in which the key is called otherwise.")));
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", name);
	for (int i = 0; i < source->nkeys; i++)
		append_key_column(&sql, source, i);
	for (int i = 0; i < lengthof(columns); i++)
		appendStringInfo(&sql, "%s %s, ", columns[i].name, columns[i].definition);
	appendStringInfoString(&sql, "PRIMARY KEY (");
	for (int i = 0; i < source->nkeys; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", quote_identifier(source->keys[i]));
	appendStringInfoString(&sql, "))");
	if (SPI_execute(sql.data, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not make table %s", name);
	MemoryContextSwitchTo(context); /* not SPI's */
	ereport(NOTICE, (errmsg("verdict table %s was made", name)));
}

static void
open_table(StoreJobTarget *target, const StoreSource *source, const char *name, bool make)
{
	Oid			relid = gepa_store_find_relation(name, NoLock);

	if (!OidIsValid(relid) && make)
	{
		List	   *names = textToQualifiedNameList(cstring_to_text(name));

		make_table(source, NameListToQuotedString(names));
		relid = gepa_store_find_relation(name, NoLock);
	}
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("verdict table %s does not exist any more", name),
				 errhint("Start the job anew, which makes it again; stored verdicts are not paid again.")));
	check_table(source, relid);
	target->table = gepa_store_relation_name(relid);
}

/*
 * The text
 */

/* At commas that are not in double quotes. */
static List *
split_target(const char *text)
{
	List	   *items = NIL;
	const char *start = text;
	bool		quoted = false;

	for (const char *at = text;; at++)
	{
		if (*at == '"')
			quoted = !quoted;
		if (*at != '\0' && (*at != ',' || quoted))
			continue;
		items = lappend(items, pnstrdup(start, at - start));
		if (*at == '\0')
			return items;
		start = at + 1;
	}
}

static void
take_item(StoreJobTarget *target, const StoreSource *source, const char *item)
{
	List	   *names = textToQualifiedNameList(cstring_to_text(item));
	const char *name = strVal(linitial(names));
	bool		is_column = list_length(names) == 1 &&
		get_attnum(source->relid, name) != InvalidAttrNumber;

	if (is_column ? target->column != NULL : target->table != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a job has at most one target column and one verdict table"),
				 errhint("Start a second job; it finds the verdicts stored.")));
	if (is_column)
		open_column(target, source, name);
	else
		open_table(target, source, item, true);
}

void
gepa_store_make_target(StoreJobTarget *target, const StoreSource *source, const char *text)
{
	StoreScope	scope;
	List	   *items;
	ListCell   *cell;

	memset(target, 0, sizeof(*target));
	if (text == NULL)
		return;
	gepa_store_enter_as(&scope, STORE_VIEW_WRITE, source->owner, source->search_path);
	MemoryContextSwitchTo(scope.caller);
	items = split_target(text);
	foreach(cell, items)
		take_item(target, source, lfirst(cell));
	gepa_store_leave(&scope);
}

void
gepa_store_open_target(StoreJobTarget *target, const StoreSource *source, const char *column,
					   const char *table)
{
	StoreScope	scope;

	memset(target, 0, sizeof(*target));
	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, source->owner, source->search_path);
	MemoryContextSwitchTo(scope.caller);
	if (column != NULL)
		open_column(target, source, column);
	if (table != NULL)
		open_table(target, source, table, false);
	gepa_store_leave(&scope);
}
