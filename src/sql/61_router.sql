-- Shown to whom one of its judges is shown: they may use that part of it.
CREATE VIEW gepa.routers WITH (security_barrier) AS
SELECT gepa.shown(j.name) AS router,
	gepa.shown(j.current_version) AS current_version,
	gepa.shown(j.owner::text) AS owner,
	gepa.shown(v.rules) AS rules,
	gepa.shown(v.otherwise) AS "else",
	gepa.shown(v.options) AS options,
	gepa.shown((SELECT count(*) FROM gepa.router_version n WHERE n.judge = j.judge)::int) AS versions,
	gepa.shown(j.created_at) AS created_at,
	j.judge AS id
FROM gepa.judge j
	JOIN gepa.router_version v ON v.judge = j.judge AND v.version = j.current_version
WHERE pg_catalog.pg_has_role(j.owner, 'USAGE')
	OR EXISTS (SELECT FROM pg_catalog.unnest(v.judges) u(judge)
		JOIN gepa.judge t ON t.judge = u.judge
		JOIN gepa.judge_version tv ON tv.judge = t.judge AND tv.version = t.current_version
		JOIN pg_catalog.pg_foreign_server s ON s.srvname = tv.lm
		WHERE pg_catalog.has_server_privilege(s.oid, 'USAGE'));
COMMENT ON VIEW gepa.routers IS 'routers with their current version';

CREATE VIEW gepa.router_versions WITH (security_barrier) AS
SELECT gepa.shown(j.name) AS router,
	gepa.shown(v.version) AS version,
	gepa.shown(v.version = j.current_version) AS current,
	gepa.shown(v.rules) AS rules,
	gepa.shown(v.otherwise) AS "else",
	gepa.shown(v.options) AS options,
	gepa.shown(v.created_at) AS created_at
FROM gepa.router_version v
	JOIN gepa.judge j ON j.judge = v.judge
WHERE pg_catalog.pg_has_role(j.owner, 'USAGE')
	OR EXISTS (SELECT FROM pg_catalog.unnest(v.judges) u(judge)
		JOIN gepa.judge t ON t.judge = u.judge
		JOIN gepa.judge_version tv ON tv.judge = t.judge AND tv.version = t.current_version
		JOIN pg_catalog.pg_foreign_server s ON s.srvname = tv.lm
		WHERE pg_catalog.has_server_privilege(s.oid, 'USAGE'));
COMMENT ON VIEW gepa.router_versions IS 'immutable versions of routers';
