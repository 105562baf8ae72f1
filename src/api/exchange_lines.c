/*-------------------------------------------------------------------------
 *
 * exchange_lines.c
 *	  Labels and rollouts as lines of JSON (JSONL), out and in.
 *
 * A line is an object, and says all that there is to say about one sample or one
 * rollout, by names: nothing in it is a number that means something in one database
 * only, but for those of candidates, steps and slots within a run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

#include "api/api_exchange.h"

static const ApiFile labels_file = {
	"labels",
	"Give one JSON object a line, {\"key\": text, \"inputs\": {field: text}, \"label\": text}, and \"feedback\", \"split\", \"group\" where there are any, as gepa.export_labels() does."
};

static const ApiFile rollouts_file = {
	"rollouts",
	"Give lines as gepa.export_rollouts() writes them."
};

/*
 * Lines
 */

typedef struct Lines
{
	int			n;
	GepaJson  **lines;			/* objects */
	int		   *numbers;		/* of the lines in the text, from 1 */
} Lines;

static void
add_line(Lines *lines, const ApiFile *file, const char *start, size_t length, int number)
{
	const char *error;
	GepaJson   *line;

	if (length == 0 || strspn(start, " \t\r\n") >= length)
		return;
	line = gepa_json_parse(start, length, &error);
	if (line == NULL)
		gepa_api_refuse_file(file, "line %d is %s", number, error);
	if (line->kind != GEPA_JSON_OBJECT)
		gepa_api_refuse_file(file, "line %d is not an object", number);
	if ((lines->n & (lines->n - 1)) == 0)
	{
		Size		room = Max(2 * lines->n, 1);

		lines->lines = lines->n == 0 ? palloc(sizeof(GepaJson *)) :
			repalloc_huge(lines->lines, sizeof(GepaJson *) * room);
		lines->numbers = lines->n == 0 ? palloc(sizeof(int)) :
			repalloc_huge(lines->numbers, sizeof(int) * room);
	}
	lines->lines[lines->n] = line;
	lines->numbers[lines->n++] = number;
}

static Lines
split_lines(const ApiFile *file, const char *text)
{
	Lines		lines = {0};
	int			number = 1;

	for (;;)
	{
		const char *end = strchr(text, '\n');
		size_t		length = end != NULL ? end - text : strlen(text);

		CHECK_FOR_INTERRUPTS();
		add_line(&lines, file, text, length, number++);
		if (end == NULL)
			break;
		text = end + 1;
	}
	return lines;
}

static void
check_members(const ApiFile *file, const GepaJson *line, int number, const char *const *names,
			  int nnames)
{
	for (int i = 0; i < line->nitems; i++)
	{
		bool		known = false;

		for (int k = 0; k < nnames; k++)
			known = known || strcmp(line->keys[i], names[k]) == 0;
		if (!known)
			gepa_api_refuse_file(file, "line %d has a member \"%s\", which means nothing", number,
								 line->keys[i]);
	}
}

/* A text, or what can stand for one; NULL = none, or null. */
static const char *
scalar(const ApiFile *file, const GepaJson *object, const char *key, int number)
{
	const GepaJson *value = gepa_json_get(object, key);

	if (value == NULL || value->kind == GEPA_JSON_NULL)
		return NULL;
	if (value->kind == GEPA_JSON_BOOL)
		return value->boolean ? "true" : "false";
	if (value->kind != GEPA_JSON_STRING && value->kind != GEPA_JSON_NUMBER)
		gepa_api_refuse_file(file, "\"%s\" of line %d is no text", key, number);
	return value->text;
}

/*
 * Labels
 */

static const char *const label_members[] = {
	"feedback", "group", "inputs", "key", "label", "split"
};

static const GepaJson *
line_inputs(const Lines *lines, int i)
{
	const GepaJson *inputs = gepa_json_get(lines->lines[i], "inputs");

	if (inputs == NULL || inputs->kind != GEPA_JSON_OBJECT || inputs->nitems == 0)
		gepa_api_refuse_file(&labels_file, "line %d has no object of inputs", lines->numbers[i]);
	return inputs;
}

static void
put_column(StringInfo buf, const char *column, const char *value)
{
	gepa_api_put_key(buf, column);
	if (value == NULL)
		appendStringInfoString(buf, "null");
	else
		gepa_json_quote(buf, value);
}

/* A member that the dataset has no column for is not thrown away. */
static void
put_optional(StringInfo buf, const Lines *lines, int i, const char *member, const char *column)
{
	const char *value = scalar(&labels_file, lines->lines[i], member, lines->numbers[i]);

	if (column != NULL)
		put_column(buf, column, value);
	else if (value != NULL)
		gepa_api_refuse_file_with(&labels_file,
								  "Make the dataset anew with a column for it, or leave the member out.",
								  "line %d has a \"%s\", and the dataset no column for it",
								  lines->numbers[i], member);
}

static void
put_inputs(StringInfo buf, const StoreDataset *dataset, const Lines *lines, int i)
{
	const GepaJson *inputs = line_inputs(lines, i);

	if (inputs->nitems != dataset->ninputs)
		gepa_api_refuse_file(&labels_file, "line %d has %d inputs where the dataset has %d",
							 lines->numbers[i], inputs->nitems, dataset->ninputs);
	for (int k = 0; k < dataset->ninputs; k++)
	{
		if (gepa_json_get(inputs, dataset->inputs[k]) == NULL)
			gepa_api_refuse_file(&labels_file, "line %d has no input \"%s\"", lines->numbers[i],
								 dataset->inputs[k]);
		put_column(buf, dataset->inputs[k],
				   scalar(&labels_file, inputs, dataset->inputs[k], lines->numbers[i]));
	}
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void
check_keys(const Lines *lines)
{
	const char **keys = palloc_extended(sizeof(char *) * Max(lines->n, 1), MCXT_ALLOC_HUGE);

	for (int i = 0; i < lines->n; i++)
	{
		keys[i] = scalar(&labels_file, lines->lines[i], "key", lines->numbers[i]);
		if (keys[i] == NULL)
			gepa_api_refuse_file(&labels_file, "line %d has no key", lines->numbers[i]);
	}
	qsort(keys, lines->n, sizeof(char *), compare_texts);
	for (int i = 1; i < lines->n; i++)
		if (strcmp(keys[i], keys[i - 1]) == 0)
			gepa_api_refuse_file(&labels_file, "key \"%s\" is there twice", keys[i]);
}

/* As objects of the dataset's columns. */
static char *
label_rows(const StoreDataset *dataset, const Lines *lines)
{
	StringInfoData rows;
	StringInfoData row;

	initStringInfo(&rows);
	initStringInfo(&row);
	appendStringInfoChar(&rows, '[');
	for (int i = 0; i < lines->n; i++)
	{
		check_members(&labels_file, lines->lines[i], lines->numbers[i], label_members,
					  lengthof(label_members));
		resetStringInfo(&row);
		appendStringInfoChar(&row, '{');
		put_column(&row, dataset->key,
				   scalar(&labels_file, lines->lines[i], "key", lines->numbers[i]));
		put_inputs(&row, dataset, lines, i);
		put_optional(&row, lines, i, "label", dataset->label);
		put_optional(&row, lines, i, "feedback", dataset->feedback);
		put_optional(&row, lines, i, "split", dataset->split);
		put_optional(&row, lines, i, "group", dataset->group_by);
		appendStringInfo(&rows, "%s%s}", i > 0 ? "," : "", row.data);
	}
	appendStringInfoChar(&rows, ']');
	return rows.data;
}

/* A column for a member, where any line has it. */
static char *
column_of(const Lines *lines, const char *member, char *column)
{
	for (int i = 0; i < lines->n; i++)
		if (gepa_json_get(lines->lines[i], member) != NULL)
			return column;
	return NULL;
}

static void
check_input_name(const StoreDataset *dataset, const char *name)
{
	const char *taken[] = {
		dataset->key, dataset->label, dataset->feedback, dataset->split, dataset->group_by
	};

	for (int k = 0; k < lengthof(taken); k++)
		if (taken[k] != NULL && strcmp(name, taken[k]) == 0)
			gepa_api_refuse_file_with(&labels_file,
									  "Make a table and a dataset whose columns have names of their own, then import into that.",
									  "input \"%s\" would be a column twice", name);
}

/* A dataset that has what the file has. */
static void
describe(StoreDataset *dataset, const Lines *lines)
{
	const GepaJson *inputs;

	if (lines->n == 0)
		gepa_api_refuse_file(&labels_file, "there is no line");
	inputs = line_inputs(lines, 0);
	dataset->key = "key";
	dataset->label = "label";
	dataset->feedback = column_of(lines, "feedback", "feedback");
	dataset->split = column_of(lines, "split", "split");
	dataset->group_by = column_of(lines, "group", "group_key");
	dataset->options = "{}";
	dataset->owner = GetUserId();
	dataset->search_path = pstrdup(GetConfigOption("search_path", false, false));
	dataset->ninputs = inputs->nitems;
	dataset->inputs = inputs->keys;
	for (int i = 0; i < inputs->nitems; i++)
		check_input_name(dataset, inputs->keys[i]);
}

static StoreDataset *
own_dataset(const char *name)
{
	StoreDataset *dataset = gepa_store_get_dataset(name);

	gepa_store_check_owner("dataset", name, dataset->owner, GetUserId());
	return dataset;
}

/* A name as it stands in SQL, quoted, so that it is nothing but a name. */
static char *
quote_name(const char *name)
{
	List	   *parts = NIL;
	StringInfoData buf;
	ListCell   *cell;

	if (!SplitIdentifierString(pstrdup(name), '.', &parts) || parts == NIL ||
		list_length(parts) > 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not the name of a table", name),
				 errhint("Give a name like curation.labels.")));
	initStringInfo(&buf);
	foreach(cell, parts)
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? "." : "", quote_identifier(lfirst(cell)));
	return buf.data;
}

static StoreDataset *
make_dataset(char *name, const char *table, const Lines *lines)
{
	StoreDataset *dataset = palloc0(sizeof(StoreDataset));

	describe(dataset, lines);
	dataset->name = name;
	dataset->source = quote_name(table);
	gepa_store_create_source(dataset);
	(void) gepa_store_create_dataset(dataset);
	return dataset;
}

PG_FUNCTION_INFO_V1(gepa_import_labels);
Datum
gepa_import_labels(PG_FUNCTION_ARGS)
{
	char	   *name = gepa_api_text_arg(fcinfo, 0, "dataset");
	char	   *text = gepa_api_text_arg(fcinfo, 1, "lines");
	char	   *table = gepa_api_text_arg_or_null(fcinfo, 2);
	Lines		lines = split_lines(&labels_file, text);
	StoreDataset *dataset;

	check_keys(&lines);
	dataset = table != NULL ? make_dataset(name, table, &lines) : own_dataset(name);
	if (dataset->is_query)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("labels cannot be imported into dataset \"%s\", whose source is a query",
						name),
				 errhint("Import into a dataset over a table, or name a table to be made as third argument.")));
	gepa_store_import_labels(dataset, label_rows(dataset, &lines));
	PG_RETURN_INT64(lines.n);
}

static void
put_rows(FunctionCallInfo fcinfo, Datum *rows, int n)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		null = false;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < n; i++)
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &rows[i], &null);
}

PG_FUNCTION_INFO_V1(gepa_export_labels);
Datum
gepa_export_labels(PG_FUNCTION_ARGS)
{
	StoreDataset *dataset = own_dataset(gepa_api_text_arg(fcinfo, 0, "dataset"));
	int			n;
	Datum	   *rows = gepa_store_export_labels(dataset, &n);

	put_rows(fcinfo, rows, n);
	return (Datum) 0;
}

/*
 * Rollouts
 */

typedef enum MemberKind
{
	MEMBER_TEXT,
	MEMBER_COUNT,				/* a whole number, not negative */
	MEMBER_INT,
	MEMBER_NUMBER,
	MEMBER_BOOL,
	MEMBER_OBJECT,
	MEMBER_JSON
} MemberKind;

typedef struct Member
{
	const char *name;
	MemberKind	kind;
	bool		required;
} Member;

static const Member rollout_members[] = {
	{"candidate", MEMBER_COUNT, false},
	{"components", MEMBER_OBJECT, false},
	{"cost", MEMBER_NUMBER, false},
	{"created_at", MEMBER_TEXT, false},
	{"feedback", MEMBER_TEXT, false},
	{"from_logprobs", MEMBER_BOOL, false},
	{"grader_calls", MEMBER_COUNT, false},
	{"grader_cost", MEMBER_NUMBER, false},
	{"grader_input_tokens", MEMBER_COUNT, false},
	{"grader_output_tokens", MEMBER_COUNT, false},
	{"graders", MEMBER_JSON, false},
	{"input_tokens", MEMBER_COUNT, false},
	{"judge_score", MEMBER_NUMBER, false},
	{"label", MEMBER_TEXT, false},
	{"latency_ms", MEMBER_NUMBER, false},
	{"objectives", MEMBER_OBJECT, false},
	{"output", MEMBER_JSON, false},
	{"output_tokens", MEMBER_COUNT, false},
	{"sample", MEMBER_TEXT, true},
	{"score", MEMBER_NUMBER, false},
	{"slot", MEMBER_COUNT, true},
	{"split", MEMBER_TEXT, true},
	{"status", MEMBER_TEXT, true},
	{"step", MEMBER_INT, true},
	{"trace", MEMBER_JSON, false}
};

static void
check_value(const Member *member, const GepaJson *value, int number)
{
	const char *what = psprintf("\"%s\" of line %d", member->name, number);

	if (member->kind == MEMBER_TEXT && value->kind != GEPA_JSON_STRING)
		gepa_api_refuse_file(&rollouts_file, "%s is no text", what);
	if (member->kind == MEMBER_BOOL && value->kind != GEPA_JSON_BOOL)
		gepa_api_refuse_file(&rollouts_file, "%s is not true or false", what);
	if (member->kind == MEMBER_OBJECT && value->kind != GEPA_JSON_OBJECT)
		gepa_api_refuse_file(&rollouts_file, "%s is no object", what);
	if (member->kind == MEMBER_NUMBER)
		(void) gepa_api_file_number(&rollouts_file, value, what);
	if (member->kind == MEMBER_COUNT || member->kind == MEMBER_INT)
		(void) gepa_api_file_int(&rollouts_file, value, what,
								 member->kind == MEMBER_COUNT ? 0 : INT_MIN, INT_MAX);
}

static void
check_words(const GepaJson *line, int number)
{
	const char *split = gepa_json_get_string(line, "split");
	GepaStatus	status;
	bool		known = false;

	for (int i = 0; i < STORE_NSPLITS; i++)
		known = known || strcmp(split, gepa_store_split_name((StoreSplit) i)) == 0;
	if (!known)
		gepa_api_refuse_file(&rollouts_file, "\"%s\" of line %d is no split", split, number);
	if (!gepa_status_parse(gepa_json_get_string(line, "status"), &status))
		gepa_api_refuse_file(&rollouts_file, "\"%s\" of line %d is no status",
							 gepa_json_get_string(line, "status"), number);
}

/* A number of a candidate, or the texts of what did not become one. */
static void
check_whose(const GepaJson *line, int number, int ncandidates)
{
	const GepaJson *candidate = gepa_json_get(line, "candidate");
	const GepaJson *texts = gepa_json_get(line, "components");

	if (candidate != NULL && candidate->kind == GEPA_JSON_NUMBER)
	{
		(void) gepa_api_file_int(&rollouts_file, candidate,
								 psprintf("\"candidate\" of line %d", number), 0,
								 ncandidates - 1);
		return;
	}
	if (texts == NULL || texts->kind == GEPA_JSON_NULL)
		gepa_api_refuse_file(&rollouts_file, "line %d has neither a candidate nor components", number);
	for (int i = 0; i < texts->nitems; i++)
		if (texts->items[i]->kind != GEPA_JSON_STRING)
			gepa_api_refuse_file(&rollouts_file, "component \"%s\" of line %d is no text",
								 texts->keys[i], number);
}

static void
check_rollout(const GepaJson *line, int number, int ncandidates)
{
	const char *names[lengthof(rollout_members)];

	for (int k = 0; k < lengthof(rollout_members); k++)
	{
		const Member *member = &rollout_members[k];
		const GepaJson *value = gepa_json_get(line, member->name);

		names[k] = member->name;
		if (value != NULL && value->kind != GEPA_JSON_NULL)
			check_value(member, value, number);
		else if (member->required)
			gepa_api_refuse_file(&rollouts_file, "line %d has no \"%s\"", number, member->name);
	}
	check_members(&rollouts_file, line, number, names, lengthof(rollout_members));
	check_words(line, number);
	check_whose(line, number, ncandidates);
}

static char *
rollout_rows(const Lines *lines, int ncandidates)
{
	StringInfoData rows;

	initStringInfo(&rows);
	appendStringInfoChar(&rows, '[');
	for (int i = 0; i < lines->n; i++)
	{
		check_rollout(lines->lines[i], lines->numbers[i], ncandidates);
		if (i > 0)
			appendStringInfoChar(&rows, ',');
		gepa_json_write(&rows, lines->lines[i]);
	}
	appendStringInfoChar(&rows, ']');
	return rows.data;
}

static int
count_candidates(int run)
{
	int			nproposals;
	StoreProposal *proposals = gepa_store_get_proposals(run, &nproposals);
	int			n = 0;

	for (int i = 0; i < nproposals; i++)
		n += proposals[i].candidate >= 0;
	return n;
}

PG_FUNCTION_INFO_V1(gepa_import_rollouts);
Datum
gepa_import_rollouts(PG_FUNCTION_ARGS)
{
	StoreRun   *run = gepa_api_get_run(gepa_api_int_arg(fcinfo, 0, "run"));
	Lines		lines = split_lines(&rollouts_file, gepa_api_text_arg(fcinfo, 1, "lines"));
	char	   *unknown;
	int64		n;

	if (!run->imported)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rollouts cannot be imported into run %d, which was made here", run->run),
				 errhint("Import the result first, with gepa.import_result(), then its rollouts into that run.")));
	n = gepa_store_import_rollouts(run->run, rollout_rows(&lines, count_candidates(run->run)),
								   &unknown);
	if (unknown != NULL)
		gepa_api_refuse_file_with(&rollouts_file,
								  "Import the result with a dataset that has all samples, or without any.",
								  "run %d has no sample \"%s\"", run->run, unknown);
	PG_RETURN_INT64(n);
}

PG_FUNCTION_INFO_V1(gepa_export_rollouts);
Datum
gepa_export_rollouts(PG_FUNCTION_ARGS)
{
	StoreRun   *run = gepa_api_get_run(gepa_api_int_arg(fcinfo, 0, "run"));
	int			n;
	Datum	   *rows = gepa_store_export_rollouts(run->run, &n);

	put_rows(fcinfo, rows, n);
	return (Datum) 0;
}
