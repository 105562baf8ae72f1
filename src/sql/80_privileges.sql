/*
 * Everybody may call; what a call does is checked inside: USAGE on the LM for
 * whatever costs money, ownership for whatever changes an object, SELECT on
 * the source for whatever reads samples.
 */
GRANT USAGE ON SCHEMA gepa TO PUBLIC;
GRANT SELECT ON
	gepa.lms, gepa.judges, gepa.judge_versions, gepa.datasets, gepa.verdicts,
	gepa.verdict_errors, gepa.runs, gepa.progress, gepa.samples,
	gepa.candidates, gepa.frontier, gepa.proposals, gepa.reflections,
	gepa.rollouts, gepa.schedules, gepa.lm_calls
TO PUBLIC;
