/*-------------------------------------------------------------------------
 *
 * course.c
 *	  A document's way through the steps of a program.
 *
 *				  ask			   take, with outputs
 *	 step 0 ------------> asked ---------------------> step 1 ... verdict's step
 *							|										   |
 *							+-- take, without: verdict with a status   +-- take:
 *								that names the step						   verdict
 *
 * A simple judge has the verdict's step only, and nothing is kept of its document,
 * unless the verdict is voted on: then its step is asked several times, side by side as
 * far as no vote can turn out to be in vain (vote.c), and taken when that is decided.  A
 * vote that got no answer ends the document when the others on their way are back; a vote
 * whose answer has no label is cast for none.
 *
 * What a step has put out is data made of the document: later steps see it fenced,
 * as they see the document.  Who sends requests, and waits, is run.c.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "judge/judge_internal.h"

/* The last step in a trace. */
#define VERDICT_STEP "verdict"

int
gepa_judge_find_step(const JudgeSpec *spec, const char *name)
{
	for (int i = 0; i < spec->nsteps; i++)
		if (strcmp(spec->steps[i].name, name) == 0)
			return i;
	return -1;
}

int
gepa_judge_step_component(const JudgeSpec *spec, int step)
{
	for (int i = 0; i < spec->ncomponents; i++)
		if (spec->components[i].kind == JUDGE_COMPONENT_STEP &&
			strcmp(spec->components[i].name, spec->steps[step].name) == 0)
			return i;
	return -1;
}

/* The number of an output among those of all steps, -1 if it is none. */
static int
find_output(const JudgeSpec *spec, const char *name)
{
	int			n = 0;

	for (int i = 0; i < spec->nsteps; i++)
		for (int k = 0; k < spec->steps[i].noutputs; k++, n++)
			if (strcmp(spec->steps[i].outputs[k], name) == 0)
				return n;
	return -1;
}

static int
count_outputs(const JudgeSpec *spec)
{
	int			n = 0;

	for (int i = 0; i < spec->nsteps; i++)
		n += spec->steps[i].noutputs;
	return n;
}

const char **
gepa_judge_verdict_inputs(const JudgeSpec *spec, int *n)
{
	const char **names = palloc(sizeof(char *) * (spec->ninputs + count_outputs(spec) +
												  spec->nverdict_inputs));

	*n = 0;
	for (int i = 0; i < spec->nverdict_inputs; i++)
		names[(*n)++] = spec->verdict_inputs[i];
	for (int i = 0; i < spec->ninputs && spec->nverdict_inputs == 0; i++)
		names[(*n)++] = spec->inputs[i];
	for (int i = 0; i < spec->nsteps && spec->nverdict_inputs == 0; i++)
		for (int k = 0; k < spec->steps[i].noutputs; k++)
			names[(*n)++] = spec->steps[i].outputs[k];
	return names;
}

/* Documents with images live until their verdicts are collected (judge.h). */
static void
copy_document(const JudgeSpec *spec, JudgeCourse *course, const JudgeDocument *document)
{
	const char **fields = palloc(sizeof(char *) * Max(document->nfields, 1));

	for (int i = 0; i < document->nfields; i++)
		fields[i] = spec->nimages > 0 ? document->fields[i] : pstrdup(document->fields[i]);
	course->document.nfields = document->nfields;
	course->document.fields = fields;
}

/* All steps cut a field alike; which of them sees it does not matter. */
static void
count_chars(const JudgeSpec *spec, JudgeCourse *course)
{
	for (int i = 0; i < course->document.nfields; i++)
	{
		JudgeCut	cut;

		if (gepa_judge_is_image(spec, spec->inputs[i]))
			continue;
		cut = gepa_judge_cut(course->document.fields[i], spec->window, spec->max_chars);
		course->chars_seen += cut.chars_seen;
		course->chars_total += cut.chars_total;
	}
}

void
gepa_judge_course_begin(const JudgeProgram *program, JudgeCourse *course,
						const JudgeDocument *document, const uint8 *digest)
{
	memset(course, 0, sizeof(*course));
	if (!gepa_judge_is_course(program->spec))
		return;
	if (program->spec->votes > 1)
	{
		course->votes = palloc(sizeof(JudgeVerdict) * program->spec->votes);
		gepa_judge_ballot_begin(&course->ballot, program->spec);
	}
	copy_document(program->spec, course, document);
	memcpy(course->digest, digest, JUDGE_DIGEST_LENGTH);
	course->outputs = palloc(sizeof(JudgeOutput) * Max(count_outputs(program->spec), 1));
	if (program->spec->nsteps > 0)
		count_chars(program->spec, course);
	initStringInfo(&course->trace);
}

/*
 * Asking
 */

/* A field of the document, or an output; the spec has been checked. */
static const char *
find_field(const JudgeSpec *spec, const JudgeCourse *course, const char *name)
{
	int			output;

	for (int i = 0; i < spec->ninputs; i++)
		if (strcmp(spec->inputs[i], name) == 0)
			return course->document.fields[i];
	output = find_output(spec, name);
	return output >= 0 && output < course->noutputs ? course->outputs[output].text : "";
}

static JudgeView
make_view(const JudgeSpec *spec, const JudgeCourse *course, int n, const char *const *names)
{
	const char **texts = palloc(sizeof(char *) * Max(n, 1));
	JudgeView	view = {n, names, texts, course->digest};

	for (int i = 0; i < n; i++)
		texts[i] = find_field(spec, course, names[i]);
	return view;
}

static void
ask_step(const JudgeProgram *program, const JudgeCourse *course, JudgePrompt *prompt,
		 LmRequest *request)
{
	const JudgeStep *step = &program->spec->steps[course->step];
	JudgeView	view = make_view(program->spec, course, step->ninputs,
								 (const char *const *) step->inputs);

	gepa_judge_render_step(program->spec, course->step, &view, prompt);
	request->schema_name = step->name;
	request->schema = program->step_schemas[course->step];
}

static void
ask_verdict(const JudgeProgram *program, JudgeCourse *course, const JudgeDocument *document,
			const uint8 *digest, JudgePrompt *prompt, LmRequest *request)
{
	const JudgeSpec *spec = program->spec;
	JudgeView	view = {spec->ninputs, (const char *const *) spec->inputs, NULL, digest};

	if (spec->nsteps == 0)
	{
		view.texts = document != NULL ? document->fields : course->document.fields;
		view.digest = digest != NULL ? digest : course->digest;
	}
	else
	{
		int			n;
		const char **names = gepa_judge_verdict_inputs(spec, &n);

		view = make_view(spec, course, n, names);
	}
	gepa_judge_render(spec, program->examples, program->nexamples, &view, prompt);
	if (spec->nsteps == 0)
	{
		course->chars_seen = prompt->chars_seen;
		course->chars_total = prompt->chars_total;
	}
	request->schema_name = "verdict";
	request->schema = program->schema;
	request->nchoices = spec->nlabels;
	request->choices = (const char *const *) spec->labels;
	request->want_logprobs = true;
	request->sample = course->nasked++;
}

/* Those with an LM of their own think as that says. */
static void
set_thinking(const JudgeSpec *spec, int step, LmRequest *request)
{
	if (step < spec->nsteps && spec->steps[step].lm != NULL)
		return;
	request->effort = spec->effort;
	request->limits_thinking = spec->limits_thinking;
	request->thinking_budget = spec->thinking_budget;
}

int
gepa_judge_course_wants(const JudgeProgram *program, const JudgeCourse *course)
{
	int			winner;

	if (course->step < program->spec->nsteps || program->spec->votes <= 1)
		return 1;
	if (course->failed)
		return 0;
	return gepa_judge_votes_wanted(&course->ballot, &winner) - gepa_judge_course_waits(course);
}

void
gepa_judge_course_ask(const JudgeProgram *program, JudgeCourse *course,
					  const JudgeDocument *document, const uint8 *digest, LmRequest *request)
{
	JudgePrompt prompt;

	memset(request, 0, sizeof(*request));
	if (course->step < program->spec->nsteps)
		ask_step(program, course, &prompt, request);
	else
		ask_verdict(program, course, document, digest, &prompt, request);
	set_thinking(program->spec, course->step, request);
	request->nmessages = prompt.nmessages;
	request->messages = prompt.messages;
	request->nimages = prompt.nimages;
	request->images = prompt.images;
}

/*
 * Taking
 */

static void
add_spent(JudgeVerdict *sum, const JudgeVerdict *part)
{
	sum->input_tokens += part->input_tokens;
	sum->output_tokens += part->output_tokens;
	sum->attempts += part->attempts;
	sum->calls += part->calls;
	sum->throttled += part->throttled;
	sum->cost += part->cost;
	sum->latency_ms += part->latency_ms;
}

static void
put_text(StringInfo buf, const char *key, const char *text)
{
	if (text == NULL)
		return;
	appendStringInfo(buf, ",\"%s\":", key);
	gepa_json_quote(buf, text);
}

static void
put_outputs(StringInfo buf, const JudgeStep *step, const JudgeOutput *outputs)
{
	appendStringInfoString(buf, ",\"outputs\":{");
	for (int i = 0; i < step->noutputs; i++)
	{
		appendStringInfoString(buf, i > 0 ? "," : "");
		gepa_json_quote(buf, step->outputs[i]);
		appendStringInfoChar(buf, ':');
		appendStringInfoString(buf, outputs[i].json);
	}
	appendStringInfoChar(buf, '}');
}

static void
put_votes(StringInfo buf, const JudgeVerdict *votes, int n)
{
	appendStringInfoString(buf, ",\"votes\":[");
	for (int i = 0; i < n; i++)
	{
		const JudgeVerdict *vote = &votes[i];

		appendStringInfoString(buf, i > 0 ? ",{\"status\":" : "{\"status\":");
		gepa_json_quote(buf, gepa_status_name(vote->status));
		put_text(buf, "label", vote->label);
		if (vote->from_logprobs)
			appendStringInfo(buf, ",\"score\":%.17g", vote->score);
		put_text(buf, "reasoning", vote->reasoning);
		put_text(buf, "thinking", vote->thinking);
		put_text(buf, "detail", vote->detail);
		appendStringInfoChar(buf, '}');
	}
	appendStringInfoChar(buf, ']');
}

/* What one step did; outputs and votes are NULL when it has none. */
static void
put_trace(JudgeCourse *course, const char *name, const JudgeStep *step,
		  const JudgeVerdict *part, const JudgeOutput *outputs, const JudgeVerdict *votes,
		  int nvotes)
{
	StringInfo	buf = &course->trace;

	appendStringInfoString(buf, buf->len > 0 ? ",{\"name\":" : "[{\"name\":");
	gepa_json_quote(buf, name);
	put_text(buf, "status", gepa_status_name(part->status));
	if (outputs != NULL)
		put_outputs(buf, step, outputs);
	put_text(buf, "label", part->label);
	put_text(buf, "reasoning", part->reasoning);
	put_text(buf, "thinking", part->thinking);
	put_text(buf, "detail", part->detail);
	put_text(buf, "answer", part->answer);
	if (votes != NULL)
		put_votes(buf, votes, nvotes);
	appendStringInfo(buf, ",\"input_tokens\":%d,\"output_tokens\":%d,\"cost\":%.9f,\"latency_ms\":%.3f}",
					 part->input_tokens, part->output_tokens, part->cost, part->latency_ms);
}

/* The verdict, with what all steps took. */
static void
finish(const JudgeProgram *program, JudgeCourse *course, JudgeVerdict *verdict)
{
	verdict->asked = course->step + Max(course->nasked, 1);
	verdict->chars_seen = course->chars_seen;
	verdict->chars_total = course->chars_total;
	if (!gepa_judge_is_course(program->spec))
		return;
	add_spent(verdict, &course->spent);
	if (course->trace.len > 0)
	{
		appendStringInfoChar(&course->trace, ']');
		verdict->trace = course->trace.data;
	}
}

static JudgeOutput *
read_outputs(const JudgeStep *step, JudgeVerdict *part)
{
	char	   *why;
	JudgeOutput *outputs;

	if (part->status != GEPA_STATUS_OK)
		return NULL;
	outputs = gepa_judge_step_parse(step, part->answer, &why);
	if (outputs == NULL)
	{
		part->status = GEPA_STATUS_UNPARSEABLE;
		part->detail = why;
		part->hint = "See what gepa.check_lm() says of the structured output of the step's LM.";
	}
	return outputs;
}

/* True when the course ends here. */
static bool
take_step(const JudgeProgram *program, JudgeCourse *course, JudgeVerdict *part)
{
	const JudgeStep *step = &program->spec->steps[course->step];
	JudgeOutput *outputs = read_outputs(step, part);

	put_trace(course, step->name, step, part, outputs, NULL, 0);
	if (outputs == NULL)
	{
		part->detail = psprintf("step %s: %s", step->name,
								part->detail ? part->detail : gepa_status_name(part->status));
		part->failed_step = course->step + 1;
		finish(program, course, part);
		return true;
	}
	for (int i = 0; i < step->noutputs; i++)
		course->outputs[course->noutputs++] = outputs[i];
	add_spent(&course->spent, part);
	course->step++;
	return false;
}

static char *
copy_text(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

/* The reply goes before the others are there. */
static void
keep_vote(JudgeCourse *course, const JudgeVerdict *verdict, int nlabels)
{
	JudgeVerdict *vote = &course->votes[course->nanswered - 1];

	*vote = *verdict;
	vote->answer = copy_text(verdict->answer);
	vote->reasoning = copy_text(verdict->reasoning);
	vote->thinking = copy_text(verdict->thinking);
	vote->detail = copy_text(verdict->detail);
	vote->hint = copy_text(verdict->hint);
	if (verdict->probabilities != NULL)
	{
		vote->probabilities = palloc(sizeof(double) * nlabels);
		memcpy(vote->probabilities, verdict->probabilities, sizeof(double) * nlabels);
	}
}

/* What all of it took is in the course. */
static void
clear_spent(JudgeVerdict *verdict)
{
	verdict->input_tokens = verdict->output_tokens = 0;
	verdict->attempts = verdict->calls = verdict->throttled = 0;
	verdict->cost = verdict->latency_ms = 0;
}

/* Of votes that some have no answer to: the last of these says why there is no verdict. */
static const JudgeVerdict *
find_failure(const JudgeCourse *course)
{
	const JudgeVerdict *found = NULL;

	for (int i = 0; i < course->nanswered; i++)
		if (gepa_status_no_answer(course->votes[i].status) &&
			(found == NULL || !found->fatal))
			found = &course->votes[i];
	return found;
}

/* True when it was the last that is needed, or the last to come of those that are in vain. */
static bool
take_vote(const JudgeProgram *program, JudgeCourse *course, JudgeVerdict *verdict)
{
	const JudgeSpec *spec = program->spec;
	int			winner;
	int			wanted;

	keep_vote(course, verdict, spec->nlabels);
	add_spent(&course->spent, verdict);
	if (gepa_status_no_answer(verdict->status))
		course->failed = true;
	else
		gepa_judge_cast(&course->ballot, verdict->label == NULL ? JUDGE_NO_LABEL :
						gepa_judge_label_index(spec, verdict->label));
	wanted = gepa_judge_votes_wanted(&course->ballot, &winner);
	if (gepa_judge_course_waits(course) > 0 || (wanted > 0 && !course->failed))
		return false;
	if (wanted > 0)
		*verdict = *find_failure(course);
	else
		gepa_judge_count_votes(spec, course->votes, course->nanswered, winner, verdict);
	clear_spent(verdict);
	put_trace(course, VERDICT_STEP, NULL, verdict, NULL, course->votes, course->nanswered);
	finish(program, course, verdict);
	return true;
}

bool
gepa_judge_course_take(const JudgeProgram *program, JudgeCourse *course, const LmReply *reply,
					   JudgeVerdict *verdict)
{
	const JudgeSpec *spec = program->spec;

	if (course->step < spec->nsteps)
	{
		gepa_judge_take_reply(spec, reply, verdict);
		return take_step(program, course, verdict);
	}
	gepa_judge_parse(spec, reply, verdict);
	course->nanswered++;
	if (spec->votes > 1)
		return take_vote(program, course, verdict);
	if (spec->nsteps > 0)
		put_trace(course, VERDICT_STEP, NULL, verdict, NULL, NULL, 0);
	finish(program, course, verdict);
	return true;
}

void
gepa_judge_course_cancel(const JudgeProgram *program, JudgeCourse *course,
						 JudgeVerdict *verdict)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->status = GEPA_STATUS_CANCELLED;
	verdict->detail = course->step < program->spec->nsteps || course->nasked == 0 ?
		"The document was given up between two steps." :
		"The document was given up between two votes.";
	verdict->failed_step = course->step < program->spec->nsteps ? course->step + 1 : 0;
	finish(program, course, verdict);
	verdict->asked = course->step + course->nasked;
}
