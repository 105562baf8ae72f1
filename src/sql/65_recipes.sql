/*
 * Filtering recipes: what to keep of a scored table (docs/filtering.md).
 *
 * Chance belongs to keys: a hash of the key under the seed.  These functions are
 * IMMUTABLE for ever; the same rows are drawn on any machine.
 */
CREATE FUNCTION gepa.draw(key text, seed bigint DEFAULT 0)
RETURNS float8
AS 'MODULE_PATHNAME', 'gepa_draw'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION gepa.draw(text, bigint) IS
	'a number between 0 and 1 that belongs to a key under a seed, uniform over keys and over seeds';

CREATE FUNCTION gepa.sample_key(key text, score float8, tau float8, seed bigint DEFAULT 0)
RETURNS float8
AS 'MODULE_PATHNAME', 'gepa_sample_key'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION gepa.sample_key(text, float8, float8, bigint) IS
	'what to order by, highest first, to draw rows without replacement with chances in proportion to exp(score / tau)';

CREATE FUNCTION gepa.copies(key text, expected float8, seed bigint DEFAULT 0)
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_copies'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION gepa.copies(text, float8, bigint) IS
	'so many copies of a row on average: 2.3 are two, and three for three keys of ten';

/*
 * The same in one call.  The texts are SQL over the source, and read with the
 * caller's rights, search_path and snapshot; so is what they call.
 */
CREATE FUNCTION gepa.keep_threshold(
	source text,
	key text,
	score text,
	threshold float8,
	OUT key text,
	OUT score float8,
	OUT rank bigint,
	OUT tokens bigint,
	OUT group_key text,
	OUT copies int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_keep_threshold'
LANGUAGE C STABLE PARALLEL RESTRICTED
ROWS 100000;
COMMENT ON FUNCTION gepa.keep_threshold(text, text, text, float8) IS
	'rows with scores of at least the threshold, best first';

CREATE FUNCTION gepa.keep_quantile(
	source text,
	key text,
	score text,
	q float8,
	group_by text DEFAULT NULL,
	seed bigint DEFAULT 0,
	OUT key text,
	OUT score float8,
	OUT rank bigint,
	OUT tokens bigint,
	OUT group_key text,
	OUT copies int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_keep_quantile'
LANGUAGE C STABLE PARALLEL RESTRICTED
ROWS 100000;
COMMENT ON FUNCTION gepa.keep_quantile(text, text, text, float8, text, bigint) IS
	'the best rows of each group: exactly the share q of them, rounded up; the seed decides between equal scores';

CREATE FUNCTION gepa.keep_tiers(
	source text,
	key text,
	score text,
	copies float8[],
	group_by text DEFAULT NULL,
	seed bigint DEFAULT 0,
	OUT key text,
	OUT score float8,
	OUT rank bigint,
	OUT tokens bigint,
	OUT group_key text,
	OUT copies int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_keep_tiers'
LANGUAGE C STABLE PARALLEL RESTRICTED
ROWS 100000;
COMMENT ON FUNCTION gepa.keep_tiers(text, text, text, float8[], text, bigint) IS
	'rows by tiers of equal size within each group, with so many copies of the rows of each tier, the best first';

CREATE FUNCTION gepa.keep_tokens(
	source text,
	key text,
	score text,
	tokens text,
	budget bigint,
	tau float8 DEFAULT 0,
	seed bigint DEFAULT 0,
	OUT key text,
	OUT score float8,
	OUT rank bigint,
	OUT tokens bigint,
	OUT group_key text,
	OUT copies int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_keep_tokens'
LANGUAGE C STABLE PARALLEL RESTRICTED
ROWS 100000;
COMMENT ON FUNCTION gepa.keep_tokens(text, text, text, text, bigint, float8, bigint) IS
	'rows drawn with chances in proportion to exp(score / tau), until the budget of tokens; tau 0 takes the best';

CREATE FUNCTION gepa.keep_quota(
	source text,
	key text,
	score text,
	tokens text,
	group_by text,
	shares jsonb DEFAULT NULL,
	budget bigint DEFAULT NULL,
	tau float8 DEFAULT 0,
	seed bigint DEFAULT 0,
	left_over text DEFAULT 'leave',
	OUT key text,
	OUT score float8,
	OUT rank bigint,
	OUT tokens bigint,
	OUT group_key text,
	OUT copies int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_keep_quota'
LANGUAGE C STABLE PARALLEL RESTRICTED
ROWS 100000;
COMMENT ON FUNCTION gepa.keep_quota(text, text, text, text, text, jsonb, bigint, float8, bigint, text) IS
	'the same of each group, until its share of the budget; left_over "share" gives what a group cannot use to the others';

CREATE FUNCTION gepa.corpus_rate(
	positive bigint,
	n bigint,
	tp bigint,
	fn bigint,
	tn bigint,
	fp bigint,
	OUT rate float8,
	OUT low float8,
	OUT high float8,
	OUT reason text)
RETURNS record
AS 'MODULE_PATHNAME', 'gepa_corpus_rate'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION gepa.corpus_rate(bigint, bigint, bigint, bigint, bigint, bigint) IS
	'the share of a corpus that is truly positive, with a 95 % interval, from what a judge said of it and of labelled rows; or why there is none';
