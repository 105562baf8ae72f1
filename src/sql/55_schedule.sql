-- Tuning at set times, or when labels have arrived.
CREATE FUNCTION gepa.create_schedule(
	name text,
	judge text,
	dataset text,
	reflection_lm name,
	every interval DEFAULT NULL,
	at text DEFAULT NULL,
	min_new_labels int DEFAULT 0,
	budget int DEFAULT 600,
	deploy text DEFAULT 'never',
	time_zone text DEFAULT NULL,
	options jsonb DEFAULT '{}',
	level float8 DEFAULT 0.05,
	seed bigint DEFAULT 0)
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_create_schedule'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.create_schedule(text, text, text, name, interval, text, int, int, text, text, jsonb, float8, bigint) IS
	'tunes a judge every so often, or at the times of a cron text; returns the schedule''s id';

/*
 * Five minutes: looking costs a count of the labels and a short-lived worker,
 * and a run takes longer than that.
 */
CREATE FUNCTION gepa.watch_dataset(
	judge text,
	dataset text,
	reflection_lm name,
	min_new_labels int,
	name text DEFAULT NULL,
	look_every interval DEFAULT '5 minutes',
	budget int DEFAULT 600,
	deploy text DEFAULT 'never',
	options jsonb DEFAULT '{}',
	level float8 DEFAULT 0.05,
	seed bigint DEFAULT 0)
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_watch_dataset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.watch_dataset(text, text, name, int, text, interval, int, text, jsonb, float8, bigint) IS
	'tunes a judge when at least so many new labels have arrived; makes a schedule and returns its id';

CREATE FUNCTION gepa.drop_schedule(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'gepa_drop_schedule'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.drop_schedule(text) IS 'drops a schedule; its runs stay';

CREATE FUNCTION gepa.enable_schedule(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'gepa_enable_schedule'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.enable_schedule(text) IS
	'lets a schedule fire again, at its next time from now';

CREATE FUNCTION gepa.disable_schedule(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'gepa_disable_schedule'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.disable_schedule(text) IS
	'keeps a schedule from firing and from deploying; a run it started goes on';

CREATE FUNCTION gepa.schedule_times(
	at text,
	time_zone text DEFAULT NULL,
	after timestamptz DEFAULT now(),
	n int DEFAULT 5)
RETURNS SETOF timestamptz
AS 'MODULE_PATHNAME', 'gepa_schedule_times'
LANGUAGE C STABLE PARALLEL SAFE
ROWS 5;
COMMENT ON FUNCTION gepa.schedule_times(text, text, timestamptz, int) IS
	'the next n times that a cron text means, in a time zone (the session''s by default)';
