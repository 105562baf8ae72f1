/*-------------------------------------------------------------------------
 *
 * exchange_state.c
 *	  gepa.export_program(): a judge as DSPy saves programs.
 *
 * A judge that was made from a file comes out as that file, with the texts and demos
 * that it has now.  Any other, and one that was altered so that it is no longer the
 * program of the file, is written as the module would be saved that docs/exchange.md
 * shows: a predictor for each step under the step's name, and "judge" for the verdict,
 * or, without steps, Predict or ChainOfThought alone.
 *
 * What DSPy does not know (labels, options) is in "metadata", where it does not mind.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "api/api_program.h"

/* "page_text" is "Page Text:" */
static void
put_field(StringInfo buf, const char *name, bool first)
{
	StringInfoData prefix;
	bool		start = true;

	initStringInfo(&prefix);
	for (const char *c = name; *c != '\0'; c++)
	{
		appendStringInfoChar(&prefix, *c == '_' ? ' ' :
							 start ? toupper((unsigned char) *c) : *c);
		start = *c == '_';
	}
	appendStringInfoChar(&prefix, ':');
	appendStringInfoString(buf, first ? "{\"prefix\":" : ",{\"prefix\":");
	gepa_json_quote(buf, prefix.data);
	gepa_api_put_key(buf, "description");
	gepa_json_quote(buf, psprintf("${%s}", name));
	appendStringInfoChar(buf, '}');
}

static void
put_fields(StringInfo buf, int n, char *const *names, bool *first)
{
	for (int i = 0; i < n; i++)
	{
		put_field(buf, names[i], *first);
		*first = false;
	}
}

static void
begin_state(StringInfo buf, const char *text)
{
	appendStringInfoString(buf, "\"traces\":[],\"train\":[],\"signature\":{\"instructions\":");
	gepa_json_quote(buf, text);
	appendStringInfoString(buf, ",\"fields\":[");
}

static void
end_state(StringInfo buf, const char *demos)
{
	appendStringInfo(buf, "]},\"demos\":%s,\"lm\":null", demos);
}

static const char *
component_text(const JudgeSpec *spec, const char *name)
{
	for (int i = 0; i < spec->ncomponents; i++)
		if (strcmp(spec->components[i].name, name) == 0)
			return spec->components[i].text;
	return NULL;
}

static void
put_step(StringInfo buf, const JudgeSpec *spec, const JudgeStep *step)
{
	bool		first = true;

	begin_state(buf, component_text(spec, step->name));
	put_fields(buf, step->ninputs, step->inputs, &first);
	put_fields(buf, step->noutputs, step->outputs, &first);
	end_state(buf, "[]");
}

/* All that the verdict is shown, where it is not chosen. */
static void
put_verdict_inputs(StringInfo buf, const JudgeSpec *spec, bool *first)
{
	if (spec->nverdict_inputs > 0)
	{
		put_fields(buf, spec->nverdict_inputs, spec->verdict_inputs, first);
		return;
	}
	put_fields(buf, spec->ninputs, spec->inputs, first);
	for (int i = 0; i < spec->nsteps; i++)
		put_fields(buf, spec->steps[i].noutputs, spec->steps[i].outputs, first);
}

static void
put_verdict(StringInfo buf, const JudgeSpec *spec)
{
	bool		first = true;

	begin_state(buf, component_text(spec, "instruction"));
	put_verdict_inputs(buf, spec, &first);
	if (spec->reasoning)
		put_field(buf, "reasoning", false);
	put_field(buf, "label", false);
	end_state(buf, gepa_api_demos_json(spec, NULL, "label"));
}

/*
 * What DSPy does not know
 */

static void
put_texts(StringInfo buf, const char *key, const JudgeSpec *spec, bool positive_only)
{
	bool		first = true;

	gepa_api_put_key(buf, key);
	appendStringInfoChar(buf, '[');
	for (int i = 0; i < spec->nlabels; i++)
	{
		if (positive_only && !spec->positive[i])
			continue;
		appendStringInfoString(buf, first ? "" : ",");
		gepa_json_quote(buf, spec->labels[i]);
		first = false;
	}
	appendStringInfoChar(buf, ']');
}

/* Without what is in the signatures, and without LMs, which are not the file's. */
static void
put_options(StringInfo buf, const JudgeSpec *spec)
{
	char	   *text = gepa_judge_options_json(spec);
	GepaJson   *options = gepa_json_parse(text, strlen(text), NULL);

	gepa_api_put_key(buf, "options");
	appendStringInfoChar(buf, '{');
	for (int i = 0; i < options->nitems; i++)
	{
		if (strcmp(options->keys[i], "steps") == 0 ||
			strcmp(options->keys[i], "verdict_inputs") == 0)
			continue;
		gepa_api_put_key(buf, options->keys[i]);
		gepa_json_write(buf, options->items[i]);
	}
	appendStringInfoChar(buf, '}');
	gepa_api_put_key(buf, "outputs");
	appendStringInfoChar(buf, '{');
	for (int i = 0; i < spec->nsteps; i++)
	{
		for (int k = 0; k < spec->steps[i].noutputs; k++)
		{
			gepa_api_put_key(buf, spec->steps[i].outputs[k]);
			appendStringInfoString(buf, spec->steps[i].schemas[k]);
		}
	}
	appendStringInfoChar(buf, '}');
}

/* Of a file: its versions, and in which order its predictors come. */
static void
put_metadata(StringInfo buf, const JudgeSpec *spec, const GepaJson *metadata,
			 const char *predictors)
{
	const GepaJson *versions = gepa_json_get(metadata, "dependency_versions");

	gepa_api_put_key(buf, "metadata");
	appendStringInfoString(buf, "{\"dependency_versions\":");
	if (versions != NULL)
		gepa_json_write(buf, versions);
	else
		appendStringInfoString(buf, "{}");
	for (int i = 0; metadata != NULL && i < metadata->nitems; i++)
	{
		if (strcmp(metadata->keys[i], "dependency_versions") == 0 ||
			strcmp(metadata->keys[i], "gepa") == 0)
			continue;
		gepa_api_put_key(buf, metadata->keys[i]);
		gepa_json_write(buf, metadata->items[i]);
	}
	appendStringInfo(buf, ",\"gepa\":{\"predictors\":%s", predictors);
	put_texts(buf, "labels", spec, false);
	put_texts(buf, "positive", spec, true);
	put_options(buf, spec);
	appendStringInfoString(buf, "}}");
}

/*
 * A file of its own
 */

static char *
write_program(const JudgeSpec *spec)
{
	const char *verdict = spec->nsteps == 0 ? (spec->reasoning ? "predict" : "self") :
		spec->reasoning ? "judge.predict" : "judge";
	StringInfoData buf;
	StringInfoData names;

	initStringInfo(&buf);
	initStringInfo(&names);
	appendStringInfoChar(&buf, '{');
	appendStringInfoChar(&names, '[');
	for (int i = 0; i < spec->nsteps; i++)
	{
		gepa_api_put_key(&buf, spec->steps[i].name);
		appendStringInfoChar(&buf, '{');
		put_step(&buf, spec, &spec->steps[i]);
		appendStringInfoChar(&buf, '}');
		gepa_json_quote(&names, spec->steps[i].name);
		appendStringInfoChar(&names, ',');
	}
	gepa_json_quote(&names, verdict);
	appendStringInfoChar(&names, ']');
	if (strcmp(verdict, "self") == 0)
		put_verdict(&buf, spec);
	else
	{
		gepa_api_put_key(&buf, verdict);
		appendStringInfoChar(&buf, '{');
		put_verdict(&buf, spec);
		appendStringInfoChar(&buf, '}');
	}
	put_metadata(&buf, spec, NULL, names.data);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

/*
 * The file that it was made from
 */

static const GepaJson *
names_of(const GepaJson *names, const char *predictor)
{
	for (int i = 0; i < names->nitems; i++)
		if (strcmp(gepa_json_get_string(names->items[i], "predictor"), predictor) == 0)
			return names->items[i];
	return NULL;
}

/* Is the judge still that program: the same components, and fields for its document? */
static bool
is_that_program(const JudgeSpec *spec, const GepaJson *names)
{
	const GepaJson *verdict = names->items[names->nitems - 1];
	const GepaJson *fields = gepa_json_get(verdict, "fields");
	bool		reasoning = fields->nitems > 2 &&
		strcmp(fields->items[fields->nitems - 2]->text, "reasoning") == 0;

	if (spec->nsteps != names->nitems - 1 || spec->reasoning != reasoning)
		return false;
	for (int i = 0; i < spec->nsteps; i++)
		if (strcmp(spec->steps[i].name, gepa_json_get_string(names->items[i], "component")) != 0)
			return false;
	for (int i = 0; spec->nsteps == 0 && i < spec->ninputs; i++)
	{
		bool		found = false;

		for (int k = 0; k < fields->nitems; k++)
			found = found || strcmp(fields->items[k]->text, spec->inputs[i]) == 0;
		if (!found)
			return false;
	}
	return spec->nsteps > 0 || spec->ninputs == fields->nitems - (reasoning ? 2 : 1);
}

static void
put_signature(StringInfo buf, const GepaJson *signature, const char *text)
{
	appendStringInfoChar(buf, '{');
	for (int i = 0; i < signature->nitems; i++)
	{
		gepa_api_put_key(buf, signature->keys[i]);
		if (strcmp(signature->keys[i], "instructions") == 0)
			gepa_json_quote(buf, text);
		else
			gepa_json_write(buf, signature->items[i]);
	}
	appendStringInfoChar(buf, '}');
}

/* Members of a predictor's state, with the text and the demos that the judge has now. */
static void
put_state(StringInfo buf, const JudgeSpec *spec, GepaJson *state, const GepaJson *names)
{
	const char *component = gepa_json_get_string(names, "component");
	const GepaJson *fields = gepa_json_get(names, "fields");
	const char *label_field = fields->items[fields->nitems - 1]->text;
	ApiPredictor predictor = {.nfields = fields->nitems};

	predictor.fields = palloc(sizeof(char *) * fields->nitems);
	for (int i = 0; i < fields->nitems; i++)
		predictor.fields[i] = fields->items[i]->text;
	predictor.demos = gepa_json_get(state, "demos");
	for (int i = 0; i < state->nitems; i++)
	{
		if (strcmp(state->keys[i], "metadata") == 0)
			continue;
		gepa_api_put_key(buf, state->keys[i]);
		if (strcmp(state->keys[i], "signature") == 0)
			put_signature(buf, state->items[i], component_text(spec, component));
		else if (strcmp(state->keys[i], "demos") == 0 && strcmp(component, "instruction") == 0)
			appendStringInfoString(buf, gepa_api_demos_json(spec, &predictor, label_field));
		else
			gepa_json_write(buf, state->items[i]);
	}
}

static char *
predictors_json(const GepaJson *names)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < names->nitems; i++)
	{
		appendStringInfoChar(&buf, i > 0 ? ',' : '[');
		gepa_json_quote(&buf, gepa_json_get_string(names->items[i], "predictor"));
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

static char *
rewrite_program(const JudgeSpec *spec, const GepaJson *root, const GepaJson *names)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	if (gepa_json_get(root, "signature") != NULL)
		put_state(&buf, spec, unconstify(GepaJson *, root), names->items[0]);
	else
	{
		for (int i = 0; i < root->nitems; i++)
		{
			const GepaJson *of = names_of(names, root->keys[i]);

			if (of == NULL)
				continue;
			gepa_api_put_key(&buf, root->keys[i]);
			appendStringInfoChar(&buf, '{');
			put_state(&buf, spec, root->items[i], of);
			appendStringInfoChar(&buf, '}');
		}
	}
	put_metadata(&buf, spec, gepa_json_get(root, "metadata"), predictors_json(names));
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

PG_FUNCTION_INFO_V1(gepa_export_program);
Datum
gepa_export_program(PG_FUNCTION_ARGS)
{
	StoreVersion *version = gepa_store_get_version(gepa_api_text_arg(fcinfo, 0, "judge"),
												   PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1));
	char	   *names_text;
	char	   *text = gepa_store_get_program(version->judge, &names_text);
	GepaJson   *root = NULL;
	GepaJson   *names = NULL;

	gepa_store_check_owner("judge", version->spec->name, version->owner, GetUserId());
	if (text != NULL)
	{
		root = gepa_json_parse(text, strlen(text), NULL);
		names = gepa_json_parse(names_text, strlen(names_text), NULL);
	}
	text = root != NULL && names != NULL && is_that_program(version->spec, names) ?
		rewrite_program(version->spec, root, names) : write_program(version->spec);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}
