-- What the examples show of a run, in the variable run; they include this.

SELECT status, rollouts, reflections, best_candidate AS winner, reason FROM gepa.runs WHERE run = :run;
\echo
\echo '-- What it compared: who leads at the end, with what estimate, by how many rollouts'
SELECT d.kind, d.led, d.leads, c.candidate, c.rollouts, round(c.estimate::numeric, 3) AS estimate, round(c.chance::numeric, 3) AS chance
FROM gepa.decisions d, jsonb_to_recordset(d.compared) c(candidate int, rollouts int, estimate float8, chance float8)
WHERE d.run = :run AND d.kind IN ('seed', 'winner', 'held_out')
ORDER BY d.decision, c.candidate;
SELECT lineage FROM gepa.lineage(:run) AS lineage;

\echo
\echo '-- Winner less seed on samples that chose nothing, with its 95 % interval'
SELECT r.held_out_n AS samples, round(s.held_out::numeric, 3) AS seed, round(w.held_out::numeric, 3) AS winner,
	round(r.gain::numeric, 3) AS gain, round(r.gain_low::numeric, 3) AS low, round(r.gain_high::numeric, 3) AS high
FROM gepa.runs r
	JOIN gepa.candidates s ON s.run = r.run AND s.candidate = 0
	JOIN gepa.candidates w ON w.run = r.run AND w.candidate = r.best_candidate
WHERE r.run = :run;

\echo
\echo '-- The tuned prompt, and how it differs from the one that we wrote: [-gone-] {+come+}'
SELECT c.components ->> 'instruction' AS instruction
FROM gepa.runs r JOIN gepa.candidates c ON c.run = r.run AND c.candidate = r.best_candidate
WHERE r.run = :run;
SELECT best_candidate AS winner, coalesce(gain <= 0, false) AS no_gain FROM gepa.runs WHERE run = :run \gset
SELECT diff FROM gepa.prompt_diff(:run, 0, :winner) WHERE component = 'instruction';

\echo
\echo '-- Deploy it'
\if :no_gain
\echo 'The gain is not above zero, so gepa.deploy() wants to be forced. Here it is, for the figures'
\echo 'that follow; where it counts, keep the seed.'
\endif
SELECT gepa.deploy(run => :run, force => :'no_gain') AS version;
