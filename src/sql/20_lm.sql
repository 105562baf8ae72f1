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
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION gepa.check_lm(name) IS
	'sends one small request to a language model and tells what works';
