-- Limits of language models, and what came of their calls.  Filters by the rights of whoever asks.
CREATE FUNCTION gepa.lm_figures(
	OUT server oid, OUT max_concurrency int, OUT current_limit int, OUT in_flight int, OUT waiting int,
	OUT peak int, OUT held_until timestamptz, OUT requests_per_minute int, OUT requests_left float8,
	OUT tokens_per_minute int, OUT tokens_left float8, OUT classes jsonb, OUT calls bigint, OUT ok bigint,
	OUT retries bigint, OUT errors jsonb, OUT input_tokens bigint, OUT output_tokens bigint,
	OUT cost float8, OUT p50_ms float8, OUT p95_ms float8, OUT p99_ms float8, OUT since timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_lm_stats'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION gepa.lm_figures() IS
	'the figures behind gepa.lm_stats, of the language models that were called';

CREATE VIEW gepa.lm_stats WITH (security_barrier) AS
SELECT s.srvname::text AS lm,
	coalesce(f.max_concurrency, (o.options ->> 'max_concurrency')::float8::int, 16) AS max_concurrency,
	f.current_limit,
	coalesce(f.in_flight, 0) AS in_flight,
	coalesce(f.waiting, 0) AS waiting,
	coalesce(f.peak, 0) AS peak,
	f.held_until,
	CASE WHEN f.server IS NULL THEN (o.options ->> 'requests_per_minute')::float8::int
		ELSE f.requests_per_minute END AS requests_per_minute,
	f.requests_left,
	CASE WHEN f.server IS NULL THEN (o.options ->> 'tokens_per_minute')::float8::int
		ELSE f.tokens_per_minute END AS tokens_per_minute,
	f.tokens_left,
	coalesce(f.classes, '{}') AS classes,
	coalesce(f.calls, 0) AS calls,
	coalesce(f.ok, 0) AS ok,
	coalesce(f.retries, 0) AS retries,
	coalesce(f.errors, '{}') AS errors,
	f.p50_ms,
	f.p95_ms,
	f.p99_ms,
	coalesce(f.input_tokens, 0) AS input_tokens,
	coalesce(f.output_tokens, 0) AS output_tokens,
	coalesce(f.cost, 0)::numeric AS cost,
	f.since
FROM pg_catalog.pg_foreign_server s
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
	CROSS JOIN LATERAL (
		SELECT coalesce(pg_catalog.jsonb_object_agg(option_name, option_value), '{}') AS options
		FROM pg_catalog.pg_options_to_table(s.srvoptions)) o
	LEFT JOIN gepa.lm_figures() f ON f.server = s.oid
WHERE w.fdwname = 'gepa_lm'
	AND (pg_catalog.has_server_privilege(s.oid, 'USAGE') OR pg_catalog.pg_has_role(s.srvowner, 'USAGE'));
COMMENT ON VIEW gepa.lm_stats IS
	'language models at work: their limits, and what came of the calls of all processes since the first one; not preloaded, of this session';
