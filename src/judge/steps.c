/*-------------------------------------------------------------------------
 *
 * steps.c
 *	  Steps of a program: as options, checked, and found by name.
 *
 * In options a step carries its prompt, which becomes the component of its name; what
 * is stored with a version has none, and the identity of the step's LM instead.  A
 * step without a prompt keeps that of the component it finds.
 *
 * Fields of documents and outputs share one space of names, so that a name says what
 * is shown without saying where it comes from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/text.h"
#include "judge/judge_internal.h"

#define MAX_NAME_BYTES 60		/* endpoints want 64 at most for a schema's */
#define MAX_FIELD_BYTES 200

static const char *const key_names[] = {
	"inputs", "lm", "lm_identity", "name", "outputs", "prompt"
};

/* They are components, or stand in a trace, of every program. */
static const char *const taken_names[] = {"instruction", "examples", "verdict"};

static void
refuse_step(const char *name, const char *problem, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("step \"%s\" of the judge cannot be used: %s", name, problem),
			 errhint("%s", hint)));
}

static void
refuse_steps(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for judge option \"steps\""),
			 errhint("Give an array of at most %d objects {\"name\": text, \"prompt\": text, \"outputs\": {field: JSON schema}, \"inputs\": [field, ...], \"lm\": server}.",
					 JUDGE_MAX_STEPS)));
}

/*
 * Reading
 */

static void
check_keys(const char *name, const GepaJson *item)
{
	for (int i = 0; i < item->nitems; i++)
	{
		bool		known = false;

		for (int k = 0; k < lengthof(key_names); k++)
			known = known || strcmp(item->keys[i], key_names[k]) == 0;
		if (!known)
			refuse_step(name, psprintf("it has no key \"%s\"", item->keys[i]),
						"Valid keys are name, prompt, inputs, outputs, lm.");
	}
}

static char **
read_names(const GepaJson *value, int *n)
{
	char	  **names;

	*n = 0;
	if (value->kind != GEPA_JSON_ARRAY || value->nitems == 0)
		return NULL;
	names = palloc(sizeof(char *) * value->nitems);
	for (int i = 0; i < value->nitems; i++)
	{
		if (value->items[i]->kind != GEPA_JSON_STRING)
			return NULL;
		names[i] = pstrdup(value->items[i]->text);
	}
	*n = value->nitems;
	return names;
}

/* Without a choice it sees all that there is when its turn comes. */
static void
all_inputs(const JudgeSpec *spec, int nsteps, int *n, char ***names)
{
	int			room = spec->ninputs;

	for (int i = 0; i < nsteps; i++)
		room += spec->steps[i].noutputs;
	*names = palloc(sizeof(char *) * Max(room, 1));
	*n = 0;
	for (int i = 0; i < spec->ninputs; i++)
		(*names)[(*n)++] = spec->inputs[i];
	for (int i = 0; i < nsteps; i++)
		for (int k = 0; k < spec->steps[i].noutputs; k++)
			(*names)[(*n)++] = spec->steps[i].outputs[k];
}

static void
read_step_inputs(JudgeSpec *spec, JudgeStep *step, const GepaJson *value)
{
	if (value == NULL)
	{
		all_inputs(spec, spec->nsteps, &step->ninputs, &step->inputs);
		return;
	}
	step->inputs = read_names(value, &step->ninputs);
	if (step->inputs == NULL)
		refuse_step(step->name, "its inputs are no array of names",
					"Name fields of the document, or outputs of steps before it.");
}

static void
read_outputs(JudgeStep *step, const GepaJson *value)
{
	if (value == NULL || value->kind != GEPA_JSON_OBJECT || value->nitems == 0)
		refuse_step(step->name, "it has no outputs",
					"Give an object of JSON schemas, for example {\"claims\": {\"type\": \"string\"}}.");
	step->noutputs = value->nitems;
	step->outputs = palloc(sizeof(char *) * value->nitems);
	step->schemas = palloc(sizeof(char *) * value->nitems);
	for (int i = 0; i < value->nitems; i++)
	{
		const char *problem = gepa_judge_schema_problem(value->items[i]);
		StringInfoData buf;

		if (problem != NULL)
			refuse_step(step->name,
						psprintf("the schema of output \"%s\": %s", value->keys[i], problem),
						"See docs/programs.md for the schemas that outputs can have.");
		initStringInfo(&buf);
		gepa_json_write(&buf, value->items[i]);
		step->outputs[i] = pstrdup(value->keys[i]);
		step->schemas[i] = buf.data;
	}
}

static char *
copy_string(const GepaJson *object, const char *key, const char *step)
{
	const GepaJson *value = gepa_json_get(object, key);

	if (value == NULL || value->kind == GEPA_JSON_NULL)
		return NULL;
	if (value->kind != GEPA_JSON_STRING)
		refuse_step(step, psprintf("its \"%s\" is no text", key), "Give a text.");
	return pstrdup(value->text);
}

static char *
old_prompt(const JudgeSpec *spec, const char *name)
{
	for (int i = 0; i < spec->ncomponents; i++)
		if (spec->components[i].kind == JUDGE_COMPONENT_STEP &&
			strcmp(spec->components[i].name, name) == 0)
			return spec->components[i].text;
	return NULL;
}

static void
read_step(JudgeSpec *spec, const GepaJson *item, JudgeComponent *component)
{
	JudgeStep  *step = &spec->steps[spec->nsteps];
	const char *name = gepa_json_get_string(item, "name");

	if (name == NULL)
		refuse_steps();
	check_keys(name, item);
	step->name = pstrdup(name);
	step->lm = copy_string(item, "lm", name);
	step->lm_identity = copy_string(item, "lm_identity", name);
	read_step_inputs(spec, step, gepa_json_get(item, "inputs"));
	read_outputs(step, gepa_json_get(item, "outputs"));
	component->name = step->name;
	component->kind = JUDGE_COMPONENT_STEP;
	component->text = copy_string(item, "prompt", name);
	if (component->text == NULL)
		component->text = old_prompt(spec, name);
	if (component->text == NULL)
		refuse_step(name, "it has no prompt", "Say in a sentence what the step should do.");
	spec->nsteps++;
}

/* The components of the steps, in front of what is none of theirs. */
static void
put_components(JudgeSpec *spec, const JudgeComponent *prompts)
{
	JudgeComponent *all = palloc(sizeof(JudgeComponent) * (spec->nsteps + spec->ncomponents + 1));
	int			n = spec->nsteps;

	memcpy(all, prompts, sizeof(JudgeComponent) * spec->nsteps);
	for (int i = 0; i < spec->ncomponents; i++)
		if (spec->components[i].kind != JUDGE_COMPONENT_STEP)
			all[n++] = spec->components[i];
	spec->components = all;
	spec->ncomponents = n;
}

static void
read_verdict_inputs(JudgeSpec *spec, const GepaJson *value)
{
	spec->nverdict_inputs = 0;
	spec->verdict_inputs = NULL;
	if (value == NULL || value->kind == GEPA_JSON_NULL)
		return;
	spec->verdict_inputs = read_names(value, &spec->nverdict_inputs);
	if (spec->verdict_inputs == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for judge option \"verdict_inputs\""),
				 errhint("Give an array of names: fields of the document, or outputs of steps.")));
}

void
gepa_judge_read_steps(JudgeSpec *spec, const GepaJson *options)
{
	const GepaJson *value = gepa_json_get(options, "steps");
	JudgeComponent prompts[JUDGE_MAX_STEPS];

	spec->nsteps = 0;
	spec->steps = NULL;
	read_verdict_inputs(spec, gepa_json_get(options, "verdict_inputs"));
	if (value != NULL &&
		(value->kind != GEPA_JSON_ARRAY || value->nitems > JUDGE_MAX_STEPS))
		refuse_steps();
	if (value != NULL)
		spec->steps = palloc0(sizeof(JudgeStep) * Max(value->nitems, 1));
	for (int i = 0; value != NULL && i < value->nitems; i++)
		read_step(spec, value->items[i], &prompts[i]);
	put_components(spec, prompts);
}

/*
 * Writing
 */

static void
write_names(StringInfo buf, const char *key, int n, char *const *names)
{
	appendStringInfo(buf, ",\"%s\":[", key);
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(buf, i > 0 ? "," : "");
		gepa_json_quote(buf, names[i]);
	}
	appendStringInfoChar(buf, ']');
}

static void
write_text(StringInfo buf, const char *key, const char *text)
{
	if (text == NULL)
		return;
	appendStringInfo(buf, ",\"%s\":", key);
	gepa_json_quote(buf, text);
}

static void
write_step(StringInfo buf, const JudgeStep *step)
{
	appendStringInfoString(buf, "{\"name\":");
	gepa_json_quote(buf, step->name);
	write_names(buf, "inputs", step->ninputs, step->inputs);
	appendStringInfoString(buf, ",\"outputs\":{");
	for (int i = 0; i < step->noutputs; i++)
	{
		appendStringInfoString(buf, i > 0 ? "," : "");
		gepa_json_quote(buf, step->outputs[i]);
		appendStringInfo(buf, ":%s", step->schemas[i]);
	}
	appendStringInfoChar(buf, '}');
	write_text(buf, "lm", step->lm);
	write_text(buf, "lm_identity", step->lm_identity);
	appendStringInfoChar(buf, '}');
}

void
gepa_judge_write_steps(StringInfo buf, const JudgeSpec *spec)
{
	if (spec->nsteps == 0)
		return;
	appendStringInfoString(buf, ",\"steps\":[");
	for (int i = 0; i < spec->nsteps; i++)
	{
		appendStringInfoString(buf, i > 0 ? "," : "");
		write_step(buf, &spec->steps[i]);
	}
	appendStringInfoChar(buf, ']');
	if (spec->nverdict_inputs > 0)
		write_names(buf, "verdict_inputs", spec->nverdict_inputs, spec->verdict_inputs);
}

/*
 * Checking
 */

static bool
is_plain_name(const char *name)
{
	size_t		length = strlen(name);

	return length > 0 && length <= MAX_NAME_BYTES &&
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == length;
}

static void
check_name(const JudgeSpec *spec, int number)
{
	const char *name = spec->steps[number].name;

	if (!is_plain_name(name))
		refuse_step(name, "its name must have 1 to 60 letters, digits, _ or -",
					"Choose another name.");
	for (int i = 0; i < lengthof(taken_names); i++)
		if (strcmp(taken_names[i], name) == 0)
			refuse_step(name, "its name has another meaning", "Choose another name.");
	if (gepa_judge_find_step(spec, name) < number)
		refuse_step(name, "there is one of that name before it", "Choose another name.");
}

/* Which step has an output; one before the limit, or -1. */
static int
output_step(const JudgeSpec *spec, int limit, const char *name)
{
	for (int i = 0; i < limit; i++)
		for (int k = 0; k < spec->steps[i].noutputs; k++)
			if (strcmp(spec->steps[i].outputs[k], name) == 0)
				return i;
	return -1;
}

static bool
is_document_field(const JudgeSpec *spec, const char *name)
{
	for (int i = 0; i < spec->ninputs; i++)
		if (strcmp(spec->inputs[i], name) == 0)
			return true;
	return false;
}

static void
check_outputs(const JudgeSpec *spec, int number)
{
	const JudgeStep *step = &spec->steps[number];

	for (int i = 0; i < step->noutputs; i++)
	{
		size_t		length = strlen(step->outputs[i]);

		if (length == 0 || length > MAX_FIELD_BYTES)
			refuse_step(step->name, "an output must have a name of 1 to 200 bytes",
						"Choose another name.");
		if (is_document_field(spec, step->outputs[i]) ||
			output_step(spec, number, step->outputs[i]) >= 0)
			refuse_step(step->name,
						psprintf("there is a field \"%s\" before it", step->outputs[i]),
						"Fields of the document and outputs of all steps need distinct names.");
	}
}

/* What a step, or the verdict, is shown, has to be there by then, and once. */
static void
check_inputs(const JudgeSpec *spec, const char *step, int limit, int n, char *const *names)
{
	for (int i = 0; i < n; i++)
	{
		if (!is_document_field(spec, names[i]) && output_step(spec, limit, names[i]) < 0)
			refuse_step(step, psprintf("there is no field \"%s\" before it", names[i]),
						"Name fields of the document, or outputs of steps before it.");
		for (int k = 0; k < i; k++)
			if (strcmp(names[i], names[k]) == 0)
				refuse_step(step, psprintf("it has the input \"%s\" twice", names[i]),
							"Name each input once.");
	}
}

void
gepa_judge_check_steps(const JudgeSpec *spec)
{
	if (spec->nsteps == 0 && spec->nverdict_inputs > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("judge option \"verdict_inputs\" needs steps"),
				 errhint("Without steps the verdict sees all fields of the document; name them in \"inputs\".")));
	for (int i = 0; i < spec->nsteps; i++)
	{
		const JudgeStep *step = &spec->steps[i];

		check_name(spec, i);
		check_outputs(spec, i);
		check_inputs(spec, step->name, i, step->ninputs, step->inputs);
	}
	check_inputs(spec, "verdict", spec->nsteps, spec->nverdict_inputs, spec->verdict_inputs);
}
