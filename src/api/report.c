/*-------------------------------------------------------------------------
 *
 * report.c
 *	  gepa.report(): the tuned judge beside its seed, on held-out samples.
 *
 * The rows are the test split that the judge's run copied when it started, which
 * chose nothing.  Without one they are the samples that a run in default mode held
 * out of the others.  Verdicts go through the store, so each row is judged once per
 * version, however often the report is asked for.
 *
 * What the tuned one was chosen by stands beside it (report_search.c).
 *
 * The comparison is paired: measures and n are those of the rows on which both
 * have a verdict; how many each left undecided is a row of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "api/api_internal.h"
#include "apply/apply.h"

static StoreRun *
find_run(const StoreVersion *current, const char *dataset)
{
	int			id = gepa_store_latest_run(current->judge, dataset);

	if (id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 dataset ?
				 errmsg("judge \"%s\" has no ended run on dataset \"%s\"",
						current->spec->name, dataset) :
				 errmsg("judge \"%s\" has no ended run", current->spec->name),
				 errhint("Tune it first with gepa.optimize() or gepa.start().")));
	/* Whoever owns the judge may measure it, whoever had it tuned. */
	return gepa_store_get_run(id);
}

/*
 * What is measured as tuned: the current version if it is another than the
 * run began with, else the run's winner as deploy would store it.
 */
static StoreVersion *
tuned_version(const StoreRun *run, const StoreVersion *seed, StoreVersion *current)
{
	if (current->version != seed->version)
		return current;
	if (run->best_candidate < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run %d ended before it had validated a candidate", run->run),
				 errhint("SELECT gepa.resume(%d) lets it go on.", run->run)));
	ereport(NOTICE,
			(errmsg("the judge is still at the version that run %d began with; the report is on the run's best candidate %d",
					run->run, run->best_candidate)));
	return gepa_apply_candidate(run, seed, run->best_candidate);
}

/* Rows that chose nothing: of the test split, or else held out of the others. */
static StoreSample *
get_rows(const StoreRun *run, const JudgeSpec *spec, int *n)
{
	StoreSample *rows = gepa_store_get_samples(run->run, spec, STORE_SPLIT_TEST, n);
	StoreSample *others;
	int			nothers;

	if (*n > 0)
		return rows;
	rows = gepa_store_get_held_out(run->run, spec, STORE_SPLIT_TRAIN, n);
	others = gepa_store_get_held_out(run->run, spec, STORE_SPLIT_VAL, &nothers);
	rows = repalloc(rows, sizeof(StoreSample) * Max(*n + nothers, 1));
	memcpy(rows + *n, others, sizeof(StoreSample) * nothers);
	*n += nothers;
	return rows;
}

/* Judge the rows with one version. */
static JudgeOutcome *
judge_rows(StoreVersion *version, const StoreSample *samples, int n)
{
	ApplyJudge *judge = gepa_apply_open(version, LM_PURPOSE_REPORT);
	ApplyVerdict *verdicts = gepa_apply_documents(judge, gepa_apply_sample_documents(samples, n),
												  n);
	JudgeOutcome *outcomes = gepa_apply_outcomes(judge->spec, samples, verdicts, n);

	for (int i = 0; i < n; i++)
		if (verdicts[i].verdict.status == GEPA_STATUS_BUDGET &&
			gepa_apply_raises(&verdicts[i].verdict))
			gepa_judge_report(judge->spec, judge->servers, &verdicts[i].verdict);
	gepa_apply_close(judge);
	return outcomes;
}

static void
put_measure(Datum *values, bool *nulls, const JudgeMeasure *measure)
{
	values[0] = Float8GetDatum(measure->value);
	values[1] = Float8GetDatum(measure->low);
	values[2] = Float8GetDatum(measure->high);
	nulls[0] = !measure->defined;
	nulls[1] = nulls[2] = !measure->defined || !measure->has_interval;
}

/* The rows on which both have a verdict; what one left undecided, neither. */
static int
decided_by_both(const JudgeOutcome *a, const JudgeOutcome *b, int n,
				JudgeOutcome *both_a, JudgeOutcome *both_b)
{
	int			nboth = 0;

	for (int i = 0; i < n; i++)
	{
		if (!a[i].decided || !b[i].decided)
			continue;
		both_a[nboth] = a[i];
		both_b[nboth++] = b[i];
	}
	return nboth;
}

static double
count_undecided(const JudgeOutcome *outcomes, int n)
{
	int			undecided = 0;

	for (int i = 0; i < n; i++)
		undecided += !outcomes[i].decided;
	return undecided;
}

/* The rows of some runs, as both sides judge them. */
typedef struct Sides
{
	int			n;
	JudgeOutcome *baseline;
	JudgeOutcome *tuned;
	int			nruns;
	ApiSearch	search;			/* of a single run that made what is tuned */
} Sides;

static JudgeOutcome *
append(JudgeOutcome *outcomes, int n, const JudgeOutcome *more, int nmore)
{
	JudgeOutcome *all = palloc(sizeof(JudgeOutcome) * Max(n + nmore, 1));

	if (n > 0)
		memcpy(all, outcomes, sizeof(JudgeOutcome) * n);
	if (nmore > 0)
		memcpy(all + n, more, sizeof(JudgeOutcome) * nmore);
	return all;
}

static void
add_run(Sides *sides, const StoreRun *run, StoreVersion *current)
{
	StoreVersion *seed = gepa_store_get_version_by_id(run->judge, run->seed_version);
	StoreVersion *tuned;
	int			n;
	StoreSample *samples = get_rows(run, seed->spec, &n);

	if (n == 0)
	{
		ereport(NOTICE,
				(errmsg("run %d has no test samples and no comparison on held-out samples, so there is nothing to report",
						run->run),
				 errhint("Give gepa.start() a test share, for example options => '{\"split\": {\"train\": 0.4, \"val\": 0.3, \"test\": 0.3}}'.")));
		return;
	}
	sides->baseline = append(sides->baseline, sides->n, judge_rows(seed, samples, n), n);
	tuned = tuned_version(run, seed, current);
	sides->tuned = append(sides->tuned, sides->n, judge_rows(tuned, samples, n), n);
	sides->n += n;
	sides->nruns++;
	if (tuned->run == run->run)
	{
		sides->search.run = run;
		sides->search.seed = seed->spec;
		sides->search.candidate = tuned->candidate;
	}
}

/* What only the tuned side has. */
static void
put_search_row(ReturnSetInfo *rsinfo, const JudgeMeasure *measure, int n, const char *slice)
{
	int			first = slice != NULL ? 1 : 0;
	Datum		row[10] = {0};
	bool		row_nulls[10];

	memset(row_nulls, true, sizeof(row_nulls));
	if (slice != NULL)
		row[0] = CStringGetTextDatum(slice);
	row[first] = CStringGetTextDatum(measure->metric);
	row[first + 1] = Int32GetDatum(n);
	row_nulls[0] = row_nulls[first] = row_nulls[first + 1] = false;
	put_measure(&row[first + 5], &row_nulls[first + 5], measure);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row, row_nulls);
}

static void
put_search(ReturnSetInfo *rsinfo, const Sides *sides, const JudgeOutcome *tuned, int n,
		   const char *slice)
{
	ApiSearchMeasures measures;

	if (sides->nruns != 1 || sides->search.run == NULL)
		return;
	gepa_api_measure_search(&sides->search, tuned, n, &measures);
	put_search_row(rsinfo, &measures.score, measures.n, slice);
	put_search_row(rsinfo, &measures.curse, n, slice);
}

/* slice = the judge, in the first column; NULL = there is no such column */
static void
put_rows(ReturnSetInfo *rsinfo, const Sides *sides, const char *slice)
{
	int			n = sides->n;
	int			first = slice != NULL ? 1 : 0;
	JudgeOutcome *both_a = palloc(sizeof(JudgeOutcome) * n);
	JudgeOutcome *both_b = palloc(sizeof(JudgeOutcome) * n);
	int			nboth = decided_by_both(sides->baseline, sides->tuned, n, both_a, both_b);
	int			nmeasures;
	JudgeMeasure *a = gepa_judge_measure(both_a, nboth, JUDGE_MEASURE_SEED, &nmeasures);
	JudgeMeasure *b = gepa_judge_measure(both_b, nboth, JUDGE_MEASURE_SEED, &nmeasures);

	for (int i = 0; i < nmeasures; i++)
	{
		bool		undecided = strcmp(a[i].metric, "undecided") == 0;
		Datum		row[10];
		bool		row_nulls[10] = {0};
		Datum	   *values = row + first;
		bool	   *nulls = row_nulls + first;

		if (undecided)
		{
			a[i].value = count_undecided(sides->baseline, n);
			b[i].value = count_undecided(sides->tuned, n);
		}
		if (slice != NULL)
			row[0] = CStringGetTextDatum(slice);
		values[0] = CStringGetTextDatum(a[i].metric);
		values[1] = Int32GetDatum(undecided ? n : nboth);
		put_measure(&values[2], &nulls[2], &a[i]);
		put_measure(&values[5], &nulls[5], &b[i]);
		values[8] = Float8GetDatum(gepa_judge_mcnemar(both_a, both_b, nboth));
		nulls[8] = nboth == 0 || strcmp(a[i].metric, "accuracy") != 0;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row, row_nulls);
	}
	put_search(rsinfo, sides, both_b, nboth, slice);
}

/* Of a router: the newest run of each judge that tuned it on its slice. */
static int
find_router_runs(const StoreRouter *router, const char *dataset, int **runs)
{
	int			n = gepa_store_router_runs(router->router, dataset, runs);

	gepa_store_check_owner("router", router->name, router->owner, GetUserId());
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the judges of router \"%s\" have no ended run", router->name),
				 errhint("Tune them first with gepa.start_branches().")));
	return n;
}

static void
report_router(ReturnSetInfo *rsinfo, const StoreRouter *router, const char *dataset, bool by_slice)
{
	Sides		all = {0};
	int		   *runs;
	int			n = find_router_runs(router, dataset, &runs);

	for (int i = 0; i < n; i++)
	{
		StoreRun   *run = gepa_store_get_run(runs[i]);
		StoreVersion *current = gepa_store_get_version_by_id(run->judge, 0);
		Sides		slice = {0};

		gepa_store_check_owner("judge", current->spec->name, current->owner, GetUserId());
		add_run(by_slice ? &slice : &all, run, current);
		if (slice.n > 0)
			put_rows(rsinfo, &slice, current->spec->name);
	}
	if (all.n > 0)
		put_rows(rsinfo, &all, NULL);
}

PG_FUNCTION_INFO_V1(gepa_report);
Datum
gepa_report(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *name = gepa_api_text_arg(fcinfo, 0, "judge");
	char	   *dataset = gepa_api_text_arg_or_null(fcinfo, 1);
	StoreRouter *router;
	StoreVersion *current = gepa_store_resolve(name, &router);
	Sides		sides = {0};

	if (current != NULL)
		gepa_store_check_owner("judge", current->spec->name, current->owner, GetUserId());
	InitMaterializedSRF(fcinfo, 0);
	if (current == NULL)
	{
		report_router(rsinfo, router, dataset, false);
		return (Datum) 0;
	}
	add_run(&sides, find_run(current, dataset), current);
	if (sides.n > 0)
		put_rows(rsinfo, &sides, NULL);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(gepa_report_slices);
Datum
gepa_report_slices(PG_FUNCTION_ARGS)
{
	StoreRouter *router = gepa_api_get_router(gepa_api_text_arg(fcinfo, 0, "router"));
	char	   *dataset = gepa_api_text_arg_or_null(fcinfo, 1);

	InitMaterializedSRF(fcinfo, 0);
	report_router((ReturnSetInfo *) fcinfo->resultinfo, router, dataset, true);
	return (Datum) 0;
}
