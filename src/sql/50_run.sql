CREATE FUNCTION gepa.start(
	judge text,
	dataset text,
	reflection_lm name,
	budget int,
	seed bigint DEFAULT 0,
	options jsonb DEFAULT '{}')
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_start'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.start(text, text, name, int, bigint, jsonb) IS
	'starts tuning a judge in the background; returns the run';

CREATE FUNCTION gepa.optimize(
	judge text,
	dataset text,
	reflection_lm name,
	budget int,
	seed bigint DEFAULT 0,
	options jsonb DEFAULT '{}')
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_optimize'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.optimize(text, text, name, int, bigint, jsonb) IS
	'tunes a judge and waits for the end, with progress as notices; returns the run';

CREATE FUNCTION gepa.wait(run int, timeout interval DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'gepa_wait'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.wait(int, interval) IS
	'waits until a run has ended or the timeout has passed; returns its status';

CREATE FUNCTION gepa.stop(run int)
RETURNS void
AS 'MODULE_PATHNAME', 'gepa_stop'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.stop(int) IS
	'asks a run to stop; it keeps what it has and may be resumed';

CREATE FUNCTION gepa.resume(run int)
RETURNS void
AS 'MODULE_PATHNAME', 'gepa_resume'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.resume(int) IS
	'continues a stopped or failed run from its last observation';

CREATE FUNCTION gepa.deploy(run int, candidate int DEFAULT NULL, force bool DEFAULT false)
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_deploy'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.deploy(int, int, bool) IS
	'makes a candidate (by default the winner) the current version of the run''s judge; a winner that is no better than the seed on held-out samples only by force; returns the version';

CREATE FUNCTION gepa.report(
	judge text,
	dataset text DEFAULT NULL,
	OUT metric text,
	OUT n int,
	OUT baseline float8,
	OUT baseline_low float8,
	OUT baseline_high float8,
	OUT tuned float8,
	OUT tuned_low float8,
	OUT tuned_high float8,
	OUT p_value float8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_report'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.report(text, text) IS
	'measures a tuned judge beside its seed prompt on samples never used for tuning';
