-- Before a table is judged: what it will take.
CREATE FUNCTION gepa.estimate(
	judge text,
	source text,
	document text,
	filter text DEFAULT NULL,
	sample int DEFAULT 1000,
	options jsonb DEFAULT '{}',
	OUT item text,
	OUT value float8,
	OUT low float8,
	OUT high float8,
	OUT unit text,
	OUT basis text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_estimate'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 7;
COMMENT ON FUNCTION gepa.estimate(text, text, text, text, int, jsonb) IS
	'what judging the rows of a table will take: rows, share stored, calls, tokens, money and hours, each with a 95 % interval from a random sample; sends nothing';
