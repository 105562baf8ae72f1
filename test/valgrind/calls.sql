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

-- And it still works.
ALTER SERVER lm OPTIONS (SET model 'judge-rules+slow-1')
SELECT metric, tuned FROM gepa.report('judge') WHERE metric = 'accuracy'
SELECT 'outcome: ' || string_agg(fault || ' ' || status || ' ' || n, ', ' ORDER BY first) FROM (SELECT fault, status, count(*) AS n, min(n) AS first FROM outcome GROUP BY 1, 2) o
