/*-------------------------------------------------------------------------
 *
 * confidence_test.c
 *	  How sure a judge is of its label: read from tokens, graded, and put in words.
 *
 * gepa-confidence.json is what the reference's adapter made of the same answers
 * (confidence_record.py).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "judge/judge_internal.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

static char *inputs[] = {"document"};
static bool positive[] = {false, true, true, false};
static JudgeComponent components[] = {{"instruction", JUDGE_COMPONENT_INSTRUCTION, "Is it good?"}};

static JudgeSpec
make_spec(int nlabels, char **labels)
{
	JudgeSpec	spec = {0};

	spec.name = "j";
	spec.ncomponents = 1;
	spec.components = components;
	spec.ninputs = 1;
	spec.inputs = inputs;
	spec.nlabels = nlabels;
	spec.labels = labels;
	spec.positive = positive;
	spec.max_chars = 1000;
	spec.threshold = 0.5;
	return spec;
}

/*
 * What the reference says
 */

static GepaJson *
read_record(const char *path)
{
	FILE	   *file = fopen(path, "rb");
	StringInfoData buf;
	char		piece[4096];
	size_t		n;

	initStringInfo(&buf);
	if (file == NULL)
		return NULL;
	while ((n = fread(piece, 1, sizeof(piece), file)) > 0)
		appendBinaryStringInfo(&buf, piece, (int) n);
	fclose(file);
	return gepa_json_parse(buf.data, buf.len, NULL);
}

static double
number(const GepaJson *object, const char *key)
{
	double		value = NAN;

	(void) gepa_json_get_number(object, key, &value);
	return value;
}

static const GepaJson *
option_of(const GepaJson *item)
{
	const GepaJson *option = gepa_json_get(item, "confidence");

	return option->kind == GEPA_JSON_NULL ? NULL : option;
}

static void
check_blends(const GepaJson *blends)
{
	int			wrong = 0;

	for (int i = 0; i < blends->nitems; i++)
	{
		const GepaJson *item = blends->items[i];
		const GepaJson *right = gepa_json_get(item, "right");
		bool		known = gepa_json_get(item, "probability")->kind == GEPA_JSON_NUMBER;
		JudgeConfidence confidence;

		if (gepa_judge_read_confidence(option_of(item), &confidence) != NULL ||
			!(fabs(gepa_judge_blend(&confidence, right->boolean, known,
									known ? number(item, "probability") : NAN) -
				   number(item, "score")) < 1e-12))
			wrong++;
	}
	tap_ok(blends->nitems >= 200, "%d blends are recorded", blends->nitems);
	tap_is_int(wrong, 0, "each is the reference's");
}

static LmReply
make_reply(const GepaJson *item)
{
	LmReply		reply = {.status = GEPA_STATUS_OK};
	const GepaJson *tokens = gepa_json_get(item, "tokens");

	reply.content = pstrdup(gepa_json_get_string(item, "content"));
	reply.ntokens = tokens->nitems;
	reply.tokens = palloc0(sizeof(LmToken) * Max(tokens->nitems, 1));
	for (int i = 0; i < tokens->nitems; i++)
	{
		reply.tokens[i].token = tokens->items[i]->items[0]->text;
		reply.tokens[i].logprob = strtod(tokens->items[i]->items[1]->text, NULL);
	}
	return reply;
}

/* The reference has one text for mistakes it is unsure of, and that nobody knows about. */
static const char *
kind_of(const char *feedback, bool known)
{
	if (strncmp(feedback, "Right, but unsure:", 18) == 0)
		return "right, unsure";
	if (strncmp(feedback, "Right:", 6) == 0)
		return strstr(feedback, "which the judge gave a probability") ? "right, fairly" : "right";
	if (strncmp(feedback, "Wrong, and sure of it:", 22) == 0)
		return "wrong, sure";
	return strncmp(feedback, "Wrong, but unsure:", 18) == 0 || !known ? "wrong, unsure" : "wrong";
}

static bool
agrees(const JudgeSpec *spec, const GepaJson *item)
{
	LmReply		reply = make_reply(item);
	const char *expected = gepa_json_get_string(item, "expected");
	JudgeVerdict verdict;
	JudgeConfidence confidence;
	char	   *objectives;
	const GepaJson *object;

	gepa_judge_parse(spec, &reply, &verdict);
	if (verdict.status != GEPA_STATUS_OK ||
		gepa_judge_read_confidence(option_of(item), &confidence) != NULL)
		return false;
	objectives = gepa_judge_confidence_objectives(spec, expected, &verdict);
	object = gepa_json_parse(objectives, strlen(objectives), NULL);
	return fabs(gepa_judge_grade_confidence(spec, &confidence, expected, &verdict) -
				number(item, "score")) < 1e-12 &&
		fabs(number(object, "probability") - number(item, "probability")) < 1e-12 &&
		number(object, "accuracy") == number(item, "accuracy") &&
		strcmp(kind_of(gepa_judge_confidence_feedback(spec, &confidence, expected, NULL, &verdict),
					   reply.ntokens > 0), gepa_json_get_string(item, "kind")) == 0;
}

static void
check_record(void)
{
	GepaJson   *record = read_record("gepa-confidence.json");
	const GepaJson *names = gepa_json_get(gepa_json_get(record, "about"), "labels");
	const GepaJson *responses = gepa_json_get(record, "responses");
	char	   *labels[4];
	JudgeSpec	spec = make_spec(4, labels);

	tap_ok(responses != NULL && names != NULL && names->nitems == 4, "the record is there");
	for (int i = 0; i < 4; i++)
		labels[i] = names->items[i]->text;
	check_blends(gepa_json_get(record, "blends"));
	for (int i = 0; i < responses->nitems; i++)
		tap_ok(agrees(&spec, responses->items[i]), "answer %d is scored, and spoken of, as by the reference", i);
}

/*
 * The option
 */

static const char *
problem_of(const char *option)
{
	JudgeConfidence confidence;

	return gepa_judge_read_confidence(gepa_json_parse(option, strlen(option), NULL), &confidence);
}

static void
check_option(void)
{
	static const char *const bad[] = {
		"[]", "{\"blend\":\"cubic\"}", "{\"blend\":1}", "{\"blend\":\"sigmoid\",\"floor\":0.1}",
		"{\"blend\":\"threshold\",\"midpoint\":0.1}", "{\"threshold\":0}", "{\"threshold\":1.5}",
		"{\"floor\":1}", "{\"floor\":\"x\"}", "{\"blend\":\"sigmoid\",\"midpoint\":1}",
		"{\"blend\":\"sigmoid\",\"steepness\":0}", "{\"low\":1}", "{\"high\":0.5}", "{\"lo\":0.5}"
	};
	JudgeConfidence confidence;
	char	   *json;

	for (int i = 0; i < lengthof(bad); i++)
		tap_ok(problem_of(bad[i]) != NULL, "refused: %s", bad[i]);
	(void) gepa_judge_read_confidence(NULL, &confidence);
	json = gepa_judge_confidence_json(&confidence);
	tap_is_double(confidence.threshold, 0.99, 1e-12, "without an option, as the adapter by itself");
	tap_ok(problem_of(json) == NULL, "what is written is read back: %s", json);
	tap_ok(problem_of("{\"blend\":\"sigmoid\",\"midpoint\":0.2,\"high\":0.95,\"low\":0.6}") == NULL,
		   "all that a blend has");
}

/*
 * Scores of labels
 */

static LmToken tokens[12];
static LmAlternative alternatives[12][6];

/* Token i, and n alternatives as pairs of text and probability; its own is the first's. */
static void
set_token(int i, const char *token, int n,...)
{
	va_list		pairs;

	memset(&tokens[i], 0, sizeof(LmToken));
	tokens[i].token = token;
	tokens[i].nalternatives = n;
	tokens[i].alternatives = alternatives[i];
	va_start(pairs, n);
	for (int k = 0; k < n; k++)
	{
		alternatives[i][k].token = va_arg(pairs, const char *);
		alternatives[i][k].logprob = log(va_arg(pairs, double));
	}
	va_end(pairs);
	if (n > 0)
		tokens[i].logprob = alternatives[i][0].logprob;
}

static JudgeVerdict
scored(const JudgeSpec *spec, int n)
{
	LmReply		reply = {.status = GEPA_STATUS_OK};
	StringInfoData content;
	JudgeVerdict verdict;

	initStringInfo(&content);
	for (int i = 0; i < n; i++)
		appendStringInfoString(&content, tokens[i].token);
	reply.content = content.data;
	reply.ntokens = n;
	reply.tokens = tokens;
	gepa_judge_parse(spec, &reply, &verdict);
	return verdict;
}

static void
check_score(const JudgeSpec *spec, int n, const char *label, double score, const char *name)
{
	JudgeVerdict verdict = scored(spec, n);

	tap_is_string(verdict.label, label, name);
	tap_is_int(verdict.from_logprobs, !isnan(score), "its score is from the tokens, if these say");
	if (!isnan(score))
		tap_is_double(verdict.score, score, 1e-9, "and is what they say");
}

/* good enough and good are positive, bad and Bad luck are not. */
static void
check_labels(void)
{
	char	   *labels[] = {"bad", "good enough", "good", "bad luck"};
	JudgeSpec	spec = make_spec(4, labels);

	set_token(0, "{\"label\":\"", 0);
	set_token(1, "good", 2, "good", 0.8, "bad", 0.2);
	set_token(2, " enough", 2, " enough", 0.9, "\"}", 0.1);
	set_token(3, "\"}", 0);
	check_score(&spec, 4, "good enough", 0.8, "a label of several tokens that begins with another label");
	tap_is_double(scored(&spec, 4).probabilities[1], 0.72, 1e-9, "the longer one has its part");
	tap_is_double(scored(&spec, 4).probabilities[2], 0.08, 1e-9, "and the shorter one the rest");
	tap_is_double(scored(&spec, 4).confidence, 0.72, 1e-9, "the tokens of the label together");

	set_token(2, "\"}", 2, "\"}", 0.25, " enough", 0.75);
	check_score(&spec, 3, "good", 0.8, "the shorter label");
	tap_is_double(scored(&spec, 3).probabilities[2], 0.2, 1e-9, "ends with the quote");
	tap_is_double(scored(&spec, 3).confidence, 0.8, 1e-9, "which is no part of its confidence");

	set_token(1, "ba", 2, "ba", 0.5, "go", 0.5);
	set_token(2, "d", 1, "d", 1.0);
	set_token(3, " ", 2, " ", 0.6, "\"", 0.4);
	set_token(4, "luck\"", 1, "luck\"", 1.0);
	set_token(5, "}", 0);
	check_score(&spec, 6, "bad luck", 0.5, "a blank that is a token of its own");

	/* bare: what comes behind the shorter label cannot be seen */
	set_token(0, "good", 2, "good", 0.8, "bad", 0.2);
	check_score(&spec, 1, "good", NAN, "a bare label that another one begins with has no score");
	set_token(1, " enough", 1, " enough", 0.9);
	check_score(&spec, 2, "good enough", 0.8, "the other one has");
}

static void
check_forms(void)
{
	char	   *labels[] = {"false", "true"};
	JudgeSpec	spec = make_spec(2, labels);

	set_token(0, "\"", 0);
	set_token(1, "true", 2, "true", 0.7, "false", 0.3);
	set_token(2, "\"", 0);
	check_score(&spec, 3, "true", 0.7, "a bare label in quotes");

	set_token(0, " true", 2, " true", 0.7, " false", 0.3);
	check_score(&spec, 1, "true", 0.7, "behind a blank in its token");
	set_token(1, "\n", 0);
	check_score(&spec, 2, "true", 0.7, "before one");

	set_token(0, "{\"label\": ", 0);
	set_token(1, "true", 2, "true", 0.7, "false", 0.3);
	set_token(2, "}", 0);
	check_score(&spec, 3, "true", 0.7, "a value of JSON without quotes");
	tap_is_double(scored(&spec, 3).confidence, 0.7, 1e-9, "which ends where it ends");

	set_token(0, "True", 4, "True", 0.6, "False", 0.2, "true", 0.1, "no", 0.1);
	check_score(&spec, 1, "true", 0.7 / 0.9, "a label in another case");
	set_token(0, "{\"label\":\"", 0);
	set_token(1, "TR", 2, "TR", 0.75, "FA", 0.25);
	set_token(2, "UE", 1, "UE", 1.0);
	set_token(3, "\"}", 0);
	check_score(&spec, 4, "true", 0.75, "and of several tokens");
	set_token(1, "false", 3, "false", 0.5, "true", 0.25, "True", 0.25);
	set_token(2, "\"}", 0);
	check_score(&spec, 3, "false", 1.0 / 3, "a label as it is asked for is not mixed with others");
}

static void
check_cases(void)
{
	char	   *labels[] = {"No", "Yes", "yes"};
	JudgeSpec	spec = make_spec(3, labels);

	set_token(0, "yes", 3, "yes", 0.5, "Yes", 0.3, "No", 0.2);
	check_score(&spec, 1, "yes", 0.8, "labels that differ in case are told apart");
	tap_is_double(scored(&spec, 1).probabilities[1], 0.3, 1e-9, "and each has its own");
}

static void
check_escapes(void)
{
	char	   *labels[] = {"n", "a\"b", "a/b"};
	JudgeSpec	spec = make_spec(3, labels);

	set_token(0, "{\"label\":\"", 0);
	set_token(1, "a", 2, "a", 0.9, "n", 0.1);
	set_token(2, "\\\"b", 2, "\\\"b", 0.5, "/b", 0.5);
	set_token(3, "\"}", 0);
	check_score(&spec, 4, "a\"b", 0.9, "a label that needs escapes");
	set_token(2, "\\/b", 2, "\\/b", 0.5, "\\\"b", 0.5);
	check_score(&spec, 4, "a/b", NAN, "one that is escaped without need has its label, and no score");
}

int
main(void)
{
	check_record();
	check_option();
	check_labels();
	check_forms();
	check_cases();
	check_escapes();
	return tap_done();
}
