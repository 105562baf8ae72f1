/*-------------------------------------------------------------------------
 *
 * engine_policy_test.c
 *	  Rules of the default mode, one by one.  What holds of any run is in
 *	  engine_property_test.c, what it finds in engine_world_test.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "engine/engine_search.h"
#include "tap.h"

#define MAX_ITEMS 400
#define MAX_STEPS 4000
#define MAX_DECISIONS 400

static const EngineComponent one_text[1] = {{"instruction", ENGINE_COMPONENT_TEXT, "seed"}};

typedef double (*ScoreRule) (const EngineStep *step, int sample);
typedef char *(*TextRule) (const EngineStep *step);

/* What a run asked for and said. */
typedef struct Run
{
	Engine	   *engine;
	int			nsteps;
	EngineStep	steps[MAX_STEPS];
	int			ndecisions;
	EngineDecision decisions[MAX_DECISIONS];
	int			reflections;
	int			early;			/* ... asked for in the first third of the
								 * budget */
	int			rejected;
	char		first_rejection[256];
	char		last_rejection[256];
	int			skipped;
	int64		search_rollouts;
	int64		run_off_rollouts;
	int64		report_rollouts;
} Run;

static int	labels[MAX_ITEMS];

static void
set_config(EngineConfig *config, int ntrain, int nval, int64 budget)
{
	gepa_engine_config_init(config);
	config->ncomponents = 1;
	config->components = one_text;
	config->ntrain = ntrain;
	config->nval = nval;
	config->budget = budget;
}

static uint32
mix(uint32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}

static uint32
mix_text(const char *text, uint32 h)
{
	while (*text)
		h = mix(h * 31 + (unsigned char) *text++);
	return h;
}

static double
coin(const EngineStep *step, int sample)
{
	return mix(mix_text(step->texts[0], step->split) + sample) % 2;
}

static double
always_right(const EngineStep *step, int sample)
{
	return 1.0;
}

static double
always_wrong(const EngineStep *step, int sample)
{
	return 0.0;
}

/* Each line is worth something, on samples that differ. */
static double
better_with_lines(const EngineStep *step, int sample)
{
	int			lines = 0;
	const char *p;

	for (p = step->texts[0]; *p; p++)
		lines += *p == '\n';
	return mix(sample * 7919 + step->split) % 10 < 3 + Min(lines, 6);
}

/* The same as probabilities. */
static double
graded_with_lines(const EngineStep *step, int sample)
{
	return 0.2 + 0.6 * better_with_lines(step, sample);
}

static char *
add_line(const EngineStep *step)
{
	return psprintf("%s\nrule %d", step->texts[step->component], step->step);
}

static char *
same_text(const EngineStep *step)
{
	return pstrdup("another");
}

static char *
no_text(const EngineStep *step)
{
	return NULL;
}

static double
worse_with_lines(const EngineStep *step, int sample)
{
	return strcmp(step->texts[0], "seed") == 0 && sample % 3 > 0;
}

static void
note_events(Run *run)
{
	EngineEvent event;

	while (gepa_engine_next_event(run->engine, &event))
	{
		run->skipped += event.kind == ENGINE_EVENT_SKIPPED;
		if (event.kind == ENGINE_EVENT_REJECTED)
		{
			if (run->rejected++ == 0)
				strlcpy(run->first_rejection, event.reason, sizeof(run->first_rejection));
			strlcpy(run->last_rejection, event.reason, sizeof(run->last_rejection));
		}
		if (event.kind == ENGINE_EVENT_DECISION && run->ndecisions < MAX_DECISIONS)
			run->decisions[run->ndecisions++] = *event.decision;
	}
}

static void
count_rollouts(Run *run, const EngineStep *step)
{
	switch (run->engine->search->phase)
	{
		case ENGINE_PHASE_RUN_OFF:
			run->run_off_rollouts += step->nsamples;
			break;
		case ENGINE_PHASE_REPORT:
			run->report_rollouts += step->nsamples;
			break;
		default:
			run->search_rollouts += step->nsamples;
			break;
	}
}

static void
answer(Run *run, const EngineStep *step, ScoreRule score, TextRule text)
{
	double		scores[MAX_ITEMS];
	char	   *written;
	int			i;

	if (step->kind == ENGINE_STEP_REFLECT)
	{
		run->reflections++;
		run->early += gepa_engine_rollouts(run->engine) * 3 < run->engine->config.budget;
		written = text(step);
		gepa_engine_observe_text(run->engine, step->step, written);
		if (written != NULL)
			pfree(written);
		return;
	}
	count_rollouts(run, step);
	for (i = 0; i < step->nsamples; i++)
		scores[i] = score(step, step->samples[i]);
	gepa_engine_observe_scores(run->engine, step->step, step->nsamples, scores, 0, NULL, NULL);
}

static Run *
run_with(const EngineConfig *config, ScoreRule score, TextRule text)
{
	Run		   *run = palloc0(sizeof(Run));
	const char *error = NULL;
	EngineStep	step;

	run->engine = gepa_engine_create(config, &error);
	if (run->engine == NULL)
	{
		tap_ok(false, "the configuration is taken: %s", error);
		exit(1);
	}
	while ((step = gepa_engine_next(run->engine)).kind != ENGINE_STEP_FINISHED)
	{
		run->steps[run->nsteps++] = step;
		answer(run, &step, score, text);
		note_events(run);
	}
	note_events(run);
	return run;
}

static void
end_run(Run *run)
{
	gepa_engine_free(run->engine);
	pfree(run);
}

static void
test_budget(void)
{
	EngineConfig config;
	Run		   *run;
	EngineHeldOut held_out;

	set_config(&config, 200, 100, 400);
	run = run_with(&config, better_with_lines, add_line);
	tap_ok(gepa_engine_rollouts(run->engine) <= 400 &&
		   gepa_engine_rollouts(run->engine) > 396, "the budget is used to the last few calls: %d",
		   (int) gepa_engine_rollouts(run->engine));
	tap_is_string(gepa_engine_stop_reason(run->engine), "budget", "which is the reason");
	tap_ok(run->run_off_rollouts >= 100, "a quarter at least goes to the run-off: %d",
		   (int) run->run_off_rollouts);
	tap_is_int(run->report_rollouts, 2 * 25, "a sixteenth twice to the report");
	tap_ok(gepa_engine_held_out(run->engine, &held_out) && held_out.n == 25 &&
		   held_out.gain > 0.0, "which finds the gain");
	tap_ok(held_out.candidate == gepa_engine_best(run->engine) && held_out.candidate > 0,
		   "of the winner");
	tap_is_int(run->reflections, 6, "one reflection per 66 rollouts");
	tap_ok(run->early * 2 > run->reflections, "most of them early: %d of %d", run->early,
		   run->reflections);
	end_run(run);
}

static int
winner_rollouts(ScoreRule score, int leader_rollouts)
{
	EngineConfig config;
	Run		   *run;
	int			n;

	set_config(&config, 200, 100, 400);
	config.policy.leader_rollouts = leader_rollouts;
	run = run_with(&config, score, add_line);
	n = run->engine->pool.coverage[gepa_engine_best(run->engine)];
	if (gepa_engine_rollouts(run->engine) > 400)
		n = -1;
	end_run(run);
	return n;
}

/* A threshold is chosen by the winner's scores, if they are graded. */
static void
test_leader_rollouts(void)
{
	EngineConfig config;
	Run		   *run;
	int			usual = winner_rollouts(graded_with_lines, 0);
	int			shared = 0;
	int			alone = 0;
	int			late = 0;
	int			i;

	tap_ok(usual > 0 && winner_rollouts(graded_with_lines, usual + 20) >= usual + 20,
		   "the leader is owed rollouts, beyond the %d of a finalist", usual);
	tap_is_int(winner_rollouts(better_with_lines, 80), winner_rollouts(better_with_lines, 0),
			   "but not where right and wrong is all there is");
	tap_ok(winner_rollouts(graded_with_lines, 1000) > 80, "nor more than the run-off has");

	set_config(&config, 200, 100, 400);
	config.policy.leader_rollouts = usual + 20;
	run = run_with(&config, graded_with_lines, add_line);
	for (i = 0; i < run->ndecisions; i++)
		if (run->decisions[i].kind == ENGINE_DECISION_RUN_OFF)
		{
			shared += run->decisions[i].ncompared > 1;
			late += alone > 0 && run->decisions[i].ncompared > 1;
			alone += run->decisions[i].ncompared == 1;
		}
	tap_ok(shared > 0 && alone > 0 && late == 0, "finalists come first: %d rounds, then %d",
		   shared, alone);
	end_run(run);
}

static void
test_decisions(void)
{
	EngineConfig config;
	Run		   *run;
	bool		chained = true;
	bool		described = true;
	int			last;
	int			i;
	int			k;

	set_config(&config, 100, 50, 400);
	run = run_with(&config, better_with_lines, add_line);
	last = run->ndecisions - 1;
	tap_ok(run->decisions[0].kind == ENGINE_DECISION_SEED && run->decisions[0].led == -1 &&
		   run->decisions[0].nsamples == 16, "the first decision is about the seed's window");
	tap_ok(run->decisions[last].kind == ENGINE_DECISION_HELD_OUT &&
		   run->decisions[last - 1].kind == ENGINE_DECISION_WINNER &&
		   run->decisions[last - 2].kind == ENGINE_DECISION_RUN_OFF &&
		   run->decisions[1].kind == ENGINE_DECISION_GENERATION,
		   "then generations, the run-off, the winner, the report");
	for (i = 1; i < last; i++)
	{
		const EngineDecision *decision = &run->decisions[i];
		bool		leader = false;

		chained = chained && decision->led == run->decisions[i - 1].leads;
		for (k = 0; k < decision->ncompared; k++)
		{
			const EngineCompared *compared = &decision->compared[k];

			leader = leader || compared->candidate == decision->leads;
			described = described && (compared->sd == 0.0) ==
				(compared->candidate == decision->led) && compared->chance > 0.0 &&
				compared->chance < 1.0;
		}
		described = described && leader && (decision->kind == ENGINE_DECISION_WINNER ||
											decision->nsamples > 0);
	}
	tap_ok(chained, "each starts from who led");
	tap_ok(described, "each says who was compared, and on what");
	end_run(run);
}

static void
test_perfect(void)
{
	EngineConfig config;
	Run		   *run;
	EngineHeldOut held_out;

	set_config(&config, 20, 20, 600);
	run = run_with(&config, always_right, add_line);
	tap_is_string(gepa_engine_stop_reason(run->engine),
				  "nothing is left that the best candidate gets wrong",
				  "a seed that is right everywhere ends the search");
	tap_is_int(gepa_engine_rollouts(run->engine), 40, "after one look at each sample");
	tap_is_int(run->reflections, 0, "without a reflection, since there is nothing to learn");
	tap_is_int(run->run_off_rollouts, 0, "without a run-off");
	tap_ok(gepa_engine_held_out(run->engine, &held_out) && held_out.score == 1.0,
		   "with a report");
	end_run(run);
}

/* Who waits for reflections waits for a whole round of them. */
static void
test_whole_rounds(void)
{
	EngineConfig config;
	Run		   *run;
	int			asked[100] = {0};
	int			rounds = 0;
	bool		whole = true;
	int			i;

	set_config(&config, 200, 100, 1600);
	config.policy.reflections_per_round = 4;
	config.policy.max_reflections = 20;
	config.policy.whole_rounds = true;
	run = run_with(&config, coin, add_line);
	for (i = 0; i < run->nsteps; i++)
		if (run->steps[i].kind == ENGINE_STEP_REFLECT)
			asked[Min(run->steps[i].iteration, 99)]++;
	for (i = 0; i < 100; i++)
	{
		rounds += asked[i] > 0;
		whole = whole && asked[i] % 4 == 0;
	}
	tap_ok(whole && rounds == 5 && run->reflections == 20, "rounds of four: %d for %d", rounds,
		   run->reflections);
	end_run(run);
}

/* Proposals come first; the first recombination waits for its share of the search. */
static int
first_recombination(double recombine_after)
{
	EngineConfig config;
	EngineEvent event;
	Run		   *run = palloc0(sizeof(Run));
	EngineStep	step;
	int			rollouts = -1;

	set_config(&config, 200, 100, 800);
	config.policy.recombine_after = recombine_after;
	run->engine = gepa_engine_create(&config, NULL);
	while ((step = gepa_engine_next(run->engine)).kind != ENGINE_STEP_FINISHED)
	{
		while (gepa_engine_next_event(run->engine, &event))
			if (rollouts < 0 && event.kind == ENGINE_EVENT_PROPOSED &&
				strcmp(event.reason, "recombination") == 0)
				rollouts = (int) gepa_engine_rollouts(run->engine);
		answer(run, &step, better_with_lines, add_line);
	}
	end_run(run);
	return rollouts;
}

static void
test_recombine_after(void)
{
	int			early = first_recombination(0.0);
	int			late = first_recombination(0.25);

	tap_ok(early > 0 && early < 150, "recombination from the start: %d rollouts", early);
	tap_ok(late >= 150, "... or from a quarter of 600 rollouts on: %d", late);
}

/* A round of the run-off is no larger than a window, whatever is left. */
static void
test_run_off_rounds(void)
{
	EngineConfig config;
	Run		   *run;
	int			largest = 0;
	int			rounds = 0;
	int			i;

	set_config(&config, 200, 100, 800);
	run = run_with(&config, better_with_lines, add_line);
	for (i = 0; i < run->ndecisions; i++)
		if (run->decisions[i].kind == ENGINE_DECISION_RUN_OFF)
		{
			largest = Max(largest, run->decisions[i].nsamples);
			rounds++;
		}
	tap_ok(rounds > 2 && largest == 12, "a run-off of %d rounds on %d samples each", rounds,
		   largest);
	end_run(run);
}

/* More budget than there is to ask. */
static void
test_exhausted(void)
{
	EngineConfig config;
	Run		   *run;

	set_config(&config, 5, 3, 3000);
	config.policy.max_reflections = 4;
	run = run_with(&config, always_wrong, add_line);
	tap_ok(gepa_engine_rollouts(run->engine) < 3000, "a run ends when nothing is left to ask");
	tap_is_string(gepa_engine_stop_reason(run->engine), "nothing new to try", "and says so");
	end_run(run);

	set_config(&config, 30, 30, 400);
	run = run_with(&config, coin, no_text);
	tap_is_int(gepa_engine_ncandidates(run->engine), 1, "without any answer the seed stays");
	tap_is_int(gepa_engine_best(run->engine), 0, "and wins");
	tap_ok(run->skipped == run->reflections && run->reflections == 6, "after all attempts");
	end_run(run);
}

static void
test_duplicates(void)
{
	EngineConfig config;
	Run		   *run;

	set_config(&config, 40, 30, 300);
	run = run_with(&config, coin, same_text);
	tap_is_int(run->rejected, run->reflections - 1, "a text enters once");
	tap_is_string(run->last_rejection, "same text as candidate 1", "the others say whose it is");
	end_run(run);
}

static void
test_tiny(void)
{
	EngineConfig config;
	Run		   *run;
	int			budget;
	bool		kept = true;
	bool		tried = true;

	for (budget = 12; budget < 60; budget++)
	{
		set_config(&config, 8, 4, budget);
		run = run_with(&config, better_with_lines, add_line);
		kept = kept && gepa_engine_rollouts(run->engine) <= budget;
		tried = tried && gepa_engine_ncandidates(run->engine) > 1;
		if (budget == 20)
		{
			tap_ok(gepa_engine_ncandidates(run->engine) >= 3,
				   "twelve samples and twenty rollouts try two children at least: %d",
				   gepa_engine_ncandidates(run->engine) - 1);
			tap_is_int(run->report_rollouts, 0, "nothing is held out by itself");
		}
		end_run(run);
	}
	set_config(&config, 8, 4, 20);
	config.policy.held_out = 1;
	run = run_with(&config, better_with_lines, add_line);
	tap_is_int(run->report_rollouts, 2, "one sample is held out where that is wanted");
	end_run(run);
	tap_ok(kept, "small budgets are kept as well");
	tap_ok(tried, "and try something");
}

static void
test_held_out(void)
{
	EngineConfig config;
	Run		   *run;
	bool		apart = true;
	int			rare = 0;
	int			n;
	int			i;
	int			k;

	/* a fifth of the samples has label 1 */
	set_config(&config, 100, 60, 800);
	for (i = 0; i < 160; i++)
		labels[i] = i % 5 == 0;
	config.nlabels = 2;
	config.train_label = labels;
	config.val_label = labels + 100;
	run = run_with(&config, coin, add_line);
	n = run->engine->search->nheld_out;
	for (i = 0; i < n; i++)
	{
		int			item = run->engine->search->held_out[i];

		rare += labels[item];
		for (k = 0; k < run->nsteps; k++)
		{
			const EngineStep *step = &run->steps[k];
			EngineSampleRef ref = gepa_engine_item_sample(run->engine, item);
			int			s;

			for (s = 0; s < step->nsamples; s++)
				if (step->traces && step->split == ref.split && step->samples[s] == ref.sample)
					apart = false;
		}
	}
	tap_is_int(n, 24, "15 %% of the samples are held out");
	tap_ok(apart, "and asked about for the report alone");
	tap_ok(rare == 4 || rare == 5, "each label with its share: %d", rare);
	end_run(run);

	config.ntest = 30;
	run = run_with(&config, coin, add_line);
	tap_is_int(run->report_rollouts, 60, "a test set is used instead");
	for (i = 0, n = 0; i < run->nsteps; i++)
		n += run->steps[i].split == ENGINE_SPLIT_TEST ? run->steps[i].nsamples : 0;
	tap_is_int(n, 60, "for the report and nothing else");
	for (i = 0, k = 0; i < run->engine->search->items.nitems; i++)
		k += run->engine->search->items.used[i];
	tap_is_int(k, 160, "and all samples search");
	end_run(run);

	config.policy.held_out = 0;
	run = run_with(&config, coin, add_line);
	tap_is_int(run->report_rollouts, 0, "held_out 0: no report");
	end_run(run);
}

/* Samples of one group, and the seed's examples with theirs. */
static void
test_held_out_groups(void)
{
	static const EngineComponent examples[1] = {{"examples", ENGINE_COMPONENT_EXAMPLES, "3"}};
	static const int classes[100] = {0};
	EngineConfig config;
	Run		   *run;
	bool		held[40] = {false};
	int			split_groups = 0;
	int			n;
	int			i;

	for (i = 0; i < 160; i++)
		labels[i] = i % 40;
	set_config(&config, 100, 60, 800);
	config.sample_group = labels;
	config.components = examples;
	config.nclasses = 1;
	config.nexamples = 100;
	config.example_class = classes;
	run = run_with(&config, coin, add_line);
	n = run->engine->search->nheld_out;
	for (i = 0; i < n; i++)
		held[labels[run->engine->search->held_out[i]]] = true;
	for (i = 0; i < 160; i++)
		split_groups += held[labels[i]] && run->engine->search->items.used[i];
	tap_is_int(n, 24, "six groups of four are held out");
	tap_is_int(split_groups, 0, "whole");
	tap_ok(!held[3], "but not the one of which the seed shows an example");
	end_run(run);

	for (i = 0; i < 160; i++)
		labels[i] = i % 2;
	run = run_with(&config, coin, add_line);
	tap_is_int(run->report_rollouts, 0, "two groups of eighty are too large to be held out");
	tap_ok(gepa_engine_rollouts(run->engine) > config.budget - config.policy.finalists,
		   "... and what the report would have cost is spent on the search");
	end_run(run);

	labels[0] = 160;
	tap_ok(gepa_engine_create(&config, NULL) == NULL, "a group out of range is refused");
}

static const char *
reason_of(const EngineConfig *config, ScoreRule rule, Run **run)
{
	*run = run_with(config, rule, add_line);
	return gepa_engine_stop_reason((*run)->engine);
}

static void
test_stops(void)
{
	EngineConfig config;
	EngineHeldOut held_out;
	Run		   *run;

	set_config(&config, 100, 60, 800);
	config.max_proposals = 3;
	tap_is_string(reason_of(&config, better_with_lines, &run), "max_proposals",
				  "max_proposals");
	tap_is_int(run->reflections, 3, "so many reflections");
	tap_ok(run->run_off_rollouts <= 200 && run->run_off_rollouts > 0,
		   "the run-off then has its reserve: %d", (int) run->run_off_rollouts);
	tap_ok(gepa_engine_held_out(run->engine, &held_out), "and there is a report");
	end_run(run);

	set_config(&config, 100, 60, 800);
	config.max_candidates = 4;
	tap_is_string(reason_of(&config, better_with_lines, &run), "max_candidates",
				  "max_candidates");
	tap_is_int(gepa_engine_ncandidates(run->engine), 4, "so many candidates");
	end_run(run);

	set_config(&config, 100, 60, 800);
	config.stop_at_score = 0.55;
	tap_is_string(reason_of(&config, better_with_lines, &run), "stop_at_score",
				  "stop_at_score");
	end_run(run);

	set_config(&config, 100, 60, 800);
	config.max_proposals = 2;
	config.max_candidates = 7;
	config.stop_on_all = true;
	tap_is_string(reason_of(&config, better_with_lines, &run), "max_proposals",
				  "stop_on_all waits for all conditions, but not for the budget");
	tap_ok(run->reflections >= 2 && gepa_engine_ncandidates(run->engine) >= 7 &&
		   run->search_rollouts < 500, "and ends the search early: %d", (int) run->search_rollouts);
	end_run(run);

	set_config(&config, 100, 60, 800);
	config.no_improvement = 2;
	tap_is_string(reason_of(&config, worse_with_lines, &run), "no_improvement", "no_improvement");
	end_run(run);
}

static void
test_caller_stops(void)
{
	EngineConfig config;
	Run		   *run = palloc0(sizeof(Run));
	EngineStep	step;

	set_config(&config, 100, 60, 800);
	config.caller_stops = true;
	run->engine = gepa_engine_create(&config, NULL);
	while ((step = gepa_engine_next(run->engine)).kind != ENGINE_STEP_FINISHED)
	{
		answer(run, &step, better_with_lines, add_line);
		if (gepa_engine_rollouts(run->engine) > 150)
			gepa_engine_caller_stops(run->engine, "max_cost");
	}
	note_events(run);
	tap_is_string(gepa_engine_stop_reason(run->engine), "max_cost", "the caller ends a run");
	tap_ok(gepa_engine_rollouts(run->engine) < 250, "at the next barrier");
	tap_is_int(run->run_off_rollouts + run->report_rollouts, 0, "with neither run-off nor report");
	tap_is_int(run->decisions[run->ndecisions - 1].kind, ENGINE_DECISION_WINNER,
			   "and still says who won");
	end_run(run);
}

/* A part of what was asked for: the first rollouts, so many, and no text. */
static void
tell_part(Run *run, const EngineStep *step, int ncame)
{
	double		scores[MAX_ITEMS];
	bool		came[MAX_ITEMS];

	if (step->kind == ENGINE_STEP_REFLECT)
		tap_ok(gepa_engine_observe_text(run->engine, step->step, NULL), "a text does not come");
	for (int i = 0; i < step->nsamples; i++)
	{
		came[i] = i < ncame;
		scores[i] = came[i] ? better_with_lines(step, step->samples[i]) : INFINITY;
	}
	if (step->kind == ENGINE_STEP_EVALUATE)
		tap_ok(gepa_engine_observe_part(run->engine, step->step, step->nsamples, scores, came),
			   "a part of step %d is taken", step->step);
}

/* Answers in full up to so many rollouts, then so many of each step; the last decision's kind. */
static int
cut_short(Run *run, int64 rollouts, int ncame, int *proposed, int *rejected, int *accepted)
{
	EngineEvent event;
	EngineStep	step;
	EngineConfig config;
	int			last = -1;

	set_config(&config, 100, 60, 800);
	config.caller_stops = true;
	run->engine = gepa_engine_create(&config, NULL);
	while ((step = gepa_engine_next(run->engine)).kind != ENGINE_STEP_FINISHED)
	{
		if (gepa_engine_rollouts(run->engine) < rollouts)
		{
			answer(run, &step, better_with_lines, add_line);
			continue;
		}
		gepa_engine_caller_stops(run->engine, "max_calls");
		tell_part(run, &step, ncame);
	}
	*proposed = *rejected = *accepted = 0;
	while (gepa_engine_next_event(run->engine, &event))
	{
		*proposed += event.kind == ENGINE_EVENT_PROPOSED;
		*rejected += event.kind == ENGINE_EVENT_REJECTED;
		*accepted += event.kind == ENGINE_EVENT_ACCEPTED;
		if (event.kind == ENGINE_EVENT_DECISION)
			last = event.decision->kind;
	}
	return last;
}

/* What came in decides, and each proposal comes to an end. */
static void
test_parts(void)
{
	static const int limits[] = {30, 60, 90, 120, 400};
	Run		   *run = palloc0(sizeof(Run));
	int			proposed;
	int			rejected;
	int			accepted;
	int			all;

	for (int i = 0; i < lengthof(limits); i++)
		for (int ncame = 0; ncame < 6; ncame += 5)
		{
			tap_is_int(cut_short(run, limits[i], ncame, &proposed, &rejected, &accepted),
					   ENGINE_DECISION_WINNER, "a run that is cut short says who won");
			tap_is_int(rejected + accepted, proposed, "... and decides on all proposals");
			tap_ok(ncame > 0 || gepa_engine_rollouts(run->engine) < limits[i] + 12,
				   "... what did not come is not counted");
			tap_is_string(gepa_engine_stop_reason(run->engine), "max_calls", "... for that reason");
			gepa_engine_free(run->engine);
		}
	(void) cut_short(run, 30, 0, &proposed, &all, &accepted);
	gepa_engine_free(run->engine);
	(void) cut_short(run, 30, 5, &proposed, &rejected, &accepted);
	gepa_engine_free(run->engine);
	tap_ok(all > rejected, "a text is rejected when none of its rollouts came in");

	tap_is_int(cut_short(run, 0, 0, &proposed, &rejected, &accepted), -1,
			   "a seed without a rollout leads nothing");
	tap_is_int(gepa_engine_best(run->engine), -1, "and does not win");
	gepa_engine_free(run->engine);
	tap_is_int(cut_short(run, 0, 3, &proposed, &rejected, &accepted), ENGINE_DECISION_WINNER,
			   "a seed with a few does");
	gepa_engine_free(run->engine);
	pfree(run);
}

/* Children are right wherever their rollouts do not fail. */
static double
mostly_failing(const EngineStep *step, int sample)
{
	return step->proposal > 0 && sample % 4 > 0 ? NAN : step->proposal > 0;
}

static double
rarely_failing(const EngineStep *step, int sample)
{
	return step->proposal > 0 && sample % 8 == 0 ? NAN : step->proposal > 0;
}

/* Rollouts of the report fail on some samples, or on all of a seed's. */
static double
failing_report(const EngineStep *step, int sample)
{
	return !step->traces && sample % 3 == 0 ? NAN : step->proposal > 0;
}

static double
failing_seed_report(const EngineStep *step, int sample)
{
	return !step->traces && step->proposal == 0 ? NAN : step->proposal > 0;
}

/* Samples that were held out chose nothing, whatever came of them; the decision names them all. */
static void
test_failed_report(void)
{
	EngineConfig config;
	EngineHeldOut held_out;
	Run		   *run;
	const EngineDecision *last;

	set_config(&config, 60, 60, 300);
	run = run_with(&config, failing_report, add_line);
	last = &run->decisions[run->ndecisions - 1];
	tap_ok(gepa_engine_held_out(run->engine, &held_out) && held_out.n > 0 &&
		   held_out.n < run->engine->search->nheld_out, "pairs that failed are left out: %d of %d",
		   held_out.n, run->engine->search->nheld_out);
	tap_is_int(last->nsamples, run->engine->search->nheld_out,
			   "their samples were held out nevertheless");
	end_run(run);

	run = run_with(&config, failing_seed_report, add_line);
	last = &run->decisions[run->ndecisions - 1];
	tap_ok(!gepa_engine_held_out(run->engine, &held_out), "without a pair there is no report");
	tap_ok(last->kind == ENGINE_DECISION_HELD_OUT &&
		   last->nsamples == run->engine->search->nheld_out, "but a decision that says so");
	end_run(run);
}

/* What is beyond 0 and 1 counts as the nearer of them, in the report too. */
static double
beyond(const EngineStep *step, int sample)
{
	return step->proposal == 0 ? -3.0 : 2.0 + sample;
}

static void
test_scores_beyond(void)
{
	EngineConfig config;
	Run		   *run;
	EngineHeldOut held_out;

	set_config(&config, 60, 40, 300);
	run = run_with(&config, beyond, add_line);
	tap_ok(gepa_engine_held_out(run->engine, &held_out) && held_out.seed_score == 0.0 &&
		   held_out.score == 1.0 && held_out.gain == 1.0, "scores are held within 0 and 1");
	tap_ok(held_out.high == 1.0 && held_out.search_score == 1.0, "... all of them");
	end_run(run);
}

static void
test_failed_rollouts(void)
{
	EngineConfig config;
	Run		   *run;
	EngineStep	step;
	double		scores[16];
	int			i;

	set_config(&config, 60, 60, 300);
	run = run_with(&config, mostly_failing, add_line);
	tap_is_int(gepa_engine_best(run->engine), 0, "a few rollouts make no leader");
	end_run(run);
	run = run_with(&config, rarely_failing, add_line);
	tap_ok(gepa_engine_best(run->engine) > 0, "some that fail do no harm");
	end_run(run);

	run = palloc0(sizeof(Run));
	run->engine = gepa_engine_create(&config, NULL);
	step = gepa_engine_next(run->engine);
	for (i = 0; i < step.nsamples; i++)
		scores[i] = i == 0 ? INFINITY : NAN;
	tap_ok(!gepa_engine_observe_scores(run->engine, step.step, step.nsamples, scores, 0, NULL,
									   NULL), "a score without bounds is refused");
	scores[0] = NAN;
	tap_ok(gepa_engine_observe_scores(run->engine, step.step, step.nsamples, scores, 0, NULL,
									  NULL), "none is taken");
	tap_is_int(gepa_engine_rollouts(run->engine), step.nsamples, "and counts");
	end_run(run);
}

static void
test_rounds(void)
{
	EngineConfig config;
	Run		   *run;
	int			rounds;

	set_config(&config, 200, 100, 800);
	run = run_with(&config, better_with_lines, add_line);
	rounds = gepa_engine_rounds(run->engine);
	tap_ok(rounds <= 2 * gepa_engine_iteration(run->engine) + 1,
		   "two waits per generation at most: %d in %d", rounds,
		   gepa_engine_iteration(run->engine));
	end_run(run);

	config.policy.pipelined = true;
	run = run_with(&config, better_with_lines, add_line);
	tap_ok(gepa_engine_rounds(run->engine) <= gepa_engine_iteration(run->engine) + 1,
		   "pipelined one: %d in %d", gepa_engine_rounds(run->engine),
		   gepa_engine_iteration(run->engine));
	tap_ok(gepa_engine_rounds(run->engine) < rounds, "which makes fewer");
	end_run(run);
}

/* All texts but the seed are right, but for a few samples. */
static double
hardly_wrong(const EngineStep *step, int sample)
{
	return step->proposal > 0 && sample % 20 > 0;
}

/* A reflection that came while its incumbent lost to one without a failure. */
static void
test_dropped(void)
{
	EngineConfig config;
	Run		   *run;

	set_config(&config, 100, 100, 600);
	config.policy.pipelined = true;
	run = run_with(&config, hardly_wrong, add_line);
	tap_ok(run->rejected > 0, "a proposal is dropped for a leader without a failure");
	tap_is_string(run->first_rejection,
				  "the candidate that leads was right on all it was run on", "which it says");
	end_run(run);
}

static void
test_components(void)
{
	static const EngineComponent two[2] = {
		{"system", ENGINE_COMPONENT_TEXT, "s"}, {"instruction", ENGINE_COMPONENT_TEXT, "i"}
	};
	EngineConfig config;
	Run		   *run;
	int			asked[2] = {0, 0};
	int			i;

	set_config(&config, 60, 60, 400);
	config.ncomponents = 2;
	config.components = two;
	run = run_with(&config, coin, add_line);
	for (i = 0; i < run->nsteps; i++)
		if (run->steps[i].kind == ENGINE_STEP_REFLECT)
			asked[run->steps[i].component]++;
	tap_ok(asked[0] > 0 && abs(asked[0] - asked[1]) <= 3, "components take turns: %d and %d",
		   asked[0], asked[1]);
	end_run(run);

	config.component_choice = ENGINE_CHOOSE_ALL;
	config.policy.reflections_per_round = 4;
	run = run_with(&config, coin, add_line);
	asked[0] = asked[1] = 0;
	for (i = 0; i < run->nsteps; i++)
		if (run->steps[i].kind == ENGINE_STEP_REFLECT)
			asked[run->steps[i].component]++;
	tap_ok(asked[0] == asked[1] && asked[0] > 0, "or are changed together: %d and %d", asked[0],
		   asked[1]);
	end_run(run);
}

/* Does a list hold this example? */
static bool
lists(const char *list, int example)
{
	char	   *end;

	for (; *list != '\0'; list = *end == ',' ? end + 1 : end)
		if (strtol(list, &end, 10) == example)
			return true;
	return false;
}

static double
good_examples(const EngineStep *step, int sample)
{
	return lists(step->texts[0], 3) + lists(step->texts[0], 5) > (int) (mix(sample) % 3);
}

static void
test_examples(void)
{
	static const EngineComponent examples[1] = {{"examples", ENGINE_COMPONENT_EXAMPLES, "7"}};
	EngineConfig config;
	Run		   *run;
	bool		apart = true;
	bool		seed_free = true;
	int			i;
	int			k;

	set_config(&config, 30, 30, 400);
	config.components = examples;
	config.can_reflect = false;
	config.nclasses = 1;
	config.nexamples = 30;
	config.example_class = labels;
	memset(labels, 0, sizeof(labels));
	run = run_with(&config, good_examples, no_text);
	tap_is_int(run->reflections, 0, "examples need no reflection");
	tap_ok(gepa_engine_ncandidates(run->engine) > 5, "and are changed all the same: %d",
		   gepa_engine_ncandidates(run->engine));
	for (i = 0; i < run->engine->search->nheld_out; i++)
	{
		int			item = run->engine->search->held_out[i];

		seed_free = seed_free && item != 7;
		for (k = 0; k < gepa_engine_ncandidates(run->engine); k++)
			if (item < 30 && lists(gepa_engine_candidate_texts(run->engine, k)[0], item))
				apart = false;
	}
	tap_ok(run->engine->search->nheld_out == 9 && apart, "no example is held out");
	tap_ok(seed_free, "nor one that the seed came with");
	end_run(run);
}

static void
refuse(const EngineConfig *config, const char *word)
{
	const char *error = NULL;

	tap_ok(gepa_engine_create(config, &error) == NULL && error != NULL &&
		   strstr(error, word) != NULL, "refused: %s", error ? error : "(nothing)");
}

/* Knows which of three seeds is good. */
static double
second_is_good(const EngineStep *step, int sample)
{
	return strstr(step->texts[0], "second") != NULL ? sample % 8 != 0 : sample % 4 == 0;
}

static int
count_seed_rollouts(const Run *run, int proposal, bool *alike)
{
	int			n = 0;
	int			i;

	/* two steps each, of training and of validation samples */
	for (i = 0; i < 6; i++)
		if (run->steps[i].proposal == proposal)
		{
			const EngineStep *first = &run->steps[i % 2];

			n += run->steps[i].nsamples;
			*alike = *alike && run->steps[i].nsamples == first->nsamples &&
				memcmp(run->steps[i].samples, first->samples,
					   first->nsamples * sizeof(int)) == 0;
		}
	return n;
}

static void
test_seeds(void)
{
	static const char *const second[1] = {"seed\nsecond"};
	static const char *const third[1] = {"third"};
	static const char *const *const further[2] = {second, third};
	EngineConfig config;
	Run		   *run;
	int			parents[2];
	bool		alike = true;

	set_config(&config, 60, 60, 600);
	config.nseeds = 2;
	config.seeds = further;
	run = run_with(&config, second_is_good, add_line);
	tap_ok(count_seed_rollouts(run, 0, &alike) == 16 &&
		   count_seed_rollouts(run, 1, &alike) == 16 &&
		   count_seed_rollouts(run, 2, &alike) == 16 && alike,
		   "seeds: each is run on the same window");
	tap_ok(run->decisions[0].kind == ENGINE_DECISION_SEED && run->decisions[0].ncompared == 3 &&
		   run->decisions[0].leads == 1, "and the one that is right most leads");
	tap_ok(gepa_engine_candidate_parents(run->engine, 1, parents) == 0 &&
		   gepa_engine_candidate_parents(run->engine, 2, parents) == 0 &&
		   strcmp(gepa_engine_candidate_texts(run->engine, 2)[0], "third") == 0,
		   "they are candidates without parents, in their order");
	tap_ok(gepa_engine_candidate_parents(run->engine, 3, parents) == 1 && parents[0] == 1,
		   "what follows descends from the one that leads");
	tap_ok(strstr(gepa_engine_candidate_texts(run->engine, gepa_engine_best(run->engine))[0],
				  "second") != NULL, "and so does the winner");
	tap_ok(gepa_engine_rollouts(run->engine) <= 600, "within the budget");
	end_run(run);

	/*
	 * of a small budget the seeds' windows are no more than one seed's would
	 * be
	 */
	set_config(&config, 60, 60, 80);
	config.nseeds = 2;
	config.seeds = further;
	run = run_with(&config, second_is_good, add_line);
	tap_ok(run->engine->search->plan.seed_window * 3 <= 80 / 4 &&
		   run->engine->search->plan.seed_window >= 2, "small budgets are shared among them: %d",
		   run->engine->search->plan.seed_window);
	end_run(run);
}

static void
test_refusals(void)
{
	static const char *const same[1] = {"seed"};
	static const char *const other[1] = {"other"};
	static const char *const *const seeds[2] = {other, same};
	static const int bad_labels[40] = {0, 1};
	EngineConfig config;
	Engine	   *engine;

#define WITH(change, word) \
	do { set_config(&config, 40, 40, 200); change; refuse(&config, word); } while (0)
	WITH(config.budget = 0, "give one");
	WITH(config.budget = 9, "raise it to at least 10,");
	WITH((config.budget = 40, config.policy.held_out = 20), "raise it to at least 64,");
	WITH((config.budget = 63, config.policy.held_out = 20), "raise it to at least 64,");
	WITH(config.policy.held_out = 80, "held_out");
	WITH((config.ntest = 5, config.policy.held_out = 6), "held_out");
	WITH((config.budget = 100, config.policy.held_out = 45), "lower held_out");
	WITH(config.policy.reserve = 1.0, "reserve");
	WITH(config.policy.window = 0, "window");
	WITH(config.policy.finalists = 1, "finalists");
	WITH(config.policy.leader_rollouts = -1, "leader_rollouts");
	WITH(config.policy.dispersion_prior = -1.0, "dispersion_prior");
	WITH(config.policy.least_dispersion = 0.0, "least_dispersion");
	WITH(config.policy.reflections_per_round = 0, "reflections_per_round");
	WITH(config.policy.reflection_pace = 0.0, "reflection_pace");
	WITH(config.policy.recombinations = -1, "recombinations");
	WITH(config.policy.max_reflections = -1, "max_reflections");
	WITH(config.policy.intercept_sd = 0.0, "intercept_sd");
	WITH(config.policy.line_sd = NAN, "line_sd");
	WITH(config.policy.thompson = -1.0, "thompson");
	WITH(config.policy.window_floor = config.policy.window_gain = 0.0, "window_floor");
	WITH(config.policy.records = 0, "records");
	WITH(config.policy.max_changes = -1, "max_changes");
	WITH((config.nlabels = 1, config.val_label = bad_labels), "label");
	WITH(config.policy.record_failures = -1, "record_failures");
	WITH((config.nseeds = 2, config.seeds = seeds), "two seeds have the same texts");
	WITH((config.nseeds = 1, config.seeds = seeds, config.budget = 9), "raise it to at least 13,");
#undef WITH

	set_config(&config, 40, 40, 200);
	config.policy.records = 4;
	engine = gepa_engine_create(&config, NULL);
	tap_ok(engine != NULL, "fewer records than record_failures are taken");
	gepa_engine_free(engine);

	/* what matters in the other mode is no error */
	set_config(&config, 40, 40, 200);
	config.frontier = ENGINE_FRONTIER_CARTESIAN;
	config.merge = true;
	engine = gepa_engine_create(&config, NULL);
	tap_ok(engine != NULL, "options of the other mode are taken");
	gepa_engine_free(engine);
	config.mode = ENGINE_MODE_REFERENCE;
	config.policy.window = 0;
	engine = gepa_engine_create(&config, NULL);
	tap_ok(engine != NULL, "there as here");
	gepa_engine_free(engine);
}

int
main(void)
{
	test_budget();
	test_leader_rollouts();
	test_run_off_rounds();
	test_recombine_after();
	test_decisions();
	test_perfect();
	test_whole_rounds();
	test_exhausted();
	test_duplicates();
	test_tiny();
	test_held_out();
	test_held_out_groups();
	test_stops();
	test_caller_stops();
	test_parts();
	test_scores_beyond();
	test_failed_rollouts();
	test_failed_report();
	test_rounds();
	test_dropped();
	test_components();
	test_examples();
	test_seeds();
	test_refusals();
	return tap_done();
}
