CREATE VIEW gepa.jobs WITH (security_barrier) AS
SELECT b.job,
	gepa.shown(b.kind) AS kind,
	gepa.shown(b.judge_name) AS judge,
	gepa.shown(b.version) AS version,
	gepa.shown(b.source) AS source,
	gepa.shown(pg_catalog.array_to_string(b.key, ', ')) AS key,
	gepa.shown(b.document) AS document,
	gepa.shown(nullif(pg_catalog.concat_ws(', ', pg_catalog.quote_ident(b.target_column), b.target_table), '')) AS target,
	gepa.shown(b.filter) AS filter,
	gepa.shown(b.owner::text) AS owner,
	gepa.shown(b.status) AS status,
	gepa.shown(b.reason) AS reason,
	gepa.shown(b.rows) AS rows,
	gepa.shown(b.judged) AS judged,
	gepa.shown(b.stored) AS stored,
	gepa.shown(b.failed) AS failed,
	gepa.shown(b.input_tokens) AS input_tokens,
	gepa.shown(b.output_tokens) AS output_tokens,
	gepa.shown(b.cost) AS cost,
	gepa.shown(b.seconds) AS seconds,
	gepa.shown(b.created_at) AS created_at,
	gepa.shown(b.started_at) AS started_at,
	gepa.shown(b.finished_at) AS finished_at,
	gepa.shown(b.expected) AS expected,
	gepa.shown(b.resume_at) AS resume_at,
	gepa.shown(nullif(b.work, b.job)) AS shares,
	gepa.shown(b.options) AS options
FROM gepa.job b
WHERE pg_catalog.pg_has_role(b.owner, 'USAGE');
COMMENT ON VIEW gepa.jobs IS
	'corpus jobs: one row each, with figures; shares is the job with whose rows it helps';

CREATE VIEW gepa.job_errors WITH (security_barrier) AS
SELECT b.job,
	gepa.shown(CASE WHEN pg_catalog.cardinality(e.key) = 1 THEN e.key[1] ELSE e.key::text END) AS key,
	gepa.shown(pg_catalog.encode(e.digest, 'hex')) AS digest,
	gepa.shown(e.status) AS status,
	gepa.shown(e.detail) AS detail,
	gepa.shown(e.attempts) AS attempts,
	gepa.shown(e.last_at) AS last_at
FROM gepa.job b
	JOIN gepa.job_error e ON e.job = b.work
WHERE pg_catalog.pg_has_role(b.owner, 'USAGE');
COMMENT ON VIEW gepa.job_errors IS 'rows that jobs have no verdict for, and why; gepa.retry_errors() tries them again';
