CREATE FUNCTION gepa.create_dataset(
	name text,
	source text,
	key text,
	inputs text[],
	label text,
	feedback text DEFAULT NULL,
	split text DEFAULT NULL,
	group_by text DEFAULT NULL,
	options jsonb DEFAULT '{}')
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_create_dataset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.create_dataset(text, text, text, text[], text, text, text, text, jsonb) IS
	'names a table, view or query as a source of labelled samples; returns its id';

CREATE FUNCTION gepa.drop_dataset(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'gepa_drop_dataset'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.drop_dataset(text) IS
	'drops a dataset; runs keep their copies of the samples';
