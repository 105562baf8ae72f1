/*-------------------------------------------------------------------------
 *
 * classifiers.c
 *	  Classifiers as rows, and the rows that they are trained with.
 *
 * The counts are one bytea, compressed by PostgreSQL.  They can tell about the texts
 * behind them, so nobody but the extension's owner reads them; a role that has its
 * documents classified learns labels only.
 *
 * Reading the source is the caller's statement, as in recipes.c: his rights, his
 * search_path, his snapshot, read only; so it enters no scope.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "store/store_read.h"

#define PORTION 100

static StoreStatement by_name = {
	.sql = "SELECT classifier, owner::oid, labels FROM gepa.classifier WHERE name = $1"
};

static StoreStatement select_counts = {
	.sql = "SELECT labels, smoothing, counts FROM gepa.classifier WHERE classifier = $1"
};

static StoreStatement insert_classifier = {
	.sql = "INSERT INTO gepa.classifier (name, owner, labels, label_rows, smoothing, counts, digest,"
	" folds, seed, accuracy, accuracy_low, accuracy_high)"
	" VALUES ($1, $2::regrole, $3, $4, $5, $6, sha256(convert_to("
	"jsonb_build_array($3, $5)::text, 'UTF8') || $6), $7, $8, $9, $10, $11)"
	" ON CONFLICT (name) DO NOTHING RETURNING classifier"
};

static StoreStatement delete_classifier = {
	.sql = "DELETE FROM gepa.classifier WHERE classifier = $1"
};

StoreClassifier *
gepa_store_get_classifier(const char *name)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreClassifier *classifier = palloc0(sizeof(StoreClassifier));

	classifier->name = pstrdup(name);
	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_text(&args, name);
	if (gepa_store_run(&scope, &by_name, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("classifier \"%s\" does not exist", name),
				 errhint("See gepa.classifiers, or create it with gepa.create_classifier().")));
	classifier->classifier = gepa_store_int(0, 1, 0);
	classifier->owner = gepa_store_oid(0, 2);
	classifier->labels = gepa_store_texts(&scope, 0, 3, &classifier->nlabels);
	gepa_store_leave(&scope);
	return classifier;
}

bool
gepa_store_gives(const StoreClassifier *classifier, const char *label)
{
	for (int i = 0; i < classifier->nlabels; i++)
		if (strcmp(classifier->labels[i], label) == 0)
			return true;
	return false;
}

static JudgeBayes *
unpack(StoreScope *scope, int id)
{
	MemoryContext old = MemoryContextSwitchTo(scope->caller);
	int			nlabels;
	char	  **labels = gepa_store_texts(scope, 0, 1, &nlabels);
	JudgeBayes *bayes = gepa_judge_bayes_new(gepa_store_double(0, 2));
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &isnull);
	bytea	   *counts = DatumGetByteaPP(value);

	for (int i = 0; i < nlabels; i++)
		(void) gepa_judge_bayes_add(bayes, labels[i]);
	if (bayes->nlabels == 0 ||
		!gepa_judge_bayes_unpack(bayes, (uint8 *) VARDATA_ANY(counts), VARSIZE_ANY_EXHDR(counts)))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("counts of classifier %d cannot be read", id),
				 errhint("Drop it with gepa.drop_classifier(), and create it again.")));
	if ((Pointer) counts != DatumGetPointer(value))
		pfree(counts);
	MemoryContextSwitchTo(old);
	return bayes;
}

JudgeBayes *
gepa_store_read_classifier(int classifier)
{
	StoreScope	scope;
	JudgeBayes *bayes = NULL;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	if (gepa_store_run_by_number(&scope, &select_counts, classifier) > 0)
		bayes = unpack(&scope, classifier);
	gepa_store_leave(&scope);
	return bayes;
}

static void
add_counts(StoreArgs *args, const JudgeBayes *bayes)
{
	Datum		rows[JUDGE_BAYES_LABELS];
	size_t		length;
	uint8	   *counts = gepa_judge_bayes_pack(bayes, &length);

	for (int i = 0; i < bayes->nlabels; i++)
		rows[i] = Int64GetDatum(bayes->texts[i]);
	gepa_store_arg_texts(args, bayes->nlabels, bayes->labels);
	gepa_store_arg_array(args, INT8OID, bayes->nlabels, rows, NULL);
	gepa_store_arg_double(args, bayes->smoothing);
	gepa_store_arg_bytes(args, counts, (int) length);
	pfree(counts);
}

int
gepa_store_create_classifier(const char *name, Oid owner, const JudgeBayes *bayes,
							 const StoreTraining *training)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			id;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_text(&args, name);
	gepa_store_arg_oid(&args, owner);
	add_counts(&args, bayes);
	gepa_store_arg_int(&args, training->folds);
	gepa_store_arg_bigint(&args, training->seed);
	gepa_store_arg_double(&args, training->accuracy.value);
	gepa_store_arg_double(&args, training->accuracy.low);
	gepa_store_arg_double(&args, training->accuracy.high);
	if (gepa_store_run(&scope, &insert_classifier, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("classifier \"%s\" already exists", name),
				 errhint("Drop it with gepa.drop_classifier() first, or choose another name.")));
	id = gepa_store_int(0, 1, 0);
	gepa_store_leave(&scope);
	return id;
}

void
gepa_store_drop_classifier(int classifier)
{
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_run_by_number(&scope, &delete_classifier, classifier);
	gepa_store_leave(&scope);
}

/*
 * Rows with labels
 */

static char *
compose(const StoreLabelled *labelled)
{
	StringInfoData sql;
	bool		is_query;
	char	   *source = gepa_store_resolve_source(labelled->source, &is_query);

	gepa_store_check_expression("document", labelled->document);
	gepa_store_check_expression("label", labelled->label);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT (%s\n), (%s\n)::pg_catalog.text", labelled->document,
					 labelled->label);
	appendStringInfo(&sql, is_query ? " FROM (%s\n) source" : " FROM %s", source);
	if (labelled->filter == NULL)
		return sql.data;
	gepa_store_check_expression("filter", labelled->filter);
	appendStringInfo(&sql, " WHERE (%s\n)", labelled->filter);
	return sql.data;
}

static bool
is_jsonb(TupleDesc desc)
{
	Oid			type = getBaseType(TupleDescAttr(desc, 0)->atttypid);

	if (type != JSONBOID && type != TEXTOID && type != VARCHAROID && type != BPCHAROID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("\"document\" is of type %s, not text or jsonb", format_type_be(type)),
				 errhint("Cast it, as in body::text.")));
	return type == JSONBOID;
}

/* What rows are handed out to. */
typedef struct Reading
{
	StoreLabelledTaker taker;
	void	   *arg;
} Reading;

static void
hand_out(void *arg)
{
	const Reading *reading = arg;
	bool		jsonb = is_jsonb(SPI_tuptable->tupdesc);

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		no_document;
		bool		no_label;
		Datum		document = SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &no_document);
		Datum		label = SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &no_label);

		CHECK_FOR_INTERRUPTS();
		if (!no_document && !no_label)
			reading->taker(document, jsonb, TextDatumGetCString(label), reading->arg);
	}
}

void
gepa_store_read_labelled(const StoreLabelled *labelled, StoreLabelledTaker taker, void *arg)
{
	char	   *sql = compose(labelled);
	Reading		reading = {taker, arg};
	Portal		portal;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	portal = SPI_cursor_open(NULL, gepa_store_plan(sql, 0, NULL), NULL, NULL, true);
	gepa_store_read_portal(portal, PORTION, hand_out, &reading);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}
