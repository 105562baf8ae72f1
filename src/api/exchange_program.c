/*-------------------------------------------------------------------------
 *
 * exchange_program.c
 *	  gepa.import_program(): a judge from a program that DSPy has saved.
 *
 * The last predictor gives the verdict: its last field is the label, a field
 * "reasoning" before it is the judge's reasoning.  Predictors before it are steps.
 * Which fields are inputs the file does not say: it is the document's fields, which
 * option "inputs" names, and outputs of predictors before; without that option of a lone
 * predictor all fields but reasoning and label.
 *
 * What a judge does not know (prefixes, descriptions, the LM, demos of steps, ...) is
 * kept with the file, with which of its names are which of ours; exchange_state.c puts
 * it into the file again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/api_program.h"

static const char *const option_names[] = {
	"demos", "effort", "fields", "images", "inputs", "max_chars", "order", "outputs",
	"thinking_budget", "threshold", "votes", "window"
};

/* ... that are the judge's own, as create_judge has them. */
static const char *const judge_options[] = {
	"effort", "images", "max_chars", "thinking_budget", "threshold", "votes", "window"
};

typedef struct Import
{
	const ApiProgram *program;
	const GepaJson *options;
	JudgeSpec	spec;
	int			nknown;			/* names that predictors may be shown: the
								 * document's fields first, then outputs */
	const char **known;
	int			ninputs;		/* of these, the document's */
	StringInfoData judge;		/* options of the judge */
	StringInfoData names;		/* which predictor is which component, as JSON */
} Import;

static const ApiPredictor *
last_predictor(const ApiProgram *program)
{
	return &program->predictors[program->n - 1];
}

/*
 * The document's fields
 */

static bool
has_reasoning(const ApiPredictor *predictor)
{
	return predictor->nfields > 2 &&
		strcmp(predictor->fields[predictor->nfields - 2], "reasoning") == 0;
}

static void
know(Import *import, const char *name)
{
	import->known = import->nknown == 0 ? palloc(sizeof(char *)) :
		repalloc(import->known, sizeof(char *) * (import->nknown + 1));
	import->known[import->nknown++] = name;
}

static bool
is_known(const Import *import, const char *name)
{
	for (int i = 0; i < import->nknown; i++)
		if (strcmp(import->known[i], name) == 0)
			return true;
	return false;
}

static void
find_inputs(Import *import)
{
	const ApiPredictor *last = last_predictor(import->program);
	const GepaJson *given = gepa_json_get(import->options, "inputs");
	int			outputs = has_reasoning(last) ? 2 : 1;

	if (given == NULL)
		given = gepa_json_get(gepa_json_get(import->program->ours, "options"), "inputs");
	if (given == NULL && import->program->n > 1)
		gepa_api_refuse_file_with(gepa_api_program_file(),
								  "Name the document's fields with option \"inputs\", for example '{\"inputs\": [\"document\"]}'.",
								  "of %d predictors it does not say which fields are the document's",
								  import->program->n);
	for (int i = 0; given == NULL && i < last->nfields - outputs; i++)
		know(import, last->fields[i]);
	for (int i = 0; given != NULL && i < given->nitems; i++)
		if (given->kind == GEPA_JSON_ARRAY && given->items[i]->kind == GEPA_JSON_STRING)
			know(import, given->items[i]->text);
	import->ninputs = import->nknown;
}

/*
 * Names, ours for theirs
 */

/* A step's name may have letters, digits, _ and -. */
static const char *
step_name(const ApiPredictor *predictor)
{
	char	   *name = pstrdup(predictor->name);
	size_t		length = strlen(name);

	if (length > 8 && strcmp(name + length - 8, ".predict") == 0)
		name[length - 8] = '\0';
	for (char *c = name; *c != '\0'; c++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *c) == NULL)
			*c = '_';
	if (strcmp(name, "instruction") == 0 || strcmp(name, "examples") == 0 ||
		strcmp(name, "verdict") == 0)
		return psprintf("step_%s", name);
	return name;
}

static void
put_names(StringInfo buf, const char *key, const char *const *names, int n)
{
	gepa_api_put_key(buf, key);
	appendStringInfoChar(buf, '[');
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(buf, i > 0 ? "," : "");
		gepa_json_quote(buf, names[i]);
	}
	appendStringInfoChar(buf, ']');
}

static void
note_names(Import *import, const ApiPredictor *predictor, const char *component)
{
	StringInfo	buf = &import->names;

	appendStringInfoString(buf, buf->len > 1 ? ",{" : "{");
	gepa_api_put_key(buf, "predictor");
	gepa_json_quote(buf, predictor->name);
	gepa_api_put_key(buf, "component");
	gepa_json_quote(buf, component);
	put_names(buf, "fields", predictor->fields, predictor->nfields);
	appendStringInfoChar(buf, '}');
}

/*
 * Steps
 */

/* As given, or as it was where the file is ours; DSPy does not save types. */
static void
put_schema(StringInfo buf, const Import *import, const char *output)
{
	const GepaJson *schema = gepa_json_get(gepa_json_get(import->options, "outputs"), output);

	if (schema == NULL)
		schema = gepa_json_get(gepa_json_get(import->program->ours, "outputs"), output);
	gepa_api_put_key(buf, output);
	if (schema != NULL)
		gepa_json_write(buf, schema);
	else
		appendStringInfoString(buf, "{\"type\":\"string\"}");
}

/* Each step may have a reasoning of its own; names of outputs are distinct. */
static const char *
output_name(const ApiPredictor *predictor, const char *step, int field)
{
	if (strcmp(predictor->fields[field], "reasoning") == 0)
		return psprintf("%s_reasoning", step);
	return predictor->fields[field];
}

static void
put_step(Import *import, const ApiPredictor *predictor)
{
	const char *name = step_name(predictor);
	const char **inputs = palloc(sizeof(char *) * predictor->nfields);
	const char **outputs = palloc(sizeof(char *) * predictor->nfields);
	StringInfo	buf = &import->judge;
	int			ninputs = 0;
	int			noutputs = 0;

	for (int i = 0; i < predictor->nfields; i++)
	{
		if (strcmp(predictor->fields[i], "reasoning") != 0 &&
			is_known(import, predictor->fields[i]))
			inputs[ninputs++] = predictor->fields[i];
		else
			outputs[noutputs++] = output_name(predictor, name, i);
	}
	gepa_api_put_key(buf, "name");
	gepa_json_quote(buf, name);
	gepa_api_put_key(buf, "prompt");
	gepa_json_quote(buf, predictor->instructions);
	put_names(buf, "inputs", inputs, ninputs);
	gepa_api_put_key(buf, "outputs");
	appendStringInfoChar(buf, '{');
	for (int i = 0; i < noutputs; i++)
	{
		put_schema(buf, import, outputs[i]);
		know(import, outputs[i]);
	}
	appendStringInfoChar(buf, '}');
	note_names(import, predictor, name);
}

static void
put_steps(Import *import)
{
	if (import->program->n == 1)
		return;
	gepa_api_put_key(&import->judge, "steps");
	appendStringInfoChar(&import->judge, '[');
	for (int i = 0; i < import->program->n - 1; i++)
	{
		appendStringInfoString(&import->judge, i > 0 ? ",{" : "{");
		put_step(import, &import->program->predictors[i]);
		appendStringInfoChar(&import->judge, '}');
	}
	appendStringInfoChar(&import->judge, ']');
}

/*
 * The verdict
 */

/* Then the judge is one that does not choose. */
static bool
is_shown_all(const Import *import, const char *const *fields, int n)
{
	for (int i = 0; i < n && i < import->nknown; i++)
		if (strcmp(fields[i], import->known[i]) != 0)
			return false;
	return n == import->nknown;
}

static void
put_verdict(Import *import)
{
	const ApiPredictor *last = last_predictor(import->program);
	bool		reasoning = has_reasoning(last);
	int			n = last->nfields - (reasoning ? 2 : 1);

	for (int i = 0; i < n; i++)
		if (!is_known(import, last->fields[i]))
			gepa_api_refuse_file_with(gepa_api_program_file(),
									  "A judge's verdict is one label; of the document's fields option \"inputs\" has the names, and \"order\" the order of the predictors.",
									  "field \"%s\" of predictor \"%s\" is neither shown to it, nor its reasoning, nor its label",
									  last->fields[i], last->name);
	gepa_api_put_key(&import->judge, "reasoning");
	appendStringInfoString(&import->judge, reasoning ? "true" : "false");
	if (import->program->n > 1 && !is_shown_all(import, last->fields, n))
		put_names(&import->judge, "verdict_inputs", last->fields, n);
	note_names(import, last, "instruction");
}

static void
put_examples(Import *import)
{
	const ApiPredictor *last = last_predictor(import->program);
	const GepaJson *wanted = gepa_json_get(import->options, "demos");
	StringInfo	buf = &import->judge;
	int			nleft = 0;
	int			nput = 0;

	gepa_api_put_key(buf, "examples");
	appendStringInfoChar(buf, '[');
	for (int i = 0; i < last->demos->nitems; i++)
	{
		StringInfoData example;

		if (wanted != NULL && wanted->kind == GEPA_JSON_BOOL && !wanted->boolean)
			break;
		initStringInfo(&example);
		if (gepa_api_put_demo_example(&example, &import->spec, last, last->demos->items[i]))
			appendStringInfo(buf, "%s%s", nput++ > 0 ? "," : "", example.data);
		else
			nleft++;
	}
	appendStringInfoChar(buf, ']');
	for (int i = 0; i < import->program->n - 1; i++)
		nleft += import->program->predictors[i].demos->nitems;
	if (nleft > 0)
		ereport(NOTICE,
				(errmsg("demos that the judge does not show: %d", nleft),
				 errdetail("A judge's examples are whole documents, of texts, with a label; steps have none."),
				 errhint("They are kept, and gepa.export_program() writes them again.")));
}

/*
 * The spec
 */

static bool
is_taken_over(const char *key)
{
	for (int i = 0; i < lengthof(judge_options); i++)
		if (strcmp(key, judge_options[i]) == 0)
			return true;
	return false;
}

/* Options that a file of ours has, and those that are given, which come last and count. */
static void
put_plain_options(Import *import)
{
	const GepaJson *from[2];

	from[0] = gepa_json_get(import->program->ours, "options");
	from[1] = import->options;
	for (int k = 0; k < lengthof(from); k++)
	{
		for (int i = 0; from[k] != NULL && i < from[k]->nitems; i++)
		{
			if (from[k]->kind != GEPA_JSON_OBJECT || !is_taken_over(from[k]->keys[i]))
				continue;
			gepa_api_put_key(&import->judge, from[k]->keys[i]);
			gepa_json_write(&import->judge, from[k]->items[i]);
		}
	}
}

static void
apply(Import *import)
{
	JudgeSpec  *spec = &import->spec;
	JudgeComponent *instruction = palloc0(sizeof(JudgeComponent));

	instruction->name = "instruction";
	instruction->kind = JUDGE_COMPONENT_INSTRUCTION;
	instruction->text = pstrdup(last_predictor(import->program)->instructions);
	spec->components = instruction;
	spec->ncomponents = 1;
	spec->ninputs = import->ninputs;
	spec->inputs = unconstify(char **, import->known);

	initStringInfo(&import->judge);
	initStringInfo(&import->names);
	appendStringInfoChar(&import->judge, '{');
	appendStringInfoChar(&import->names, '[');
	put_names(&import->judge, "inputs", import->known, import->ninputs);
	put_steps(import);
	put_verdict(import);
	put_plain_options(import);
	put_examples(import);
	appendStringInfoChar(&import->judge, '}');
	appendStringInfoChar(&import->names, ']');
	gepa_judge_apply_options(spec, gepa_json_parse(import->judge.data, import->judge.len, NULL));
}

static char **
texts_of(const GepaJson *array, int *n)
{
	char	  **texts;

	*n = 0;
	if (array == NULL || array->kind != GEPA_JSON_ARRAY)
		return NULL;
	texts = palloc(sizeof(char *) * Max(array->nitems, 1));
	for (int i = 0; i < array->nitems; i++)
		if (array->items[i]->kind == GEPA_JSON_STRING)
			texts[(*n)++] = array->items[i]->text;
	return texts;
}

/* As given, or else the judge's that there is, or the file's, or true and false. */
static void
set_labels(FunctionCallInfo fcinfo, Import *import, const JudgeSpec *old)
{
	static char *defaults[] = {"true", "false"};
	JudgeSpec  *spec = &import->spec;
	char	  **positive = NULL;
	int			npositive = 0;

	if (!PG_ARGISNULL(3))
		spec->labels = gepa_api_texts_arg(fcinfo, 3, "labels", &spec->nlabels);
	else if (old != NULL)
	{
		spec->labels = old->labels;
		spec->nlabels = old->nlabels;
		spec->positive = old->positive;
	}
	else
	{
		spec->labels = texts_of(gepa_json_get(import->program->ours, "labels"), &spec->nlabels);
		positive = texts_of(gepa_json_get(import->program->ours, "positive"), &npositive);
	}
	if (!PG_ARGISNULL(4))
		positive = gepa_api_texts_arg(fcinfo, 4, "positive", &npositive);
	if (spec->nlabels == 0)
	{
		spec->labels = defaults;
		spec->nlabels = lengthof(defaults);
	}
	if (spec->positive == NULL || positive != NULL)
		gepa_api_set_positive(spec, positive != NULL ? npositive : 1,
							  positive != NULL ? positive : defaults);
}

/*
 * What is kept
 */

/* Keys of LMs are nobody's business, least of all that of a dump. */
static void
remove_keys(GepaJson *value)
{
	int			kept = 0;

	for (int i = 0; i < value->nitems; i++)
	{
		if (value->kind == GEPA_JSON_OBJECT && strcmp(value->keys[i], "api_key") == 0)
			continue;
		remove_keys(value->items[i]);
		if (value->kind == GEPA_JSON_OBJECT)
			value->keys[kept] = value->keys[i];
		value->items[kept++] = value->items[i];
	}
	value->nitems = kept;
}

static void
keep_file(const Import *import, int judge)
{
	const ApiProgram *program = import->program;
	StringInfoData buf;

	for (int i = 0; i < program->n; i++)
	{
		GepaJson   *lm = gepa_json_get(program->predictors[i].state, "lm");

		if (lm != NULL)
			remove_keys(lm);
	}
	initStringInfo(&buf);
	gepa_json_write(&buf, program->root);
	gepa_store_put_program(judge, buf.data, import->names.data);
}

/* The judge of that name as it is now, locked; NULL = there is none. */
static const StoreVersion *
find_judge(const char *name)
{
	StoreRouter *router = gepa_store_find_router(name, 0);
	const StoreVersion *version;

	if (router == NULL && gepa_store_find_version(name, 0) == NULL)
		return NULL;
	version = gepa_store_lock_version(name);
	gepa_store_check_owner("judge", name, version->owner, GetUserId());
	return version;
}

PG_FUNCTION_INFO_V1(gepa_import_program);
Datum
gepa_import_program(PG_FUNCTION_ARGS)
{
	Import		import = {0};
	char	   *name = gepa_api_text_arg(fcinfo, 0, "name");
	char	   *lm = gepa_api_name_arg_or_null(fcinfo, 1);
	const StoreVersion *old;
	JudgeServers *lms;
	int			judge;
	int			version = 1;

	gepa_api_check_judge_name(name);
	old = find_judge(name);
	if (old == NULL)
		gepa_api_require_arg(fcinfo, 1, "lm");
	import.options = gepa_api_import_options(fcinfo, 5, option_names, lengthof(option_names));
	import.program = gepa_api_read_program(gepa_api_text_arg(fcinfo, 2, "program"),
										   import.options);
	import.spec.name = name;
	set_labels(fcinfo, &import, old != NULL ? old->spec : NULL);
	find_inputs(&import);
	apply(&import);
	gepa_judge_check_spec(&import.spec);
	if (lm == NULL)
		lm = old->lm;
	lms = gepa_judge_resolve(&import.spec, lm, GetUserId());
	gepa_judge_identify(&import.spec, lms);
	gepa_judge_free_servers(lms);
	if (old == NULL)
		judge = gepa_store_create_judge(&import.spec, lm, GetUserId());
	else
	{
		judge = old->judge;
		version = gepa_store_add_version(judge, &import.spec, lm, 0, 0);
	}
	keep_file(&import, judge);
	PG_RETURN_INT32(version);
}
