/*-------------------------------------------------------------------------
 *
 * sweeps.c
 *	  Sweeps and their points as rows.
 *
 * What they are for is in docs/sweep.md.  Whoever changes a sweep locks its
 * judge first and its row then, in the order in which dropping the judge takes
 * them; the points are changed under that lock only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "store/store_internal.h"

#define SWEEP_COLUMNS \
	"s.sweep, s.judge, j.name, s.seed_version, s.dataset, s.owner::oid, s.reflection_lm, " \
	"s.budget, s.seed, s.options::text, s.samples, s.metric, s.parallel_runs, " \
	"coalesce(s.samples_of, 0), s.status, s.reason, s.xmin::text " \
	"FROM gepa.sweep s JOIN gepa.judge j ON j.judge = s.judge"

static const char *const sweep_status_names[] = {"running", "stopped", "finished", "failed"};

static const char *const point_status_names[] = {
	"queued", "tuning", "measuring", "measured", "stopped", "failed"
};

static StoreStatement select_equal = {
	.sql = "SELECT sweep FROM gepa.sweep WHERE judge = $1 AND seed_version = $2"
	" AND dataset = $3 AND owner = $4::regrole AND reflection_lm IS NOT DISTINCT FROM $5"
	" AND budget = $6 AND seed = $7 AND options = $8::jsonb AND samples = $9"
	" ORDER BY sweep DESC LIMIT 1"
};

static StoreStatement insert_sweep = {
	.sql = "INSERT INTO gepa.sweep (judge, seed_version, dataset, owner, reflection_lm, budget,"
	" seed, options, samples, metric, parallel_runs)"
	" VALUES ($1, $2, $3, $4::regrole, $5, $6, $7, $8::jsonb, $9, $10, $11) RETURNING sweep"
};

static StoreStatement select_sweep = {
	.sql = "SELECT " SWEEP_COLUMNS " WHERE s.sweep = $1"
};

static StoreStatement lock_judge = {
	.sql = "SELECT 1 FROM gepa.judge WHERE judge ="
	" (SELECT judge FROM gepa.sweep WHERE sweep = $1) FOR KEY SHARE"
};

static StoreStatement lock_sweep = {
	.sql = "SELECT 1 FROM gepa.sweep WHERE sweep = $1 FOR UPDATE"
};

static StoreStatement update_sweep = {
	.sql = "UPDATE gepa.sweep SET metric = $2, parallel_runs = $3, samples_of = nullif($4, 0),"
	" status = $5, reason = $6,"
	" finished_at = CASE WHEN $5 <> 'running' THEN pg_catalog.clock_timestamp() END"
	" WHERE sweep = $1"
};

static StoreStatement select_live = {
	.sql = "SELECT sweep, owner::oid FROM gepa.sweep WHERE status = 'running' ORDER BY sweep"
};

static StoreStatement select_points = {
	.sql = "SELECT point, lm, lm_identity, settings::text, options::text, version, status, reason,"
	" coalesce(run, 0), coalesce(n, 0), coalesce(undecided, 0), coalesce(quality, 'NaN'),"
	" coalesce(low, 'NaN'), coalesce(high, 'NaN'), coalesce(cost_per_million::float8, 'NaN'),"
	" coalesce(documents_per_second, 'NaN'), coalesce(measured_per_second, 'NaN'),"
	" coalesce(latency_ms, 'NaN'), coalesce(input_tokens, 'NaN'), coalesce(output_tokens, 'NaN'),"
	" coalesce(dominated, false), coalesce(surely_dominated, false)"
	" FROM gepa.sweep_point WHERE sweep = $1 ORDER BY point"
};

static StoreStatement insert_point = {
	.sql = "INSERT INTO gepa.sweep_point (sweep, point, lm, lm_identity, settings, options,"
	" version) VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7)"
};

static StoreStatement update_point = {
	.sql = "UPDATE gepa.sweep_point SET status = $3, reason = $4, run = nullif($5, 0),"
	" n = nullif($6, 0), undecided = CASE WHEN $6 > 0 THEN $7 END, quality = nullif($8, 'NaN'),"
	" low = nullif($9, 'NaN'), high = nullif($10, 'NaN'),"
	" cost_per_million = nullif($11, 'NaN')::numeric,"
	" documents_per_second = nullif($12, 'NaN'), measured_per_second = nullif($13, 'NaN'),"
	" latency_ms = nullif($14, 'NaN'), input_tokens = nullif($15, 'NaN'),"
	" output_tokens = nullif($16, 'NaN'), dominated = $17, surely_dominated = $18,"
	" measured_at = CASE WHEN $3 <> 'measured' THEN NULL WHEN status = 'measured' THEN measured_at"
	" ELSE pg_catalog.clock_timestamp() END"
	" WHERE sweep = $1 AND point = $2"
};

const char *
gepa_store_sweep_status_name(StoreSweepStatus status)
{
	return sweep_status_names[status];
}

const char *
gepa_store_point_status_name(StorePointStatus status)
{
	return point_status_names[status];
}

/*
 * Sweeps
 */

/* What tells a sweep from others, in the order of both statements. */
static void
add_identity(StoreArgs *args, const StoreSweep *sweep)
{
	gepa_store_arg_int(args, sweep->judge);
	gepa_store_arg_int(args, sweep->seed_version);
	gepa_store_arg_text(args, sweep->dataset);
	gepa_store_arg_oid(args, sweep->owner);
	gepa_store_arg_text(args, sweep->reflection_lm);
	gepa_store_arg_int(args, sweep->budget);
	gepa_store_arg_bigint(args, sweep->seed);
	gepa_store_arg_text(args, sweep->options);
	gepa_store_arg_bytes(args, sweep->samples, JUDGE_DIGEST_LENGTH);
}

int
gepa_store_find_sweep(const StoreSweep *sweep)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			id = 0;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	add_identity(&args, sweep);
	if (gepa_store_run(&scope, &select_equal, &args) > 0)
		id = gepa_store_int(0, 1, 0);
	gepa_store_leave(&scope);
	return id;
}

int
gepa_store_create_sweep(const StoreSweep *sweep)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			id;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	add_identity(&args, sweep);
	gepa_store_arg_text(&args, sweep->metric);
	gepa_store_arg_int(&args, sweep->parallel_runs);
	gepa_store_run(&scope, &insert_sweep, &args);
	id = gepa_store_int(0, 1, 0);
	gepa_store_leave(&scope);
	return id;
}

static StoreSweep *
read_sweep(StoreScope *scope)
{
	StoreSweep *sweep = MemoryContextAllocZero(scope->caller, sizeof(StoreSweep));

	sweep->sweep = gepa_store_int(0, 1, 0);
	sweep->judge = gepa_store_int(0, 2, 0);
	sweep->judge_name = gepa_store_text(scope, 0, 3);
	sweep->seed_version = gepa_store_int(0, 4, 0);
	sweep->dataset = gepa_store_text(scope, 0, 5);
	sweep->owner = gepa_store_oid(0, 6);
	sweep->reflection_lm = gepa_store_text(scope, 0, 7);
	sweep->budget = gepa_store_int(0, 8, 0);
	sweep->seed = gepa_store_bigint(0, 9);
	sweep->options = gepa_store_text(scope, 0, 10);
	gepa_store_digest(0, 11, sweep->samples, JUDGE_DIGEST_LENGTH);
	sweep->metric = gepa_store_text(scope, 0, 12);
	sweep->parallel_runs = gepa_store_int(0, 13, 0);
	sweep->samples_of = gepa_store_int(0, 14, 0);
	sweep->status = (StoreSweepStatus) gepa_store_parse_word(sweep_status_names,
															 lengthof(sweep_status_names),
															 gepa_store_text(scope, 0, 15));
	sweep->reason = gepa_store_text(scope, 0, 16);
	sweep->mine = gepa_store_is_mine(scope, 0, 17);
	return sweep;
}

StoreSweep *
gepa_store_get_sweep(int id)
{
	StoreScope	scope;
	StoreSweep *sweep = NULL;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	if (gepa_store_run_by_number(&scope, &select_sweep, id) > 0)
		sweep = read_sweep(&scope);
	gepa_store_leave(&scope);
	return sweep;
}

StoreSweep *
gepa_store_lock_sweep(int id)
{
	StoreScope	scope;
	StoreSweep *sweep = NULL;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_run_by_number(&scope, &lock_judge, id);
	gepa_store_run_by_number(&scope, &lock_sweep, id);
	if (gepa_store_run_by_number(&scope, &select_sweep, id) > 0)
		sweep = read_sweep(&scope);
	gepa_store_leave(&scope);
	return sweep;
}

void
gepa_store_put_sweep(const StoreSweep *sweep)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, sweep->sweep);
	gepa_store_arg_text(&args, sweep->metric);
	gepa_store_arg_int(&args, sweep->parallel_runs);
	gepa_store_arg_int(&args, sweep->samples_of);
	gepa_store_arg_text(&args, gepa_store_sweep_status_name(sweep->status));
	gepa_store_arg_text(&args, sweep->reason);
	gepa_store_run(&scope, &update_sweep, &args);
	gepa_store_leave(&scope);
}

int
gepa_store_live_sweeps(int **sweeps, Oid **owners)
{
	return gepa_store_list_owned(&select_live, sweeps, owners);
}

/*
 * Points
 */

static void
read_point(StoreScope *scope, uint64 row, StorePoint *point)
{
	point->point = gepa_store_int(row, 1, 0);
	point->lm = gepa_store_text(scope, row, 2);
	point->lm_identity = gepa_store_text(scope, row, 3);
	point->settings = gepa_store_text(scope, row, 4);
	point->options = gepa_store_text(scope, row, 5);
	point->version = gepa_store_int(row, 6, 0);
	point->status = (StorePointStatus) gepa_store_parse_word(point_status_names,
															 lengthof(point_status_names),
															 gepa_store_text(scope, row, 7));
	point->reason = gepa_store_text(scope, row, 8);
	point->run = gepa_store_int(row, 9, 0);
	point->n = gepa_store_int(row, 10, 0);
	point->undecided = gepa_store_int(row, 11, 0);
	point->quality = gepa_store_double(row, 12);
	point->low = gepa_store_double(row, 13);
	point->high = gepa_store_double(row, 14);
	point->cost_per_million = gepa_store_double(row, 15);
	point->documents_per_second = gepa_store_double(row, 16);
	point->measured_per_second = gepa_store_double(row, 17);
	point->latency_ms = gepa_store_double(row, 18);
	point->input_tokens = gepa_store_double(row, 19);
	point->output_tokens = gepa_store_double(row, 20);
	point->dominated = gepa_store_bool(row, 21);
	point->surely_dominated = gepa_store_bool(row, 22);
}

StorePoint *
gepa_store_get_points(int sweep, int *n)
{
	StoreScope	scope;
	StorePoint *points;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	*n = (int) gepa_store_run_by_number(&scope, &select_points, sweep);
	points = MemoryContextAllocZero(scope.caller, sizeof(StorePoint) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		read_point(&scope, i, &points[i]);
	gepa_store_leave(&scope);
	return points;
}

int
gepa_store_count_points(const StorePoint *points, int n, StorePointStatus status)
{
	int			count = 0;

	for (int i = 0; i < n; i++)
		count += points[i].status == status;
	return count;
}

void
gepa_store_add_point(int sweep, const StorePoint *point)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, sweep);
	gepa_store_arg_int(&args, point->point);
	gepa_store_arg_text(&args, point->lm);
	gepa_store_arg_text(&args, point->lm_identity);
	gepa_store_arg_text(&args, point->settings);
	gepa_store_arg_text(&args, point->options);
	gepa_store_arg_int(&args, point->version);
	gepa_store_run(&scope, &insert_point, &args);
	gepa_store_leave(&scope);
}

/* Whether a point is dominated is known of those that have a quality. */
static void
add_flag(StoreArgs *args, const StorePoint *point, bool flag)
{
	gepa_store_arg_bool(args, flag);
	if (point->status != STORE_POINT_MEASURED || isnan(point->quality))
		args->nulls[args->n - 1] = 'n';
}

void
gepa_store_put_point(int sweep, const StorePoint *point)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, sweep);
	gepa_store_arg_int(&args, point->point);
	gepa_store_arg_text(&args, gepa_store_point_status_name(point->status));
	gepa_store_arg_text(&args, point->reason);
	gepa_store_arg_int(&args, point->run);
	gepa_store_arg_int(&args, point->n);
	gepa_store_arg_int(&args, point->undecided);
	gepa_store_arg_double(&args, point->quality);
	gepa_store_arg_double(&args, point->low);
	gepa_store_arg_double(&args, point->high);
	gepa_store_arg_double(&args, point->cost_per_million);
	gepa_store_arg_double(&args, point->documents_per_second);
	gepa_store_arg_double(&args, point->measured_per_second);
	gepa_store_arg_double(&args, point->latency_ms);
	gepa_store_arg_double(&args, point->input_tokens);
	gepa_store_arg_double(&args, point->output_tokens);
	add_flag(&args, point, point->dominated);
	add_flag(&args, point, point->surely_dominated);
	gepa_store_run(&scope, &update_point, &args);
	gepa_store_leave(&scope);
}
