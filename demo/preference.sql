-- Reverse-engineering a preference: an editor has called 100 answers good or bad, and cannot say
-- why.  Tune a judge to agree with the editor, and read in its prompt what the preference is.
--
--     psql -v base_url=http://gpu1:8000/v1 -v model=Qwen3-30B-A3B \
--          -v reflection_base_url=https://api.example.com/v1 -v reflection_model=opus -f demo/preference.sql
--
-- demo/README.md lists the variables: where the LMs are, private (true for an address of your
-- own network), budget.  Keys come from the environment.  The script can be run again: it begins
-- with dropping what it made.

\ir lms.sql
DO $$ BEGIN
	PERFORM gepa.drop_judge(judge) FROM gepa.judges WHERE judge = 'editor';
	PERFORM gepa.drop_dataset(dataset) FROM gepa.datasets WHERE dataset = 'editor_labels';
END $$;
DROP SCHEMA IF EXISTS demo_preference CASCADE;
CREATE SCHEMA demo_preference;
SET search_path = demo_preference, public;

\echo
\echo '-- 1. 100 answers with a label and no reason, and 60 without a label'
\ir answers.sql
SELECT editor, count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY length(answer)) AS median_length,
	count(*) FILTER (WHERE answer LIKE 'Great question!%') AS friendly
FROM answers GROUP BY editor ORDER BY editor;
SELECT editor, question || E'\n' || answer AS answer FROM answers WHERE id IN (1, 2, 7) ORDER BY id;
CREATE VIEW labelled AS SELECT id, question, answer, editor FROM answers WHERE editor IS NOT NULL;

\echo
\echo '-- 2. A judge whose prompt says nothing of what is good'
SELECT gepa.create_judge('editor', lm => 'demo_judge', prompt => 'Would our editor call this a good answer?',
	labels => '{good,bad}', positive => '{good}',
	options => jsonb_build_object('inputs', '{question,answer}'::text[], 'reasoning', true, 'max_chars', :max_chars)) AS judge;
SELECT gepa.create_dataset('editor_labels', source => 'demo_preference.labelled', key => 'id', inputs => '{question,answer}',
	label => 'editor', group_by => 'question') AS dataset;

\echo
\echo '-- 3. Tune it to agree'
SELECT gepa.optimize('editor', dataset => 'editor_labels', reflection_lm => 'demo_reflector', budget => :budget, seed => 1) AS run \gset
\ir run.sql

\echo
\echo '-- 4. Is it the editor''s preference? On all held-out answers, with 95 % intervals'
SELECT metric, n, round(baseline::numeric, 3) AS baseline, round(baseline_low::numeric, 3) AS low, round(baseline_high::numeric, 3) AS high,
	round(tuned::numeric, 3) AS tuned, round(tuned_low::numeric, 3) AS low, round(tuned_high::numeric, 3) AS high,
	to_char(p_value, '0.0EEEE') AS p_value
FROM gepa.report('editor');

\echo
\echo '-- 5. Where they differ, if they do: labels to look at again'
CREATE TEMPORARY TABLE compared AS
SELECT id, editor, (v).label AS judge, (v).reasoning
FROM (SELECT *, gepa_verdict('editor', jsonb_build_object('question', question, 'answer', answer)) AS v FROM labelled) l;
SELECT editor, judge, count(*) FROM compared GROUP BY 1, 2 ORDER BY 1, 2;
SELECT id, editor, judge, reasoning FROM compared WHERE judge <> editor ORDER BY id LIMIT 5;

\echo
\echo '-- 6. The other 60 answers, sorted as the editor would'
SELECT gepa_judge('editor', jsonb_build_object('question', question, 'answer', answer)) AS good, count(*),
	min(right(replace(answer, E'\n', ' '), 60)) AS some_end_with
FROM answers WHERE editor IS NULL GROUP BY 1 ORDER BY 1 DESC;
