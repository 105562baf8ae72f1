/*-------------------------------------------------------------------------
 *
 * schedules.c
 *	  Schedules as rows.
 *
 * The state machine is in docs/workers.md.  Whoever changes a schedule locks
 * its judge first and its row then, in the order in which dropping the judge
 * takes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/store_internal.h"

#define SCHEDULE_COLUMNS \
	"s.schedule, s.name, s.owner::oid, s.judge, j.name, s.dataset, s.reflection_lm, " \
	"s.every, s.at, s.time_zone, s.min_new_labels, s.budget, s.seed, s.options::text, " \
	"s.deploy = 'if_better', s.level, s.enabled, s.next_at, s.last_at, s.last_run, " \
	"s.outcome, s.reason, s.comparison::text, s.labels_seen, " \
	"coalesce(r.status IN ('stopped', 'finished', 'failed'), true) " \
	"FROM gepa.schedule s JOIN gepa.judge j ON j.judge = s.judge " \
	"LEFT JOIN gepa.run r ON r.run = s.last_run"

static const char *const outcome_names[] = {
	NULL, "started", "skipped", "failed", "stopped", "finished", "deployed", "kept"
};

static StoreStatement insert_schedule = {
	.sql = "INSERT INTO gepa.schedule (name, owner, judge, dataset, reflection_lm, every, at,"
	" time_zone, min_new_labels, budget, seed, options, deploy, level, next_at, labels_seen)"
	" VALUES ($1, $2::regrole, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13, $14,"
	" $15, $16) ON CONFLICT (name) DO NOTHING RETURNING schedule"
};

static StoreStatement select_by_name = {
	.sql = "SELECT " SCHEDULE_COLUMNS " WHERE s.name = $1"
};

static StoreStatement select_by_id = {
	.sql = "SELECT " SCHEDULE_COLUMNS " WHERE s.schedule = $1"
};

static StoreStatement select_enabled = {
	.sql = "SELECT " SCHEDULE_COLUMNS " WHERE s.enabled ORDER BY s.schedule"
};

static StoreStatement lock_judge = {
	.sql = "SELECT 1 FROM gepa.judge WHERE judge ="
	" (SELECT judge FROM gepa.schedule WHERE schedule = $1) FOR KEY SHARE"
};

static StoreStatement lock_schedule = {
	.sql = "SELECT 1 FROM gepa.schedule WHERE schedule = $1 FOR UPDATE"
};

static StoreStatement update_schedule = {
	.sql = "UPDATE gepa.schedule SET enabled = $2, next_at = $3, last_at = $4, last_run = $5,"
	" outcome = $6, reason = $7, comparison = $8::jsonb, labels_seen = $9"
	" WHERE schedule = $1"
};

static StoreStatement delete_schedule = {
	.sql = "DELETE FROM gepa.schedule WHERE schedule = $1"
};

static StoreOutcome
parse_outcome(const char *name)
{
	for (int i = 1; name != NULL && i < lengthof(outcome_names); i++)
		if (strcmp(name, outcome_names[i]) == 0)
			return (StoreOutcome) i;
	return STORE_OUTCOME_NONE;
}

static void
read_schedule(StoreScope *scope, uint64 row, StoreSchedule *schedule)
{
	schedule->schedule = gepa_store_int(row, 1, 0);
	schedule->name = gepa_store_text(scope, row, 2);
	schedule->owner = gepa_store_oid(row, 3);
	schedule->judge = gepa_store_int(row, 4, 0);
	schedule->judge_name = gepa_store_text(scope, row, 5);
	schedule->dataset = gepa_store_text(scope, row, 6);
	schedule->reflection_lm = gepa_store_text(scope, row, 7);
	schedule->every = gepa_store_interval(scope, row, 8);
	schedule->at = gepa_store_text(scope, row, 9);
	schedule->time_zone = gepa_store_text(scope, row, 10);
	schedule->min_new_labels = gepa_store_int(row, 11, 0);
	schedule->budget = gepa_store_int(row, 12, 0);
	schedule->seed = gepa_store_bigint(row, 13);
	schedule->options = gepa_store_text(scope, row, 14);
	schedule->if_better = gepa_store_bool(row, 15);
	schedule->level = gepa_store_double(row, 16);
	schedule->enabled = gepa_store_bool(row, 17);
	schedule->next_at = gepa_store_timestamp(row, 18);
	schedule->last_at = gepa_store_timestamp(row, 19);
	schedule->last_run = gepa_store_int(row, 20, 0);
	schedule->outcome = parse_outcome(gepa_store_text(scope, row, 21));
	schedule->reason = gepa_store_text(scope, row, 22);
	schedule->comparison = gepa_store_text(scope, row, 23);
	schedule->labels_seen = gepa_store_bigint(row, 24);
	schedule->settled = gepa_store_bool(row, 25);
}

int
gepa_store_create_schedule(const StoreSchedule *schedule)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			id;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_text(&args, schedule->name);
	gepa_store_arg_oid(&args, schedule->owner);
	gepa_store_arg_int(&args, schedule->judge);
	gepa_store_arg_text(&args, schedule->dataset);
	gepa_store_arg_text(&args, schedule->reflection_lm);
	gepa_store_arg_interval(&args, schedule->every);
	gepa_store_arg_text(&args, schedule->at);
	gepa_store_arg_text(&args, schedule->time_zone);
	gepa_store_arg_int(&args, schedule->min_new_labels);
	gepa_store_arg_int(&args, schedule->budget);
	gepa_store_arg_bigint(&args, schedule->seed);
	gepa_store_arg_text(&args, schedule->options);
	gepa_store_arg_text(&args, schedule->if_better ? "if_better" : "never");
	gepa_store_arg_double(&args, schedule->level);
	gepa_store_arg_timestamp(&args, schedule->next_at);
	gepa_store_arg_bigint(&args, schedule->labels_seen);
	if (gepa_store_run(&scope, &insert_schedule, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("schedule \"%s\" already exists", schedule->name),
				 errhint("Drop it with gepa.drop_schedule() first, or choose another name.")));
	id = gepa_store_int(0, 1, 0);
	gepa_store_leave(&scope);
	return id;
}

StoreSchedule *
gepa_store_get_schedule(const char *name)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreSchedule *schedule = palloc0(sizeof(StoreSchedule));

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	gepa_store_arg_text(&args, name);
	if (gepa_store_run(&scope, &select_by_name, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("schedule \"%s\" does not exist", name),
				 errhint("See gepa.schedules, or create it with gepa.create_schedule().")));
	read_schedule(&scope, 0, schedule);
	gepa_store_leave(&scope);
	return schedule;
}

StoreSchedule *
gepa_store_lock_schedule(int id)
{
	StoreScope	scope;
	StoreSchedule *schedule = NULL;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_run_by_number(&scope, &lock_judge, id);
	gepa_store_run_by_number(&scope, &lock_schedule, id);
	if (gepa_store_run_by_number(&scope, &select_by_id, id) > 0)
	{
		schedule = MemoryContextAllocZero(scope.caller, sizeof(StoreSchedule));
		read_schedule(&scope, 0, schedule);
	}
	gepa_store_leave(&scope);
	return schedule;
}

void
gepa_store_put_schedule(const StoreSchedule *schedule)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, schedule->schedule);
	gepa_store_arg_bool(&args, schedule->enabled);
	gepa_store_arg_timestamp(&args, schedule->next_at);
	gepa_store_arg_timestamp(&args, schedule->last_at);
	gepa_store_arg_int_or_null(&args, schedule->last_run, 0);
	gepa_store_arg_text(&args, outcome_names[schedule->outcome]);
	gepa_store_arg_text(&args, schedule->reason);
	gepa_store_arg_text(&args, schedule->comparison);
	gepa_store_arg_bigint(&args, schedule->labels_seen);
	gepa_store_run(&scope, &update_schedule, &args);
	gepa_store_leave(&scope);
}

void
gepa_store_drop_schedule(int schedule)
{
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_run_by_number(&scope, &delete_schedule, schedule);
	gepa_store_leave(&scope);
}

StoreSchedule *
gepa_store_list_schedules(int *n)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreSchedule *schedules;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	*n = (int) gepa_store_run(&scope, &select_enabled, &args);
	schedules = MemoryContextAllocZero(scope.caller, sizeof(StoreSchedule) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		read_schedule(&scope, i, &schedules[i]);
	gepa_store_leave(&scope);
	return schedules;
}
