/*-------------------------------------------------------------------------
 *
 * job_source.c
 *	  The relation that a corpus job goes through: found and checked.
 *
 * What runs over its rows is the owner's: a document expression and a filter,
 * composed into statements as they were given.  So each has to be one expression
 * and nothing else, and everything here happens with the owner's rights, under
 * the search_path of the one who gave them, in a security-restricted operation.
 *
 * Keys.  A job reads rows in the order of their keys, some at a time, and
 * begins again after the last one.  That is right only if no two rows have the
 * same key and none has a null in it, and it is fast only if an index has that
 * order.  Tables and materialized views must have such an index; of views and foreign
 * tables nothing can be known, their user vouches for them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "store/store_internal.h"

/* How a value is written must not depend on who writes it. */
static const char *const formats[][2] = {
	{"DateStyle", "ISO, YMD"},
	{"IntervalStyle", "postgres"},
	{"extra_float_digits", "1"},
	{"bytea_output", "hex"},
	{"xmloption", "content"}
};

void
gepa_store_pin_formats(void)
{
	for (int i = 0; i < lengthof(formats); i++)
		(void) set_config_option(formats[i][0], formats[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

char **
gepa_store_split_names(const char *text, int *n)
{
	List	   *names = NIL;
	char	  **result;
	ListCell   *cell;

	if (!SplitIdentifierString(pstrdup(text), ',', &names) || names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not a list of column names", text),
				 errhint("Separate the names by commas, and put double quotes around those that need them.")));
	*n = list_length(names);
	result = palloc(sizeof(char *) * *n);
	foreach(cell, names)
		result[foreach_current_index(cell)] = lfirst(cell);
	return result;
}

/*
 * Expressions
 */

/* The only column that a query over the source would return, until SPI's end; its type. */
static Oid
analyze(const StoreSource *source, const char *expression, Node **tree)
{
	char	   *sql = psprintf("SELECT (%s\n) FROM %s", expression, source->relation);
	const Query *query = gepa_store_analyze(sql);

	if (query->hasAggs || query->hasTargetSRFs || query->hasWindowFuncs)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the document and the filter of a job must look at one row"),
				 errdetail("This one has an aggregate, a window function or a function that returns a set: %s",
						   expression),
				 errhint("Make a view that computes it, and name the view as source.")));
	*tree = (Node *) linitial_node(TargetEntry, query->targetList)->expr;
	return exprType(*tree);
}

/*
 * A job computes a document again when it writes the verdict, and what is not the
 * same one then is judged again.
 */
static void
check_document(StoreSource *source, Node *tree, MemoryContext context)
{
	MemoryContext old;

	if (gepa_store_is_volatile(tree))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the document of a job must not be volatile"),
				 errdetail("It would be another one each time that it is looked at."),
				 errhint("Declare functions in it STABLE or IMMUTABLE if that is what they are.")));
	old = MemoryContextSwitchTo(context);
	source->reads = gepa_store_columns_read(tree);
	MemoryContextSwitchTo(old);
}

static void
check_expressions(StoreSource *source)
{
	MemoryContext context = CurrentMemoryContext;	/* SPI leaves its own */
	Oid			type;
	Node	   *tree;

	gepa_store_check_expression("document", source->document);
	type = analyze(source, source->document, &tree);
	source->is_jsonb = getBaseType(type) == JSONBOID;
	if (!source->is_jsonb && !IsBinaryCoercible(type, TEXTOID) && type != UNKNOWNOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the document of a job must be text or jsonb, not %s",
						format_type_be(type)),
				 errhint("Cast it, or build an object of the judge's fields with jsonb_build_object().")));
	if (source->nkeys > 0)
		check_document(source, tree, context);
	if (source->filter == NULL)
		return;
	gepa_store_check_expression("filter", source->filter);
	type = analyze(source, source->filter, &tree);
	if (getBaseType(type) != BOOLOID && type != UNKNOWNOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the filter of a job must be boolean, not %s", format_type_be(type)),
				 errhint("Give a condition, as after WHERE.")));
}

/*
 * Keys
 */

/* Does a column of an index tell apart, and order, as ORDER BY does by itself? */
static bool
is_usual(Relation rel, Relation index, int i)
{
	AttrNumber	attnum = index->rd_index->indkey.values[i];
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	Oid			opclass = GetDefaultOpClass(attribute->atttypid, BTREE_AM_OID);

	return index->rd_indcollation[i] == attribute->attcollation && OidIsValid(opclass) &&
		get_opclass_family(opclass) == index->rd_opfamily[i];
}

/* A unique btree whose columns are those given; attnums are put into its order. */
static bool
orders(Relation rel, Relation index, AttrNumber *attnums, int n)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indisvalid || !form->indimmediate ||
		index->rd_rel->relam != BTREE_AM_OID || form->indnkeyatts != n ||
		RelationGetIndexPredicate(index) != NIL || RelationGetIndexExpressions(index) != NIL)
		return false;
	for (int i = 0; i < n; i++)
	{
		int			place = i;
		int			option = index->rd_indoption[i];

		/* As ORDER BY has it, or backward, and the same for all columns. */
		if (option != index->rd_indoption[0] ||
			(option != 0 && option != (INDOPTION_DESC | INDOPTION_NULLS_FIRST)))
			return false;
		while (place < n && attnums[place] != form->indkey.values[i])
			place++;
		if (place == n || !is_usual(rel, index, i))
			return false;
		attnums[place] = attnums[i];
		attnums[i] = form->indkey.values[i];
	}
	return true;
}

bool
gepa_store_has_unique_index(Relation rel, AttrNumber *attnums, int n)
{
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *cell;
	bool		found = false;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		found = orders(rel, index, attnums, n);
		index_close(index, AccessShareLock);
		if (found)
			break;
	}
	list_free(indexes);
	return found;
}

static bool
may_be_null(Relation rel, const AttrNumber *attnums, int n)
{
	/* A materialized view knows no constraints. */
	if (rel->rd_rel->relkind == RELKIND_MATVIEW)
		return false;
	for (int i = 0; i < n; i++)
		if (!TupleDescAttr(RelationGetDescr(rel), attnums[i] - 1)->attnotnull)
			return true;
	return false;
}

static void
check_order(Relation rel, AttrNumber *attnums, int n)
{
	char		relkind = rel->rd_rel->relkind;

	if (relkind == RELKIND_VIEW || relkind == RELKIND_FOREIGN_TABLE)
		return;
	if (!gepa_store_has_unique_index(rel, attnums, n))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FOREIGN_KEY),
				 errmsg("there is no unique index on the key columns of \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail("A job reads a table in the order of a btree index that is unique, not partial, on these columns alone, and in their usual order and collation."),
				 errhint("Name the columns of the primary key, or make such an index.")));
	if (may_be_null(rel, attnums, n))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FOREIGN_KEY),
				 errmsg("key columns of \"%s\" may be null", RelationGetRelationName(rel)),
				 errhint("Declare them NOT NULL, or name the columns of the primary key.")));
}

static void
find_keys(StoreSource *source, Relation rel, const char *const *keys, int nkeys)
{
	AttrNumber	attnums[STORE_JOB_MAX_KEYS];

	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is temporary, and cannot be the source of a job",
						RelationGetRelationName(rel)),
				 errhint("A job is at work in another session; CREATE TABLE without TEMPORARY.")));
	if (nkeys > STORE_JOB_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("a key can have %d columns at most", STORE_JOB_MAX_KEYS),
				 errhint("Name a shorter key.")));
	for (int i = 0; i < nkeys; i++)
	{
		attnums[i] = get_attnum(source->relid, keys[i]);
		if (attnums[i] <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist", keys[i],
							RelationGetRelationName(rel)),
					 errhint("The key is one or more columns of the source, separated by commas.")));
	}
	check_order(rel, attnums, nkeys);
	source->nkeys = nkeys;
	for (int i = 0; i < nkeys; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), attnums[i] - 1);

		source->keys[i] = pstrdup(NameStr(attribute->attname));
		source->key_types[i] = format_type_extended(attribute->atttypid, attribute->atttypmod,
													FORMAT_TYPE_TYPEMOD_GIVEN |
													FORMAT_TYPE_FORCE_QUALIFY);
	}
}

/*
 * The relation
 */

static bool
is_readable(char relkind)
{
	return relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE ||
		relkind == RELKIND_VIEW || relkind == RELKIND_MATVIEW ||
		relkind == RELKIND_FOREIGN_TABLE;
}

static void
find_relation(StoreSource *source, const char *name)
{
	source->relid = gepa_store_find_relation(name, AccessShareLock);
	if (!OidIsValid(source->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", name),
				 errhint("The source of a job is the name of a table, view, materialized view or foreign table.")));
	source->relkind = get_rel_relkind(source->relid);
	if (!is_readable(source->relkind))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" has no rows that a job could read", name),
				 errhint("The source of a job is the name of a table, view, materialized view or foreign table.")));
	source->relation = gepa_store_relation_name(source->relid);
}

/* Raises 42501 for whoever may not read it. */
static void
check_readable(const StoreSource *source)
{
	char	   *sql = psprintf("SELECT (%s\n) FROM %s WHERE (%s\n) LIMIT 0", source->document,
							   source->relation, source->filter ? source->filter : "true");

	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read relation %s", source->relation);
}

void
gepa_store_open_source(StoreSource *source, const char *name, const char *const *keys,
					   int nkeys)
{
	StoreScope	scope;
	Relation	rel;

	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, source->owner, source->search_path);
	MemoryContextSwitchTo(scope.caller);
	find_relation(source, name);
	rel = relation_open(source->relid, NoLock);
	source->nkeys = 0;
	if (nkeys > 0)
		find_keys(source, rel, keys, nkeys);
	check_expressions(source);
	check_readable(source);
	relation_close(rel, NoLock);
	gepa_store_leave(&scope);
}

double
gepa_store_expected_rows(const StoreSource *source)
{
	StoreScope	scope;
	CachedPlan *cached;
	double		rows;
	char	   *sql = psprintf("SELECT FROM %s WHERE (%s\n)", source->relation,
							   source->filter ? source->filter : "true");

	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, source->owner, source->search_path);
	cached = SPI_plan_get_cached_plan(gepa_store_plan(sql, 0, NULL));
	if (cached == NULL)
		elog(ERROR, "a plan of one SELECT has more than one statement");
	rows = linitial_node(PlannedStmt, cached->stmt_list)->planTree->plan_rows;
	ReleaseCachedPlan(cached, NULL);	/* as one of a plan that is not kept */
	gepa_store_leave(&scope);
	return rows;
}
