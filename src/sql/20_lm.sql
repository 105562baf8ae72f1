-- Language models: foreign servers of a wrapper that has a validator only.
CREATE FUNCTION gepa.lm_validator(options text[], catalog oid)
RETURNS void
AS 'MODULE_PATHNAME', 'gepa_lm_validator'
LANGUAGE C STRICT;
COMMENT ON FUNCTION gepa.lm_validator(text[], oid) IS
	'checks the options of language models and their user mappings';

CREATE FOREIGN DATA WRAPPER gepa_lm
	NO HANDLER
	VALIDATOR gepa.lm_validator;
COMMENT ON FOREIGN DATA WRAPPER gepa_lm IS
	'language models for gepa: one server per endpoint and model';

CREATE FUNCTION gepa.check_lm(lm name)
RETURNS TABLE (item text, ok bool, detail text)
AS 'MODULE_PATHNAME', 'gepa_check_lm'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.check_lm(name) IS
	'sends one small request to a language model and tells what works, and what to do about what does not';

-- Filters by the rights of whoever asks; gepa.lm_calls gives names to numbers.
CREATE FUNCTION gepa.call_log(
	OUT ended_at timestamptz, OUT role oid, OUT database oid, OUT lm text, OUT purpose text,
	OUT judge int, OUT version int, OUT run int, OUT status text, OUT http_status int,
	OUT attempts int, OUT input_tokens int, OUT output_tokens int, OUT cost float8,
	OUT latency_ms float8, OUT sample_rate float8, OUT detail text, OUT prompt text, OUT answer text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_call_log'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION gepa.call_log() IS
	'the calls behind gepa.lm_calls, oldest first, with numbers for names';
