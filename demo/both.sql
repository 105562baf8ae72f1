-- Pages on science and pages with code in one crawl, graded by human labels and by a rubric
-- at once.  Two judges, since what makes such pages good has little in common, under one
-- name: a router sends each page to the judge of its kind, and each judge is tuned on the
-- labelled pages of its kind, by both graders.
--
--     psql -v base_url=http://gpu1:8000/v1 -v model=Qwen3-30B-A3B -v grader_base_url=https://api.example.com/v1 \
--          -v grader_model=opus -v reflection_base_url=https://api.example.com/v1 -v reflection_model=opus -f demo/both.sql
--
-- demo/README.md lists the variables: where the LMs are, private (true for an address of your
-- own network), budget.  Keys come from the environment.  The script can be run again: it begins
-- with dropping what it made.

\ir lms.sql
DO $$ BEGIN
	PERFORM gepa.drop_judge(router) FROM gepa.routers WHERE router = 'page';
	PERFORM gepa.drop_judge(judge) FROM gepa.judges WHERE judge IN ('page_science', 'page_code');
	PERFORM gepa.drop_dataset(dataset) FROM gepa.datasets WHERE dataset = 'page_labels';
	PERFORM gepa.drop_grader(grader) FROM gepa.graders WHERE grader IN ('page_match', 'page_rubric');
END $$;
DROP SCHEMA IF EXISTS demo_both CASCADE;
CREATE SCHEMA demo_both;
SET search_path = demo_both, public;

\echo
\echo '-- 1. A crawl of two kinds: 320 labelled pages, 80 that are to be filtered'
\ir stem_pages.sql
\ir code_pages.sql
CREATE VIEW pages AS
SELECT url, 'science' AS kind, topic, body, corpus, CASE WHEN formatting IS NULL AND reasoning IS NULL THEN 'keep' ELSE 'drop' END AS label,
	'' AS note, concat_ws(', ', formatting, reasoning) AS about
FROM stem_pages
UNION ALL
SELECT url, 'code', topic, body, corpus, label, note, kind FROM code_pages;
CREATE VIEW labelled AS SELECT url, kind, topic, body, label, note FROM pages WHERE NOT corpus;
SELECT kind, label, count(*) FILTER (WHERE NOT corpus) AS labelled, count(*) FILTER (WHERE corpus) AS crawl FROM pages GROUP BY kind, label ORDER BY kind, label;

\echo
\echo '-- 2. Two judges and the router over them'
SELECT gepa.create_judge(name, lm => 'demo_judge', prompt => prompt, labels => '{keep,drop}', positive => '{keep}',
	options => jsonb_build_object('reasoning', true, 'max_chars', :max_chars)) AS judge
FROM (VALUES ('page_science', 'Is this page worth training a model of science on?'),
	('page_code', 'Is this page worth training a code model on?')) j(name, prompt);
SELECT gepa.create_router('page', ARRAY['{"when": "kind = ''code''", "judge": "page_code"}']::jsonb[], 'page_science',
	'{"fields": {"kind": "text"}}') AS router;

\echo
\echo '-- 3. Two graders: the label counts twice; the rubric says what is wrong where the labeller did not'
SELECT gepa.create_grader('page_match', 'labels') AS grader;
SELECT gepa.create_grader('page_rubric', 'rubric', 'demo_grader', $$
{
	"target": "document",
	"instructions": "The document is a web page on science or programming, to be used to train a language model.",
	"criteria": [
		{"name": "formatting", "description": "Text, formulas and code have survived as a reader should see them: no menus, no minified code, no bare lists of links, no lost line breaks.", "scale": [1, 5]},
		{"name": "reasoning", "description": "Somebody explains something: steps and code have their reasons. Low for bare claims, circular arguments, licences, lock files and what a tool has generated.", "scale": [1, 5]}
	]
}$$) AS grader;
SELECT gepa.create_dataset('page_labels', source => 'demo_both.labelled', key => 'url', inputs => '{body}', label => 'label',
	feedback => 'note', group_by => 'topic',
	options => '{"graders": [{"grader": "page_match", "weight": 2}, {"grader": "page_rubric", "weight": 1}]}') AS dataset;

\echo
\echo '-- 4. Tune both, each on its pages, side by side'
CREATE TEMPORARY TABLE branch AS SELECT * FROM gepa.start_branches('page', dataset => 'page_labels', reflection_lm => 'demo_reflector', budget => :budget, seed => 1);
SELECT judge, samples, reason FROM branch ORDER BY judge;
SELECT judge, gepa.wait(run) AS status FROM branch ORDER BY judge;
SELECT run FROM branch WHERE judge = 'page_science' \gset
\echo
\echo '-- 5. The judge of science'
\ir run.sql
SELECT run FROM branch WHERE judge = 'page_code' \gset
\echo
\echo '-- 6. The judge of code'
\ir run.sql

\echo
\echo '-- What each grader makes of both winners, by samples that chose nothing'
SELECT r.judge, o.key AS objective, count(*) AS pages, round(avg(o.value::float8)::numeric, 3) AS mean
FROM gepa.runs r
	JOIN gepa.decisions d ON d.run = r.run AND d.kind = 'held_out'
	JOIN gepa.rollouts l ON l.run = r.run AND l.candidate = r.best_candidate AND l.sample = ANY (d.samples)
	CROSS JOIN LATERAL jsonb_each_text(l.objectives) o
WHERE r.run IN (SELECT run FROM branch)
GROUP BY 1, 2 ORDER BY 1, 2;
SELECT judge, rollouts, grader_calls, round(grader_cost, 4) AS grader_cost FROM gepa.runs WHERE run IN (SELECT run FROM branch) ORDER BY judge;

\echo
\echo '-- 7. On all held-out pages, judge by judge and together, 95 % intervals'
SELECT judge, metric, n, round(baseline::numeric, 3) AS baseline, round(baseline_low::numeric, 3) AS low, round(baseline_high::numeric, 3) AS high,
	round(tuned::numeric, 3) AS tuned, round(tuned_low::numeric, 3) AS low, round(tuned_high::numeric, 3) AS high
FROM (SELECT judge, metric, n, baseline, baseline_low, baseline_high, tuned, tuned_low, tuned_high FROM gepa.report_slices('page', 'page_labels')
	UNION ALL
	SELECT 'page', metric, n, baseline, baseline_low, baseline_high, tuned, tuned_low, tuned_high FROM gepa.report('page')) r
WHERE metric IN ('accuracy', 'precision', 'recall', 'undecided') ORDER BY metric, judge;

\echo
\echo '-- 8. Filter the crawl: one name, the right judge for each page'
SELECT (v).judge, about, count(*) AS pages, count(*) FILTER (WHERE (v).positive) AS kept
FROM (SELECT about, gepa_verdict('page', jsonb_build_object('document', body, 'kind', kind)) AS v FROM pages WHERE corpus) p
GROUP BY 1, 2 ORDER BY 1, 4 DESC, 2;
SELECT url FROM pages WHERE corpus AND gepa_judge('page', jsonb_build_object('document', body, 'kind', kind)) ORDER BY url LIMIT 5;
