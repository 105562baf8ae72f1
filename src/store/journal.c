/*-------------------------------------------------------------------------
 *
 * journal.c
 *	  What a run worker records, and reads back when it is resumed.
 *
 * Two kinds of rows carry a run.  Rollouts are written as they finish, so
 * that nothing paid is lost; a row in gepa.step says that the engine has been
 * told the outcome of a step.  Everything else (proposals, frontier, figures)
 * follows from these and may be written again with the same result.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "store/store_spend.h"

static StoreStatement insert_rollout = {
	.sql = "INSERT INTO gepa.rollout (run, step, slot, proposal, split, sample, score,"
	" feedback, label, judge_score, from_logprobs, output, status, input_tokens,"
	" output_tokens, cost, latency_ms, graded, objectives, graders, trace, grader_calls,"
	" grader_input_tokens, grader_output_tokens, grader_cost)"
	" VALUES ($1, $2, $3, $4, $5, $6, nullif($7, 'NaN'), $8, $9, $10, $11, $12::jsonb,"
	" $13, $14, $15, $16::numeric, $17, NOT $18, $19::jsonb, $20::jsonb, $21::jsonb, $22, $23, $24,"
	" $25::numeric) ON CONFLICT DO NOTHING"
};

static StoreStatement update_rollout = {
	.sql = "UPDATE gepa.rollout SET score = nullif($4, 'NaN'), feedback = $5, graded = NOT $6,"
	" objectives = $7::jsonb, graders = $8::jsonb, trace = $9::jsonb, grader_calls = $10,"
	" grader_input_tokens = $11, grader_output_tokens = $12, grader_cost = $13::numeric"
	" WHERE run = $1 AND step = $2 AND slot = $3"
};

static StoreStatement add_rollouts = {
	.sql = "UPDATE gepa.run SET rollouts = rollouts + $2, input_tokens = input_tokens + $3,"
	" output_tokens = output_tokens + $4, cost = cost + $5::numeric, seconds = seconds + $6,"
	" calls = calls + $7 WHERE run = $1"
};

static StoreStatement update_scores = {
	.sql = "UPDATE gepa.rollout o SET score = s.score"
	" FROM unnest($3) WITH ORDINALITY s(score, place)"
	" WHERE o.run = $1 AND o.step = $2 AND o.slot = s.place - 1"
	" AND o.score IS DISTINCT FROM s.score"
};

#define ROLLOUT_COLUMNS \
	"o.slot, o.proposal, o.split, o.sample, coalesce(o.score, 'NaN'), o.feedback, o.label," \
	" coalesce(o.judge_score, 'NaN'), o.from_logprobs, o.output ->> 'reasoning'," \
	" o.output ->> 'detail', o.status, o.input_tokens, o.output_tokens, o.cost::float8," \
	" o.latency_ms, o.output ->> 'answer', o.step, NOT o.graded, o.objectives::text," \
	" o.graders::text, o.trace::text, o.grader_calls, o.grader_input_tokens," \
	" o.grader_output_tokens, o.grader_cost::float8"

static StoreStatement select_rollouts = {
	.sql = "SELECT " ROLLOUT_COLUMNS " FROM gepa.rollout o"
	" WHERE o.run = $1 AND o.step = $2 ORDER BY o.slot"
};

static StoreStatement select_records = {
	.sql = "SELECT " ROLLOUT_COLUMNS
	" FROM ROWS FROM (unnest($2), unnest($3)) WITH ORDINALITY w(step, slot, place)"
	" JOIN gepa.rollout o ON o.run = $1 AND o.step = w.step AND o.slot = w.slot"
	" ORDER BY w.place"
};

static StoreStatement insert_step = {
	.sql = "INSERT INTO gepa.step (run, seq, step, kind, new_text, prompt, answer, detail,"
	" input_tokens, output_tokens, cost)"
	" SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 + coalesce(sum(c.input_tokens), 0),"
	" $10 + coalesce(sum(c.output_tokens), 0), $11::numeric + coalesce(sum(c.cost), 0)"
	" FROM gepa.reflection_call c WHERE c.run = $1 AND c.step = $3"
};

static StoreStatement add_reflection = {
	.sql = "UPDATE gepa.run SET reflections = reflections + 1,"
	" input_tokens = input_tokens + $2, output_tokens = output_tokens + $3,"
	" cost = cost + $4::numeric, calls = calls + $5 WHERE run = $1"
};

static StoreStatement select_steps = {
	.sql = "SELECT seq, step, kind = 'reflect', new_text, detail FROM gepa.step"
	" WHERE run = $1 AND kind <> 'seed' ORDER BY seq"
};

static StoreStatement put_proposal = {
	.sql = "INSERT INTO gepa.proposal (run, proposal, iteration, parents, component,"
	" components, reflect_step, candidate, accepted, reason, parent_sum, child_sum,"
	" score, rollouts_at_discovery)"
	" VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9 = 1, $10,"
	" nullif($11, 'NaN'), nullif($12, 'NaN'), nullif($13, 'NaN'), $14)"
	" ON CONFLICT (run, proposal) DO UPDATE SET candidate = excluded.candidate,"
	" accepted = excluded.accepted, reason = excluded.reason,"
	" parent_sum = excluded.parent_sum, child_sum = excluded.child_sum,"
	" score = excluded.score, rollouts_at_discovery = excluded.rollouts_at_discovery"
};

#define PROPOSAL_COLUMNS \
	"proposal, iteration, parents, component, components::text, coalesce(score, 'NaN')," \
	" candidate, accepted::int, reason, coalesce(parent_sum, 'NaN')," \
	" coalesce(child_sum, 'NaN'), rollouts_at_discovery"

static StoreStatement select_candidate = {
	.sql = "SELECT " PROPOSAL_COLUMNS " FROM gepa.proposal WHERE run = $1 AND candidate = $2"
};

static StoreStatement select_proposals = {
	.sql = "SELECT " PROPOSAL_COLUMNS " FROM gepa.proposal WHERE run = $1 ORDER BY proposal"
};

static StoreStatement put_front = {
	.sql = "INSERT INTO gepa.front (run, ordinal, key, score, candidates)"
	" SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM gepa.front"
	" WHERE run = $1 AND ordinal = $2 AND key = $3 AND score = $4 AND candidates = $5)"
	" ON CONFLICT (run, ordinal) DO UPDATE SET key = excluded.key,"
	" score = excluded.score, candidates = excluded.candidates"
};

static StoreStatement trim_fronts = {
	.sql = "DELETE FROM gepa.front WHERE run = $1 AND ordinal >= $2"
};

static StoreStatement select_fronts = {
	.sql = "SELECT key, score, candidates FROM gepa.front WHERE run = $1 ORDER BY ordinal"
};

static StoreStatement put_progress = {
	.sql = "UPDATE gepa.run SET iteration = $2, rollouts = greatest(rollouts, $3),"
	" best_candidate = $4, best_score = nullif($5, 'NaN'), rounds = $6, phase = $7,"
	" seconds = seconds + $8"
	" WHERE run = $1"
	" RETURNING (input_tokens + output_tokens)::float8, cost::float8, seconds, calls::float8"
};

/*
 * Rollouts
 */

/* What the judge said, as the output column shows it. */
static char *
output_json(const StoreRollout *rollout)
{
	const JudgeVerdict *verdict = &rollout->verdict;
	StringInfoData buf;
	const char *const names[] = {"label", "reasoning", "detail", "answer", "thinking"};
	const char *values[5];
	bool		first = true;

	values[0] = verdict->label;
	values[1] = verdict->reasoning;
	values[2] = verdict->detail;

	/*
	 * The raw answer only where it could not be read, or graders may look at
	 * it.
	 */
	values[3] = verdict->status == GEPA_STATUS_OK && !rollout->ungraded &&
		rollout->graders == NULL ? NULL : verdict->answer;
	values[4] = verdict->thinking;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	for (int i = 0; i < lengthof(names); i++)
	{
		if (values[i] == NULL)
			continue;
		appendStringInfo(&buf, "%s\"%s\":", first ? "" : ",", names[i]);
		gepa_json_quote(&buf, values[i]);
		first = false;
	}
	if (verdict->label != NULL)
		appendStringInfo(&buf, ",\"score\":%.17g,\"positive\":%s", verdict->score,
						 verdict->positive ? "true" : "false");
	if (verdict->votes != NULL)
		appendStringInfo(&buf, "%s\"votes\":%s", buf.len > 1 ? "," : "", verdict->votes);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

static void
add_grade(StoreArgs *args, const StoreRollout *rollout)
{
	gepa_store_arg_bool(args, rollout->ungraded);
	gepa_store_arg_text(args, rollout->objectives);
	gepa_store_arg_text(args, rollout->graders);
	gepa_store_arg_text(args, rollout->trace);
	gepa_store_arg_int(args, rollout->grader_calls);
	gepa_store_arg_int(args, rollout->grader_input_tokens);
	gepa_store_arg_int(args, rollout->grader_output_tokens);
	gepa_store_arg_double(args, rollout->grader_cost);
}

/* What became of an output that is in the table. */
static void
put_grade(StoreScope *scope, int run, const StoreRollout *rollout)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, rollout->step);
	gepa_store_arg_int(&args, rollout->slot);
	gepa_store_arg_double(&args, rollout->score);
	gepa_store_arg_text(&args, rollout->feedback);
	add_grade(&args, rollout);
	gepa_store_run(scope, &update_rollout, &args);
}

static bool
put_rollout(StoreScope *scope, int run, const StoreRollout *rollout)
{
	const JudgeVerdict *verdict = &rollout->verdict;
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, rollout->step);
	gepa_store_arg_int(&args, rollout->slot);
	gepa_store_arg_int(&args, rollout->proposal);
	gepa_store_arg_text(&args, gepa_store_split_name(rollout->split));
	gepa_store_arg_int(&args, rollout->sample);
	gepa_store_arg_double(&args, rollout->score);
	gepa_store_arg_text(&args, rollout->feedback);
	gepa_store_arg_text(&args, verdict->label);
	gepa_store_arg_double(&args, verdict->status == GEPA_STATUS_OK ? verdict->score : 0.0);
	gepa_store_arg_bool(&args, verdict->from_logprobs);
	gepa_store_arg_text(&args, output_json(rollout));
	gepa_store_arg_text(&args, gepa_status_name(verdict->status));
	gepa_store_arg_int(&args, verdict->input_tokens);
	gepa_store_arg_int(&args, verdict->output_tokens);
	gepa_store_arg_double(&args, verdict->cost);
	gepa_store_arg_double(&args, verdict->latency_ms);
	add_grade(&args, rollout);
	return gepa_store_run(scope, &insert_rollout, &args) > 0;
}

void
gepa_store_insert_rollouts(int run, const StoreRollout *rollouts, int n, const StoreLost *lost,
						   double seconds)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			inserted = 0;
	StoreSpend	spend = {.calls = lost->calls,.failed = lost->failed};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	for (int i = 0; i < n; i++)
	{
		if (rollouts[i].stored)
			put_grade(&scope, run, &rollouts[i]);
		else if (put_rollout(&scope, run, &rollouts[i]))
		{
			inserted++;
			gepa_store_spend_add(&spend, &rollouts[i].verdict);
		}
	}
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, inserted);
	gepa_store_arg_bigint(&args, spend.input_tokens);
	gepa_store_arg_bigint(&args, spend.output_tokens);
	gepa_store_arg_double(&args, spend.cost);
	gepa_store_arg_double(&args, seconds);
	gepa_store_arg_bigint(&args, spend.calls);
	gepa_store_run(&scope, &add_rollouts, &args);
	gepa_store_book_run(&scope, run, LM_PURPOSE_ROLLOUT, &spend);
	gepa_store_leave(&scope);
}

void
gepa_store_put_scores(int run, int step, const double *scores, int n)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, step);
	gepa_store_arg_doubles(&args, n, scores);
	gepa_store_run(&scope, &update_scores, &args);
	gepa_store_leave(&scope);
}

static StoreSplit
parse_split(const char *name)
{
	for (int i = 0; i < STORE_NSPLITS; i++)
		if (strcmp(name, gepa_store_split_name(i)) == 0)
			return (StoreSplit) i;
	return STORE_SPLIT_NONE;
}

static void
read_rollout(StoreScope *scope, const JudgeSpec *spec, uint64 row, StoreRollout *rollout)
{
	JudgeVerdict *verdict = &rollout->verdict;

	rollout->slot = gepa_store_int(row, 1, 0);
	rollout->proposal = gepa_store_int(row, 2, 0);
	rollout->split = parse_split(gepa_store_text(scope, row, 3));
	rollout->sample = gepa_store_int(row, 4, 0);
	rollout->score = gepa_store_double(row, 5);
	rollout->feedback = gepa_store_text(scope, row, 6);
	verdict->label = gepa_store_text(scope, row, 7);
	verdict->score = gepa_store_double(row, 8);
	verdict->from_logprobs = gepa_store_bool(row, 9);
	verdict->reasoning = gepa_store_text(scope, row, 10);
	verdict->detail = gepa_store_text(scope, row, 11);
	if (!gepa_status_parse(gepa_store_text(scope, row, 12), &verdict->status))
		verdict->status = GEPA_STATUS_HTTP_ERROR;
	verdict->input_tokens = gepa_store_int(row, 13, 0);
	verdict->output_tokens = gepa_store_int(row, 14, 0);
	verdict->cost = gepa_store_double(row, 15);
	verdict->latency_ms = gepa_store_double(row, 16);
	verdict->answer = gepa_store_text(scope, row, 17);
	rollout->step = gepa_store_int(row, 18, 0);
	rollout->ungraded = gepa_store_bool(row, 19);
	rollout->objectives = gepa_store_text(scope, row, 20);
	rollout->graders = gepa_store_text(scope, row, 21);
	rollout->trace = gepa_store_text(scope, row, 22);
	rollout->grader_calls = gepa_store_int(row, 23, 0);
	rollout->grader_input_tokens = gepa_store_int(row, 24, 0);
	rollout->grader_output_tokens = gepa_store_int(row, 25, 0);
	rollout->grader_cost = gepa_store_double(row, 26);
	if (verdict->status == GEPA_STATUS_OK && verdict->label != NULL)
		verdict->positive = gepa_judge_positive(spec, verdict->label, verdict->score,
												verdict->from_logprobs);
}

/* Those that a statement finds. */
static StoreRollout *
get_rollouts(StoreStatement *statement, StoreArgs *args, const JudgeSpec *spec, int *n)
{
	StoreScope	scope;
	StoreRollout *rollouts;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	*n = (int) gepa_store_run(&scope, statement, args);
	rollouts = MemoryContextAllocZero(scope.caller, sizeof(StoreRollout) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		read_rollout(&scope, spec, i, &rollouts[i]);
	gepa_store_leave(&scope);
	return rollouts;
}

StoreRollout *
gepa_store_get_rollouts(int run, const JudgeSpec *spec, int step, int *n)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, step);
	return get_rollouts(&select_rollouts, &args, spec, n);
}

StoreRollout *
gepa_store_get_records(int run, const JudgeSpec *spec, const EngineRecord *records, int *n)
{
	StoreArgs	args = {0};
	int		   *steps = palloc(sizeof(int) * Max(*n, 1));
	int		   *slots = palloc(sizeof(int) * Max(*n, 1));

	for (int i = 0; i < *n; i++)
	{
		steps[i] = records[i].step;
		slots[i] = records[i].slot;
	}
	gepa_store_arg_int(&args, run);
	gepa_store_arg_ints(&args, *n, steps);
	gepa_store_arg_ints(&args, *n, slots);
	return get_rollouts(&select_records, &args, spec, n);
}

/*
 * Steps
 */

static void
book_reflection(StoreScope *scope, int run, const StoreStep *step)
{
	StoreSpend	spend = {.calls = step->calls,.ok = step->new_text != NULL,
		.failed = step->new_text == NULL,.input_tokens = step->input_tokens,
	.output_tokens = step->output_tokens,.cost = step->cost};

	gepa_store_book_run(scope, run, LM_PURPOSE_REFLECTION, &spend);
}

void
gepa_store_insert_step(int run, const StoreStep *step)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreArgs	figures = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, step->seq);
	gepa_store_arg_int(&args, step->step);
	gepa_store_arg_text(&args, step->seed ? "seed" : step->reflect ? "reflect" : "evaluate");
	gepa_store_arg_text(&args, step->new_text);
	gepa_store_arg_text(&args, step->prompt);
	gepa_store_arg_text(&args, step->answer);
	gepa_store_arg_text(&args, step->detail);
	gepa_store_arg_int(&args, step->input_tokens);
	gepa_store_arg_int(&args, step->output_tokens);
	gepa_store_arg_double(&args, step->cost);
	gepa_store_run(&scope, &insert_step, &args);
	if (step->reflect)
	{
		gepa_store_arg_int(&figures, run);
		gepa_store_arg_int(&figures, step->input_tokens);
		gepa_store_arg_int(&figures, step->output_tokens);
		gepa_store_arg_double(&figures, step->cost);
		gepa_store_arg_bigint(&figures, step->calls);
		gepa_store_run(&scope, &add_reflection, &figures);
		if (step->calls > 0)
			book_reflection(&scope, run, step);
	}
	gepa_store_leave(&scope);
}

StoreStep *
gepa_store_get_steps(int run, int *n)
{
	StoreScope	scope;
	StoreStep  *steps;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	*n = (int) gepa_store_run_by_number(&scope, &select_steps, run);
	steps = MemoryContextAllocZero(scope.caller, sizeof(StoreStep) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		steps[i].seq = gepa_store_int(i, 1, 0);
		steps[i].step = gepa_store_int(i, 2, 0);
		steps[i].reflect = gepa_store_bool(i, 3);
		steps[i].new_text = gepa_store_text(&scope, i, 4);
		steps[i].detail = gepa_store_text(&scope, i, 5);
	}
	gepa_store_leave(&scope);
	return steps;
}

/*
 * Proposals, frontier, figures
 */

void
gepa_store_put_proposal(int run, const StoreProposal *proposal)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, proposal->proposal);
	gepa_store_arg_int(&args, proposal->iteration);
	gepa_store_arg_ints(&args, proposal->nparents, proposal->parents);
	gepa_store_arg_text(&args, proposal->component);
	gepa_store_arg_text(&args, proposal->components);
	gepa_store_arg_int_or_null(&args, proposal->reflect_step, -1);
	gepa_store_arg_int_or_null(&args, proposal->candidate, -1);
	gepa_store_arg_int_or_null(&args, proposal->decided, -1);
	gepa_store_arg_text(&args, proposal->reason);
	gepa_store_arg_double(&args, proposal->parent_sum);
	gepa_store_arg_double(&args, proposal->child_sum);
	gepa_store_arg_double(&args, proposal->candidate >= 0 ? proposal->score : NAN);
	gepa_store_arg_int_or_null(&args, proposal->candidate >= 0 ?
							   proposal->rollouts_at_discovery : -1, -1);
	gepa_store_run(&scope, &put_proposal, &args);
	gepa_store_leave(&scope);
}

static void
read_proposal(StoreScope *scope, uint64 row, StoreProposal *proposal)
{
	int		   *parents;

	proposal->proposal = gepa_store_int(row, 1, 0);
	proposal->iteration = gepa_store_int(row, 2, 0);
	parents = gepa_store_ints(scope, row, 3, &proposal->nparents);
	proposal->nparents = Min(proposal->nparents, lengthof(proposal->parents));
	for (int i = 0; i < proposal->nparents; i++)
		proposal->parents[i] = parents[i];
	proposal->component = gepa_store_text(scope, row, 4);
	proposal->components = gepa_store_text(scope, row, 5);
	proposal->score = gepa_store_double(row, 6);
	proposal->candidate = gepa_store_int(row, 7, -1);
	proposal->decided = gepa_store_int(row, 8, -1);
	proposal->reason = gepa_store_text(scope, row, 9);
	proposal->parent_sum = gepa_store_double(row, 10);
	proposal->child_sum = gepa_store_double(row, 11);
	proposal->rollouts_at_discovery = gepa_store_int(row, 12, 0);
}

StoreProposal *
gepa_store_get_candidate(int run, int candidate)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreProposal *proposal;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, candidate);
	if (gepa_store_run(&scope, &select_candidate, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("run %d has no candidate %d", run, candidate),
				 errhint("See gepa.candidates.")));
	proposal = MemoryContextAllocZero(scope.caller, sizeof(StoreProposal));
	read_proposal(&scope, 0, proposal);
	gepa_store_leave(&scope);
	return proposal;
}

StoreProposal *
gepa_store_get_proposals(int run, int *n)
{
	StoreScope	scope;
	StoreProposal *proposals;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	*n = (int) gepa_store_run_by_number(&scope, &select_proposals, run);
	proposals = MemoryContextAllocZero(scope.caller, sizeof(StoreProposal) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		read_proposal(&scope, i, &proposals[i]);
	gepa_store_leave(&scope);
	return proposals;
}

StoreFront *
gepa_store_get_frontier(int run, int *n)
{
	StoreScope	scope;
	StoreFront *fronts;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	*n = (int) gepa_store_run_by_number(&scope, &select_fronts, run);
	fronts = MemoryContextAllocZero(scope.caller, sizeof(StoreFront) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		fronts[i].key = gepa_store_text(&scope, i, 1);
		fronts[i].score = gepa_store_double(i, 2);
		fronts[i].candidates = gepa_store_ints(&scope, i, 3, &fronts[i].ncandidates);
	}
	gepa_store_leave(&scope);
	return fronts;
}

void
gepa_store_put_frontier(int run, const StoreFront *fronts, int n)
{
	StoreScope	scope;
	StoreArgs	trim = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	for (int i = 0; i < n; i++)
	{
		StoreArgs	args = {0};

		gepa_store_arg_int(&args, run);
		gepa_store_arg_int(&args, i);
		gepa_store_arg_text(&args, fronts[i].key);
		gepa_store_arg_double(&args, fronts[i].score);
		gepa_store_arg_ints(&args, fronts[i].ncandidates, fronts[i].candidates);
		gepa_store_run(&scope, &put_front, &args);
	}
	gepa_store_arg_int(&trim, run);
	gepa_store_arg_int(&trim, n);
	gepa_store_run(&scope, &trim_fronts, &trim);
	gepa_store_leave(&scope);
}

StoreSpent
gepa_store_put_progress(int run, const StoreProgress *progress)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreSpent	spent = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, progress->iteration);
	gepa_store_arg_int(&args, progress->rollouts);
	gepa_store_arg_int_or_null(&args, progress->best_candidate, -1);
	gepa_store_arg_double(&args, progress->best_score);
	gepa_store_arg_int(&args, progress->rounds);
	gepa_store_arg_text(&args, progress->phase);
	gepa_store_arg_double(&args, progress->seconds);
	if (gepa_store_run(&scope, &put_progress, &args) > 0)
	{
		spent.tokens = gepa_store_double(0, 1);
		spent.cost = gepa_store_double(0, 2);
		spent.seconds = gepa_store_double(0, 3);
		spent.calls = gepa_store_double(0, 4);
	}
	gepa_store_leave(&scope);
	return spent;
}
