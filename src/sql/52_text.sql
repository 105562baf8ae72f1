-- Texts of any kind, by a function that evaluates them.
CREATE FUNCTION gepa.start_text(
	evaluator regprocedure,
	reflection_lm name,
	budget int,
	seed jsonb DEFAULT NULL,
	dataset text DEFAULT NULL,
	objective text DEFAULT NULL,
	background text DEFAULT NULL,
	random_seed bigint DEFAULT 0,
	options jsonb DEFAULT '{}')
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_start_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.start_text(regprocedure, name, int, jsonb, text, text, text, bigint, jsonb) IS
	'starts tuning named texts in the background by what a function f(sample jsonb, candidate jsonb) says of them; returns the run';

CREATE FUNCTION gepa.optimize_text(
	evaluator regprocedure,
	reflection_lm name,
	budget int,
	seed jsonb DEFAULT NULL,
	dataset text DEFAULT NULL,
	objective text DEFAULT NULL,
	background text DEFAULT NULL,
	random_seed bigint DEFAULT 0,
	options jsonb DEFAULT '{}')
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_optimize_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.optimize_text(regprocedure, name, int, jsonb, text, text, text, bigint, jsonb) IS
	'tunes named texts by what a function f(sample jsonb, candidate jsonb) says of them, and waits for the end; returns the run';

CREATE FUNCTION gepa.best_text(run int)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'gepa_best_text'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.best_text(int) IS
	'the texts of a run''s best candidate so far, by component';
