/*
 * What can cause a call costs money, and nobody may execute it until told so
 * (docs/security.md has the statements).  The rest everybody may execute; what it
 * does is checked inside: USAGE on the LM for whatever costs money, ownership
 * for whatever changes an object, SELECT on the source for whatever reads samples.
 * The validator is called without a right to it.
 */
REVOKE EXECUTE ON FUNCTION
	@extschema@.gepa_judge(text, text), @extschema@.gepa_judge(text, jsonb),
	@extschema@.gepa_score(text, text), @extschema@.gepa_score(text, jsonb),
	@extschema@.gepa_verdict(text, text), @extschema@.gepa_verdict(text, jsonb),
	@extschema@.gepa_judge(text, text[]), @extschema@.gepa_judge(text, jsonb[]),
	@extschema@.gepa_score(text, text[]), @extschema@.gepa_score(text, jsonb[]),
	gepa.check_lm, gepa.start, gepa.optimize, gepa.resume, gepa.report,
	gepa.start_branches, gepa.report_slices, gepa.start_text, gepa.optimize_text,
	gepa.sweep, gepa.start_sweep, gepa.create_schedule, gepa.watch_dataset,
	gepa.enable_schedule, gepa.lm_validator, gepa.judge_table, gepa.resume_job,
	gepa.watch_table, gepa.watch_row, gepa.watch_truncate,
	gepa.retry_errors, gepa.grade, gepa.grader_agreement
FROM PUBLIC;
GRANT USAGE ON SCHEMA gepa TO PUBLIC;
GRANT SELECT ON
	gepa.budgets, gepa.spend, gepa.lms, gepa.judges, gepa.judge_versions, gepa.datasets, gepa.verdicts,
	gepa.verdict_errors, gepa.runs, gepa.progress, gepa.samples,
	gepa.candidates, gepa.decisions, gepa.frontier, gepa.proposals, gepa.reflections,
	gepa.reflection_calls,
	gepa.rollouts, gepa.schedules, gepa.lm_calls, gepa.lm_stats, gepa.quality_cost,
	gepa.classifiers, gepa.routers, gepa.router_versions, gepa.jobs, gepa.job_errors,
	gepa.graders, gepa.grades
TO PUBLIC;
