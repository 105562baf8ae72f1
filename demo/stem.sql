-- STEM pages graded by an LLM rubric: nobody labels what is tuned on.  A strong LM grades pages on
-- formatting and reasoning, and a judge on a cheaper LM learns to agree with it.
--
--     psql -v base_url=http://gpu1:8000/v1 -v model=Qwen3-30B-A3B -v grader_base_url=https://api.example.com/v1 \
--          -v grader_model=opus -v reflection_base_url=https://api.example.com/v1 -v reflection_model=opus -f demo/stem.sql
--
-- demo/README.md lists the variables: where the LMs are, private (true for an address of your
-- own network), budget.  Keys come from the environment.  The script can be run again: it begins
-- with dropping what it made.  The judge's LM has to give log-probabilities, since a rubric's
-- score is a number between 0 and 1, and so the judge's should be.

\ir lms.sql
DO $$ BEGIN
	PERFORM gepa.drop_judge(judge) FROM gepa.judges WHERE judge = 'stem_page';
	PERFORM gepa.drop_dataset(dataset) FROM gepa.datasets WHERE dataset IN ('stem_pages', 'stem_checked');
	PERFORM gepa.drop_grader(grader) FROM gepa.graders WHERE grader = 'stem_rubric';
END $$;
DROP SCHEMA IF EXISTS demo_stem CASCADE;
CREATE SCHEMA demo_stem;
SET search_path = demo_stem, public;

\echo
\echo '-- 1. 120 pages without a label to tune on, 40 that an editor has read, 40 more are the crawl'
\ir stem_pages.sql
CREATE VIEW unlabelled AS SELECT id, topic, body FROM stem_pages WHERE id <= 120;
CREATE VIEW checked AS
SELECT id, body, formatting IS NULL AND reasoning IS NULL AS keep FROM stem_pages WHERE id > 120 AND NOT corpus;
SELECT count(*) AS pages, count(DISTINCT topic) AS topics, min(length(body)) AS shortest, max(length(body)) AS longest FROM unlabelled;

\echo
\echo '-- 2. The rubric, and what it says of two pages'
SELECT gepa.create_grader('stem_rubric', 'rubric', 'demo_grader', $$
{
	"target": "document",
	"instructions": "The document is a web page on mathematics or physics, to be used to train a language model.",
	"criteria": [
		{"name": "formatting", "description": "Headings, paragraphs and formulas have survived: no menus or cookie notices between the text, no formula twice or in the source of a renderer, no lost line breaks.", "scale": [1, 5]},
		{"name": "reasoning", "description": "Each step says why it holds. Low for claims without reasons, arguments that assume the result, and numbers put into a formula that nobody explains.", "scale": [1, 5]}
	]
}$$) AS grader;
SELECT p.id, round(g.score::numeric, 2) AS score, g.objectives, g.feedback
FROM unlabelled p, gepa.grade('stem_rubric', jsonb_build_object('inputs', jsonb_build_object('document', p.body))) g
WHERE p.id IN (1, 9) ORDER BY p.id;

\echo
\echo '-- 3. May it be trusted? Its agreement with the editor, who has read 40 pages, with 95 % intervals'
SELECT gepa.create_dataset('stem_checked', source => 'demo_stem.checked', key => 'id', inputs => '{body}', label => 'keep') AS dataset;
-- A page with one fault of two has a score of 0.5, which the editor would not keep: see best_cut.
SELECT measure, n, round(value::numeric, 3) AS value, round(low::numeric, 3) AS low, round(high::numeric, 3) AS high
FROM gepa.grader_agreement('stem_rubric', 'stem_checked');

\echo
\echo '-- 4. A judge, and a dataset whose samples are graded in place of labelled'
SELECT gepa.create_judge('stem_page', lm => 'demo_judge', prompt => 'Is this page worth training a model of science on?',
	labels => '{keep,drop}', positive => '{keep}', options => jsonb_build_object('reasoning', true, 'max_chars', :max_chars)) AS judge;
SELECT gepa.create_dataset('stem_pages', source => 'demo_stem.unlabelled', key => 'id', inputs => '{body}', label => NULL,
	group_by => 'topic', options => '{"graders": [{"grader": "stem_rubric"}]}') AS dataset;

\echo
\echo '-- 5. Tune: the nearer the judge''s score to the rubric''s, the better'
SELECT gepa.optimize('stem_page', dataset => 'stem_pages', reflection_lm => 'demo_reflector', budget => :budget, seed => 1) AS run \gset
\ir run.sql
SELECT grader_calls, round(grader_cost, 4) AS grader_cost, rollouts FROM gepa.runs WHERE run = :run;

\echo
\echo '-- 6. The judge beside the editor, on the 40 pages, which the run has not seen; with a 95 % interval'
SELECT keep AS editor, gepa_judge('stem_page', body) AS judge, count(*) FROM checked GROUP BY 1, 2 ORDER BY 1, 2;
-- Wilson's interval.
SELECT n AS pages, round(p, 3) AS agree,
	round((p + 1.92 / n - 1.96 * sqrt(p * (1 - p) / n + 0.96 / n ^ 2)) / (1 + 3.84 / n), 3) AS low,
	round((p + 1.92 / n + 1.96 * sqrt(p * (1 - p) / n + 0.96 / n ^ 2)) / (1 + 3.84 / n), 3) AS high
FROM (SELECT count(*)::numeric AS n, avg((gepa_judge('stem_page', body) = keep)::int) AS p FROM checked) c;

\echo
\echo '-- 7. Filter the crawl: the best pages, and what is wrong with the others'
SELECT url, round(gepa_score('stem_page', body)::numeric, 2) AS score FROM stem_pages WHERE corpus AND gepa_judge('stem_page', body) ORDER BY score DESC, url;
SELECT coalesce(formatting, 'well') AS formatting, coalesce(reasoning, 'well') AS reasoning, count(*) AS pages,
	count(*) FILTER (WHERE gepa_judge('stem_page', body)) AS kept, round(avg(gepa_score('stem_page', body))::numeric, 2) AS mean_score
FROM stem_pages WHERE corpus GROUP BY 1, 2 ORDER BY kept DESC, mean_score DESC;
