/*
 * What a role may see.  The views read the tables with their owner's rights
 * and show each role what belongs to roles whose rights it has; judges and
 * versions also to those who may use their LM, because they may call them.
 * Barriers: a user's own leaky function must not see the rows of others.
 */
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
SELECT j.name AS judge,
	v.lm,
	j.current_version,
	j.owner::text AS owner,
	v.labels,
	v.positive,
	(v.options ->> 'threshold')::float8 AS threshold,
	(SELECT count(*) FROM gepa.judge_version n WHERE n.judge = j.judge)::int AS versions,
	j.created_at,
	j.judge AS id
FROM gepa.judge j
	JOIN gepa.judge_version v ON v.judge = j.judge AND v.version = j.current_version
	LEFT JOIN pg_catalog.pg_foreign_server s ON s.srvname = v.lm
WHERE pg_catalog.pg_has_role(j.owner, 'USAGE')
	OR pg_catalog.has_server_privilege(s.oid, 'USAGE');
COMMENT ON VIEW gepa.judges IS 'judges with their current version';

CREATE VIEW gepa.judge_versions WITH (security_barrier) AS
SELECT j.name AS judge,
	v.version,
	v.version = j.current_version AS current,
	v.lm,
	v.lm_identity::jsonb AS lm_identity,
	(SELECT pg_catalog.jsonb_object_agg(c ->> 'name', c ->> 'text')
		FROM pg_catalog.jsonb_array_elements(v.components) c) AS components,
	v.labels,
	v.positive,
	v.options,
	(v.options ->> 'threshold')::float8 AS threshold,
	pg_catalog.encode(v.digest, 'hex') AS digest,
	v.run,
	v.candidate,
	v.created_at
FROM gepa.judge_version v
	JOIN gepa.judge j ON j.judge = v.judge
	LEFT JOIN pg_catalog.pg_foreign_server s ON s.srvname = v.lm
WHERE pg_catalog.pg_has_role(j.owner, 'USAGE')
	OR pg_catalog.has_server_privilege(s.oid, 'USAGE');
COMMENT ON VIEW gepa.judge_versions IS 'immutable versions of judges';

CREATE VIEW gepa.datasets WITH (security_barrier) AS
SELECT d.name AS dataset,
	d.source,
	d.key,
	d.inputs,
	d.label,
	d.feedback,
	d.split,
	d.group_by,
	d.options,
	d.owner::text AS owner,
	d.created_at,
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
SELECT j.name AS judge,
	n.version,
	pg_catalog.encode(v.digest, 'hex') AS digest,
	v.label,
	CASE WHEN v.from_logprobs THEN v.score >= (w.options ->> 'threshold')::float8
		ELSE v.label = ANY (w.positive) END AS positive,
	v.score,
	'ok'::text AS status,
	v.reasoning,
	v.input_tokens,
	v.output_tokens,
	v.cost,
	v.latency_ms,
	v.chars_seen,
	v.chars_total,
	v.created_at,
	v.payer::text AS payer
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
SELECT j.name AS judge,
	n.version,
	pg_catalog.encode(e.digest, 'hex') AS digest,
	e.status,
	e.detail,
	e.attempts,
	e.last_at,
	e.payer::text AS payer
FROM gepa.verdict_error e
	JOIN gepa.judge j ON j.judge = e.judge
	LEFT JOIN (
		SELECT judge, verdict_digest, max(version) AS version
		FROM gepa.judge_version GROUP BY judge, verdict_digest) n
		ON n.judge = e.judge AND n.verdict_digest = e.verdict_digest
WHERE pg_catalog.pg_has_role(e.payer, 'USAGE');
COMMENT ON VIEW gepa.verdict_errors IS 'documents without a verdict, and why';

CREATE VIEW gepa.runs WITH (security_barrier) AS
SELECT r.run,
	j.name AS judge,
	r.dataset,
	r.owner::text AS owner,
	r.status,
	r.reason,
	r.budget,
	r.rollouts,
	r.reflections,
	r.iteration,
	r.best_candidate,
	r.best_score,
	r.input_tokens,
	r.output_tokens,
	r.cost,
	r.lm,
	r.reflection_lm,
	r.seed_version,
	r.seed,
	r.options,
	r.notes,
	r.created_at,
	r.started_at,
	r.finished_at
FROM gepa.run r
	JOIN gepa.judge j ON j.judge = r.judge
WHERE pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.runs IS 'optimisations: one row each, with figures';

CREATE VIEW gepa.progress WITH (security_barrier) AS
SELECT r.run,
	j.name AS judge,
	r.dataset,
	r.owner::text AS owner,
	r.status,
	CASE WHEN r.status = 'queued' THEN 'waiting for a worker'
		WHEN r.best_candidate IS NULL THEN 'validating the seed'
		ELSE 'searching' END AS phase,
	r.iteration,
	r.rollouts,
	r.budget,
	(SELECT count(*) FROM gepa.proposal p WHERE p.run = r.run AND p.candidate IS NOT NULL)::int AS candidates,
	r.best_candidate,
	r.best_score,
	r.input_tokens,
	r.output_tokens,
	r.cost,
	pg_catalog.make_interval(secs => r.seconds) AS elapsed,
	CASE WHEN r.seconds > 0 THEN r.rollouts / r.seconds END AS rollouts_per_second,
	CASE WHEN r.rollouts > 0 AND r.seconds > 0 THEN
		pg_catalog.make_interval(secs => r.seconds)
			* (greatest(r.budget - r.rollouts, 0)::float8 / r.rollouts) END AS eta
FROM gepa.run r
	JOIN gepa.judge j ON j.judge = r.judge
WHERE r.status IN ('queued', 'running', 'stopping')
	AND pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.progress IS 'live runs: phase, rollouts, best score, tokens, cost, time to go';

CREATE VIEW gepa.samples WITH (security_barrier) AS
SELECT s.run,
	s.key AS sample,
	s.split,
	s.label,
	s.feedback,
	s.group_key,
	s.inputs,
	pg_catalog.encode(s.digest, 'hex') AS digest
FROM gepa.sample s
	JOIN gepa.run r ON r.run = s.run
WHERE pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.samples IS 'samples of runs, as they were when the run started';

CREATE VIEW gepa.candidates WITH (security_barrier) AS
SELECT p.run,
	p.candidate,
	p.parents,
	p.components,
	p.score,
	p.rollouts_at_discovery,
	p.iteration,
	p.created_at
FROM gepa.proposal p
	JOIN gepa.run r ON r.run = p.run
WHERE p.candidate IS NOT NULL
	AND pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.candidates IS 'texts in the pool of a run; 0 is the seed';

CREATE VIEW gepa.frontier WITH (security_barrier) AS
SELECT f.run,
	f.key,
	f.score,
	f.candidates
FROM gepa.front f
	JOIN gepa.run r ON r.run = f.run
WHERE pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.frontier IS
	'best score per validation sample and the candidates that reach it';

CREATE VIEW gepa.proposals WITH (security_barrier) AS
SELECT p.run,
	p.iteration,
	p.parents,
	p.component,
	p.components ->> p.component AS text,
	p.candidate,
	p.accepted,
	p.reason,
	s.prompt AS reflection_prompt,
	s.answer,
	p.parent_sum,
	p.child_sum,
	p.created_at,
	p.proposal
FROM gepa.proposal p
	JOIN gepa.run r ON r.run = p.run
	LEFT JOIN gepa.step s ON s.run = p.run AND s.step = p.reflect_step
WHERE p.proposal > 0
	AND pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.proposals IS 'texts that runs tried, accepted and rejected, and why';

CREATE VIEW gepa.reflections WITH (security_barrier) AS
SELECT s.run,
	s.step,
	s.prompt AS reflection_prompt,
	s.answer,
	s.new_text AS text,
	s.detail,
	s.input_tokens,
	s.output_tokens,
	s.cost,
	s.observed_at
FROM gepa.step s
	JOIN gepa.run r ON r.run = s.run
WHERE s.kind = 'reflect'
	AND pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.reflections IS 'calls of the reflection LM, those without a usable answer included';

CREATE VIEW gepa.rollouts WITH (security_barrier) AS
SELECT o.run,
	p.candidate,
	s.key AS sample,
	o.split,
	o.score,
	o.feedback,
	o.label,
	o.output,
	o.status,
	o.input_tokens,
	o.output_tokens,
	o.cost,
	o.latency_ms,
	o.proposal,
	o.step,
	o.created_at
FROM gepa.rollout o
	JOIN gepa.run r ON r.run = o.run
	JOIN gepa.sample s ON s.run = o.run AND s.split = o.split AND s.sample = o.sample
	LEFT JOIN gepa.proposal p ON p.run = o.run AND p.proposal = o.proposal
WHERE pg_catalog.pg_has_role(r.owner, 'USAGE');
COMMENT ON VIEW gepa.rollouts IS
	'texts run on samples and scored; candidate is NULL where the text did not enter the pool';

CREATE VIEW gepa.schedules WITH (security_barrier) AS
SELECT s.name AS schedule,
	j.name AS judge,
	s.dataset,
	s.owner::text AS owner,
	s.every,
	s.at,
	s.time_zone,
	s.enabled,
	s.next_at,
	s.last_at,
	s.last_run,
	s.outcome,
	s.reason,
	c.n,
	c.champion,
	c.champion_right::float8 / nullif(c.n, 0) AS champion_accuracy,
	c.challenger,
	c.challenger_right::float8 / nullif(c.n, 0) AS challenger_accuracy,
	c.champion_only,
	c.challenger_only,
	c.p_value,
	c.deployed,
	s.deploy,
	s.level,
	s.min_new_labels,
	s.labels_seen,
	s.reflection_lm,
	s.budget,
	s.seed,
	s.options,
	s.created_at,
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
