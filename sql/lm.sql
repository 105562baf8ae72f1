--
-- Language models: servers of the wrapper gepa_lm, their options, and the
-- provider "canned", which answers without a network.
--
\pset format unaligned
\pset tuples_only on

-- The wrapper: a validator, no handler, so nobody makes tables of it.
CREATE SERVER regress_plain FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
CREATE FOREIGN TABLE regress_table (a int) SERVER regress_plain;
SELECT refused('SELECT * FROM regress_table');
DROP FOREIGN TABLE regress_table;
SELECT refused($$ALTER FOREIGN DATA WRAPPER gepa_lm OPTIONS (ADD model 'x')$$);

-- All options at once.
CREATE SERVER regress_full FOREIGN DATA WRAPPER gepa_lm OPTIONS (
	base_url 'https://lm.example.com:8443/v1', model 'some/model', api 'openai',
	max_concurrency '64', connect_timeout '5', request_timeout '90',
	structured_output 'json_object', logprobs 'true', extra_body '{"top_k": 20}',
	temperature '0.2', top_p '0.95', max_tokens '256', seed '7',
	reasoning_effort 'low', input_price '0.10', output_price '0.40',
	api_key_file '/etc/gepa/key', api_key_env 'GEPA_KEY', allow_private_address 'false');
CREATE USER MAPPING FOR CURRENT_USER SERVER regress_full OPTIONS (api_key 'secret-key-1');
SELECT lm, usable, api, base_url, model FROM gepa.lms WHERE lm LIKE 'regress_%' ORDER BY lm;

-- Required options.
SELECT refused($$CREATE SERVER bad FOREIGN DATA WRAPPER gepa_lm$$);
SELECT refused($$CREATE SERVER bad FOREIGN DATA WRAPPER gepa_lm OPTIONS (model 'x')$$);
SELECT refused($$CREATE SERVER bad FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://h/v1')$$);
SELECT refused($$ALTER SERVER regress_full OPTIONS (DROP base_url)$$);

-- Every option refuses what it cannot mean.
SELECT refused(format('CREATE SERVER bad FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (base_url %L, model %L, %s)', 'http://h/v1', 'm', option))
FROM (VALUES
	(1, $$nonsense '1'$$),
	(2, $$api 'telepathy'$$),
	(3, $$max_concurrency '0'$$),
	(4, $$max_concurrency 'many'$$),
	(5, $$max_concurrency '1.5'$$),
	(6, $$connect_timeout '5s'$$),
	(7, $$connect_timeout 'soon'$$),
	(8, $$request_timeout '0'$$),
	(9, $$request_timeout '10 parsecs'$$),
	(10, $$structured_output 'xml'$$),
	(11, $$logprobs 'perhaps'$$),
	(12, $$extra_body '{'$$),
	(13, $$extra_body '[1]'$$),
	(14, $$extra_body '{"messages": []}'$$),
	(15, $$extra_body '{"model": "other"}'$$),
	(16, $$extra_body '{"stream": true}'$$),
	(17, $$temperature 'warm'$$),
	(18, $$temperature '-0.1'$$),
	(19, $$temperature 'NaN'$$),
	(20, $$top_p '1.1'$$),
	(21, $$top_p ''$$),
	(22, $$max_tokens '0'$$),
	(23, $$max_tokens '99999999999'$$),
	(24, $$seed 'x'$$),
	(25, $$reasoning_effort ''$$),
	(26, $$input_price '-1'$$),
	(27, $$input_price 'free'$$),
	(28, $$output_price 'Infinity'$$),
	(29, $$allow_private_address 'maybe'$$),
	(30, $$api_key 'secret-key-2'$$),
	(31, $$api_key_file ''$$),
	(32, $$api_key_env ''$$),
	(33, $$temperature '.5'$$),
	(34, $$proxy 'socks5://h'$$),
	(35, $$extra_body '{"contents": []}'$$),
	(36, $$max_tokens_field 'tokens'$$),
	(37, $$http_version '3'$$),
	(38, $$ca_file 'ca.pem'$$),
	(39, $$client_cert ''$$),
	(40, $$client_key 'key.pem'$$),
	(41, $$unix_socket 'lm.sock'$$),
	(42, format('unix_socket %L', '/' || repeat('x', 107))),
	(43, $$cached_input_price 'half'$$),
	(44, $$requests_per_minute '0'$$),
	(45, $$tokens_per_minute '0.5'$$)) AS o(n, option)
ORDER BY n;

-- Options that do not go together, and what a dialect does not have.
SELECT refused(format('CREATE SERVER bad FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (base_url %L, model %L, %s)', 'http://h/v1', 'm', option))
FROM (VALUES
	(1, $$client_key '/k.pem'$$),
	(2, $$unix_socket '/s', proxy 'http://p'$$),
	(3, $$api 'anthropic', logprobs 'true'$$),
	(4, $$api 'anthropic', seed '1'$$),
	(5, $$api 'anthropic', structured_output 'json_object'$$),
	(6, $$api 'anthropic', max_tokens_field 'max_tokens'$$),
	(7, $$api 'gemini', structured_output 'tool'$$),
	(8, $$structured_output 'tool'$$),
	(9, $$http_version '2'$$)) AS o(n, option)
ORDER BY n;
SELECT refused(format('CREATE SERVER bad FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (api %L, base_url %L, model %L)', 'gemini', 'http://h/v1beta', model))
FROM (VALUES (1, '../../x'), (2, 'a//b'), (3, E'a\nb')) AS m(n, model) ORDER BY n;
SELECT refused($$SELECT gepa.lm_validator('{api_key=k}', 'pg_user_mapping'::regclass)$$);
SELECT refused($$ALTER SERVER regress_full OPTIONS (SET api 'anthropic')$$);
SELECT refused($$CREATE SERVER bad FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'gemini', base_url 'http://h/v1beta')$$);
CREATE SERVER regress_claude FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'anthropic',
	base_url 'https://h/v1', model 'm', logprobs 'off', structured_output 'tool', cached_input_price '0.01');
CREATE SERVER regress_tls FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'https://h/v1', model 'm',
	ca_file '/ca.pem', client_cert '/c.pem', client_key '/k.pem', http_version '1.1', max_tokens_field 'max_completion_tokens');

-- Base addresses.
SELECT refused(format('CREATE SERVER bad FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (base_url %L, model %L)', url, 'm'))
FROM (VALUES (1, ''), (2, 'nonsense'), (3, 'ftp://h/v1'), (4, 'file:///etc/passwd'),
	(5, 'http://'), (6, 'http://user:secret-key-3@h/v1'), (7, 'http://h/v1?key=secret-key-4'),
	(8, 'http://h/v1#fragment'), (9, E'http://h/v1\nHost: other'), (10, 'http://h:99999/v1')) AS u(n, url)
ORDER BY n;

-- User mappings have a key and nothing else.
SELECT refused($$CREATE USER MAPPING FOR CURRENT_USER SERVER regress_plain OPTIONS (password 'secret-key-5')$$);
SELECT refused($$CREATE USER MAPPING FOR CURRENT_USER SERVER regress_plain OPTIONS (api_key '')$$);
SELECT refused(format('CREATE USER MAPPING FOR CURRENT_USER SERVER regress_plain OPTIONS (api_key %L)',
	E'secret\nkey'));

-- A changed option is checked as well, and a good one is kept.
SELECT refused($$ALTER SERVER regress_full OPTIONS (SET temperature 'hot')$$);
ALTER SERVER regress_full OPTIONS (SET temperature '1', DROP seed, ADD requests_per_minute '600', ADD tokens_per_minute '1e9');
SELECT options ->> 'temperature', options ? 'seed' FROM gepa.lms WHERE lm = 'regress_full';

-- No key is shown.
SELECT count(*) FROM gepa.lms WHERE lms::text LIKE '%secret-key%';

-- Trying an LM out; what takes how long is not for a test.
SELECT item, ok FROM gepa.check_lm('regress_plain') ORDER BY item COLLATE "C";
SELECT max_concurrency, current_limit, in_flight, waiting, held_until, calls, ok, retries, errors,
	input_tokens > 0, output_tokens > 0, cost
FROM gepa.lm_stats WHERE lm = 'regress_plain';
SELECT lm, max_concurrency, requests_per_minute, tokens_per_minute, calls, since
FROM gepa.lm_stats WHERE lm LIKE 'regress_%' AND calls = 0 ORDER BY lm;
SELECT refused($$SELECT gepa.check_lm('regress_missing')$$);
CREATE FOREIGN DATA WRAPPER regress_wrapper;
CREATE SERVER regress_other FOREIGN DATA WRAPPER regress_wrapper;
SELECT refused($$SELECT gepa.check_lm('regress_other')$$);
SELECT count(*) FROM gepa.check_lm(NULL);

SET client_min_messages = warning;
DROP SERVER regress_plain, regress_full, regress_other, regress_claude, regress_tls CASCADE;
DROP FOREIGN DATA WRAPPER regress_wrapper;
