/*
 * Whose: a judge's owner sees the judge's, a role its own.  What is not in use
 * now is what the day's rows add up to.
 */
CREATE VIEW gepa.budgets WITH (security_barrier) AS
SELECT gepa.shown(j.name) AS judge,
	gepa.shown(b.role::text) AS role,
	gepa.shown(b.calls) AS calls,
	gepa.shown(b.tokens) AS tokens,
	gepa.shown(b.cost) AS cost,
	gepa.shown(coalesce(a.spent_calls, s.calls, 0)) AS spent_calls,
	gepa.shown(coalesce(a.spent_tokens, s.tokens, 0)) AS spent_tokens,
	gepa.shown(coalesce(a.spent_cost::numeric, s.cost, 0)) AS spent_cost,
	gepa.shown(coalesce(a.reserved_calls, 0)) AS reserved_calls,
	gepa.shown(coalesce(a.reserved_tokens, 0)) AS reserved_tokens,
	gepa.shown(coalesce(a.reserved_cost::numeric, 0)) AS reserved_cost,
	gepa.shown((pg_catalog.date_trunc('day', pg_catalog.now() AT TIME ZONE 'UTC')
		+ interval '1 day') AT TIME ZONE 'UTC') AS renewed_at,
	gepa.shown(b.changed_at) AS changed_at
FROM gepa.budget b
	LEFT JOIN gepa.judge j ON j.judge = b.judge
	LEFT JOIN gepa.budget_accounts() a ON a.judge = b.judge OR a.role = b.role
	LEFT JOIN LATERAL (
		SELECT sum(d.calls)::bigint AS calls, sum(d.input_tokens + d.output_tokens)::bigint AS tokens,
			sum(d.cost) AS cost
		FROM gepa.spend_day d
		WHERE d.day = (pg_catalog.now() AT TIME ZONE 'UTC')::date
			AND (d.judge = b.judge OR d.role = b.role)) s ON true
WHERE num_nonnulls(b.calls, b.tokens, b.cost) > 0
	AND (pg_catalog.pg_has_role(coalesce(j.owner, b.role), 'USAGE')
		OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'));
COMMENT ON VIEW gepa.budgets IS 'daily budgets of judges and roles, and what is spent and reserved of them now';

CREATE VIEW gepa.spend WITH (security_barrier) AS
SELECT gepa.shown(d.day) AS day,
	gepa.shown(j.name) AS judge,
	gepa.shown(d.lm) AS lm,
	gepa.shown(d.role::text) AS role,
	gepa.shown(d.purpose) AS purpose,
	gepa.shown(d.calls) AS calls,
	gepa.shown(d.ok) AS ok,
	gepa.shown(d.failed) AS failed,
	gepa.shown(d.input_tokens) AS input_tokens,
	gepa.shown(d.output_tokens) AS output_tokens,
	gepa.shown(d.cost) AS cost
FROM (
	SELECT s.day, s.judge, s.lm, s.role, s.purpose, sum(s.calls)::bigint AS calls,
		sum(s.ok)::bigint AS ok, sum(s.failed)::bigint AS failed,
		sum(s.input_tokens)::bigint AS input_tokens, sum(s.output_tokens)::bigint AS output_tokens,
		sum(s.cost) AS cost
	FROM gepa.spend_day s
	GROUP BY s.day, s.judge, s.lm, s.role, s.purpose) d
	LEFT JOIN gepa.judge j ON j.judge = d.judge
WHERE pg_catalog.pg_has_role(d.role, 'USAGE') OR pg_catalog.pg_has_role(j.owner, 'USAGE')
	OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE');
COMMENT ON VIEW gepa.spend IS
	'what calls have taken, by day (UTC), judge, LM, role and purpose: one''s own, and that for judges one owns';
