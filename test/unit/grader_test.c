/*-------------------------------------------------------------------------
 *
 * grader_test.c
 *	  What graders make of outputs and of answers, and how several are one.
 *
 * Expected agreements were computed from the formulas by hand.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "judge/judge_internal.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

static char *ordinal[] = {"bad", "fair", "good"};
static JudgeClassWeight weights[] = {{"good", 2}, {"bad", 0.5}};
static JudgeCriterion criteria[] = {
	{"clear", "Is it clear?", 1, 5, 3}, {"short", "Is it short?", 0, 1, 1}
};
static const char *const names[] = {"document"};
static const char *const inputs[] = {"a text"};

static void
check_labels(void)
{
	tap_is_double(gepa_judge_ordinal_score(3, ordinal, "good", "good"), 1, 0, "the same rung");
	tap_is_double(gepa_judge_ordinal_score(3, ordinal, "good", "fair"), 0.5, 0, "the next rung");
	tap_is_double(gepa_judge_ordinal_score(3, ordinal, "bad", "good"), 0, 0, "the other end");
	tap_is_double(gepa_judge_ordinal_score(3, ordinal, "bad", "odd"), 0, 0, "not on the scale");
	tap_is_double(gepa_judge_weighted_score(0, NULL, "x", "y"), 0, 0, "a match or nothing");
	tap_is_double(gepa_judge_weighted_score(2, weights, "good", "bad"), 0, 0, "the dearest class");
	tap_is_double(gepa_judge_weighted_score(2, weights, "bad", "good"), 0.75, 0, "a cheap class");
	tap_is_double(gepa_judge_weighted_score(2, weights, "fair", "good"), 0.5, 0, "one without weight has 1");
	tap_is_double(gepa_judge_weighted_score(2, weights, "good", "good"), 1, 0, "right is right");
}

static JudgeGraderResult
answer(JudgeGrader *grader, JudgeGraderOutput *output)
{
	JudgeGraderSample sample = {"k", 1, names, inputs, "good", NULL};
	JudgeGraderResult result;

	gepa_judge_grader_answer(grader, &sample, output, &result);
	return result;
}

static void
check_answers(void)
{
	JudgeGrader match = {.name = "m",.kind = JUDGE_GRADER_LABELS};
	JudgeGrader rubric = {.name = "r",.kind = JUDGE_GRADER_RUBRIC};
	JudgeGraderOutput right = {.status = GEPA_STATUS_OK,.label = "good"};
	JudgeGraderOutput none = {.status = GEPA_STATUS_UNPARSEABLE,.detail = "prose"};
	JudgeGraderResult result;

	tap_is_double(answer(&match, &right).score, 1, 0, "labels match");
	result = answer(&match, &none);
	tap_ok(result.score == 0 && result.skipped, "without an output nobody is asked, and the score is 0");
	tap_is_int(result.status, GEPA_STATUS_UNPARSEABLE, "... with the output's status");
	tap_ok(!gepa_judge_grader_is_asked(&rubric, GEPA_STATUS_REFUSED), "nor is a rubric on outputs");
	rubric.on_document = true;
	tap_ok(gepa_judge_grader_is_asked(&rubric, GEPA_STATUS_REFUSED), "but one on documents is");
}

static void
check_format(void)
{
	static char *required[] = {"reasoning"};
	const char *schema = "{\"type\":\"object\",\"required\":[\"n\"],\"properties\":{\"n\":{\"type\":\"integer\",\"maximum\":9},"
		"\"l\":{\"type\":\"array\",\"items\":{\"enum\":[\"a\",\"b\"]}}},\"additionalProperties\":false}";
	JudgeGrader grader = {.name = "f",.kind = JUDGE_GRADER_FORMAT};
	JudgeGraderOutput output = {.status = GEPA_STATUS_OK,.label = "x",.answer = "{\"n\": 1, \"l\": [\"a\"]}"};
	static const char *const breaches[] = {
		"[]", "{}", "{\"n\": 1.5}", "{\"n\": 10}", "{\"n\": \"1\"}", "{\"n\": 1, \"l\": [\"c\"]}", "{\"n\": 1, \"m\": 2}", "n"
	};

	tap_is_double(answer(&grader, &output).score, 1, 0, "nothing is asked for");
	grader.schema = gepa_json_parse(schema, strlen(schema), NULL);
	tap_is_double(answer(&grader, &output).score, 1, 0, "an answer of the schema");
	for (int i = 0; i < lengthof(breaches); i++)
	{
		output.answer = breaches[i];
		tap_is_double(answer(&grader, &output).score, 0, 0, breaches[i]);
	}
	tap_ok(strstr(answer(&grader, &output).feedback, schema) != NULL, "the feedback quotes the format");
	grader.schema = NULL;
	grader.nrequired = 1;
	grader.required = required;
	tap_is_double(answer(&grader, &output).score, 0, 0, "without a reason");
	output.reasoning = "because";
	tap_is_double(answer(&grader, &output).score, 1, 0, "with one");
	grader.max_chars = 2;
	output.answer = "\xC3\xA4\xC3\xB6";
	tap_is_double(answer(&grader, &output).score, 1, 0, "characters are counted, not bytes");
	output.answer = "abc";
	tap_is_double(answer(&grader, &output).score, 0, 0, "too long");
}

static JudgeGraderResult
read_reply(JudgeGrader *grader, const char *content)
{
	LmReply		reply = {.status = GEPA_STATUS_OK,.content = pstrdup(content),.calls = 1,.cost = 0.5};
	JudgeGraderResult result;

	gepa_judge_grader_read(grader, &reply, &result);
	return result;
}

static void
check_rubric(void)
{
	JudgeGrader grader = {.name = "r",.kind = JUDGE_GRADER_RUBRIC,.max_chars = 1000,.ncriteria = 2,.criteria = criteria};
	JudgeGraderResult result = read_reply(&grader, "```json\n{\"feedback\": \"so\", \"scores\": {\"clear\": 4, \"short\": 0}}\n```");

	tap_is_double(result.score, 0.5625, 1e-12, "the mean of criteria, by weight and scale");
	tap_is_string(result.feedback, "so", "... and the feedback");
	tap_ok(result.nobjectives == 2 && result.objectives[0] == 0.75 && result.objectives[1] == 0, "... and each criterion");
	tap_is_double(result.cost, 0.5, 0, "... and what it took");
	result = read_reply(&grader, "{\"scores\": {\"clear\": 4}}");
	tap_ok(result.status == GEPA_STATUS_UNPARSEABLE && isnan(result.score) && result.nobjectives == 0, "a criterion that is missing");
	result = read_reply(&grader, "{\"scores\": {\"clear\": 6, \"short\": 1}}");
	tap_ok(result.status == GEPA_STATUS_UNPARSEABLE && isnan(result.score), "one beyond its scale");
	result = read_reply(&grader, "fine!");
	tap_ok(result.status == GEPA_STATUS_UNPARSEABLE && isnan(result.score), "prose");
}

static double
reward(JudgeRewardApi api, char *label, const char *content)
{
	JudgeGrader grader = {.name = "w",.kind = JUDGE_GRADER_REWARD_MODEL,.api = api,.low = -2,.high = 2,.class_label = label};

	return read_reply(&grader, content).score;
}

static void
check_reward(void)
{
	const char *two = "{\"label\": \"bad\", \"probs\": [0.75, 0.25], \"num_classes\": 2}";
	const char *three = "{\"label\": \"b\", \"probs\": [0.25, 0.5, 0.25], \"num_classes\": 3}";

	tap_is_double(reward(JUDGE_REWARD_CHAT, NULL, "{\"score\": 1}"), 0.75, 1e-12, "a chat's number");
	tap_is_double(reward(JUDGE_REWARD_CHAT, NULL, "0"), 0.5, 1e-12, "... alone");
	tap_is_double(reward(JUDGE_REWARD_SCORE, NULL, "{\"score\": 9}"), 1, 1e-12, "clamped above");
	tap_is_double(reward(JUDGE_REWARD_SCORE, NULL, "{\"score\": -9}"), 0, 1e-12, "... and below");
	tap_ok(isnan(reward(JUDGE_REWARD_SCORE, NULL, "{\"score\": 1e999}")), "no finite number");
	tap_is_double(reward(JUDGE_REWARD_CLASSIFY, NULL, two), 0.5625, 1e-12, "of two classes the second");
	tap_is_double(reward(JUDGE_REWARD_CLASSIFY, "0", two), 0.6875, 1e-12, "... or by number");
	tap_is_double(reward(JUDGE_REWARD_CLASSIFY, "bad", two), 0.6875, 1e-12, "... or by name");
	tap_is_double(reward(JUDGE_REWARD_CLASSIFY, "good", two), 0.5625, 1e-12, "... of the other");
	tap_ok(isnan(reward(JUDGE_REWARD_CLASSIFY, NULL, three)), "of three one must be named");
	tap_ok(isnan(reward(JUDGE_REWARD_CLASSIFY, "a", three)), "... and be known");
	tap_is_double(reward(JUDGE_REWARD_CLASSIFY, "b", three), 0.625, 1e-12, "... as the likeliest");
	tap_ok(isnan(reward(JUDGE_REWARD_CLASSIFY, "7", three)), "a class that is not there");
	tap_is_double(reward(JUDGE_REWARD_POOLING, NULL, "{\"data\": [[1]]}"), 0.75, 1e-12, "a pooled number");
	tap_ok(isnan(reward(JUDGE_REWARD_POOLING, NULL, "{\"data\": [1, 2]}")), "... is one number");
	tap_is_double(reward(JUDGE_REWARD_POOLING, "1", "{\"data\": [1, 2]}"), 1, 1e-12, "... unless it is told which");
}

static void
check_relation(void)
{
	JudgeGraderOutput output = {.status = GEPA_STATUS_OK,.scored = true,.score = 0.25};
	JudgeGraderResult result = {.score = 0.75};

	gepa_judge_grader_relate(&output, &result);
	tap_is_double(result.score, 0.5, 1e-12, "a document's score becomes that of the judge's");
	output.status = GEPA_STATUS_REFUSED;
	result.score = 0.75;
	gepa_judge_grader_relate(&output, &result);
	tap_is_double(result.score, 0, 0, "... and 0 where there is no verdict");
	result.status = GEPA_STATUS_TIMEOUT;
	result.score = NAN;
	gepa_judge_grader_relate(&output, &result);
	tap_ok(isnan(result.score), "... and none where the grader has none");
}

static void
check_mix(void)
{
	JudgeGrader a = {.name = "a"};
	JudgeGrader b = {.name = "b"};
	const JudgeGrader *both[] = {&a, &b};
	double		weight[] = {3, 1};
	char	   *criterion[] = {"clear"};
	double		value[] = {0.5};
	JudgeGraderResult results[2] = {
		{.score = 1,.feedback = "well",.calls = 1,.input_tokens = 5,.cost = 2},
		{.score = 0,.nobjectives = 1,.objective_names = criterion,.objectives = value,.calls = 2}
	};
	JudgeGraderMix mix;
	GepaJson   *json;

	gepa_judge_grader_mix(2, both, weight, results, "note", &mix);
	tap_is_double(mix.score, 0.75, 1e-12, "the weighted mean");
	tap_is_string(mix.feedback, "a (1.00): well\nb (0.00)\nWhat the labeller says: note", "each under its name");
	tap_ok(mix.calls == 3 && mix.input_tokens == 5 && mix.cost == 2, "sums");
	json = gepa_json_parse(mix.objectives, strlen(mix.objectives), NULL);
	tap_ok(json != NULL && json->nitems == 3 && gepa_json_get(json, "b.clear") != NULL, "the union of objectives");
	json = gepa_json_parse(mix.graders, strlen(mix.graders), NULL);
	tap_ok(json != NULL && json->nitems == 2, "what each said is JSON");
	results[1].score = NAN;
	results[1].status = GEPA_STATUS_UNPARSEABLE;
	gepa_judge_grader_mix(2, both, weight, results, NULL, &mix);
	tap_ok(isnan(mix.score), "one without a score: none at all");
	tap_ok(strstr(mix.feedback, "b (unparseable)") != NULL, "... which is said");
}

static void
check_values(void)
{
	static const char *const bad[] = {"{}", "2", "-0.1", "\"1\"", "{\"score\": null}", "{\"score\": 1, \"objectives\": {\"x\": \"y\"}}", "NaN"};
	JudgeGraderResult result;

	gepa_judge_grader_read_value("0.25", &result);
	tap_is_double(result.score, 0.25, 0, "a number");
	gepa_judge_grader_read_value("{\"score\": 1, \"feedback\": \"f\", \"objectives\": {\"x\": 0.5}}", &result);
	tap_ok(result.score == 1 && result.nobjectives == 1 && strcmp(result.feedback, "f") == 0, "an object");
	for (int i = 0; i < lengthof(bad); i++)
	{
		gepa_judge_grader_read_value(bad[i], &result);
		tap_ok(result.status == GEPA_STATUS_UNPARSEABLE && isnan(result.score), "%s is neither", bad[i]);
	}
	gepa_judge_grader_read_value(NULL, &result);
	tap_ok(result.status == GEPA_STATUS_UNPARSEABLE && isnan(result.score), "nor is NULL");
}

static double
measure_of(const JudgeMeasure *measures, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(measures[i].metric, name) == 0 && measures[i].defined)
			return measures[i].value;
	return NAN;
}

static void
check_agreement(void)
{
	JudgeGraded rows[] = {
		{false, 0, 0.1}, {false, 0, 0.2}, {true, 1, 0.3}, {true, 1, 0.4}, {false, 0, 0.6}, {true, 1, 0.9}
	};
	int			n;
	JudgeMeasure *m = gepa_judge_agreement(rows, 6, 1, &n);
	JudgeMeasure *again = gepa_judge_agreement(rows, 6, 1, &n);

	tap_is_double(measure_of(m, n, "accuracy"), 0.5, 1e-12, "accuracy at 0.5");
	tap_is_double(measure_of(m, n, "kappa"), 0, 1e-12, "kappa at 0.5");
	tap_is_double(measure_of(m, n, "kappa_best_cut"), 2.0 / 3, 1e-12, "kappa at the best cut");
	tap_is_double(measure_of(m, n, "best_cut"), 0.25, 1e-12, "... between two scores");
	tap_is_double(measure_of(m, n, "auroc"), 7.0 / 9, 1e-12, "auroc");
	tap_is_double(measure_of(m, n, "spearman"), 0.4879500364742666, 1e-12, "Spearman with ties");
	tap_ok(m[0].has_interval && m[0].low == again[0].low && m[0].high == again[0].high, "intervals are the same each time");
	m = gepa_judge_agreement(rows, 0, 1, &n);
	tap_ok(isnan(measure_of(m, n, "accuracy")) && isnan(measure_of(m, n, "auroc")), "nothing of nothing");
	m = gepa_judge_agreement(rows, 2, 1, &n);
	tap_ok(isnan(measure_of(m, n, "auroc")) && isnan(measure_of(m, n, "spearman")), "one side alone has no order");
}

int
main(void)
{
	check_labels();
	check_answers();
	check_format();
	check_rubric();
	check_reward();
	check_relation();
	check_mix();
	check_values();
	check_agreement();
	return tap_done();
}
