/*
 * What a role may see.  The views read the tables with their owner's rights
 * and show each role what belongs to roles whose rights it has; judges and
 * versions also to those who may use their LM, because they may call them.
 * Barriers: a user's own leaky function must not see the rows of others.
 *
 * A barrier lets conditions pass that are leakproof by the planner's book (=,
 * <, starts_with, IS NULL): down to the tables, before the check whose rows
 * they are, and to the tables' statistics.  EXPLAIN then tells how many of the
 * others' rows meet the condition, which is enough to read them letter by
 * letter.  So every column goes through gepa.shown(), and conditions on it stay
 * above the check.  Bare are only "run", by whose indexes runs are found, and
 * "id": numbers that are given in order, and tell how many there are.
 */
CREATE FUNCTION gepa.shown(value anyelement)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'gepa_shown'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION gepa.shown(anyelement) IS
	'its argument; volatile, so that no condition on a column of a view is tried before the view has checked whose the row is';

CREATE VIEW gepa.lms WITH (security_barrier) AS
SELECT s.srvname::text AS lm,
	pg_catalog.pg_get_userbyid(s.srvowner)::text AS owner,
	pg_catalog.has_server_privilege(s.oid, 'USAGE') AS usable,
	coalesce(o.options ->> 'api', 'openai') AS api,
	o.options ->> 'base_url' AS base_url,
	o.options ->> 'model' AS model,
	o.options
FROM pg_catalog.pg_foreign_server s
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
	CROSS JOIN LATERAL (
		SELECT coalesce(pg_catalog.jsonb_object_agg(option_name, option_value), '{}') AS options
		FROM pg_catalog.pg_options_to_table(s.srvoptions)) o
WHERE w.fdwname = 'gepa_lm';
COMMENT ON VIEW gepa.lms IS 'language models: foreign servers of the wrapper gepa_lm';

CREATE VIEW gepa.judges WITH (security_barrier) AS
SELECT gepa.shown(j.name) AS judge,
	gepa.shown(v.lm) AS lm,
	gepa.shown(j.current_version) AS current_version,
	gepa.shown(j.owner::text) AS owner,
	gepa.shown(v.labels) AS labels,
	gepa.shown(v.positive) AS positive,
	gepa.shown((v.options ->> 'threshold')::float8) AS threshold,
	gepa.shown((SELECT count(*) FROM gepa.judge_version n WHERE n.judge = j.judge)::int) AS versions,
	gepa.shown(j.created_at) AS created_at,
	j.judge AS id
FROM gepa.judge j
	JOIN gepa.judge_version v ON v.judge = j.judge AND v.version = j.current_version
	LEFT JOIN pg_catalog.pg_foreign_server s ON s.srvname = v.lm
WHERE pg_catalog.pg_has_role(j.owner, 'USAGE')
	OR pg_catalog.has_server_privilege(s.oid, 'USAGE');
COMMENT ON VIEW gepa.judges IS 'judges with their current version';

CREATE VIEW gepa.judge_versions WITH (security_barrier) AS
SELECT gepa.shown(j.name) AS judge,
	gepa.shown(v.version) AS version,
	gepa.shown(v.version = j.current_version) AS current,
	gepa.shown(v.lm) AS lm,
	gepa.shown(v.lm_identity::jsonb) AS lm_identity,
	gepa.shown((SELECT pg_catalog.jsonb_object_agg(c ->> 'name', c ->> 'text')
		FROM pg_catalog.jsonb_array_elements(v.components) c)) AS components,
	gepa.shown(v.labels) AS labels,
	gepa.shown(v.positive) AS positive,
	gepa.shown(v.options) AS options,
	gepa.shown((v.options ->> 'threshold')::float8) AS threshold,
	gepa.shown(pg_catalog.encode(v.digest, 'hex')) AS digest,
	gepa.shown(v.run) AS run,
	gepa.shown(v.candidate) AS candidate,
	gepa.shown(v.created_at) AS created_at
FROM gepa.judge_version v
	JOIN gepa.judge j ON j.judge = v.judge
	LEFT JOIN pg_catalog.pg_foreign_server s ON s.srvname = v.lm
WHERE pg_catalog.pg_has_role(j.owner, 'USAGE')
	OR pg_catalog.has_server_privilege(s.oid, 'USAGE');
COMMENT ON VIEW gepa.judge_versions IS 'immutable versions of judges';

CREATE VIEW gepa.datasets WITH (security_barrier) AS
SELECT gepa.shown(d.name) AS dataset,
	gepa.shown(d.source) AS source,
	gepa.shown(d.key) AS key,
	gepa.shown(d.inputs) AS inputs,
	gepa.shown(d.label) AS label,
	gepa.shown(d.feedback) AS feedback,
	gepa.shown(d.split) AS split,
	gepa.shown(d.group_by) AS group_by,
	gepa.shown(d.options) AS options,
	gepa.shown(d.owner::text) AS owner,
	gepa.shown(d.created_at) AS created_at,
	d.dataset AS id
FROM gepa.dataset d
WHERE pg_catalog.pg_has_role(d.owner, 'USAGE');
COMMENT ON VIEW gepa.datasets IS 'named sources of labelled samples';

/*
 * A verdict is shown to its payer, under the newest version of its digest of
 * the judge that was asked.  There is none where a candidate was measured
 * but not deployed, or the LM differed (gepa.allow_lm_mismatch); the version
 * that paid then lends labels and threshold.
 */
CREATE VIEW gepa.verdicts WITH (security_barrier) AS
SELECT gepa.shown(j.name) AS judge,
	gepa.shown(n.version) AS version,
	gepa.shown(pg_catalog.encode(v.digest, 'hex')) AS digest,
	gepa.shown(v.label) AS label,
	gepa.shown(CASE WHEN v.from_logprobs THEN v.score >= (w.options ->> 'threshold')::float8
		ELSE v.label = ANY (w.positive) END) AS positive,
	gepa.shown(v.score) AS score,
	'ok'::text AS status,
	gepa.shown(v.reasoning) AS reasoning,
	gepa.shown(v.input_tokens) AS input_tokens,
	gepa.shown(v.output_tokens) AS output_tokens,
	gepa.shown(v.cost) AS cost,
	gepa.shown(v.latency_ms) AS latency_ms,
	gepa.shown(v.chars_seen) AS chars_seen,
	gepa.shown(v.chars_total) AS chars_total,
	gepa.shown(v.created_at) AS created_at,
	gepa.shown(v.payer::text) AS payer,
	gepa.shown(v.thinking) AS thinking,
	gepa.shown(v.votes) AS votes
FROM gepa.verdict v
	JOIN gepa.judge j ON j.judge = v.judge
	LEFT JOIN (
		SELECT judge, verdict_digest, max(version) AS version
		FROM gepa.judge_version GROUP BY judge, verdict_digest) n
		ON n.judge = v.judge AND n.verdict_digest = v.verdict_digest
	-- The number of a version that was rolled back is given again: what was
	-- paid before is not the new one's.
	LEFT JOIN gepa.judge_version w ON w.judge = v.judge
		AND w.version = coalesce(n.version, v.version)
		AND (n.version IS NOT NULL OR w.created_at <= v.created_at)
WHERE pg_catalog.pg_has_role(v.payer, 'USAGE');
COMMENT ON VIEW gepa.verdicts IS
	'stored verdicts of roles whose rights one has; digest is that of the document, version NULL for a candidate that is not deployed';

CREATE VIEW gepa.verdict_errors WITH (security_barrier) AS
SELECT gepa.shown(j.name) AS judge,
	gepa.shown(n.version) AS version,
	gepa.shown(pg_catalog.encode(e.digest, 'hex')) AS digest,
	gepa.shown(e.status) AS status,
	gepa.shown(e.detail) AS detail,
	gepa.shown(e.attempts) AS attempts,
	gepa.shown(e.last_at) AS last_at,
	gepa.shown(e.payer::text) AS payer
FROM gepa.verdict_error e
	JOIN gepa.judge j ON j.judge = e.judge
	LEFT JOIN (
		SELECT judge, verdict_digest, max(version) AS version
		FROM gepa.judge_version GROUP BY judge, verdict_digest) n
		ON n.judge = e.judge AND n.verdict_digest = e.verdict_digest
WHERE pg_catalog.pg_has_role(e.payer, 'USAGE')
	-- A scalar query, which looks into one partition's index for each row; as
	-- NOT EXISTS it is a join that may read all verdicts.
	AND (SELECT true FROM gepa.verdict v
		WHERE v.verdict_digest = e.verdict_digest AND v.payer = e.payer AND v.digest = e.digest
		LIMIT 1) IS NULL;
COMMENT ON VIEW gepa.verdict_errors IS 'documents without a verdict, and why';

CREATE VIEW gepa.runs WITH (security_barrier) AS
SELECT r.run,
	gepa.shown(j.name) AS judge,
	gepa.shown(r.dataset) AS dataset,
	gepa.shown(r.owner::text) AS owner,
	gepa.shown(r.status) AS status,
	gepa.shown(r.reason) AS reason,
	gepa.shown(r.budget) AS budget,
	gepa.shown(r.rollouts) AS rollouts,
	gepa.shown(r.reflections) AS reflections,
	gepa.shown(r.iteration) AS iteration,
	gepa.shown(r.best_candidate) AS best_candidate,
	gepa.shown(r.best_score) AS best_score,
	gepa.shown(r.input_tokens) AS input_tokens,
	gepa.shown(r.output_tokens) AS output_tokens,
	gepa.shown(r.cost) AS cost,
	gepa.shown(r.lm) AS lm,
	gepa.shown(r.reflection_lm) AS reflection_lm,
	gepa.shown(r.seed_version) AS seed_version,
	gepa.shown(r.seed) AS seed,
	gepa.shown(r.options) AS options,
	gepa.shown(r.notes) AS notes,
	gepa.shown(r.created_at) AS created_at,
	gepa.shown(r.started_at) AS started_at,
	gepa.shown(r.finished_at) AS finished_at,
	gepa.shown(r.calls) AS calls,
	gepa.shown(r.rounds) AS rounds,
	gepa.shown(r.held_out_n) AS held_out_n,
	gepa.shown(r.gain) AS gain,
	gepa.shown(r.gain_low) AS gain_low,
	gepa.shown(r.gain_high) AS gain_high,
	gepa.shown(r.grader_calls) AS grader_calls,
	gepa.shown(r.grader_cost) AS grader_cost,
	gepa.shown(t.evaluator) AS evaluator,
	gepa.shown(t.objective) AS objective,
	gepa.shown(t.background) AS background,
	gepa.shown(r.imported) AS imported
FROM gepa.run r
	LEFT JOIN gepa.judge j ON j.judge = r.judge
	LEFT JOIN gepa.text_run t ON t.run = r.run
WHERE pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.runs IS
	'optimisations: one row each, with figures; those of other texts than a judge''s have an evaluator and no judge';

-- Filters by the rights of whoever asks: the row of a process that is at work on judges.
CREATE FUNCTION gepa.live_queries(
	OUT pid int, OUT role oid, OUT judge text, OUT started_at timestamptz, OUT rows bigint,
	OUT judged bigint, OUT in_flight int, OUT stored bigint, OUT failed bigint,
	OUT input_tokens bigint, OUT output_tokens bigint, OUT cost float8, OUT expected float8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_live_queries'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE ROWS 10;
COMMENT ON FUNCTION gepa.live_queries() IS 'the queries behind gepa.progress';

CREATE VIEW gepa.progress WITH (security_barrier) AS
SELECT r.run,
	gepa.shown(j.name) AS judge,
	gepa.shown(r.dataset) AS dataset,
	gepa.shown(r.owner::text) AS owner,
	gepa.shown(r.status) AS status,
	gepa.shown(CASE WHEN r.status = 'queued' THEN 'waiting for a worker'
		WHEN r.phase = 'generation' THEN 'generation ' || greatest(r.iteration, 1)
		WHEN r.phase IS NOT NULL THEN r.phase
		WHEN r.best_candidate IS NULL THEN 'validating the seed'
		ELSE 'searching' END) AS phase,
	gepa.shown(r.iteration) AS iteration,
	gepa.shown(r.rollouts) AS rollouts,
	gepa.shown(r.budget) AS budget,
	gepa.shown((SELECT count(*) FROM gepa.proposal p WHERE p.run = r.run AND p.candidate IS NOT NULL)::int) AS candidates,
	gepa.shown(r.best_candidate) AS best_candidate,
	gepa.shown(r.best_score) AS best_score,
	gepa.shown(r.input_tokens) AS input_tokens,
	gepa.shown(r.output_tokens) AS output_tokens,
	gepa.shown(r.cost) AS cost,
	gepa.shown(pg_catalog.make_interval(secs => r.seconds)) AS elapsed,
	gepa.shown(CASE WHEN r.seconds > 0 THEN r.rollouts / r.seconds END) AS rollouts_per_second,
	gepa.shown(CASE WHEN r.rollouts > 0 AND r.seconds > 0 THEN
		pg_catalog.make_interval(secs => r.seconds)
			* (greatest(r.budget - r.rollouts, 0)::float8 / r.rollouts) END) AS eta,
	gepa.shown('run'::text) AS kind,
	gepa.shown(NULL::int) AS pid,
	gepa.shown(NULL::bigint) AS rows,
	gepa.shown(NULL::bigint) AS judged,
	gepa.shown(NULL::int) AS in_flight,
	gepa.shown(NULL::bigint) AS stored,
	gepa.shown(NULL::bigint) AS failed,
	gepa.shown(NULL::int) AS job,
	gepa.shown(NULL::float8) AS rate,
	gepa.shown(r.rounds) AS rounds
FROM gepa.run r
	LEFT JOIN gepa.judge j ON j.judge = r.judge
WHERE r.status IN ('queued', 'running', 'stopping')
	AND pg_catalog.pg_has_role(r.owner, 'USAGE')
UNION ALL
SELECT NULL,
	gepa.shown(q.judge),
	gepa.shown(NULL::text),
	gepa.shown(q.role::regrole::text),
	gepa.shown('running'::text),
	gepa.shown('judging'::text),
	gepa.shown(NULL::int), gepa.shown(NULL::int), gepa.shown(NULL::int), gepa.shown(NULL::int),
	gepa.shown(NULL::int), gepa.shown(NULL::float8),
	gepa.shown(q.input_tokens),
	gepa.shown(q.output_tokens),
	gepa.shown(q.cost::numeric),
	gepa.shown(t.elapsed),
	gepa.shown(NULL::float8),
	gepa.shown(CASE WHEN q.judged > 0 THEN
		t.elapsed * (greatest(q.expected - q.judged, 0) / q.judged) END),
	gepa.shown('query'::text),
	gepa.shown(q.pid),
	gepa.shown(q.rows),
	gepa.shown(q.judged),
	gepa.shown(q.in_flight),
	gepa.shown(q.stored),
	gepa.shown(q.failed),
	gepa.shown(NULL::int),
	gepa.shown(q.rows / nullif(extract(epoch FROM t.elapsed), 0)::float8),
	gepa.shown(NULL::int)
FROM gepa.live_queries() q
	CROSS JOIN LATERAL (SELECT pg_catalog.clock_timestamp() - q.started_at AS elapsed) t
UNION ALL
SELECT NULL,
	gepa.shown(b.judge_name),
	gepa.shown(b.source),
	gepa.shown(b.owner::text),
	gepa.shown(b.status),
	gepa.shown(CASE WHEN b.status = 'queued' THEN 'waiting for a worker'
		WHEN b.status = 'running' AND b.reason IS NOT NULL THEN b.reason
		WHEN b.status = 'running' AND b.kind = 'watch' THEN 'watching'
		WHEN b.status = 'running' THEN 'judging'
		ELSE b.reason END),
	gepa.shown(NULL::int), gepa.shown(NULL::int), gepa.shown(NULL::int), gepa.shown(NULL::int),
	gepa.shown(NULL::int), gepa.shown(NULL::float8),
	gepa.shown(b.input_tokens),
	gepa.shown(b.output_tokens),
	gepa.shown(b.cost),
	gepa.shown(pg_catalog.make_interval(secs => b.seconds)),
	gepa.shown(NULL::float8),
	gepa.shown(CASE WHEN b.kind = 'table' AND b.rows > 0 AND b.seconds > 0 THEN
		pg_catalog.make_interval(secs => b.seconds)
			* (greatest(b.expected - b.rows, 0)::float8 / b.rows) END),
	gepa.shown('job'::text),
	gepa.shown(w.pid),
	gepa.shown(b.rows),
	gepa.shown(b.judged),
	gepa.shown(w.in_flight),
	gepa.shown(b.stored),
	gepa.shown(b.failed),
	gepa.shown(b.job),
	gepa.shown(CASE WHEN b.seconds > 0 THEN b.rows / b.seconds END),
	gepa.shown(NULL::int)
FROM gepa.job b
	LEFT JOIN (SELECT w.job, min(w.pid) AS pid, sum(w.in_flight)::int AS in_flight
		FROM gepa.job_workers() w GROUP BY w.job) w ON w.job = b.job
WHERE b.status IN ('queued', 'running', 'pausing', 'paused')
	AND pg_catalog.pg_has_role(b.owner, 'USAGE');
COMMENT ON VIEW gepa.progress IS
	'live runs, corpus jobs and, where the library is preloaded, queries with judges: how far, tokens, cost, rate (rows per second), time to go';

CREATE VIEW gepa.samples WITH (security_barrier) AS
SELECT s.run,
	gepa.shown(s.key) AS sample,
	gepa.shown(s.split) AS split,
	gepa.shown(s.label) AS label,
	gepa.shown(s.feedback) AS feedback,
	gepa.shown(s.group_key) AS group_key,
	gepa.shown(s.inputs) AS inputs,
	gepa.shown(pg_catalog.encode(s.digest, 'hex')) AS digest
FROM gepa.sample s
	JOIN gepa.run r ON r.run = s.run
WHERE pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.samples IS 'samples of runs, as they were when the run started';

CREATE VIEW gepa.candidates WITH (security_barrier) AS
SELECT p.run,
	gepa.shown(p.candidate) AS candidate,
	gepa.shown(p.parents) AS parents,
	gepa.shown(p.components) AS components,
	gepa.shown(p.score) AS score,
	gepa.shown(p.rollouts_at_discovery) AS rollouts_at_discovery,
	gepa.shown(p.iteration) AS iteration,
	gepa.shown(p.created_at) AS created_at,
	gepa.shown(CASE p.candidate WHEN r.best_candidate THEN r.held_out WHEN 0 THEN r.held_out_seed END) AS held_out,
	gepa.shown(CASE WHEN p.candidate IN (r.best_candidate, 0) THEN r.held_out_n END) AS held_out_n
FROM gepa.proposal p
	JOIN gepa.run r ON r.run = p.run
WHERE p.candidate IS NOT NULL
	AND pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.candidates IS
	'texts in the pool of a run; 0 is the seed; held_out: mean score on samples that chose nothing, of winner and seed';

CREATE VIEW gepa.decisions WITH (security_barrier) AS
SELECT d.run,
	gepa.shown(d.decision) AS decision,
	gepa.shown(d.iteration) AS iteration,
	gepa.shown(d.kind) AS kind,
	gepa.shown(d.led) AS led,
	gepa.shown(d.leads) AS leads,
	gepa.shown(d.compared) AS compared,
	gepa.shown(d.samples) AS samples,
	gepa.shown(d.reason) AS reason,
	gepa.shown(d.created_at) AS created_at
FROM gepa.decision d
	JOIN gepa.run r ON r.run = d.run
WHERE pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.decisions IS
	'what runs in default mode compared, on which samples, with which estimates, and what followed';

CREATE VIEW gepa.frontier WITH (security_barrier) AS
SELECT f.run,
	gepa.shown(f.key) AS key,
	gepa.shown(f.score) AS score,
	gepa.shown(f.candidates) AS candidates
FROM gepa.front f
	JOIN gepa.run r ON r.run = f.run
WHERE pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.frontier IS
	'best score per validation sample and the candidates that reach it';

CREATE VIEW gepa.proposals WITH (security_barrier) AS
SELECT p.run,
	gepa.shown(p.iteration) AS iteration,
	gepa.shown(p.parents) AS parents,
	gepa.shown(p.component) AS component,
	gepa.shown(p.components ->> p.component) AS text,
	gepa.shown(p.candidate) AS candidate,
	gepa.shown(p.accepted) AS accepted,
	gepa.shown(p.reason) AS reason,
	gepa.shown(s.prompt) AS reflection_prompt,
	gepa.shown(s.answer) AS answer,
	gepa.shown(p.parent_sum) AS parent_sum,
	gepa.shown(p.child_sum) AS child_sum,
	gepa.shown(p.created_at) AS created_at,
	gepa.shown(p.proposal) AS proposal
FROM gepa.proposal p
	JOIN gepa.run r ON r.run = p.run
	LEFT JOIN gepa.step s ON s.run = p.run AND s.step = p.reflect_step
WHERE p.proposal > 0
	AND pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.proposals IS
	'texts that runs tried, accepted and rejected, and why: reason is what held when it was decided, and scores in it may have changed since';

CREATE VIEW gepa.reflections WITH (security_barrier) AS
SELECT s.run,
	gepa.shown(s.step) AS step,
	gepa.shown(s.prompt) AS reflection_prompt,
	gepa.shown(s.answer) AS answer,
	gepa.shown(s.new_text) AS text,
	gepa.shown(s.detail) AS detail,
	gepa.shown(s.input_tokens) AS input_tokens,
	gepa.shown(s.output_tokens) AS output_tokens,
	gepa.shown(s.cost) AS cost,
	gepa.shown(s.observed_at) AS observed_at
FROM gepa.step s
	JOIN gepa.run r ON r.run = s.run
WHERE s.kind IN ('reflect', 'seed')
	AND pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.reflections IS 'what was asked of the reflection LM, that without a usable answer included; figures are those of all its calls; where it wrote the seed, step is below 0';

CREATE VIEW gepa.reflection_calls WITH (security_barrier) AS
SELECT c.run,
	gepa.shown(c.step) AS step,
	gepa.shown(c.part) AS part,
	gepa.shown(c.attempt) AS attempt,
	gepa.shown(c.records) AS records,
	gepa.shown(c.prompt) AS prompt,
	gepa.shown(c.answer) AS answer,
	gepa.shown(c.new_text) AS text,
	gepa.shown(c.detail) AS detail,
	gepa.shown(c.input_tokens) AS input_tokens,
	gepa.shown(c.output_tokens) AS output_tokens,
	gepa.shown(c.cost) AS cost,
	gepa.shown(c.observed_at) AS observed_at
FROM gepa.reflection_call c
	JOIN gepa.run r ON r.run = c.run
WHERE pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.reflection_calls IS
	'answers of the reflection LM before the last of a reflection: of groups of records (option combee), and those that were of no use';

CREATE VIEW gepa.rollouts WITH (security_barrier) AS
SELECT o.run,
	gepa.shown(p.candidate) AS candidate,
	gepa.shown(s.key) AS sample,
	gepa.shown(o.split) AS split,
	gepa.shown(o.score) AS score,
	gepa.shown(o.feedback) AS feedback,
	gepa.shown(o.label) AS label,
	gepa.shown(o.output) AS output,
	gepa.shown(o.status) AS status,
	gepa.shown(o.input_tokens) AS input_tokens,
	gepa.shown(o.output_tokens) AS output_tokens,
	gepa.shown(o.cost) AS cost,
	gepa.shown(o.latency_ms) AS latency_ms,
	gepa.shown(o.proposal) AS proposal,
	gepa.shown(o.step) AS step,
	gepa.shown(o.created_at) AS created_at,
	gepa.shown(o.objectives) AS objectives,
	gepa.shown(o.graders) AS graders,
	gepa.shown(o.trace) AS trace,
	gepa.shown(o.grader_calls) AS grader_calls,
	gepa.shown(o.grader_input_tokens) AS grader_input_tokens,
	gepa.shown(o.grader_output_tokens) AS grader_output_tokens,
	gepa.shown(o.grader_cost) AS grader_cost
FROM gepa.rollout o
	JOIN gepa.run r ON r.run = o.run
	JOIN gepa.sample s ON s.run = o.run AND s.split = o.split AND s.sample = o.sample
	LEFT JOIN gepa.proposal p ON p.run = o.run AND p.proposal = o.proposal
WHERE pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.rollouts IS
	'texts run on samples and scored; candidate is NULL where the text did not enter the pool';

CREATE VIEW gepa.schedules WITH (security_barrier) AS
SELECT gepa.shown(s.name) AS schedule,
	gepa.shown(j.name) AS judge,
	gepa.shown(s.dataset) AS dataset,
	gepa.shown(s.owner::text) AS owner,
	gepa.shown(s.every) AS every,
	gepa.shown(s.at) AS at,
	gepa.shown(s.time_zone) AS time_zone,
	gepa.shown(s.enabled) AS enabled,
	gepa.shown(s.next_at) AS next_at,
	gepa.shown(s.last_at) AS last_at,
	gepa.shown(s.last_run) AS last_run,
	gepa.shown(s.outcome) AS outcome,
	gepa.shown(s.reason) AS reason,
	gepa.shown(c.n) AS n,
	gepa.shown(c.champion) AS champion,
	gepa.shown(c.champion_right::float8 / nullif(c.n, 0)) AS champion_accuracy,
	gepa.shown(c.challenger) AS challenger,
	gepa.shown(c.challenger_right::float8 / nullif(c.n, 0)) AS challenger_accuracy,
	gepa.shown(c.champion_only) AS champion_only,
	gepa.shown(c.challenger_only) AS challenger_only,
	gepa.shown(c.p_value) AS p_value,
	gepa.shown(c.deployed) AS deployed,
	gepa.shown(s.deploy) AS deploy,
	gepa.shown(s.level) AS level,
	gepa.shown(s.min_new_labels) AS min_new_labels,
	gepa.shown(s.labels_seen) AS labels_seen,
	gepa.shown(s.reflection_lm) AS reflection_lm,
	gepa.shown(s.budget) AS budget,
	gepa.shown(s.seed) AS seed,
	gepa.shown(s.options) AS options,
	gepa.shown(s.created_at) AS created_at,
	s.schedule AS id
FROM gepa.schedule s
	JOIN gepa.judge j ON j.judge = s.judge
	LEFT JOIN LATERAL pg_catalog.jsonb_to_record(s.comparison) AS
		c(n int, champion int, champion_right int, challenger int, challenger_right int,
		champion_only int, challenger_only int, p_value float8, deployed int) ON true
WHERE pg_catalog.pg_has_role(s.owner, 'USAGE');
COMMENT ON VIEW gepa.schedules IS
	'schedules: next and last time, what came of it, and the comparison that decided; champion and deployed are versions, challenger a candidate of last_run';

-- What a judge, a version or a run is called is known in its own database only.
CREATE VIEW gepa.lm_calls WITH (security_barrier) AS
SELECT c.ended_at,
	pg_catalog.pg_get_userbyid(c.role)::text AS role,
	d.datname::text AS database,
	c.lm,
	c.purpose,
	j.judge,
	c.version,
	c.run,
	c.status,
	c.http_status,
	c.attempts,
	c.input_tokens,
	c.output_tokens,
	c.cost::numeric AS cost,
	c.latency_ms,
	c.sample_rate,
	c.detail,
	c.prompt,
	c.answer
FROM gepa.call_log() c
	LEFT JOIN pg_catalog.pg_database d ON d.oid = c.database
	LEFT JOIN gepa.judges j ON j.id = c.judge
		AND d.datname = pg_catalog.current_database();
COMMENT ON VIEW gepa.lm_calls IS
	'the newest calls to language models, of all databases: a sample in memory of bounded size (gepa.call_log_size)';
