-- What the single backend finds: a tuned judge, its run, documents.  psql
-- variable: url.  Run by script/test valgrind.
CREATE EXTENSION gepa;
CREATE SERVER lm FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (base_url :'url', model 'judge-rules', allow_private_address 'true',
			 logprobs 'true', max_concurrency '8', request_timeout '1');
SELECT gepa.create_judge('judge', lm => 'lm', prompt => 'Keep it?');
SELECT gepa.create_dataset('labels', source => 'labels', key => 'id', inputs => '{body}', label => 'keep');
SELECT gepa.optimize('judge', dataset => 'labels', reflection_lm => NULL, budget => 60,
	options => '{"mode": "reference", "hard_budget": true, "skip_known_texts": true, "ascending_order": true,
		"zero_mean_merge": true, "expand_placeholders": false, "reuse_rollouts": true}');
CREATE TABLE document AS SELECT body FROM labels ORDER BY id LIMIT 2;

-- The status of two documents with this fault in the LM.
CREATE TABLE outcome (n serial, fault text, status text);
CREATE FUNCTION try(fault text) RETURNS void LANGUAGE plpgsql AS
$$
BEGIN
	EXECUTE format('ALTER SERVER lm OPTIONS (SET model %L)', 'judge-rules' || fault);
	INSERT INTO outcome (fault, status)
		SELECT fault, (gepa_verdict('judge', body)).status FROM document;
END
$$;

-- Statements with the judge node: does it stand in the plan, once it is executed?
CREATE TABLE page AS SELECT id, id % 3 AS grp, body FROM labels;
CREATE FUNCTION analyzed(sql text) RETURNS bool LANGUAGE plpgsql AS
$$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) ' || sql INTO plan;
	RETURN plan::text LIKE '%"Judge"%';
END
$$;
