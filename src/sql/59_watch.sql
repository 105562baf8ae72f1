-- Tables that are kept judged as rows arrive; docs/watch.md.
CREATE FUNCTION gepa.watch_table(
	judge text,
	source text,
	key text,
	document text,
	target text DEFAULT NULL,
	filter text DEFAULT NULL,
	options jsonb DEFAULT '{}')
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_watch_table'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.watch_table(text, text, text, text, text, text, jsonb) IS
	'has a judge go through a table, and keep it judged as rows come, change and go; returns the job';

CREATE FUNCTION gepa.unwatch_table(job int)
RETURNS void
AS 'MODULE_PATHNAME', 'gepa_unwatch_table'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.unwatch_table(int) IS
	'ends a job that watches a table, and drops its triggers; what it has judged stays';

CREATE FUNCTION gepa.watch_row()
RETURNS trigger
AS 'MODULE_PATHNAME', 'gepa_watch_row'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.watch_row() IS
	'trigger of watched tables: queues the keys of rows that came, changed or went';

CREATE FUNCTION gepa.watch_truncate()
RETURNS trigger
AS 'MODULE_PATHNAME', 'gepa_watch_truncate'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.watch_truncate() IS
	'trigger of watched tables: forgets what is known of rows that went with TRUNCATE';
