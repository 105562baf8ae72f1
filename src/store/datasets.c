/*-------------------------------------------------------------------------
 *
 * datasets.c
 *	  Datasets: their rows, and reading samples from their source.
 *
 * A source is read with the rights of the dataset's owner and under the
 * search_path the owner had when naming it, whoever starts the run: nobody
 * can lend rights to a source, and a source cannot borrow a superuser's.
 * The statement is composed here, from quoted identifiers and the owner's own
 * query; it is the only text in this folder that is not a constant.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "store/store_read.h"

static StoreStatement insert_dataset = {
	.sql = "INSERT INTO gepa.dataset (name, owner, source, is_query, search_path, key, inputs,"
	" label, feedback, split, group_by, options)"
	" VALUES ($1, $2::regrole, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb)"
	" ON CONFLICT (name) DO NOTHING RETURNING dataset"
};

static StoreStatement select_dataset = {
	.sql = "SELECT dataset, owner::oid, source, is_query, search_path, key, inputs, label,"
	" feedback, split, group_by, options::text FROM gepa.dataset WHERE name = $1"
};

static StoreStatement delete_dataset = {
	.sql = "DELETE FROM gepa.dataset WHERE name = $1"
};

static const char *const split_names[STORE_NSPLITS] = {"train", "val", "test"};

const char *
gepa_store_split_name(StoreSplit split)
{
	Assert(split >= 0 && split < STORE_NSPLITS);
	return split_names[split];
}

/*
 * The source as a statement
 */

static void
append_column(StringInfo buf, const char *column)
{
	appendStringInfo(buf, ", s.%s::text",
					 column ? quote_identifier(column) : "NULL");
}

static void
append_optional(StringInfo buf, const char *column)
{
	if (column)
		append_column(buf, column);
	else
		appendStringInfoString(buf, ", NULL::text");
}

void
gepa_store_append_source(StringInfo buf, const StoreDataset *dataset)
{
	if (dataset->is_query)
		appendStringInfo(buf, " FROM (%s\n) s", dataset->source);
	else
		appendStringInfo(buf, " FROM %s s", dataset->source);
}

char *
gepa_store_order_by_key(const StoreDataset *dataset)
{
	return psprintf(" ORDER BY s.%s::text COLLATE pg_catalog.\"C\"",
					quote_identifier(dataset->key));
}

/* Columns: key, label, feedback, split, group, then the inputs. */
static char *
compose(const StoreDataset *dataset, const char *tail)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "SELECT s.%s::text", quote_identifier(dataset->key));
	append_optional(&buf, dataset->label);
	append_optional(&buf, dataset->feedback);
	append_optional(&buf, dataset->split);
	append_optional(&buf, dataset->group_by);
	for (int i = 0; i < dataset->ninputs; i++)
		append_column(&buf, dataset->inputs[i]);
	gepa_store_append_source(&buf, dataset);
	appendStringInfoString(&buf, tail);
	return buf.data;
}

/*
 * Columns: key, and the row as one object, without what documents that are judged do not
 * have.  One input is the field "document", whatever its column is called.
 */
static char *
compose_rows(const StoreDataset *dataset)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "SELECT s.%s::text, pg_catalog.to_jsonb(s.*)",
					 quote_identifier(dataset->key));
	if (dataset->label)
		appendStringInfo(&buf, " OPERATOR(pg_catalog.-) %s", quote_literal_cstr(dataset->label));
	if (dataset->feedback)
		appendStringInfo(&buf, " OPERATOR(pg_catalog.-) %s",
						 quote_literal_cstr(dataset->feedback));
	if (dataset->ninputs == 1)
		appendStringInfo(&buf, " OPERATOR(pg_catalog.||)"
						 " pg_catalog.jsonb_build_object('document', s.%s::text)",
						 quote_identifier(dataset->inputs[0]));
	gepa_store_append_source(&buf, dataset);
	appendStringInfoString(&buf, gepa_store_order_by_key(dataset));
	return buf.data;
}

/*
 * Creating
 */

/* The parts of a source that reads as a name, else NIL. */
static List *
name_parts(const char *source)
{
	List	   *parts = NIL;
	List	   *names = NIL;
	ListCell   *cell;

	if (!SplitIdentifierString(pstrdup(source), '.', &parts) || list_length(parts) > 3)
		return NIL;
	foreach(cell, parts)
		names = lappend(names, makeString(lfirst(cell)));
	return names;
}

/* One SELECT and nothing else, so that it stays what it is in parentheses. */
static char *
take_query(const char *source)
{
	char	   *query = pstrdup(source);
	size_t		length = strlen(query);
	List	   *statements;

	while (length > 0 && strchr("; \t\r\n", query[length - 1]) != NULL)
		query[--length] = '\0';
	statements = raw_parser(query, RAW_PARSE_DEFAULT);
	if (list_length(statements) != 1 ||
		!IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the source must be one query"),
				 errhint("Give the name of a table or view, or a single SELECT, VALUES, WITH or TABLE.")));
	return query;
}

/* A source that reads as a name is the name of a relation; no query does. */
char *
gepa_store_resolve_source(const char *source, bool *is_query)
{
	List	   *names = name_parts(source);
	Oid			relid;

	*is_query = (names == NIL);
	if (*is_query)
		return take_query(source);
	relid = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", source),
				 errhint("A source is the name of a table or view, or a query.")));
	return gepa_store_relation_name(relid);
}

static void
check_source(const StoreDataset *dataset)
{
	StoreScope	scope;
	char	   *sql = compose(dataset, " LIMIT 0");

	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, dataset->owner, dataset->search_path);
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the source of dataset \"%s\"", dataset->name);
	gepa_store_leave(&scope);
}

int
gepa_store_create_dataset(const StoreDataset *given)
{
	StoreDataset dataset = *given;
	StoreScope	scope;
	StoreArgs	args = {0};
	int			id;

	dataset.search_path = pstrdup(GetConfigOption("search_path", false, false));
	dataset.source = gepa_store_resolve_source(dataset.source, &dataset.is_query);
	check_source(&dataset);

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_text(&args, dataset.name);
	gepa_store_arg_oid(&args, dataset.owner);
	gepa_store_arg_text(&args, dataset.source);
	gepa_store_arg_bool(&args, dataset.is_query);
	gepa_store_arg_text(&args, dataset.search_path);
	gepa_store_arg_text(&args, dataset.key);
	gepa_store_arg_texts(&args, dataset.ninputs, dataset.inputs);
	gepa_store_arg_text(&args, dataset.label);
	gepa_store_arg_text(&args, dataset.feedback);
	gepa_store_arg_text(&args, dataset.split);
	gepa_store_arg_text(&args, dataset.group_by);
	gepa_store_arg_text(&args, dataset.options);
	if (gepa_store_run(&scope, &insert_dataset, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("dataset \"%s\" already exists", dataset.name),
				 errhint("Drop it with gepa.drop_dataset() first, or choose another name.")));
	id = gepa_store_int(0, 1, 0);
	gepa_store_leave(&scope);
	return id;
}

StoreDataset *
gepa_store_get_dataset(const char *name)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreDataset *dataset = palloc0(sizeof(StoreDataset));

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_text(&args, name);
	if (gepa_store_run(&scope, &select_dataset, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("dataset \"%s\" does not exist", name),
				 errhint("See gepa.datasets, or create it with gepa.create_dataset().")));
	dataset->name = MemoryContextStrdup(scope.caller, name);
	dataset->dataset = gepa_store_int(0, 1, 0);
	dataset->owner = gepa_store_oid(0, 2);
	dataset->source = gepa_store_text(&scope, 0, 3);
	dataset->is_query = gepa_store_bool(0, 4);
	dataset->search_path = gepa_store_text(&scope, 0, 5);
	dataset->key = gepa_store_text(&scope, 0, 6);
	dataset->inputs = gepa_store_texts(&scope, 0, 7, &dataset->ninputs);
	dataset->label = gepa_store_text(&scope, 0, 8);
	dataset->feedback = gepa_store_text(&scope, 0, 9);
	dataset->split = gepa_store_text(&scope, 0, 10);
	dataset->group_by = gepa_store_text(&scope, 0, 11);
	dataset->options = gepa_store_text(&scope, 0, 12);
	gepa_store_leave(&scope);
	return dataset;
}

void
gepa_store_drop_dataset(const char *name)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_text(&args, name);
	gepa_store_run(&scope, &delete_dataset, &args);
	gepa_store_leave(&scope);
}

/*
 * Reading samples
 */

static void
refuse_sample(const StoreDataset *dataset, const char *key, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("dataset \"%s\" cannot be used: %s", dataset->name, what),
			 key ? errdetail("The first such row has key \"%s\".", key) : 0,
			 errhint("%s", hint)));
}

static StoreSplit
read_split(const StoreDataset *dataset, const char *key, const char *value)
{
	if (dataset->split == NULL)
		return STORE_SPLIT_NONE;
	if (value == NULL)
		refuse_sample(dataset, key, "a split is null",
					  "The split column must hold train, val or test in every row.");
	if (pg_strcasecmp(value, "train") == 0)
		return STORE_SPLIT_TRAIN;
	if (pg_strcasecmp(value, "val") == 0 || pg_strcasecmp(value, "validation") == 0 ||
		pg_strcasecmp(value, "dev") == 0)
		return STORE_SPLIT_VAL;
	if (pg_strcasecmp(value, "test") == 0)
		return STORE_SPLIT_TEST;
	refuse_sample(dataset, key, psprintf("\"%s\" is not a split", value),
				  "The split column must hold train, val or test in every row.");
	return STORE_SPLIT_NONE;
}

/* Which column of the dataset fills which field of the judge. */
static int *
map_fields(const StoreDataset *dataset, const JudgeSpec *spec)
{
	int		   *column = palloc(sizeof(int) * Max(spec->ninputs, 1));
	bool		by_name = true;

	if (dataset->ninputs != spec->ninputs)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dataset \"%s\" has %d input columns, but judge \"%s\" takes %d",
						dataset->name, dataset->ninputs, spec->name, spec->ninputs),
				 errhint("Give create_dataset() one input column for each field in the judge's option \"inputs\".")));
	for (int i = 0; i < spec->ninputs; i++)
	{
		column[i] = -1;
		for (int k = 0; k < dataset->ninputs; k++)
			if (strcmp(spec->inputs[i], dataset->inputs[k]) == 0)
				column[i] = k;
		by_name = by_name && column[i] >= 0;
	}
	/* Names that do not all agree mean nothing: then the order counts. */
	for (int i = 0; i < spec->ninputs && !by_name; i++)
		column[i] = i;
	return column;
}

/* Chosen by hand, unlike what is judged: here it is an error. */
static void
check_images(const StoreDataset *dataset, const JudgeSpec *spec, const StoreSample *sample)
{
	char	   *problem = gepa_judge_find_bad_image(spec, &sample->document);

	if (problem != NULL)
		refuse_sample(dataset, sample->key, problem,
					  "Give images as bytea, as a data: URL or base64, or as an http or https URL; in PNG, JPEG, GIF or WebP. Leave other rows out with a query or a view as source.");
}

static void
read_document(StoreScope *scope, const StoreDataset *dataset, const JudgeSpec *spec,
			  const int *column, uint64 row, StoreSample *sample)
{
	const char **fields = MemoryContextAlloc(scope->caller,
											 sizeof(char *) * spec->ninputs);
	MemoryContext old;

	for (int i = 0; i < spec->ninputs; i++)
	{
		fields[i] = gepa_store_text(scope, row, 6 + column[i]);
		if (fields[i] == NULL || fields[i][strspn(fields[i], " \t\r\n")] == '\0')
			refuse_sample(dataset, sample->key,
						  psprintf("input column \"%s\" is empty", dataset->inputs[column[i]]),
						  "Leave such rows out with a query or a view as source.");
	}
	old = MemoryContextSwitchTo(scope->caller);
	gepa_judge_normalise(spec, fields);
	MemoryContextSwitchTo(old);
	sample->document.nfields = spec->ninputs;
	sample->document.fields = fields;
	check_images(dataset, spec, sample);
	gepa_judge_content_digest(&sample->document, sample->digest);
}

static void
read_sample(StoreScope *scope, const StoreDataset *dataset, const JudgeSpec *spec,
			const int *column, uint64 row, StoreSample *sample)
{
	char	   *split;

	sample->key = gepa_store_text(scope, row, 1);
	if (sample->key == NULL)
		refuse_sample(dataset, NULL, psprintf("key column \"%s\" is null in some rows", dataset->key),
					  "Name a column as key that is unique and never null.");
	sample->label = dataset->label == NULL ? MemoryContextStrdup(scope->caller, "") :
		gepa_store_text(scope, row, 2);
	if (sample->label == NULL)
		refuse_sample(dataset, sample->key, psprintf("label column \"%s\" is null", dataset->label),
					  "Leave unlabelled rows out with a query or a view as source.");
	sample->feedback = gepa_store_text(scope, row, 3);
	split = gepa_store_text(scope, row, 4);
	sample->split = read_split(dataset, sample->key, split);
	sample->group_key = gepa_store_text(scope, row, 5);
	sample->sample = -1;
	read_document(scope, dataset, spec, column, row, sample);
}

void
gepa_store_show_bytes(void)
{
	(void) set_config_option("bytea_output", "hex", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

StoreSample *
gepa_store_read_samples(const StoreDataset *dataset, const JudgeSpec *spec,
						int *nsamples)
{
	StoreScope	scope;
	char	   *sql = compose(dataset, gepa_store_order_by_key(dataset));
	int		   *column = map_fields(dataset, spec);
	StoreSample *samples;

	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, dataset->owner, dataset->search_path);
	gepa_store_show_bytes();
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the source of dataset \"%s\"", dataset->name);
	*nsamples = (int) SPI_processed;
	samples = MemoryContextAllocZero(scope.caller,
									 sizeof(StoreSample) * Max(*nsamples, 1));
	for (int i = 0; i < *nsamples; i++)
	{
		read_sample(&scope, dataset, spec, column, i, &samples[i]);
		if (i > 0 && strcmp(samples[i].key, samples[i - 1].key) == 0)
			refuse_sample(dataset, samples[i].key,
						  psprintf("key column \"%s\" has duplicates", dataset->key),
						  "Name a column as key that is unique and never null.");
	}
	gepa_store_leave(&scope);
	return samples;
}

StoreRow *
gepa_store_read_rows(const StoreDataset *dataset, int *nrows)
{
	StoreScope	scope;
	char	   *sql = compose_rows(dataset);
	StoreRow   *rows;

	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, dataset->owner, dataset->search_path);
	gepa_store_show_bytes();
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the source of dataset \"%s\"", dataset->name);
	*nrows = (int) SPI_processed;
	rows = MemoryContextAllocZero(scope.caller, sizeof(StoreRow) * Max(*nrows, 1));
	for (int i = 0; i < *nrows; i++)
	{
		rows[i].key = gepa_store_text(&scope, i, 1);
		rows[i].fields = gepa_store_jsonb(&scope, i, 2);
	}
	gepa_store_leave(&scope);
	return rows;
}

int64
gepa_store_count_labels(const StoreDataset *dataset)
{
	StoreScope	scope;
	char	   *labelled = dataset->label == NULL ? "" :
		psprintf(" WHERE s.%s IS NOT NULL", quote_identifier(dataset->label));
	char	   *sql = psprintf("SELECT pg_catalog.count(*) FROM (%s) l", compose(dataset, labelled));
	int64		count;

	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, dataset->owner, dataset->search_path);
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the source of dataset \"%s\"", dataset->name);
	count = gepa_store_bigint(0, 1);
	gepa_store_leave(&scope);
	return count;
}
