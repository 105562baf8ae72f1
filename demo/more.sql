-- More of the demo, as `script/demo more` runs it on what demo.sql has left: quality
-- against cost, and a router.

\set ON_ERROR_STOP on
\set QUIET on
\pset footer off
\pset null '-'
\timing off
SET client_min_messages = notice;
SET search_path = public;

SELECT EXISTS (SELECT FROM gepa.lms WHERE lm = 'demo_reflection_lm') AS reflecting,
	NOT options ? 'input_price' AS unpriced
FROM gepa.lms WHERE lm = 'demo_lm' \gset
\if :reflecting
\set reflection_lm '''demo_reflection_lm'''
\else
\set reflection_lm NULL
\endif

\echo
\echo '-- 8. Quality against cost: how much of a mail has to be read?'
-- What a hosted model of this size might take, per million tokens.
\if :unpriced
ALTER SERVER demo_lm OPTIONS (ADD input_price '0.02', ADD output_price '0.08');
\endif
SELECT settings, n, metric, round(quality::numeric, 3) AS quality,
	round(low::numeric, 3) AS low, round(high::numeric, 3) AS high,
	round(cost_per_million, 2) AS cost_per_million, round(documents_per_second::numeric, 2) AS per_second,
	dominated, surely_dominated AS surely, run, sweep
FROM gepa.sweep('spam', dataset => 'labelled', lms => '{demo_lm}', reflection_lm => :reflection_lm, budget_each => 200, seed => 1,
	options => '{"settings": [{"max_chars": 100}, {"max_chars": 220}], "quality": "auroc", "version": 1, "parallel_runs": 1,
		"metric": "score", "examples": true, "max_examples": 3, "max_seconds": 80,
		"split": {"train": 0.4, "val": 0.25, "test": 0.35}}')
ORDER BY cost_per_million;

\echo
\echo '-- The same again does what is missing, and nothing is: no run, no call'
SELECT count(*) AS points, count(DISTINCT run) AS runs, (SELECT count(*) FROM gepa.runs) AS all_runs
FROM gepa.sweep('spam', dataset => 'labelled', lms => '{demo_lm}', reflection_lm => :reflection_lm, budget_each => 200, seed => 1,
	options => '{"settings": [{"max_chars": 100}, {"max_chars": 220}], "quality": "auroc", "version": 1, "parallel_runs": 1,
		"metric": "score", "examples": true, "max_examples": 3, "max_seconds": 80,
		"split": {"train": 0.4, "val": 0.25, "test": 0.35}}');

\echo
\echo '-- 9. A router: the cheapest version for mails of mailing lists, the best one for the rest'
SELECT max(sweep) AS sweep FROM gepa.quality_cost \gset
-- By force: what the sweep has measured decides here, whatever a run says of its winner.
SELECT gepa.deploy(run => (SELECT run FROM gepa.quality_cost WHERE sweep = :sweep ORDER BY cost_per_million LIMIT 1), force => true) AS cheap \gset
SELECT gepa.deploy(run => (SELECT run FROM gepa.quality_cost WHERE sweep = :sweep ORDER BY quality DESC LIMIT 1), force => true) AS best \gset
SELECT gepa.create_router('spam_by_kind',
	ARRAY[jsonb_build_object('when', $$document ~* '^(re: *)?\['$$, 'judge', 'spam@' || :cheap)], 'spam') AS router;
SELECT (v).judge || '@' || (v).version AS judged_by, count(*), count(*) FILTER (WHERE label = 'spam') AS spam,
	count(*) FILTER (WHERE (v).positive) AS judged_spam, sum((v).input_tokens) AS input_tokens,
	round(sum((v).cost) / count(*) * 1000000, 2) AS cost_per_million
FROM (SELECT label, gepa_verdict('spam_by_kind', document) AS v
	FROM (SELECT * FROM inbox ORDER BY id LIMIT 24) m) r
GROUP BY 1 ORDER BY 1;

\echo
\echo '-- It filters like a judge, here without a call: the verdicts are stored'
SELECT id, left(subject, 60) AS subject
FROM (SELECT * FROM inbox ORDER BY id LIMIT 24) m WHERE NOT gepa_judge('spam_by_kind', document) ORDER BY id;
