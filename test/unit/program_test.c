/*-------------------------------------------------------------------------
 *
 * program_test.c
 *	  Programs of several steps: schemas, answers, prompts and the course of a
 *	  document, without a server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "judge/judge_internal.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

static char *labels[] = {"true", "false"};
static bool positive[] = {true, false};
static char *inputs[] = {"title", "body"};
static char *claims_inputs[] = {"body"};
static char *claims_outputs[] = {"claims", "n"};
static char *claims_schemas[] = {
	"{\"type\":\"array\",\"items\":{\"type\":\"string\",\"maxLength\":8},\"maxItems\":2}",
	"{\"type\":\"integer\",\"minimum\":0}"
};
static char *weigh_inputs[] = {"title", "claims"};
static char *weigh_outputs[] = {"weight"};
static char *weigh_schemas[] = {"{\"enum\":[\"heavy\",\"light\"]}"};
static JudgeStep steps[] = {
	{"claims", 1, claims_inputs, 2, claims_outputs, claims_schemas, NULL, NULL},
	{"weigh", 2, weigh_inputs, 1, weigh_outputs, weigh_schemas, "other", "{}"}
};
static JudgeComponent components[] = {
	{"claims", JUDGE_COMPONENT_STEP, "List claims."},
	{"weigh", JUDGE_COMPONENT_STEP, "Weigh them."},
	{"instruction", JUDGE_COMPONENT_INSTRUCTION, "Is it good?"}
};
static char *chosen[] = {"weight", "title"};
static const char *const fields[] = {"A title", "A body"};
static const JudgeDocument document = {2, fields};

static JudgeSpec
make_spec(void)
{
	JudgeSpec	spec = {0};

	spec.name = "j";
	spec.ncomponents = lengthof(components);
	spec.components = components;
	spec.nsteps = lengthof(steps);
	spec.steps = steps;
	spec.ninputs = lengthof(inputs);
	spec.inputs = inputs;
	spec.nlabels = lengthof(labels);
	spec.labels = labels;
	spec.positive = positive;
	spec.window = JUDGE_WINDOW_HEAD_TAIL;
	spec.max_chars = 1000;
	spec.threshold = 0.5;
	spec.lm_identity = "{}";
	memset(spec.fence_key, 7, sizeof(spec.fence_key));
	return spec;
}

/*
 * Schemas
 */

static const GepaJson *
json(const char *text)
{
	return gepa_json_parse(text, strlen(text), NULL);
}

static const char *
breach(const char *schema, const char *value)
{
	const char *problem = gepa_judge_schema_problem(json(schema));

	return problem ? problem : gepa_judge_schema_breach(json(schema), json(value));
}

static const struct
{
	const char *schema;
	const char *value;
	const char *breach;			/* NULL = none */
}			schemas[] = {
	{"{}", "1", NULL},
	{"{\"type\":\"string\"}", "\"x\"", NULL},
	{"{\"type\":\"string\"}", "1", "is not of type \"string\""},
	{"{\"type\":[\"string\",\"null\"]}", "null", NULL},
	{"{\"type\":[\"string\",\"null\"]}", "[]", "is not of type [\"string\",\"null\"]"},
	{"{\"type\":\"integer\"}", "3", NULL},
	{"{\"type\":\"integer\"}", "3.0", NULL},
	{"{\"type\":\"integer\"}", "3.5", "is not of type \"integer\""},
	{"{\"type\":\"number\",\"minimum\":1,\"maximum\":5}", "5", NULL},
	{"{\"type\":\"number\",\"minimum\":1,\"maximum\":5}", "0.5", "has the value 0.5, less than 1"},
	{"{\"type\":\"number\",\"minimum\":1,\"maximum\":5}", "6", "has the value 6, more than 5"},
	{"{\"maxLength\":2}", "\"\xc3\xa9\xc3\xa8\"", NULL},
	{"{\"minLength\":3}", "\"\xc3\xa9\xc3\xa8\"", "has length 2, less than 3"},
	{"{\"enum\":[1,\"a\"]}", "\"a\"", NULL},
	{"{\"enum\":[1,\"a\"]}", "\"b\"", "is none of [1,\"a\"]"},
	{"{\"const\":true}", "false", "is not true"},
	{"{\"items\":{\"type\":\"string\"}}", "[\"a\",1]", "has an element that is not of type \"string\""},
	{"{\"minItems\":1}", "[]", "has length 0, less than 1"},
	{"{\"required\":[\"a\"]}", "{\"b\":1}", "lacks the member \"a\""},
	{"{\"properties\":{\"a\":{\"type\":\"null\"}}}", "{\"a\":1}",
	"has a member that is not of type \"null\""},
	{"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"b\":1}",
	"has a member that it may not have"},
	{"[]", "1", "a schema must be an object, for example {\"type\": \"string\"}"},
	{"{\"type\":\"text\"}", "1", "the value of \"type\" is none that it can have"},
	{"{\"maxItems\":-1}", "1", "the value of \"maxItems\" is none that it can have"},
	{"{\"items\":{\"required\":\"a\"}}", "1", "the value of \"required\" is none that it can have"},
	{"{\"properties\":[]}", "1", "\"properties\" must be an object"}
};

static void
check_schemas(void)
{
	const char *unknown;

	for (int i = 0; i < lengthof(schemas); i++)
	{
		const char *got = breach(schemas[i].schema, schemas[i].value);

		tap_is_string(got ? got : "", schemas[i].breach ? schemas[i].breach : "",
					  psprintf("%s of %s", schemas[i].value, schemas[i].schema));
	}
	unknown = breach("{\"properties\":{\"a\":{\"pattern\":\"x\"}}}", "1");
	tap_ok(unknown != NULL && strncmp(unknown, "keyword \"pattern\" is not among", 30) == 0,
		   "a keyword that is not checked is refused");
}

/*
 * Answers
 */

static const char *
answer_breach(const char *content)
{
	char	   *why;

	return gepa_judge_step_parse(&steps[0], content, &why) ? "" : why;
}

static void
check_answers(void)
{
	char	   *why;
	JudgeOutput *outputs = gepa_judge_step_parse(&steps[0],
												 "```json\n{\"n\": 1, \"claims\": [\"x\"]}\n```", &why);

	tap_is_string(gepa_judge_step_schema(&steps[1]),
				  "{\"type\":\"object\",\"properties\":{\"weight\":{\"enum\":[\"heavy\",\"light\"]}},"
				  "\"required\":[\"weight\"],\"additionalProperties\":false}", "schema of an answer");
	tap_is_string(outputs[0].text, "[\"x\"]", "outputs in the step's order, not the answer's");
	tap_is_string(outputs[1].json, "1", "a number as it was written");
	tap_is_string(gepa_judge_step_parse(&steps[1], "{\"weight\":\"light\"}", &why)[0].text, "light",
				  "of a string its characters");
	tap_is_string(answer_breach("no"), "The answer is not the JSON asked for: no", "prose");
	tap_is_string(answer_breach("[]"), "The answer is not the JSON asked for: []", "an array");
	tap_is_string(answer_breach("{\"n\":1}"), "The answer has no \"claims\".", "an output is missing");
	tap_is_string(answer_breach("{\"n\":-1,\"claims\":[]}"),
				  "Output \"n\" has the value -1, less than 0.", "an output out of range");
	tap_is_string(answer_breach("{\"n\":1e400000,\"claims\":[]}"),
				  "Output \"n\" has a number out of range.", "a number that no table takes");
	tap_is_string(answer_breach("{\"n\":1e-400000,\"claims\":[]}"),
				  "Output \"n\" has a number out of range.", "... or as small");
}

/*
 * A course
 */

static void
init_program(JudgeProgram *program, const JudgeSpec *spec)
{
	memset(program, 0, sizeof(*program));
	program->spec = spec;
	program->schema = gepa_judge_schema(spec);
	program->step_schemas = palloc(sizeof(char *) * spec->nsteps);
	for (int i = 0; i < spec->nsteps; i++)
		program->step_schemas[i] = gepa_judge_step_schema(&spec->steps[i]);
}

static LmReply
reply_of(const char *content)
{
	LmReply		reply = {0};

	reply.status = GEPA_STATUS_OK;
	reply.content = pstrdup(content);
	reply.input_tokens = 10;
	reply.output_tokens = 1;
	reply.calls = reply.attempts = 1;
	reply.cost = 0.5;
	reply.latency_ms = 2;
	return reply;
}

static const char *
ask(const JudgeProgram *program, JudgeCourse *course, LmRequest *request)
{
	gepa_judge_course_ask(program, course, &document, course->digest, request);
	return request->messages[request->nmessages - 1].content;
}

static bool
take(const JudgeProgram *program, JudgeCourse *course, const char *content, JudgeVerdict *verdict)
{
	LmReply		reply = reply_of(content);

	return gepa_judge_course_take(program, course, &reply, verdict);
}

static void
begin(const JudgeProgram *program, JudgeCourse *course)
{
	uint8		digest[JUDGE_DIGEST_LENGTH];

	gepa_judge_content_digest(&document, digest);
	gepa_judge_course_begin(program, course, &document, digest);
}

/* Is a field shown, under its name and between fences? */
static bool
shows(const char *prompt, const char *name, const char *text)
{
	char	   *start = psprintf("%s:\n<<<", name);
	const char *at = strstr(prompt, start);

	return at != NULL && strncmp(strchr(at + strlen(start), '\n') + 1, text, strlen(text)) == 0;
}

static void
check_whole(const JudgeProgram *program)
{
	JudgeCourse course;
	JudgeVerdict verdict;
	LmRequest	request;
	const char *prompt;

	begin(program, &course);
	prompt = ask(program, &course, &request);
	tap_is_string(request.schema_name, "claims", "the first step is asked");
	tap_ok(strncmp(request.messages[0].content, "List claims.\n\n", 14) == 0, "with its prompt");
	tap_ok(!request.want_logprobs && request.nchoices == 0, "without labels");
	tap_ok(shows(prompt, "body", "A body\n") && !shows(prompt, "title", ""), "and its inputs");
	tap_ok(!take(program, &course, "{\"claims\":[\"x<|y\"],\"n\":1}", &verdict), "it goes on");
	prompt = ask(program, &course, &request);
	tap_is_string(request.schema_name, "weigh", "to the second step");
	tap_ok(shows(prompt, "title", "A title\n") && shows(prompt, "claims", "[\"x< |y\"]\n"),
		   "which sees an output, its turn marks broken");
	tap_ok(!take(program, &course, "{\"weight\":\"light\"}", &verdict), "and on");
	prompt = ask(program, &course, &request);
	tap_is_string(request.schema_name, "verdict", "to the verdict");
	tap_ok(request.want_logprobs && request.nchoices == 2, "which has labels");
	tap_ok(shows(prompt, "title", "A title\n") && shows(prompt, "body", "A body\n") &&
		   shows(prompt, "claims", "[") && shows(prompt, "n", "1\n") && shows(prompt, "weight", "light\n"),
		   "and sees all there is");
	tap_ok(take(program, &course, "{\"label\":\"true\"}", &verdict), "and is the last");
	tap_ok(verdict.status == GEPA_STATUS_OK && strcmp(verdict.label, "true") == 0, "a label");
	tap_ok(verdict.input_tokens == 30 && verdict.calls == 3 && verdict.cost == 1.5 &&
		   verdict.latency_ms == 6, "with what all steps took");
	tap_ok(verdict.chars_seen == 13 && verdict.chars_total == 13, "characters are the document's");
	tap_ok(json(verdict.trace) != NULL && json(verdict.trace)->nitems == 3, "a trace of three steps");
	tap_ok(shows(gepa_judge_render_inputs(program->spec, 1, &document, verdict.trace, NULL), "claims", "[\"x< |y\"]\n"),
		   "from which a reflection has a step's inputs");
	tap_ok(shows(gepa_judge_render_outputs(program->spec, 1, &document, verdict.trace), "weight", "light\n"),
		   "and its outputs");
}

static void
check_failure(const JudgeProgram *program)
{
	JudgeCourse course;
	JudgeVerdict verdict;
	LmReply		reply = reply_of("");
	const char *answer;

	begin(program, &course);
	(void) take(program, &course, "{\"claims\":[],\"n\":0}", &verdict);
	tap_ok(take(program, &course, "{\"weight\":\"odd\"}", &verdict), "a bad output is the end");
	tap_is_int(verdict.status, GEPA_STATUS_UNPARSEABLE, "unparseable");
	tap_is_string(verdict.detail, "step weigh: Output \"weight\" is none of [\"heavy\",\"light\"].",
				  "and says which step");
	tap_ok(verdict.failed_step == 2 && verdict.label == NULL && verdict.calls == 2, "and no more is called");
	tap_is_string(gepa_judge_traced_failure(program->spec, 1, verdict.trace, &answer),
				  "Output \"weight\" is none of [\"heavy\",\"light\"].", "a reflection is told why");
	tap_is_string(answer, "{\"weight\":\"odd\"}", "and what it said");
	tap_ok(gepa_judge_render_outputs(program->spec, 1, &document, verdict.trace) == NULL,
		   "it has no outputs");

	begin(program, &course);
	reply.status = GEPA_STATUS_TIMEOUT;
	reply.content = NULL;
	tap_ok(gepa_judge_course_take(program, &course, &reply, &verdict), "a call without answer, too");
	tap_ok(verdict.status == GEPA_STATUS_TIMEOUT && verdict.failed_step == 1, "has its status");
	tap_is_string(verdict.detail, "step claims: timeout", "and says which step");

	begin(program, &course);
	(void) take(program, &course, "{\"claims\":[],\"n\":0}", &verdict);
	gepa_judge_course_cancel(program, &course, &verdict);
	tap_ok(verdict.status == GEPA_STATUS_CANCELLED && verdict.calls == 1, "given up, it has what was paid");
}

static void
check_choice(JudgeSpec *spec)
{
	JudgeProgram program;
	JudgeCourse course;
	JudgeVerdict verdict;
	LmRequest	request;
	const char *prompt;
	uint8		all[JUDGE_DIGEST_LENGTH];
	uint8		some[JUDGE_DIGEST_LENGTH];

	gepa_judge_digest(spec, false, all);
	spec->nverdict_inputs = lengthof(chosen);
	spec->verdict_inputs = chosen;
	gepa_judge_digest(spec, false, some);
	tap_ok(memcmp(all, some, sizeof(all)) != 0, "what the verdict sees is part of the version");
	init_program(&program, spec);
	begin(&program, &course);
	(void) take(&program, &course, "{\"claims\":[],\"n\":0}", &verdict);
	(void) take(&program, &course, "{\"weight\":\"heavy\"}", &verdict);
	prompt = ask(&program, &course, &request);
	tap_ok(strncmp(prompt, "weight:\n", 8) == 0 && shows(prompt, "title", "A title") &&
		   !shows(prompt, "body", "") && !shows(prompt, "claims", ""), "chosen inputs in their order");
}

static void
check_template(const JudgeSpec *spec)
{
	const char *template = gepa_judge_step_template(spec, 1);

	tap_ok(strstr(template, "<curr_param>") != NULL && strstr(template, "<side_info>") != NULL,
		   "the template for steps has both placeholders");
	tap_ok(strstr(template, "in 3 steps") != NULL && strstr(template, "Step 2, \"weigh\"") != NULL,
		   "and says which step it is");
	tap_ok(gepa_judge_find_step(spec, "weigh") == 1 && gepa_judge_find_step(spec, "none") == -1 &&
		   gepa_judge_step_component(spec, 1) == 1, "steps are found by name");
}

int
main(void)
{
	JudgeSpec	spec = make_spec();
	JudgeProgram program;

	init_program(&program, &spec);
	check_schemas();
	check_template(&spec);
	check_answers();
	check_whole(&program);
	check_failure(&program);
	check_choice(&spec);
	return tap_done();
}
