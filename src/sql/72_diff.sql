-- What two versions of a judge make of the same documents.
CREATE FUNCTION gepa.diff(
	judge text,
	version_a int,
	version_b int,
	source text DEFAULT NULL,
	key text DEFAULT NULL,
	document text DEFAULT NULL,
	filter text DEFAULT NULL,
	examples int DEFAULT 3,
	OUT direction text,
	OUT label_a text,
	OUT label_b text,
	OUT n bigint,
	OUT share float8,
	OUT examples text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_diff'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION gepa.diff(text, int, int, text, text, text, text, int) IS
	'counts, by direction and labels, the documents that two versions of a judge have judged, with examples of those that flip';

CREATE FUNCTION gepa.flips(
	judge text,
	version_a int,
	version_b int,
	source text DEFAULT NULL,
	key text DEFAULT NULL,
	document text DEFAULT NULL,
	filter text DEFAULT NULL,
	OUT key text,
	OUT digest text,
	OUT direction text,
	OUT label_a text,
	OUT label_b text,
	OUT positive_a bool,
	OUT positive_b bool,
	OUT score_a float8,
	OUT score_b float8,
	OUT reasoning_a text,
	OUT reasoning_b text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_flips'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.flips(text, int, int, text, text, text, text) IS
	'the documents that two versions of a judge judge differently, one by one';
