/*-------------------------------------------------------------------------
 *
 * recipes.c
 *	  Which rows of a source are kept.
 *
 * One statement reads the source, computes what belongs to each row and sorts:
 * by group, then best first.  Of such a stream every recipe keeps the head of each
 * group; they differ in how long it is.  Where that is known from the start
 * (threshold, one budget), rows go straight into the result.  Where it depends
 * on the size of the group, they wait in a scratch tuplestore until the group
 * ends; where on that of all groups (quotas), until the source does.
 *
 * It is the caller's statement: his rights, his search_path, his snapshot; so
 * nothing here enters a scope.  The score may be a call of a judge, so it is
 * evaluated once for each row, below a fence (OFFSET 0), where the judge node
 * finds it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "base/draw.h"
#include "store/store_internal.h"

/* What is known of a group whose rows have been read. */
typedef struct KeepGroup
{
	double		share;			/* of the budget */
	int64		rows;
	double		tokens;
	int64		stored;			/* rows of it in the scratch */
} KeepGroup;

typedef struct Keeper
{
	DestReceiver receiver;		/* must be first */
	StoreRecipe *recipe;
	Tuplestorestate *result;
	Tuplestorestate *scratch;	/* NULL: rows go straight into the result */
	TupleDesc	desc;
	MemoryContext context;		/* of what outlives a row */
	MemoryContext row_context;	/* reset after each */
	text	   *name;			/* of the group being read; NULL = SQL NULL */
	KeepGroup  *groups;			/* whose rows are in the scratch; the last is
								 * being read */
	int			ngroups;
	int			room;
} Keeper;

/* The columns of the statement. */
enum
{
	COLUMN_KEY,
	COLUMN_SCORE,
	COLUMN_TOKENS,
	COLUMN_GROUP
};

/*
 * The statement
 */

static void
append_expression(StringInfo buf, const char *name, const char *expression, const char *type)
{
	if (expression)
		gepa_store_check_expression(name, expression);
	appendStringInfo(buf, "(%s\n)::pg_catalog.%s AS \"gepa %s\"",
					 expression ? expression : "NULL", type, name);
}

/* Only by what can differ: each further key makes the sort slower. */
static void
append_order(StringInfo buf, const StoreRecipe *recipe)
{
	appendStringInfoString(buf, " ORDER BY ");
	if (recipe->group_by)
		appendStringInfoString(buf, "\"gepa group_by\" COLLATE pg_catalog.\"C\", ");
	if (recipe->tau > 0)
		appendStringInfoString(buf, "gepa.sample_key(\"gepa key\", \"gepa score\", $1, $2) DESC, ");
	appendStringInfoString(buf, "\"gepa score\" DESC, gepa.draw(\"gepa key\", $2),"
						   " \"gepa key\" COLLATE pg_catalog.\"C\"");
}

/* $1 is tau, $2 the seed, $3 the threshold. */
static char *
compose(const StoreRecipe *recipe)
{
	StringInfoData buf;
	bool		is_query;
	char	   *source = gepa_store_resolve_source(recipe->source, &is_query);

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT * FROM (SELECT ");
	append_expression(&buf, "key", recipe->key, "text");
	appendStringInfoString(&buf, ", ");
	append_expression(&buf, "score", recipe->score, "float8");
	appendStringInfoString(&buf, ", ");
	append_expression(&buf, "tokens", recipe->tokens, "int8");
	appendStringInfoString(&buf, ", ");
	append_expression(&buf, "group_by", recipe->group_by, "text");
	appendStringInfo(&buf, is_query ? " FROM (%s\n) source" : " FROM %s", source);
	appendStringInfoString(&buf, " OFFSET 0) r"
						   " WHERE \"gepa score\" OPERATOR(pg_catalog.<>) 'NaN'::pg_catalog.float8");
	if (recipe->keep == STORE_KEEP_THRESHOLD)
		appendStringInfoString(&buf, " AND \"gepa score\" OPERATOR(pg_catalog.>=) $3");
	append_order(&buf, recipe);
	return buf.data;
}

/*
 * What comes out
 */

static void
put_row(Keeper *keeper, Datum *values, bool *nulls, int copies)
{
	values[STORE_KEPT_COPIES] = Int32GetDatum(copies);
	nulls[STORE_KEPT_COPIES] = false;
	tuplestore_putvalues(keeper->result, keeper->desc, values, nulls);
}

static int
copies_of(const StoreRecipe *recipe, Datum key, int64 rank, int64 rows)
{
	double		expected = recipe->copies[gepa_judge_tier(rank, rows, recipe->ntiers)];
	text	   *name = DatumGetTextPP(key);
	double		draw = gepa_draw_text(DRAW_COPIES, recipe->seed, name);

	if (PointerGetDatum(name) != key)
		pfree(name);
	return gepa_judge_copies(expected, draw);
}

/* Read the rows of a group that wait, and keep of them what is to be kept. */
static void
keep_head(Keeper *keeper, TupleTableSlot *slot, const KeepGroup *group, double quota)
{
	const StoreRecipe *recipe = keeper->recipe;
	int64		most = recipe->keep == STORE_KEEP_QUANTILE ?
		gepa_judge_quantile_rows(recipe->limit, group->rows) : group->rows;
	double		tokens = 0;

	for (int64 i = 0; i < group->stored; i++)
	{
		int			copies = i < most;

		if (!tuplestore_gettupleslot(keeper->scratch, true, false, slot))
			elog(ERROR, "rows of a group are missing");
		slot_getallattrs(slot);
		if (recipe->keep == STORE_KEEP_TIERS)
			copies = copies_of(recipe, slot->tts_values[STORE_KEPT_KEY], i + 1, group->rows);
		if (recipe->keep == STORE_KEEP_QUOTA)
			tokens += DatumGetInt64(slot->tts_values[STORE_KEPT_TOKENS]);
		if (tokens <= quota && copies > 0)
			put_row(keeper, slot->tts_values, slot->tts_isnull, copies);
	}
}

/* Groups that have a share and no rows leave it to the others. */
static JudgeQuota *
divide(Keeper *keeper)
{
	const StoreRecipe *recipe = keeper->recipe;
	int			n = keeper->ngroups;
	JudgeQuota *quotas = palloc0(sizeof(JudgeQuota) * (n + Max(recipe->nshares, 0) + 1));

	for (int i = 0; i < n; i++)
	{
		quotas[i].share = recipe->nshares < 0 ? 1.0 / n : keeper->groups[i].share;
		quotas[i].available = keeper->groups[i].tokens;
	}
	for (int i = 0; i < recipe->nshares; i++)
		if (!recipe->shares[i].seen)
			quotas[n++].share = recipe->shares[i].share;
	gepa_judge_divide(recipe->limit, quotas, n, recipe->redistribute);
	return quotas;
}

/* The groups that wait are complete. */
static void
finish_groups(Keeper *keeper)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(keeper->desc, &TTSOpsMinimalTuple);
	JudgeQuota *quotas = keeper->recipe->keep == STORE_KEEP_QUOTA ? divide(keeper) : NULL;

	for (int i = 0; i < keeper->ngroups; i++)
		keep_head(keeper, slot, &keeper->groups[i], quotas ? quotas[i].quota : 0);
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_clear(keeper->scratch);
	keeper->ngroups = 0;
	if (quotas)
		pfree(quotas);
}

/*
 * What goes in
 */

static int
compare_share(const void *a, const void *b)
{
	return strcmp(((const StoreShare *) a)->group, ((const StoreShare *) b)->group);
}

static double
share_of(StoreRecipe *recipe, const text * name)
{
	StoreShare	wanted = {0};
	StoreShare *share;

	if (recipe->nshares <= 0 || name == NULL)
		return 0;
	wanted.group = text_to_cstring(name);
	share = bsearch(&wanted, recipe->shares, recipe->nshares, sizeof(StoreShare), compare_share);
	pfree(wanted.group);
	if (share == NULL)
		return 0;
	share->seen = true;
	return share->share;
}

static void
begin_group(Keeper *keeper, text * name)
{
	MemoryContext old = MemoryContextSwitchTo(keeper->context);

	if (keeper->scratch && keeper->ngroups > 0 && keeper->recipe->keep != STORE_KEEP_QUOTA)
		finish_groups(keeper);
	else if (keeper->scratch == NULL)
		keeper->ngroups = 0;
	if (keeper->name)
		pfree(keeper->name);
	keeper->name = name == NULL ? NULL :
		(text *) DatumGetPointer(datumCopy(PointerGetDatum(name), false, -1));
	if (keeper->ngroups == keeper->room)
	{
		keeper->room = Max(keeper->room * 2, 16);
		keeper->groups = keeper->groups ?
			repalloc_huge(keeper->groups, sizeof(KeepGroup) * keeper->room) :
			palloc(sizeof(KeepGroup) * keeper->room);
	}
	memset(&keeper->groups[keeper->ngroups], 0, sizeof(KeepGroup));
	keeper->groups[keeper->ngroups++].share = share_of(keeper->recipe, name);
	MemoryContextSwitchTo(old);
}

static bool
same_group(const Keeper *keeper, const text * name)
{
	if (keeper->ngroups == 0 || (keeper->name == NULL) != (name == NULL))
		return false;
	return name == NULL ||
		(VARSIZE_ANY_EXHDR(name) == VARSIZE_ANY_EXHDR(keeper->name) &&
		 memcmp(VARDATA_ANY(name), VARDATA_ANY(keeper->name), VARSIZE_ANY_EXHDR(name)) == 0);
}

static void
check_row(const StoreRecipe *recipe, const TupleTableSlot *slot)
{
	if (slot->tts_isnull[COLUMN_KEY])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the key of a row is null"),
				 errhint("Name a column as key that is unique and never null.")));
	if (recipe->tokens && slot->tts_isnull[COLUMN_TOKENS])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the tokens of row \"%s\" are null",
						TextDatumGetCString(slot->tts_values[COLUMN_KEY])),
				 errhint("Leave such rows out with a query as source, or give a number with coalesce().")));
	if (recipe->tokens && DatumGetInt64(slot->tts_values[COLUMN_TOKENS]) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the tokens of row \"%s\" are negative",
						TextDatumGetCString(slot->tts_values[COLUMN_KEY])),
				 errhint("Leave such rows out with a query as source.")));
}

/* A row, of the group being read; false when no further row can be kept. */
static bool
take_row(Keeper *keeper, TupleTableSlot *slot)
{
	const StoreRecipe *recipe = keeper->recipe;
	KeepGroup  *group = &keeper->groups[keeper->ngroups - 1];
	Datum		values[STORE_KEPT_NCOLUMNS] = {0};
	bool		nulls[STORE_KEPT_NCOLUMNS] = {0};

	group->rows++;
	if (recipe->tokens)
		group->tokens += (double) DatumGetInt64(slot->tts_values[COLUMN_TOKENS]);
	/* Beyond the whole budget no row of the group can be kept. */
	if (recipe->tokens && group->tokens > recipe->limit)
		return recipe->keep == STORE_KEEP_QUOTA;
	values[STORE_KEPT_KEY] = slot->tts_values[COLUMN_KEY];
	values[STORE_KEPT_SCORE] = slot->tts_values[COLUMN_SCORE];
	values[STORE_KEPT_RANK] = Int64GetDatum(group->rows);
	values[STORE_KEPT_TOKENS] = slot->tts_values[COLUMN_TOKENS];
	nulls[STORE_KEPT_TOKENS] = slot->tts_isnull[COLUMN_TOKENS];
	values[STORE_KEPT_GROUP] = slot->tts_values[COLUMN_GROUP];
	nulls[STORE_KEPT_GROUP] = slot->tts_isnull[COLUMN_GROUP];
	group->stored++;
	if (keeper->scratch == NULL)
		put_row(keeper, values, nulls, 1);
	else
	{
		nulls[STORE_KEPT_COPIES] = true;
		tuplestore_putvalues(keeper->scratch, keeper->desc, values, nulls);
	}
	return true;
}

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	Keeper	   *keeper = (Keeper *) self;
	MemoryContext old = MemoryContextSwitchTo(keeper->row_context);
	text	   *name;
	bool		more;

	slot_getallattrs(slot);
	check_row(keeper->recipe, slot);
	name = slot->tts_isnull[COLUMN_GROUP] ? NULL : DatumGetTextPP(slot->tts_values[COLUMN_GROUP]);
	if (!same_group(keeper, name))
		begin_group(keeper, name);
	more = take_row(keeper, slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(keeper->row_context);
	return more;
}

static void
ignore_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
ignore(DestReceiver *self)
{
}

/*
 * All of it
 */

static ParamListInfo
make_params(const StoreRecipe *recipe)
{
	ParamListInfo params = makeParamList(3);
	const Datum values[] = {
		Float8GetDatum(recipe->tau), Int64GetDatum(recipe->seed), Float8GetDatum(recipe->limit)
	};
	const Oid	types[] = {FLOAT8OID, INT8OID, FLOAT8OID};

	for (int i = 0; i < 3; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = types[i];
	}
	return params;
}

void
gepa_store_keep(StoreRecipe *recipe, Tuplestorestate *result, TupleDesc desc)
{
	SPIExecuteOptions options = {0};
	char	   *sql = compose(recipe);
	Keeper		keeper = {
		.receiver = {receive, ignore_startup, ignore, ignore, DestTuplestore},
		.recipe = recipe,.result = result,.desc = desc,.context = CurrentMemoryContext
	};

	keeper.row_context = AllocSetContextCreate(CurrentMemoryContext, "gepa recipe row",
											   ALLOCSET_SMALL_SIZES);
	if (recipe->keep != STORE_KEEP_THRESHOLD && recipe->keep != STORE_KEEP_TOKENS)
		keeper.scratch = tuplestore_begin_heap(false, false, work_mem);
	options.params = make_params(recipe);
	options.read_only = true;
	options.dest = &keeper.receiver;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_extended(sql, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not read the source of a recipe");
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextDelete(keeper.row_context);
	if (keeper.scratch == NULL)
		return;
	finish_groups(&keeper);
	tuplestore_end(keeper.scratch);
}
