-- Code pages by human labels: which pages are worth training a code model on?
--
--     psql -v base_url=http://gpu1:8000/v1 -v model=Qwen3-30B-A3B -f demo/code.sql
--
-- demo/README.md lists the variables: where the LMs are, private (true for an address of your
-- own network), budget.  Keys come from the environment.  The script can be run again: it begins
-- with dropping what it made.

\ir lms.sql
DO $$ BEGIN
	PERFORM gepa.drop_judge(judge) FROM gepa.judges WHERE judge = 'code_page';
	PERFORM gepa.drop_dataset(dataset) FROM gepa.datasets WHERE dataset = 'code_labels';
	PERFORM gepa.drop_grader(grader) FROM gepa.graders WHERE grader = 'code_match';
END $$;
DROP SCHEMA IF EXISTS demo_code CASCADE;
CREATE SCHEMA demo_code;
SET search_path = demo_code, public;

\echo
\echo '-- 1. 160 pages that somebody has labelled, beside a third of the labels with a reason; 40 more are the crawl'
\ir code_pages.sql
SELECT kind, label, count(*) FILTER (WHERE NOT corpus) AS labelled, count(*) FILTER (WHERE corpus) AS crawl,
	max(note) AS a_note
FROM code_pages GROUP BY kind, label ORDER BY label DESC, kind;
CREATE VIEW labelled AS SELECT id, topic, body, label, note FROM code_pages WHERE NOT corpus;

\echo
\echo '-- 2. A judge, a dataset, and a grader: to let rubbish in is twice as bad as to lose a good page'
SELECT gepa.create_judge('code_page', lm => 'demo_judge', prompt => 'Is this page worth training a code model on?',
	labels => '{keep,drop}', positive => '{keep}',
	options => jsonb_build_object('reasoning', :'reflecting'::bool, 'max_chars', :max_chars)) AS judge;
SELECT gepa.create_grader('code_match', 'labels', options => '{"weights": {"drop": 2}}') AS grader;
-- Pages on one topic never stand on two sides.
SELECT gepa.create_dataset('code_labels', source => 'demo_code.labelled', key => 'id', inputs => '{body}',
	label => 'label', feedback => 'note', group_by => 'topic') AS dataset;

\echo
\echo '-- 3. Tune'
\if :reflecting
SELECT gepa.optimize('code_page', dataset => 'code_labels', reflection_lm => 'demo_reflector', budget => :budget, seed => 1,
	options => '{"graders": [{"grader": "code_match"}]}') AS run \gset
\else
-- Without an LM that can write, labelled pages are chosen that show what is meant.
SELECT gepa.optimize('code_page', dataset => 'code_labels', reflection_lm => NULL, budget => :budget, seed => 1,
	options => '{"metric": "score", "max_examples": 4, "max_seconds": 180}') AS run \gset
\endif
\ir run.sql

\echo
\echo '-- 4. On all held-out pages, which chose nothing: the prompt that we wrote beside the tuned one, 95 % intervals'
SELECT metric, n, round(baseline::numeric, 3) AS baseline, round(baseline_low::numeric, 3) AS low, round(baseline_high::numeric, 3) AS high,
	round(tuned::numeric, 3) AS tuned, round(tuned_low::numeric, 3) AS low, round(tuned_high::numeric, 3) AS high,
	to_char(p_value, '0.0EEEE') AS p_value
FROM gepa.report('code_page');

\echo
\echo '-- 5. Filter the crawl'
SELECT kind, count(*) AS kept FROM code_pages WHERE corpus AND gepa_judge('code_page', body) GROUP BY kind ORDER BY kind;
SELECT url, left((gepa_verdict('code_page', body)).reasoning, 60) AS why FROM code_pages WHERE corpus ORDER BY id LIMIT 10;
