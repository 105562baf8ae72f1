/*-------------------------------------------------------------------------
 *
 * votes_test.c
 *	  Votes on a verdict: who wins, when it is decided, what comes of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/pg_prng.h"

#include "judge/judge_internal.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

#define MOST_VOTES 12

static char *labels[] = {"good", "great", "bad", "worse"};
static bool positive[] = {true, true, false, false};
static char *inputs[] = {"document"};
static JudgeComponent components[] = {{"instruction", JUDGE_COMPONENT_INSTRUCTION, "Is it good?"}};

static JudgeSpec
make_spec(int nlabels, int votes)
{
	JudgeSpec	spec = {0};

	spec.name = "j";
	spec.ncomponents = 1;
	spec.components = components;
	spec.ninputs = 1;
	spec.inputs = inputs;
	spec.nlabels = nlabels;
	spec.labels = labels;
	spec.positive = nlabels == 2 ? positive + 1 : positive;
	if (nlabels == 2)
		spec.labels = labels + 1;
	spec.votes = votes;
	spec.max_chars = 1000;
	spec.threshold = 0.5;
	spec.lm_identity = "{}";
	return spec;
}

/*
 * Ballots
 */

/* Of all votes, none left: most of them, or what wins the tie. */
static int
plain_winner(const JudgeSpec *spec, const int *votes, int n)
{
	int			best = JUDGE_NO_LABEL;
	int			counts[5] = {0};

	for (int i = 0; i < n; i++)
		counts[votes[i] + 1]++;
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < spec->nlabels; i++)
			if (spec->positive[i] == (pass == 1) && counts[i + 1] > counts[best + 1])
				best = i;
	return best;
}

/* Asks as a course does; returns how many votes it took, and whether one was in vain. */
static int
hold(const JudgeSpec *spec, const int *votes, int *winner, bool *vain)
{
	JudgeBallot ballot;
	int			wanted;

	gepa_judge_ballot_begin(&ballot, spec);
	*vain = false;
	while ((wanted = gepa_judge_votes_wanted(&ballot, winner)) > 0)
		for (int i = 0; i < wanted; i++)
		{
			*vain = *vain || gepa_judge_votes_wanted(&ballot, winner) == 0;
			gepa_judge_cast(&ballot, votes[ballot.cast]);
		}
	return ballot.cast;
}

static void
check_random_ballots(void)
{
	pg_prng_state prng;
	int			wrong = 0;
	int			vain = 0;
	int			most = 0;

	pg_prng_seed(&prng, 8);
	for (int round = 0; round < 20000; round++)
	{
		JudgeSpec	spec = make_spec(2 + round % 3, 2 + pg_prng_uint64_range(&prng, 0, MOST_VOTES - 2));
		int			votes[MOST_VOTES];
		int			winner;
		bool		in_vain;
		int			cast;

		for (int i = 0; i < spec.votes; i++)
			votes[i] = (int) pg_prng_uint64_range(&prng, 0, spec.nlabels) - 1;
		cast = hold(&spec, votes, &winner, &in_vain);
		wrong += winner != plain_winner(&spec, votes, spec.votes);
		vain += in_vain;
		most = Max(most, cast - spec.votes);
	}
	tap_is_int(wrong, 0, "the winner is that of all votes");
	tap_is_int(vain, 0, "no vote is asked for that cannot matter");
	tap_is_int(most, 0, "all votes are taken where it takes all, and never more");
}

static int
votes_taken(int nlabels, int k, const char *said)
{
	JudgeSpec	spec = make_spec(nlabels, k);
	int			votes[MOST_VOTES];
	int			winner;
	bool		vain;

	for (int i = 0; i < k; i++)
		votes[i] = said[i] == '-' ? JUDGE_NO_LABEL : said[i] - '0';
	return hold(&spec, votes, &winner, &vain);
}

static int
winner_of(int nlabels, int k, const char *said)
{
	JudgeSpec	spec = make_spec(nlabels, k);
	int			votes[MOST_VOTES];
	int			winner;
	bool		vain;

	for (int i = 0; i < k; i++)
		votes[i] = said[i] == '-' ? JUDGE_NO_LABEL : said[i] - '0';
	(void) hold(&spec, votes, &winner, &vain);
	return winner;
}

static void
check_ballots(void)
{
	tap_is_int(votes_taken(2, 3, "000"), 2, "of three, two alike are enough");
	tap_is_int(votes_taken(2, 3, "010"), 3, "two that differ need the third");
	tap_is_int(votes_taken(2, 5, "00011"), 3, "of five, three alike");
	tap_is_int(votes_taken(2, 5, "00101"), 4, "or three of four");
	tap_is_int(votes_taken(2, 5, "01010"), 5, "or all five");
	tap_is_int(votes_taken(2, 4, "1111"), 3, "of four, three alike: the rest might have no label");
	tap_is_int(winner_of(2, 4, "0101"), 1, "a tie goes to the label that is not positive");
	tap_is_int(winner_of(4, 4, "0011"), 0, "of positive ones to the first");
	tap_is_int(winner_of(4, 4, "2233"), 2, "of the others as well");
	tap_is_int(winner_of(2, 3, "0-0"), 0, "a vote without a label counts for none");
	tap_is_int(winner_of(2, 3, "0-1"), JUDGE_NO_LABEL, "which wins ties");
	tap_is_int(winner_of(2, 5, "--0--"), JUDGE_NO_LABEL, "and by itself");
	tap_is_int(votes_taken(2, 3, "---"), 2, "decided as early as any");
}

/*
 * Courses
 */

static JudgeProgram program;
static JudgeCourse course;
static JudgeVerdict verdict;
static int	asked;
static LmRequest last_request;

static void
ask(void)
{
	int			n = gepa_judge_course_wants(&program, &course);

	for (int i = 0; i < n; i++, asked++)
		gepa_judge_course_ask(&program, &course, NULL, NULL, &last_request);
}

static void
begin(const JudgeSpec *spec)
{
	static const char *const fields[] = {"a document"};
	static const JudgeDocument document = {1, fields};
	uint8		digest[JUDGE_DIGEST_LENGTH];

	memset(&program, 0, sizeof(program));
	program.spec = spec;
	program.schema = gepa_judge_schema(spec);
	gepa_judge_content_digest(&document, digest);
	gepa_judge_course_begin(&program, &course, &document, digest);
	asked = 0;
	ask();
}

static bool
take(GepaStatus status, const char *content)
{
	LmReply		reply = {.status = status,.input_tokens = 10,.output_tokens = 2,.cost = 0.5,
	.calls = 1,.attempts = 1,.latency_ms = 4};
	bool		done;

	reply.content = content == NULL ? NULL : pstrdup(content);
	reply.detail = status == GEPA_STATUS_OK ? NULL : "late";
	done = gepa_judge_course_take(&program, &course, &reply, &verdict);
	/* the reply goes as soon as it is taken */
	if (reply.content != NULL && !done)
		memset(reply.content, 'x', strlen(reply.content));
	if (!done)
		ask();
	return done;
}

#define GREAT "{\"reasoning\":\"it is great\",\"label\":\"great\"}"
#define BAD "{\"reasoning\":\"it is bad\",\"label\":\"bad\"}"

static void
check_courses(void)
{
	JudgeSpec	spec = make_spec(2, 3);

	begin(&spec);
	tap_is_int(asked, 2, "two votes of three are asked for at once");
	tap_is_int(last_request.sample, 1, "each is told apart from the others");
	tap_ok(!take(GEPA_STATUS_OK, BAD), "one of them decides nothing");
	tap_is_int(asked, 2, "and nothing is asked while it may be decided without");
	tap_ok(!take(GEPA_STATUS_OK, GREAT), "nor do two that differ");
	tap_is_int(asked, 3, "but now the third is asked for");
	tap_ok(take(GEPA_STATUS_OK, GREAT), "and decides");
	tap_is_string(verdict.label, "great", "the label with most votes");
	tap_is_string(verdict.reasoning, "it is great", "with a reason of one who voted for it");
	tap_is_string(verdict.votes, "[\"bad\",\"great\",\"great\"]", "and all votes");
	tap_is_double(verdict.score, 2.5 / 4, 1e-12, "the score is the share of the positive ones");
	tap_is_double(verdict.confidence, 2.5 / 4, 1e-12, "as is the confidence in the label");
	tap_ok(verdict.positive && !verdict.from_logprobs, "the label decides, not the threshold");
	tap_is_int(verdict.calls, 3, "calls are sums");
	tap_is_int(verdict.input_tokens, 30, "as are tokens");
	tap_is_double(verdict.cost, 1.5, 1e-12, "and costs");
	tap_ok(strstr(verdict.trace, "\"votes\":[{\"status\":\"ok\",\"label\":\"bad\",\"reasoning\":\"it is bad\"}") != NULL,
		   "the trace has each vote");

	begin(&spec);
	(void) take(GEPA_STATUS_OK, GREAT);
	tap_ok(take(GEPA_STATUS_OK, GREAT), "two alike are enough");
	tap_is_double(verdict.score, 2.5 / 3, 1e-12, "the share of those that were cast");
	tap_is_int(verdict.calls, 2, "the third was not asked for");

	begin(&spec);
	(void) take(GEPA_STATUS_OK, "who knows");
	tap_ok(take(GEPA_STATUS_OK, "who knows"), "answers without a label decide as well");
	tap_is_int(verdict.status, GEPA_STATUS_UNPARSEABLE, "that there is no verdict");
	tap_ok(verdict.label == NULL && strcmp(verdict.votes, "[null,null]") == 0, "and which votes said so");

	begin(&spec);
	tap_ok(!take(GEPA_STATUS_TIMEOUT, NULL), "a vote without an answer waits for the others");
	tap_is_int(asked, 2, "and asks for no more");
	tap_ok(take(GEPA_STATUS_OK, GREAT), "which end it");
	tap_is_int(verdict.status, GEPA_STATUS_TIMEOUT, "no verdict is made of too few votes");
	tap_ok(verdict.label == NULL && strcmp(verdict.detail, "late") == 0, "and it says why");
	tap_is_int(verdict.calls, 2, "what was paid is counted");

	spec.votes = 5;
	begin(&spec);
	(void) take(GEPA_STATUS_OK, BAD);
	(void) take(GEPA_STATUS_OK, GREAT);
	(void) take(GEPA_STATUS_OK, GREAT);
	tap_is_int(asked, 4, "of five, a fourth");
	tap_ok(take(GEPA_STATUS_OK, GREAT), "may be the last");
	tap_is_double(verdict.score, 3.5 / 5, 1e-12, "of four");
}

/* Tokens of an answer whose label is one token. */
static bool
take_scored(const char *label, double great)
{
	LmAlternative alternatives[2] = {{"great", log(great)}, {"bad", log(1 - great)}};
	LmToken		tokens[3] = {{"{\"label\":\"", 0, 0, NULL}, {label, log(label[0] == 'g' ? great : 1 - great), 2, alternatives},
	{"\"}", 0, 0, NULL}};
	LmReply		reply = {.status = GEPA_STATUS_OK,.ntokens = 3,.tokens = tokens};
	bool		done;

	reply.content = psprintf("{\"label\":\"%s\"}", label);
	done = gepa_judge_course_take(&program, &course, &reply, &verdict);
	if (!done)
		ask();
	return done;
}

static void
check_scores(void)
{
	JudgeSpec	spec = make_spec(2, 3);

	begin(&spec);
	(void) take_scored("great", 0.6);
	(void) take_scored("bad", 0.3);
	tap_ok(take_scored("great", 0.7), "three votes with log-probabilities");
	tap_is_double(verdict.score, (0.6 + 0.3 + 0.7) / 3, 1e-12, "the score is their mean");
	tap_ok(verdict.from_logprobs && verdict.positive, "and meets the threshold");
	spec.threshold = 0.6;
	tap_ok(!gepa_judge_positive(&spec, verdict.label, verdict.score, verdict.from_logprobs),
		   "which may move");
	tap_is_double(verdict.confidence, (0.6 + 0.3 + 0.7) / 3, 1e-12, "the confidence in the winner");
	tap_is_double(verdict.probabilities[1], 1 - verdict.score, 1e-12, "each label has its mean");
}

static void
check_digests(void)
{
	JudgeSpec	spec = make_spec(2, 0);
	uint8		plain[JUDGE_DIGEST_LENGTH];
	uint8		other[JUDGE_DIGEST_LENGTH];

	gepa_judge_digest(&spec, true, plain);
	spec.votes = 3;
	gepa_judge_digest(&spec, true, other);
	tap_ok(memcmp(plain, other, sizeof(plain)) != 0, "votes are part of a digest");
	spec.votes = 0;
	spec.effort = "low";
	gepa_judge_digest(&spec, true, other);
	tap_ok(memcmp(plain, other, sizeof(plain)) != 0, "so is effort");
	spec.effort = NULL;
	spec.limits_thinking = true;
	gepa_judge_digest(&spec, true, other);
	tap_ok(memcmp(plain, other, sizeof(plain)) != 0, "so is a thinking budget, even 0");
	spec.limits_thinking = false;
	gepa_judge_digest(&spec, true, other);
	tap_ok(memcmp(plain, other, sizeof(plain)) == 0, "and nothing where nothing is said");
}

int
main(void)
{
	check_ballots();
	check_random_ballots();
	check_courses();
	check_scores();
	check_digests();
	return tap_done();
}
