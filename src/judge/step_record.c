/*-------------------------------------------------------------------------
 *
 * step_record.c
 *	  What a step was shown of a document, and what it made of it, by a trace.
 *
 * For reflection on one component of a program.  A trace is what the course of the
 * document wrote (course.c); of a step that was not reached it says nothing.  What
 * steps put out was made of documents, and is shown fenced as they are.  Frontend
 * safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "judge/judge_internal.h"

static const GepaJson *
find_entry(const GepaJson *trace, const char *name)
{
	for (int i = 0; trace != NULL && trace->kind == GEPA_JSON_ARRAY && i < trace->nitems; i++)
	{
		const char *own = gepa_json_get_string(trace->items[i], "name");

		if (own != NULL && strcmp(own, name) == 0)
			return trace->items[i];
	}
	return NULL;
}

static const GepaJson *
read_trace(const char *trace)
{
	return trace == NULL ? NULL : gepa_json_parse(trace, strlen(trace), NULL);
}

static const char *
value_text(const GepaJson *value)
{
	StringInfoData buf;

	if (value->kind == GEPA_JSON_STRING)
		return value->text;
	initStringInfo(&buf);
	gepa_json_write(&buf, value);
	return buf.data;
}

/* An output as its step gave it; NULL = the step was not reached, or has failed. */
static const char *
traced_output(const JudgeSpec *spec, const GepaJson *trace, const char *name)
{
	for (int i = 0; i < spec->nsteps; i++)
	{
		const GepaJson *entry = find_entry(trace, spec->steps[i].name);
		const GepaJson *value = gepa_json_get(gepa_json_get(entry, "outputs"), name);

		if (value != NULL)
			return value_text(value);
	}
	return NULL;
}

static const char *
field_text(const JudgeSpec *spec, const JudgeDocument *document, const GepaJson *trace,
		   const char *name)
{
	for (int i = 0; i < spec->ninputs; i++)
		if (strcmp(spec->inputs[i], name) == 0)
			return document->fields[i];
	return traced_output(spec, trace, name);
}

/* Those of the named fields that there are. */
static char *
render_names(const JudgeSpec *spec, const JudgeDocument *document, const GepaJson *trace,
			 int n, const char *const *names, JudgeImages *images)
{
	const char **present = palloc(sizeof(char *) * Max(n, 1));
	const char **texts = palloc(sizeof(char *) * Max(n, 1));
	uint8		digest[JUDGE_DIGEST_LENGTH];
	JudgeView	view = {0, present, texts, digest};

	for (int i = 0; i < n; i++)
	{
		texts[view.nfields] = field_text(spec, document, trace, names[i]);
		present[view.nfields] = names[i];
		view.nfields += texts[view.nfields] != NULL;
	}
	gepa_judge_content_digest(document, digest);
	return gepa_judge_render_view(spec, &view, images);
}

char *
gepa_judge_render_inputs(const JudgeSpec *spec, int step, const JudgeDocument *document,
						 const char *trace, JudgeImages *images)
{
	int			n;
	const char **names;

	if (spec->nsteps == 0 && spec->nimages == 0)
		return gepa_judge_render_document(spec, document);
	if (step < spec->nsteps)
		return render_names(spec, document, read_trace(trace), spec->steps[step].ninputs,
							(const char *const *) spec->steps[step].inputs, images);
	names = gepa_judge_verdict_inputs(spec, &n);
	return render_names(spec, document, read_trace(trace), n, names, images);
}

char *
gepa_judge_render_outputs(const JudgeSpec *spec, int step, const JudgeDocument *document,
						  const char *trace)
{
	const JudgeStep *own = &spec->steps[step];
	const GepaJson *json = read_trace(trace);
	const GepaJson *entry = find_entry(json, own->name);

	if (gepa_json_get(entry, "outputs") == NULL)
		return NULL;
	return render_names(spec, document, json, own->noutputs, (const char *const *) own->outputs,
						NULL);
}

const char *
gepa_judge_traced_failure(const JudgeSpec *spec, int step, const char *trace,
						  const char **answer)
{
	const GepaJson *entry = find_entry(read_trace(trace), spec->steps[step].name);
	const char *detail = gepa_json_get_string(entry, "detail");

	*answer = gepa_json_get_string(entry, "answer");
	if (detail == NULL)
		detail = gepa_json_get_string(entry, "status");
	return detail;
}
