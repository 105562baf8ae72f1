-- Only to whom a classifier belongs: it can tell about its texts.
CREATE VIEW gepa.classifiers WITH (security_barrier) AS
SELECT gepa.shown(c.name) AS classifier,
	gepa.shown(c.owner::text) AS owner,
	gepa.shown(c.labels) AS labels,
	gepa.shown(c.label_rows) AS label_rows,
	gepa.shown((SELECT sum(n) FROM pg_catalog.unnest(c.label_rows) n)::bigint) AS rows,
	gepa.shown(c.folds) AS folds,
	gepa.shown(c.accuracy) AS accuracy,
	gepa.shown(c.accuracy_low) AS accuracy_low,
	gepa.shown(c.accuracy_high) AS accuracy_high,
	gepa.shown(c.smoothing) AS smoothing,
	gepa.shown(pg_catalog.encode(c.digest, 'hex')) AS digest,
	gepa.shown(c.created_at) AS created_at,
	c.classifier AS id
FROM gepa.classifier c
WHERE pg_catalog.pg_has_role(c.owner, 'USAGE');
COMMENT ON VIEW gepa.classifiers IS
	'classifiers that ask nobody: labels, rows, and the accuracy by cross-validation with its 95 % interval';
