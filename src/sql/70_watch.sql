-- Reading a run: what came of what, and how texts differ.
CREATE FUNCTION gepa.prompt_diff(
	run int,
	a int,
	b int,
	OUT component text,
	OUT diff text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_prompt_diff'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION gepa.prompt_diff(int, int, int) IS
	'how candidate b of a run differs from candidate a, word by word: [-gone-] {+come+}';

/*
 * A tree in text: each candidate under its first parent; of a merge the other
 * one is named, the best is starred.
 */
CREATE FUNCTION gepa.lineage(run int)
RETURNS SETOF text
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH RECURSIVE node AS (
		SELECT c.candidate, c.parents[1] AS parent, c.parents[2] AS other, c.score,
			p.component, c.candidate = r.best_candidate AS best,
			row_number() OVER (PARTITION BY c.parents[1] ORDER BY c.candidate DESC) = 1 AS last
		FROM gepa.runs r
			JOIN gepa.candidates c ON c.run = r.run
			LEFT JOIN gepa.proposals p ON p.run = c.run AND p.candidate = c.candidate
		WHERE r.run = lineage.run
	), tree AS (
		SELECT n.candidate, '' AS branch, '' AS indent, ARRAY[n.candidate] AS path
		FROM node n
		WHERE n.parent IS NULL
		UNION ALL
		SELECT n.candidate,
			t.indent || CASE WHEN n.last THEN '`- ' ELSE '|- ' END,
			t.indent || CASE WHEN n.last THEN '   ' ELSE '|  ' END,
			t.path || n.candidate
		FROM tree t
			JOIN node n ON n.parent = t.candidate
	)
	SELECT t.branch || n.candidate || '  ' || coalesce(round(n.score::numeric, 4)::text, '?')
		|| coalesce('  ' || n.component, CASE WHEN n.parent IS NULL THEN '  seed' ELSE '' END)
		|| coalesce('  merged with ' || n.other, '')
		|| CASE WHEN n.best THEN '  *' ELSE '' END
	FROM tree t
		JOIN node n ON n.candidate = t.candidate
	ORDER BY t.path;
END;
COMMENT ON FUNCTION gepa.lineage(int) IS
	'the candidates of a run as a tree, with their scores; the best is starred';

CREATE FUNCTION gepa.replay(
	run int,
	OUT steps int,
	OUT candidates int,
	OUT difference text)
RETURNS record
AS 'MODULE_PATHNAME', 'gepa_replay'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION gepa.replay(int) IS
	'runs the engine over what was recorded of a run, without any LM; the first difference, NULL when there is none';
