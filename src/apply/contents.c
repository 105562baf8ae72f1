/*-------------------------------------------------------------------------
 *
 * contents.c
 *	  Documents that are all there through whatever a name stands for.
 *
 * Through a router they go in rounds: each is routed as far as it gets, all that have
 * to be asked of whichever judge are asked side by side, and so on until each has met
 * the judge that has the last word.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "apply/apply_internal.h"

/* Those of one judge in one round. */
typedef struct Group
{
	ApplyJudge *judge;
	int			n;
	JudgeDocument *documents;
	int		   *places;			/* by document, which content it is */
	ApplyBatch	batch;
} Group;

typedef struct Round
{
	ApplyContents *contents;
	bool	   *open;			/* by content: is to be asked */
	int			ngroups;
	Group	   *groups;
} Round;

static Group *
group_of(Round *round, ApplyJudge *judge)
{
	int			n = round->contents->n;
	Group	   *group;

	for (int i = 0; i < round->ngroups; i++)
		if (round->groups[i].judge == judge)
			return &round->groups[i];
	round->groups = round->groups == NULL ? palloc(sizeof(Group)) :
		repalloc(round->groups, sizeof(Group) * (round->ngroups + 1));
	group = &round->groups[round->ngroups++];
	memset(group, 0, sizeof(*group));
	group->judge = judge;
	group->documents = palloc(sizeof(JudgeDocument) * n);
	group->places = palloc(sizeof(int) * n);
	return group;
}

/* A document with a field that is null is NULL as a whole. */
static void
make_documents(Round *round)
{
	ApplyContents *contents = round->contents;

	for (int i = 0; i < contents->n; i++)
	{
		Group	   *group;

		if (!round->open[i])
			continue;
		group = group_of(round, contents->judges[i]);
		if (gepa_apply_document(group->judge->spec, contents->values[i], contents->is_jsonb,
								&group->documents[group->n]))
			group->places[group->n++] = i;
		else
			contents->nulls[i] = true;
	}
}

/* None stands still while another is waited for. */
static void
call_groups(Round *round)
{
	ApplyStream **streams = palloc(sizeof(ApplyStream *) * Max(round->ngroups, 1));

	for (int i = 0; i < round->ngroups; i++)
		gepa_apply_find(&round->groups[i].batch, round->groups[i].judge,
						round->groups[i].documents, round->groups[i].n);
	for (int i = 0; i < round->ngroups; i++)
		streams[i] = round->groups[i].judge->stream;
	for (int i = 0; i < round->ngroups; i++)
	{
		round->groups[i].batch.others = streams + i + 1;
		round->groups[i].batch.nothers = round->ngroups - i - 1;
		gepa_apply_call(&round->groups[i].batch);
	}
}

/* Those that others were called for go on to run only until then; see call.c. */
static void
rescue_groups(const Round *round)
{
	for (int i = 0; i < round->ngroups; i++)
	{
		ApplyStream *stream = round->groups[i].judge->stream;

		if (stream == NULL)
			continue;
		gepa_apply_stream_rescue(stream);
		gepa_apply_stream_clear(stream);
	}
}

static void
ask_round(Round *round)
{
	MemoryContext context = CurrentMemoryContext;

	make_documents(round);
	PG_TRY();
	{
		call_groups(round);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		rescue_groups(round);
		ReThrowError(error);
	}
	PG_END_TRY();
	for (int i = 0; i < round->ngroups; i++)
		for (int k = 0; k < round->groups[i].n; k++)
			round->contents->verdicts[round->groups[i].places[k]] =
				round->groups[i].batch.verdicts[k];
}

/* The next judge of each; returns whether there is any to ask. */
static bool
route_all(ApplyNamed *named, Round *round, bool for_rules)
{
	ApplyContents *contents = round->contents;
	bool		any = false;

	for (int i = 0; i < contents->n; i++)
	{
		ApplyRoute *route = &contents->routes[i];

		round->open[i] = false;
		if (contents->nulls[i] || route->step == APPLY_ROUTE_DECIDED ||
			route->step == APPLY_ROUTE_FAILED)
			continue;
		gepa_apply_route(named->router, contents->values[i], contents->is_jsonb,
						 &contents->verdicts[i].verdict, route);
		round->open[i] = route->step == APPLY_ROUTE_ASK ||
			(route->step == APPLY_ROUTE_DECIDED && !for_rules);
		if (round->open[i])
			contents->judges[i] = gepa_apply_target(named, route->target);
		any = any || round->open[i];
	}
	return any;
}

static Round
first_round(ApplyContents *contents)
{
	Round		round = {.contents = contents};
	int			n = Max(contents->n, 1);

	contents->verdicts = palloc0(sizeof(ApplyVerdict) * n);
	contents->judges = palloc0(sizeof(ApplyJudge *) * n);
	contents->routes = palloc0(sizeof(ApplyRoute) * n);
	round.open = palloc0(n);
	return round;
}

static void
ask_judge(ApplyNamed *named, ApplyContents *contents)
{
	Round		round = first_round(contents);

	for (int i = 0; i < contents->n; i++)
	{
		round.open[i] = !contents->nulls[i];
		contents->judges[i] = named->judge;
	}
	ask_round(&round);
}

static void
ask_router(ApplyNamed *named, ApplyContents *contents, bool for_rules)
{
	Round		round = first_round(contents);

	while (route_all(named, &round, for_rules))
	{
		ask_round(&round);
		round.ngroups = 0;
	}
}

void
gepa_apply_contents(ApplyNamed *named, ApplyContents *contents)
{
	if (named->judge != NULL)
		ask_judge(named, contents);
	else
		ask_router(named, contents, false);
}

void
gepa_apply_route_contents(ApplyNamed *named, ApplyContents *contents)
{
	ask_router(named, contents, true);
}
