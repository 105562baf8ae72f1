/*-------------------------------------------------------------------------
 *
 * exchange_fields.c
 *	  Programs as DSPy saves them: predictors, and names of their fields.
 *
 * The file of a module is an object: a state for each predictor under its name, in
 * the order in which the module has them, and "metadata".  That of a lone predictor is
 * the state itself.  A state has the signature's instructions and, for each field, a
 * prefix and a description, inputs first; names of fields it has not.  They are taken
 * from the description where that is DSPy's default ("${name}"), else from a demo that
 * has a field like the prefix, else made of the prefix ("Page Text:" is page_text).
 * Option "fields" says them where that is not what is meant.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "api/api_program.h"

#define MAX_FIELDS 200

static const ApiFile program_file = {
	"program",
	"Give what a module's save('program.json') of DSPy 2.6 or newer writes, or gepa.export_program()."
};

static const char *const fields_hint =
	"Name its fields, inputs first, with option \"fields\", for example '{\"fields\": {\"judge.predict\": [\"document\", \"reasoning\", \"label\"]}}'.";

const ApiFile *
gepa_api_program_file(void)
{
	return &program_file;
}

/*
 * Names of fields
 */

static bool
is_identifier(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char) name[i]) && name[i] != '_')
			return false;
	return length > 0;
}

/* Equal but for case, spaces and other signs; a prefix ends with a colon. */
static bool
is_like(const char *a, const char *b)
{
	for (;;)
	{
		while (*a != '\0' && !isalnum((unsigned char) *a) && !IS_HIGHBIT_SET(*a))
			a++;
		while (*b != '\0' && !isalnum((unsigned char) *b) && !IS_HIGHBIT_SET(*b))
			b++;
		if (tolower((unsigned char) *a) != tolower((unsigned char) *b))
			return false;
		if (*a == '\0')
			return true;
		a++;
		b++;
	}
}

static const char *
name_in_demos(const GepaJson *demos, const char *prefix)
{
	for (int i = 0; i < demos->nitems; i++)
		for (int k = 0; k < demos->items[i]->nitems; k++)
			if (is_like(demos->items[i]->keys[k], prefix))
				return demos->items[i]->keys[k];
	return NULL;
}

static const char *
name_of_prefix(const char *prefix)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (; *prefix != '\0'; prefix++)
	{
		if (isalnum((unsigned char) *prefix) || IS_HIGHBIT_SET(*prefix))
			appendStringInfoChar(&buf, tolower((unsigned char) *prefix));
		else if (buf.len > 0 && buf.data[buf.len - 1] != '_')
			appendStringInfoChar(&buf, '_');
	}
	while (buf.len > 0 && buf.data[buf.len - 1] == '_')
		buf.data[--buf.len] = '\0';
	return buf.data;
}

static const char *
field_name(const ApiPredictor *predictor, const GepaJson *field)
{
	const char *prefix = gepa_json_get_string(field, "prefix");
	const char *description = gepa_json_get_string(field, "description");
	const char *name;
	size_t		length;

	if (prefix == NULL || description == NULL)
		gepa_api_refuse_file(&program_file, "a field of predictor \"%s\" has no prefix or no description",
							 predictor->name);
	length = strlen(description);
	if (length > 3 && strncmp(description, "${", 2) == 0 && description[length - 1] == '}' &&
		is_identifier(description + 2, length - 3))
		return pnstrdup(description + 2, length - 3);
	name = name_in_demos(predictor->demos, prefix);
	return name != NULL ? name : name_of_prefix(prefix);
}

static const GepaJson *
given_names(const ApiPredictor *predictor, const GepaJson *options)
{
	const GepaJson *names = gepa_json_get(gepa_json_get(options, "fields"), predictor->name);
	bool		fits = names != NULL && names->kind == GEPA_JSON_ARRAY &&
		names->nitems == predictor->nfields;

	for (int i = 0; fits && i < names->nitems; i++)
		fits = names->items[i]->kind == GEPA_JSON_STRING;
	if (names != NULL && !fits)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for import option \"fields\""),
				 errhint("Give an array of the names of the %d fields of predictor \"%s\".",
						 predictor->nfields, predictor->name)));
	return names;
}

static void
name_fields(ApiPredictor *predictor, const GepaJson *fields, const GepaJson *options)
{
	const GepaJson *given;

	predictor->nfields = fields->nitems;
	if (fields->nitems < 2 || fields->nitems > MAX_FIELDS)
		gepa_api_refuse_file(&program_file, "predictor \"%s\" has %d fields where 2 to %d are expected",
							 predictor->name, fields->nitems, MAX_FIELDS);
	predictor->fields = palloc(sizeof(char *) * fields->nitems);
	given = given_names(predictor, options);
	for (int i = 0; i < fields->nitems; i++)
	{
		predictor->fields[i] = given != NULL ? given->items[i]->text :
			field_name(predictor, fields->items[i]);
		if (predictor->fields[i][0] == '\0')
			gepa_api_refuse_file_with(&program_file, fields_hint, "field %d of predictor \"%s\" has no name",
									  i + 1, predictor->name);
		for (int k = 0; k < i; k++)
			if (strcmp(predictor->fields[k], predictor->fields[i]) == 0)
				gepa_api_refuse_file_with(&program_file, fields_hint, "predictor \"%s\" seems to have two fields \"%s\"",
										  predictor->name, predictor->fields[i]);
	}
}

/*
 * Predictors
 */

static void
read_predictor(ApiPredictor *predictor, const char *name, GepaJson *state,
			   const GepaJson *options)
{
	const GepaJson *signature = gepa_json_get(state, "signature");
	const GepaJson *fields = gepa_json_get(signature, "fields");

	predictor->name = name;
	predictor->state = state;
	if (gepa_json_get(state, "extended_signature") != NULL)
		gepa_api_refuse_file(&program_file, "predictor \"%s\" was saved by DSPy before 2.6", name);
	predictor->instructions = gepa_json_get_string(signature, "instructions");
	if (predictor->instructions == NULL || fields == NULL || fields->kind != GEPA_JSON_ARRAY)
		gepa_api_refuse_file(&program_file, "\"%s\" is no predictor: it has no signature with instructions and fields",
							 name);
	predictor->demos = gepa_api_file_member(&program_file, state, "demos", GEPA_JSON_ARRAY, -1);
	for (int i = 0; i < predictor->demos->nitems; i++)
		if (predictor->demos->items[i]->kind != GEPA_JSON_OBJECT)
			gepa_api_refuse_file(&program_file, "demo %d of predictor \"%s\" is not an object", i + 1,
								 name);
	name_fields(predictor, fields, options);
}

static const char *
predictor_at(const GepaJson *order, int i)
{
	return order->items[i]->kind == GEPA_JSON_STRING ? order->items[i]->text : "";
}

/* In the order that is given, or else that of the file. */
static void
sort_predictors(ApiProgram *program, const GepaJson *order)
{
	ApiPredictor *sorted = palloc(sizeof(ApiPredictor) * program->n);

	if (order == NULL)
		return;
	if (order->kind != GEPA_JSON_ARRAY || order->nitems != program->n)
		gepa_api_refuse_file_with(&program_file,
								  "Name each predictor of the file once in option \"order\".",
								  "it has %d predictors, and another number is given", program->n);
	for (int i = 0; i < program->n; i++)
	{
		int			at = 0;

		while (at < program->n &&
			   (program->predictors[at].name == NULL ||
				strcmp(program->predictors[at].name, predictor_at(order, i)) != 0))
			at++;
		if (at == program->n)
			gepa_api_refuse_file_with(&program_file,
									  "Name each predictor of the file once in option \"order\".",
									  "predictor \"%s\" is not in it, or named twice",
									  predictor_at(order, i));
		sorted[i] = program->predictors[at];
		program->predictors[at].name = NULL;
	}
	program->predictors = sorted;
}

ApiProgram *
gepa_api_read_program(const char *text, const GepaJson *options)
{
	ApiProgram *program = palloc0(sizeof(ApiProgram));
	GepaJson   *root = gepa_api_parse_file(&program_file, text, GEPA_JSON_OBJECT);
	const GepaJson *order = gepa_json_get(options, "order");

	program->root = root;
	program->predictors = palloc0(sizeof(ApiPredictor) * Max(root->nitems, 1));
	program->ours = gepa_json_get(gepa_json_get(root, "metadata"), "gepa");
	if (program->ours != NULL && program->ours->kind != GEPA_JSON_OBJECT)
		program->ours = NULL;
	if (gepa_json_get(root, "signature") != NULL)
		read_predictor(&program->predictors[program->n++], "self", root, options);
	else
		for (int i = 0; i < root->nitems; i++)
			if (strcmp(root->keys[i], "metadata") != 0)
				read_predictor(&program->predictors[program->n++], root->keys[i], root->items[i],
							   options);
	if (program->n == 0)
		gepa_api_refuse_file(&program_file, "it has no predictor");
	sort_predictors(program, order != NULL ? order :
					gepa_json_get(program->ours, "predictors"));
	return program;
}
