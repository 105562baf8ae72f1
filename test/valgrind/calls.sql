-- What touches libcurl, in a backend alone under valgrind: one command a line.
-- The faults are models of the mock; two documents each.
SET gepa.allow_lm_mismatch = on
SELECT item, ok FROM gepa.check_lm('lm') WHERE item <> 'latency'

-- A batch that ends well, whole and from the store.
SELECT metric, tuned FROM gepa.report('judge') WHERE metric = 'accuracy'
SELECT metric, tuned FROM gepa.report('judge') WHERE metric = 'accuracy'

-- Answers that come in odd ways.
SELECT count(try(f)) FROM unnest('{+chunked,+close,+nolength,+think,+reasoning,+splittoken,+badlogprobs,+nul}'::text[]) f
-- No answers.
SELECT count(try(f)) FROM unnest('{+html,+huge,+truncated-json,+badutf8,+prose,+length,+refusal,+toolong}'::text[]) f
-- Attempts that fail, and one more.
SELECT count(try(f)) FROM unnest('{+429-once,+500-once,+drop-once,+drop-body-once,+hang-once}'::text[]) f
-- A handshake that fails: the mock does not speak TLS.
ALTER SERVER lm OPTIONS (SET base_url 'https://127.0.0.1:@PORT@/v1')
INSERT INTO outcome (fault, status) SELECT 'tls', (gepa_verdict('judge', 'no handshake')).status
ALTER SERVER lm OPTIONS (SET base_url 'http://127.0.0.1:@PORT@/v1')

-- Errors that leave transfers behind: raised for one document, caught, raised in the middle of a batch, cancelled.
SET gepa.on_error = error
ALTER SERVER lm OPTIONS (SET model 'judge-rules+html')
SELECT gepa_judge('judge', body || '!') FROM document
DO $$ BEGIN PERFORM gepa_judge('judge', body || '?') FROM document; EXCEPTION WHEN OTHERS THEN INSERT INTO outcome (fault, status) VALUES ('caught', sqlstate); END $$
ALTER SERVER lm OPTIONS (SET model 'judge-rules+slow-20+key-other')
SELECT * FROM gepa.report('judge')
ALTER SERVER lm OPTIONS (SET model 'judge-rules+hang')
SET statement_timeout = '900ms'
SELECT * FROM gepa.report('judge')
SET statement_timeout = 0

-- The judge node: to the end, in lists and below aggregates, guarded, joined, below a LIMIT and in subqueries.
RESET gepa.on_error
ALTER SERVER lm OPTIONS (SET model 'judge-rules+slow-1')
SELECT analyzed('SELECT id FROM page WHERE gepa_judge(''judge'', body || 1)')
SELECT count(*) AS passed FROM page WHERE gepa_judge('judge', body || 1)
SELECT count(*) AS passed, count(v) AS verdicts FROM (SELECT gepa_verdict('judge', body || 1) AS v FROM page WHERE gepa_judge('judge', body || 2) OR gepa_score('judge', body || 3) > 0.5) q
SELECT analyzed('SELECT grp, count(*) FILTER (WHERE gepa_judge(''judge'', body || 4)) FROM page GROUP BY grp')
SELECT analyzed('SELECT CASE WHEN gepa_judge(''judge'', body || 5) THEN gepa_score(''judge'', body || 6) END FROM page ORDER BY id')
SELECT analyzed('SELECT a.id FROM page a JOIN page b ON a.id = b.grp WHERE gepa_judge(''judge'', b.body || 7) AND gepa_judge(''judge'', a.body || 7)')
SELECT analyzed('SELECT id FROM page WHERE gepa_judge(''judge'', body || 8) LIMIT 2')
SELECT analyzed('SELECT id FROM page p WHERE EXISTS (SELECT FROM page o WHERE o.id < p.grp AND gepa_judge(''judge'', o.body || 9))')
SELECT count(*) AS passed FROM unnest(gepa_judge('judge', (SELECT array_agg(body || 10) FROM page))) AS good WHERE good
UPDATE page SET grp = grp + 3 WHERE gepa_judge('judge', body || 11)
-- A cursor that stands, goes on and is closed early; a row that raises; failures; a query that is cancelled with calls in flight.
BEGIN
DECLARE c CURSOR FOR SELECT id FROM page WHERE gepa_judge('judge', body || 12) ORDER BY id + 0
DECLARE d CURSOR FOR SELECT id FROM page WHERE gepa_judge('judge', body || 13)
FETCH 1 FROM d
FETCH 1 FROM c
MOVE 5 IN d
ROLLBACK
SELECT max(1 / (id - 30)) FROM page WHERE gepa_judge('judge', body || 14) OR id = 30
DO $$ BEGIN PERFORM 1 / (id - 30) FROM page WHERE gepa_judge('judge', body || 15) OR id = 30; EXCEPTION WHEN OTHERS THEN INSERT INTO outcome (fault, status) VALUES ('in a row', sqlstate); END $$
ALTER SERVER lm OPTIONS (SET model 'judge-rules+reject-25')
SELECT count(*) AS passed FROM page WHERE gepa_judge('judge', body || 16)
SET gepa.on_error = error
SELECT count(*) AS passed FROM page WHERE gepa_judge('judge', body || 17)
RESET gepa.on_error
ALTER SERVER lm OPTIONS (SET model 'judge-rules+hang')
SET statement_timeout = '900ms'
SELECT count(*) AS passed FROM page WHERE gepa_judge('judge', body || 18)
SET statement_timeout = 0

-- And it still works.
ALTER SERVER lm OPTIONS (SET model 'judge-rules+slow-1')
SELECT metric, tuned FROM gepa.report('judge') WHERE metric = 'accuracy'
SELECT 'outcome: ' || string_agg(fault || ' ' || status || ' ' || n, ', ' ORDER BY first) FROM (SELECT fault, status, count(*) AS n, min(n) AS first FROM outcome GROUP BY 1, 2) o
