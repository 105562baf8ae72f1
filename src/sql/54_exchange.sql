/*
 * Exchange with the Python packages gepa and DSPy, and with anything that reads
 * JSON: docs/exchange.md.
 */
CREATE FUNCTION gepa.export_result(run int)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'gepa_export_result'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.export_result(int) IS
	'candidates, lineage, scores and fronts of a run, as the Python package gepa writes them (GEPAResult.to_dict, schema 2)';

CREATE FUNCTION gepa.import_result(
	judge text,
	dataset text,
	result jsonb,
	options jsonb DEFAULT '{}')
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_import_result'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.import_result(text, text, jsonb, jsonb) IS
	'makes a finished run of a judge from a result of the Python package gepa, or of gepa.export_result(); returns the run';

CREATE FUNCTION gepa.export_labels(dataset text)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'gepa_export_labels'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.export_labels(text) IS
	'samples of a dataset with their labels, one object each, ordered by key';

CREATE FUNCTION gepa.import_labels(dataset text, lines text, new_table text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'gepa_import_labels'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.import_labels(text, text, text) IS
	'puts lines of JSON as gepa.export_labels() makes them into the table of a dataset, or into a new table with a dataset over it; returns how many';

CREATE FUNCTION gepa.export_rollouts(run int)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'gepa_export_rollouts'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.export_rollouts(int) IS
	'rollouts of a run, one object each, in their order';

CREATE FUNCTION gepa.import_rollouts(run int, lines text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'gepa_import_rollouts'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.import_rollouts(int, text) IS
	'adds lines of JSON as gepa.export_rollouts() makes them to an imported run; returns how many';

-- json, not jsonb: the order of the predictors in the file is that of the program.
CREATE FUNCTION gepa.import_program(
	name text,
	lm name,
	program json,
	labels text[] DEFAULT NULL,
	positive text[] DEFAULT NULL,
	options jsonb DEFAULT '{}')
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_import_program'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.import_program(text, name, json, text[], text[], jsonb) IS
	'makes a judge, or a new version of one, from a program that DSPy has saved as JSON; returns the version';

CREATE FUNCTION gepa.export_program(judge text, version int DEFAULT NULL)
RETURNS json
AS 'MODULE_PATHNAME', 'gepa_export_program'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.export_program(text, int) IS
	'a judge as DSPy saves programs: a state for each predictor, with its signature and demos';
