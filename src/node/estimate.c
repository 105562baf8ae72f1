/*-------------------------------------------------------------------------
 *
 * estimate.c
 *	  What is known of a judge before it is asked.
 *
 * Planning asks for each call, several times, so what was found out is kept by
 * the session: which version is current as long as the judge's row is the same
 * one, and the figures of its verdicts for a few seconds.  A look at the row is
 * all that the rest costs.
 *
 * A judge that has no verdicts yet is estimated from its prompt and the width
 * of the documents; a few verdicts correct that by their weight.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "node/node_internal.h"

/* How long figures are good for; they only steer. */
#define FIGURES_LIFE_MS 5000

/* Judges that a session keeps; the least recently used one goes. */
#define MOST_JUDGES 16

/* As the planner takes it for any boolean function, with the weight of so many verdicts. */
#define PRIOR_PASS_RATE (1.0 / 3)
#define PRIOR_WEIGHT 5

/* Of a model that nobody has measured: per call, and per thousand tokens it reads. */
#define PRIOR_LATENCY_MS 300
#define PRIOR_READING_MS 50

#define CHARS_PER_TOKEN 4
#define FRAME_CHARS 120			/* what a prompt says around its parts */
#define LABEL_TOKENS 10
#define REASON_TOKENS 100

typedef struct Known
{
	dlist_node	node;			/* most recently used first */
	MemoryContext context;		/* of this and what hangs on it */
	char	   *name;
	Oid			userid;
	StoreMark	mark;
	TimestampTz read_at;		/* 0 = not to be used any more */
	NodeFacts	facts;
} Known;

static dlist_head known_judges = DLIST_STATIC_INIT(known_judges);
static int	nknown = 0;

/* An LM's options, or who may use it, have changed. */
static void
expire_all(Datum arg, int cacheid, uint32 hashvalue)
{
	dlist_iter	iter;

	dlist_foreach(iter, &known_judges)
		dlist_container(Known, node, iter.cur)->read_at = 0;
}

static void
forget(Known *known)
{
	dlist_delete(&known->node);
	nknown--;
	MemoryContextDelete(known->context);
}

static Known *
find(const char *name)
{
	dlist_iter	iter;

	dlist_foreach(iter, &known_judges)
	{
		Known	   *known = dlist_container(Known, node, iter.cur);

		if (known->userid == GetUserId() && strcmp(known->name, name) == 0)
			return known;
	}
	return NULL;
}

static bool
is_fresh(const Known *known, const StoreMark *mark)
{
	return known->read_at != 0 && memcmp(&known->mark, mark, sizeof(*mark)) == 0 &&
		!TimestampDifferenceExceeds(known->read_at, GetCurrentTimestamp(), FIGURES_LIFE_MS);
}

static void
read_judge(NodeFacts *facts, const StoreVersion *version)
{
	StoreFigures *figures = &facts->figures;
	StoreAccount account;
	JudgeServers *lms;

	gepa_store_account(&account, version->verdict_digest, version->owner, GetUserId());
	gepa_store_get_figures(version->spec, &account, figures);
	facts->version = version;
	facts->lm = gepa_lm_describe(version->lm, GetUserId());
	lms = gepa_judge_describe(version->spec, version->lm, GetUserId());
	if (lms != NULL)
		facts->pace = gepa_judge_pace(lms);
	facts->pass_rate = (figures->positive + PRIOR_PASS_RATE * PRIOR_WEIGHT) /
		(figures->sampled + PRIOR_WEIGHT);
}

/* A mean of two, by weight. */
static double
mix(double a, double a_weight, double b, double b_weight)
{
	return a_weight + b_weight > 0 ? (a * a_weight + b * b_weight) / (a_weight + b_weight) : 0;
}

static void
add_judge(NodeFacts *facts, int judges, const NodeFacts *more)
{
	StoreFigures *a = &facts->figures;
	const StoreFigures *b = &more->figures;

	facts->pass_rate = mix(facts->pass_rate, judges, more->pass_rate, 1);
	a->latency_ms = mix(a->latency_ms, a->sampled, b->latency_ms, b->sampled);
	a->input_tokens = mix(a->input_tokens, a->sampled, b->input_tokens, b->sampled);
	a->output_tokens = mix(a->output_tokens, a->sampled, b->output_tokens, b->sampled);
	a->cost = mix(a->cost, a->sampled, b->cost, b->sampled);
	a->chars_seen = mix(a->chars_seen, a->sampled, b->chars_seen, b->sampled);
	a->sampled += b->sampled;
	a->stored += b->stored;
}

/*
 * How many documents go where is not known, so its judges count the same.  One that is
 * gone is told of when a document gets there.
 */
static void
read_router(NodeFacts *facts, const StoreRouter *router)
{
	int			judges = 1;

	read_judge(facts, gepa_store_get_target(router->otherwise));
	facts->router = router;
	for (int i = 0; i < router->nrules; i++)
	{
		const StoreTarget *target = router->rules[i].target;
		const StoreVersion *version = gepa_store_find_version(target->name, target->version);
		NodeFacts	more;

		if (target == router->otherwise || version == NULL)
			continue;
		read_judge(&more, version);
		add_judge(facts, judges++, &more);
	}
}

static void
read_facts(NodeFacts *facts, const char *name)
{
	StoreRouter *router;
	const StoreVersion *version = gepa_store_resolve(name, &router);

	if (version != NULL)
		read_judge(facts, version);
	else
		read_router(facts, router);
}

/* Joins the list only when all has been read, which may raise. */
static Known *
learn(const char *name, const StoreMark *mark)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "gepa estimates",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Known	   *known = palloc0(sizeof(Known));

	known->context = context;
	known->name = pstrdup(name);
	known->userid = GetUserId();
	known->mark = *mark;
	known->read_at = GetCurrentTimestamp();
	read_facts(&known->facts, name);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, CacheMemoryContext);
	dlist_push_head(&known_judges, &known->node);
	if (++nknown > MOST_JUDGES)
		forget(dlist_tail_element(Known, node, &known_judges));
	return known;
}

static void
listen_to_changes(void)
{
	static bool listening = false;

	if (listening)
		return;
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, expire_all, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, expire_all, (Datum) 0);
	listening = true;
}

const NodeFacts *
gepa_node_facts(const char *name)
{
	StoreMark	mark;
	Known	   *known;

	listen_to_changes();
	if (!gepa_store_mark_judge(name, &mark))
		return NULL;
	known = find(name);
	if (known != NULL && !is_fresh(known, &mark))
	{
		forget(known);
		known = NULL;
	}
	if (known == NULL)
		known = learn(name, &mark);
	dlist_move_head(&known_judges, &known->node);
	return &known->facts;
}

const char *
gepa_node_judge_name(const Node *call)
{
	Const	   *name = linitial(((const FuncExpr *) call)->args);

	if (!IsA(name, Const) || name->constisnull || name->consttype != TEXTOID)
		return NULL;
	return TextDatumGetCString(name->constvalue);
}

/*
 * Calls
 */

/* A document of that many bytes in the prompts of all steps, in tokens. */
static double
prompt_tokens(const JudgeSpec *spec, double width)
{
	int			ntexts = spec->ninputs - spec->nimages;
	double		chars = FRAME_CHARS + Min(width, (double) spec->max_chars * ntexts) +
		(double) spec->nimages * LM_IMAGE_WEIGHT;
	int			votes = Max(spec->votes, 1);

	chars *= spec->nsteps + votes;
	for (int i = 0; i < spec->ncomponents; i++)
		chars += strlen(spec->components[i].text) *
			(spec->components[i].kind == JUDGE_COMPONENT_STEP ? 1 : votes);
	return chars / CHARS_PER_TOKEN;
}

/* Of one document. */
static void
estimate_call(const NodeFacts *facts, double width, NodeEstimate *call)
{
	const StoreFigures *figures = &facts->figures;

	if (figures->sampled > 0)
	{
		call->input_tokens = figures->input_tokens;
		call->output_tokens = figures->output_tokens;
		call->seconds = figures->latency_ms / 1000;
	}
	else
	{
		const JudgeSpec *spec = facts->version->spec;
		int			votes = Max(spec->votes, 1);

		call->input_tokens = prompt_tokens(spec, width);
		call->output_tokens = (LABEL_TOKENS + (spec->reasoning ? REASON_TOKENS : 0)) * votes;
		call->output_tokens += spec->nsteps * REASON_TOKENS;
		call->seconds = (PRIOR_LATENCY_MS * (spec->nsteps + votes) +
						 PRIOR_READING_MS * call->input_tokens / 1000) / 1000;
	}
	if (facts->pace.calls > 0)
	{
		call->cost = (call->input_tokens * facts->pace.input_price +
					  call->output_tokens * facts->pace.output_price) / 1e6;
		call->seconds /= facts->pace.places;
	}
}

void
gepa_node_estimate(const NodeFacts *facts, double rows, double width, NodeEstimate *estimate)
{
	memset(estimate, 0, sizeof(*estimate));
	estimate_call(facts, width, estimate);
	estimate->stored = Min(rows, facts->figures.stored);
	estimate->calls = rows > 0 ? rows - estimate->stored : 1;
	estimate->input_tokens *= estimate->calls;
	estimate->output_tokens *= estimate->calls;
	estimate->cost *= estimate->calls;
	estimate->seconds *= estimate->calls;
	estimate->calls *= Max(facts->pace.calls, 1);
}

/*
 * Conditions
 */

typedef struct Guess
{
	double		ms;				/* per row */
	double		pass;			/* share of rows of which it is true */
} Guess;

static Guess guess_condition(const Node *condition, double rows);

static Guess
guess_call(const Node *call, double rows)
{
	const char *name = gepa_node_judge_name(call);
	const NodeFacts *facts = name != NULL ? gepa_node_facts(name) : NULL;
	NodeEstimate estimate;
	Guess		guess = {PRIOR_LATENCY_MS, PRIOR_PASS_RATE};

	if (facts == NULL)
		return guess;
	gepa_node_estimate(facts, rows, 0, &estimate);
	guess.ms = estimate.seconds * 1000 / Max(rows, 1);
	guess.pass = facts->pass_rate;
	return guess;
}

/* What is behind stays unasked where this one decides. */
static Guess
guess_list(const List *conditions, bool is_and, double rows)
{
	Guess		guess = {0, 1};
	ListCell   *cell;

	foreach(cell, conditions)
	{
		Guess		next = guess_condition(lfirst(cell), rows);

		guess.ms += guess.pass * next.ms;
		guess.pass *= is_and ? next.pass : 1 - next.pass;
	}
	if (!is_and)
		guess.pass = 1 - guess.pass;
	return guess;
}

typedef struct Calls
{
	double		rows;
	double		ms;
} Calls;

static bool
add_calls(Node *node, void *context)
{
	Calls	   *calls = context;

	if (node == NULL)
		return false;
	if (gepa_node_call_kind(node) != NODE_NO_CALL)
		calls->ms += guess_call(node, calls->rows).ms;
	return expression_tree_walker(node, add_calls, context);
}

/* Of anything else: all its calls, and what the planner says of a condition it does not know. */
static Guess
guess_other(const Node *condition, double rows)
{
	Calls		calls = {rows, 0};
	Guess		guess = {0, PRIOR_PASS_RATE};

	add_calls((Node *) condition, &calls);
	guess.ms = calls.ms;
	return guess;
}

static Guess
guess_negation(const Node *condition, double rows)
{
	Guess		guess = guess_condition(condition, rows);

	guess.pass = 1 - guess.pass;
	return guess;
}

static Guess
guess_condition(const Node *condition, double rows)
{
	const BoolExpr *expr = (const BoolExpr *) condition;
	const BooleanTest *test = (const BooleanTest *) condition;

	if (gepa_node_call_kind(condition) != NODE_NO_CALL)
		return guess_call(condition, rows);
	if (IsA(condition, BoolExpr))
		return expr->boolop == NOT_EXPR ? guess_negation(linitial(expr->args), rows) :
			guess_list(expr->args, expr->boolop == AND_EXPR, rows);
	if (IsA(condition, BooleanTest))
		return test->booltesttype == IS_TRUE || test->booltesttype == IS_NOT_FALSE ?
			guess_condition((Node *) test->arg, rows) :
			guess_negation((Node *) test->arg, rows);
	return guess_other(condition, rows);
}

void
gepa_node_estimate_condition(const Node *condition, double rows, double *row_ms,
							 double *selectivity)
{
	Guess		guess = guess_condition(condition, rows);

	*row_ms = guess.ms;
	*selectivity = guess.pass;
}

double
gepa_node_selectivity(const List *conditions, double rows)
{
	return Max(guess_list(conditions, true, rows).pass, 1e-6);
}
