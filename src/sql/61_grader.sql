CREATE VIEW gepa.graders WITH (security_barrier) AS
SELECT gepa.shown(g.name) AS grader,
	gepa.shown(g.kind) AS kind,
	gepa.shown(g.lm) AS lm,
	gepa.shown(g.options) AS options,
	gepa.shown(g.owner::text) AS owner,
	gepa.shown(g.created_at) AS created_at,
	gepa.shown(g.changed_at) AS changed_at,
	gepa.shown(g.grader) AS id
FROM gepa.grader g
WHERE pg_catalog.pg_has_role(g.owner, 'USAGE');
COMMENT ON VIEW gepa.graders IS 'graders: what says how good an output is';

CREATE VIEW gepa.grades WITH (security_barrier) AS
SELECT gepa.shown(pg_catalog.encode(g.grader_digest, 'hex')) AS grader_digest,
	gepa.shown(pg_catalog.encode(g.digest, 'hex')) AS digest,
	gepa.shown((g.result ->> 'score')::float8) AS score,
	gepa.shown(g.result ->> 'feedback') AS feedback,
	gepa.shown(g.result -> 'objectives') AS objectives,
	gepa.shown(g.input_tokens) AS input_tokens,
	gepa.shown(g.output_tokens) AS output_tokens,
	gepa.shown(g.cost) AS cost,
	gepa.shown(g.owner::text) AS owner,
	gepa.shown(g.created_at) AS created_at
FROM gepa.grade g
WHERE pg_catalog.pg_has_role(g.owner, 'USAGE');
COMMENT ON VIEW gepa.grades IS
	'what graders'' calls said, kept for whoever paid; grader_digest as in gepa.rollouts.graders';
