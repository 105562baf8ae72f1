/*-------------------------------------------------------------------------
 *
 * servers.c
 *	  The LMs of a program.
 *
 * A step may name an LM of its own; whoever judges needs USAGE on all of them, and
 * each has to be what the version was made for.  Steps on one server share it, so
 * that its key is read once, and its calls are one batch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "judge/judge_internal.h"

static LmServer *
find_resolved(const JudgeServers *servers, const char *name)
{
	if (name == NULL || strcmp(name, servers->lm->name) == 0)
		return servers->lm;
	for (int i = 0; i < servers->nsteps; i++)
		if (strcmp(servers->steps[i]->name, name) == 0)
			return servers->steps[i];
	return NULL;
}

/* Of an input that a step, or the verdict, is shown: does its LM take it? */
static void
check_input(const JudgeSpec *spec, const LmServer *lm, const char *name)
{
	if (lm->images || !gepa_judge_is_image(spec, name))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("LM \"%s\" takes no images, but judge \"%s\" shows it input \"%s\"",
					lm->name, spec->name, name),
			 errhint("Name an LM that takes images, or set option images of the server to true if it does.")));
}

static void
check_images(const JudgeSpec *spec, const JudgeServers *servers)
{
	int			n;
	const char **names;

	if (spec->nimages == 0)
		return;
	for (int i = 0; i < spec->nsteps; i++)
		for (int k = 0; k < spec->steps[i].ninputs; k++)
			check_input(spec, servers->steps[i], spec->steps[i].inputs[k]);
	names = gepa_judge_verdict_inputs(spec, &n);
	for (int i = 0; i < n; i++)
		check_input(spec, servers->lm, names[i]);
}

JudgeServers *
gepa_judge_resolve(const JudgeSpec *spec, const char *lm, Oid userid)
{
	JudgeServers *servers = palloc0(sizeof(JudgeServers));

	servers->votes = spec->votes;
	servers->steps = palloc0(sizeof(LmServer *) * Max(spec->nsteps, 1));
	servers->lm = gepa_lm_resolve(lm, userid);
	while (servers->nsteps < spec->nsteps)
	{
		const char *name = spec->steps[servers->nsteps].lm;
		LmServer   *server = find_resolved(servers, name);

		servers->steps[servers->nsteps] = server ? server : gepa_lm_resolve(name, userid);
		servers->nsteps++;
	}
	check_images(spec, servers);
	return servers;
}

/* Whether a step's LM is the judge's, or that of a step before it. */
static bool
is_known(const JudgeServers *servers, int step)
{
	bool		known = servers->steps[step] == servers->lm;

	for (int i = 0; i < step; i++)
		known = known || servers->steps[i] == servers->steps[step];
	return known;
}

void
gepa_judge_free_servers(JudgeServers *servers)
{
	for (int i = servers->nsteps - 1; i >= 0; i--)
		if (!is_known(servers, i))
			gepa_lm_free(servers->steps[i]);
	gepa_lm_free(servers->lm);
	pfree(servers->steps);
	pfree(servers);
}

JudgeServers *
gepa_judge_describe(const JudgeSpec *spec, const char *lm, Oid userid)
{
	JudgeServers *servers = palloc0(sizeof(JudgeServers));

	servers->votes = spec->votes;
	servers->steps = palloc0(sizeof(LmServer *) * Max(spec->nsteps, 1));
	servers->lm = gepa_lm_describe(lm, userid);
	while (servers->lm != NULL && servers->nsteps < spec->nsteps)
	{
		const char *name = spec->steps[servers->nsteps].lm;
		LmServer   *server = find_resolved(servers, name);

		if (server == NULL)
			server = gepa_lm_describe(name, userid);
		if (server == NULL)
			return NULL;
		servers->steps[servers->nsteps++] = server;
	}
	return servers->lm == NULL ? NULL : servers;
}

void
gepa_judge_check_usage(const JudgeSpec *spec, const char *lm, Oid userid)
{
	gepa_lm_check_usage(lm, userid);
	for (int i = 0; i < spec->nsteps; i++)
		if (spec->steps[i].lm != NULL)
			gepa_lm_check_usage(spec->steps[i].lm, userid);
}

void
gepa_judge_identify(JudgeSpec *spec, const JudgeServers *servers)
{
	gepa_judge_check_sampling(spec, servers->lm);
	spec->lm_identity = gepa_lm_identity(servers->lm);
	for (int i = 0; i < spec->nsteps; i++)
		spec->steps[i].lm_identity = spec->steps[i].lm == NULL ? NULL :
			gepa_lm_identity(servers->steps[i]);
}

const LmServer *
gepa_judge_find_mismatch(const JudgeSpec *spec, const JudgeServers *servers,
						 const char **expected, char **found)
{
	*expected = spec->lm_identity;
	*found = gepa_lm_identity(servers->lm);
	if (strcmp(*found, *expected) != 0)
		return servers->lm;
	for (int i = 0; i < spec->nsteps; i++)
	{
		if (spec->steps[i].lm == NULL)
			continue;
		*expected = spec->steps[i].lm_identity;
		*found = gepa_lm_identity(servers->steps[i]);
		if (strcmp(*found, *expected) != 0)
			return servers->steps[i];
	}
	return NULL;
}

const LmServer *
gepa_judge_failed_lm(const JudgeServers *servers, const JudgeVerdict *verdict)
{
	if (verdict->failed_step > 0 && verdict->failed_step <= servers->nsteps)
		return servers->steps[verdict->failed_step - 1];
	return servers->lm;
}

int
gepa_judge_places(const JudgeServers *servers)
{
	int			places = servers->lm->max_concurrency;

	for (int i = 0; i < servers->nsteps; i++)
		if (!is_known(servers, i))
			places += servers->steps[i]->max_concurrency;
	return places;
}

static double
lower_limit(double limit, double other)
{
	return other > 0 && (limit == 0 || other < limit) ? other : limit;
}

/* One LM, which has so many of the calls. */
static void
add_pace(JudgePace *pace, const LmServer *lm, int calls)
{
	double		share = (double) calls / pace->calls;

	pace->input_price += lm->input_price * share;
	pace->output_price += lm->output_price * share;
	pace->places = lower_limit(pace->places, Max(lm->max_concurrency, 1) / share);
	pace->documents_per_minute = lower_limit(pace->documents_per_minute,
											 (double) lm->requests_per_minute / calls);
	pace->tokens_per_minute = lower_limit(pace->tokens_per_minute,
										  lm->tokens_per_minute / share);
}

static int
count_calls(const JudgeServers *servers, const LmServer *lm)
{
	int			n = servers->lm == lm ? Max(servers->votes, 1) : 0;

	for (int i = 0; i < servers->nsteps; i++)
		n += servers->steps[i] == lm;
	return n;
}

JudgePace
gepa_judge_pace(const JudgeServers *servers)
{
	JudgePace	pace = {.calls = servers->nsteps + Max(servers->votes, 1)};

	add_pace(&pace, servers->lm, count_calls(servers, servers->lm));
	for (int i = 0; i < servers->nsteps; i++)
		if (!is_known(servers, i))
			add_pace(&pace, servers->steps[i], count_calls(servers, servers->steps[i]));
	return pace;
}

int64
gepa_judge_longest_ms(const JudgeServers *servers)
{
	int64		longest = gepa_lm_longest_call_ms(servers->lm) * Max(servers->votes, 1);

	for (int i = 0; i < servers->nsteps; i++)
		longest += gepa_lm_longest_call_ms(servers->steps[i]);
	return longest;
}

long
gepa_judge_hold_ms(const JudgeServers *servers)
{
	long		hold = gepa_lm_hold_ms(servers->lm);

	for (int i = 0; i < servers->nsteps; i++)
		hold = Max(hold, gepa_lm_hold_ms(servers->steps[i]));
	return hold;
}
