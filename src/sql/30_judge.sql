CREATE FUNCTION gepa.create_judge(
	name text,
	lm name,
	prompt text,
	labels text[] DEFAULT '{true,false}',
	positive text[] DEFAULT '{true}',
	options jsonb DEFAULT '{}')
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_create_judge'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.create_judge(text, name, text, text[], text[], jsonb) IS
	'creates a judge with its first version; returns its id';

CREATE FUNCTION gepa.alter_judge(
	name text,
	prompt text DEFAULT NULL,
	lm name DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_alter_judge'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.alter_judge(text, text, name, jsonb) IS
	'makes a new version of a judge, with the present settings of its LM; returns its number';

CREATE FUNCTION gepa.image(bytes bytea)
RETURNS text
AS 'MODULE_PATHNAME', 'gepa_image'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION gepa.image(bytea) IS
	'the bytes of an image as an input of a judge: a data: URL with the type that they tell';

CREATE FUNCTION gepa.drop_judge(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'gepa_drop_judge'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.drop_judge(text) IS
	'drops a judge with its versions, runs and verdicts';

CREATE FUNCTION gepa.prune_verdicts(
	judge text,
	keep_versions int DEFAULT NULL,
	older_than interval DEFAULT NULL,
	OUT version int,
	OUT verdicts bigint,
	OUT errors bigint,
	OUT emptied bool)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_prune_verdicts'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.prune_verdicts(text, int, interval) IS
	'deletes stored verdicts of a judge: of all versions but the current and the newest ones, and those older than an interval';

CREATE FUNCTION gepa.predicate_support(internal)
RETURNS internal
AS 'MODULE_PATHNAME', 'gepa_predicate_support'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION gepa.predicate_support(internal) IS
	'tells the planner about a predicate; by it the judge node knows what is one';

/*
 * The predicates live where CREATE EXTENSION was told to put them.  VOLATILE:
 * the planner must never call them (it folds STABLE calls while estimating).
 * RESTRICTED: one connection pool per query, not one per parallel worker.
 */
CREATE FUNCTION @extschema@.gepa_judge(judge text, doc text)
RETURNS bool
AS 'MODULE_PATHNAME', 'gepa_judge_text'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000
SUPPORT gepa.predicate_support;
COMMENT ON FUNCTION @extschema@.gepa_judge(text, text) IS
	'whether a judge finds a document positive; NULL without a verdict';

CREATE FUNCTION @extschema@.gepa_judge(judge text, doc jsonb)
RETURNS bool
AS 'MODULE_PATHNAME', 'gepa_judge_jsonb'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000
SUPPORT gepa.predicate_support;
COMMENT ON FUNCTION @extschema@.gepa_judge(text, jsonb) IS
	'whether a judge finds a document of several fields positive; NULL without a verdict';

CREATE FUNCTION @extschema@.gepa_score(judge text, doc text)
RETURNS float8
AS 'MODULE_PATHNAME', 'gepa_score_text'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000
SUPPORT gepa.predicate_support;
COMMENT ON FUNCTION @extschema@.gepa_score(text, text) IS
	'probability that a document is positive, or 0/1 where the LM gives none';

CREATE FUNCTION @extschema@.gepa_score(judge text, doc jsonb)
RETURNS float8
AS 'MODULE_PATHNAME', 'gepa_score_jsonb'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000
SUPPORT gepa.predicate_support;
COMMENT ON FUNCTION @extschema@.gepa_score(text, jsonb) IS
	'probability that a document of several fields is positive, or 0/1';

CREATE FUNCTION @extschema@.gepa_verdict(
	judge text,
	doc text,
	OUT label text,
	OUT positive bool,
	OUT score float8,
	OUT reasoning text,
	OUT status text,
	OUT cached bool,
	OUT input_tokens int,
	OUT output_tokens int,
	OUT cost numeric,
	OUT latency_ms float8,
	OUT chars_seen int,
	OUT chars_total int,
	OUT version int,
	OUT judge text,
	OUT thinking text,
	OUT votes jsonb)
RETURNS record
AS 'MODULE_PATHNAME', 'gepa_verdict_text'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000
SUPPORT gepa.predicate_support;
COMMENT ON FUNCTION @extschema@.gepa_verdict(text, text) IS
	'the whole verdict of a judge on a document';

CREATE FUNCTION @extschema@.gepa_verdict(
	judge text,
	doc jsonb,
	OUT label text,
	OUT positive bool,
	OUT score float8,
	OUT reasoning text,
	OUT status text,
	OUT cached bool,
	OUT input_tokens int,
	OUT output_tokens int,
	OUT cost numeric,
	OUT latency_ms float8,
	OUT chars_seen int,
	OUT chars_total int,
	OUT version int,
	OUT judge text,
	OUT thinking text,
	OUT votes jsonb)
RETURNS record
AS 'MODULE_PATHNAME', 'gepa_verdict_jsonb'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000
SUPPORT gepa.predicate_support;
COMMENT ON FUNCTION @extschema@.gepa_verdict(text, jsonb) IS
	'the whole verdict of a judge on a document of several fields';

/*
 * Of arrays: all documents of one are judged side by side, wherever the call stands.
 * The COST is that of many.
 */
CREATE FUNCTION @extschema@.gepa_judge(judge text, docs text[])
RETURNS bool[]
AS 'MODULE_PATHNAME', 'gepa_judge_text_array'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION @extschema@.gepa_judge(text, text[]) IS
	'whether a judge finds each document of an array positive; NULL without a verdict';

CREATE FUNCTION @extschema@.gepa_judge(judge text, docs jsonb[])
RETURNS bool[]
AS 'MODULE_PATHNAME', 'gepa_judge_jsonb_array'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION @extschema@.gepa_judge(text, jsonb[]) IS
	'whether a judge finds each document of several fields of an array positive; NULL without a verdict';

CREATE FUNCTION @extschema@.gepa_score(judge text, docs text[])
RETURNS float8[]
AS 'MODULE_PATHNAME', 'gepa_score_text_array'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION @extschema@.gepa_score(text, text[]) IS
	'probability that the documents of an array are positive, or 0/1 where the LM gives none';

CREATE FUNCTION @extschema@.gepa_score(judge text, docs jsonb[])
RETURNS float8[]
AS 'MODULE_PATHNAME', 'gepa_score_jsonb_array'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION @extschema@.gepa_score(text, jsonb[]) IS
	'probability that the documents of several fields of an array are positive, or 0/1 where the LM gives none';
