-- The LMs of stem.sql, code.sql, both.sql and preference.sql, which include this: servers
-- demo_judge, demo_reflector and demo_grader, from psql variables.  demo/README.md lists them.
-- Keys come from the environment (GEPA_API_KEY, GEPA_REFLECTION_API_KEY, GEPA_GRADER_API_KEY),
-- so that no process list and no log has them.

\set ON_ERROR_STOP on
\set QUIET on
\pset footer off
\pset null '-'
\timing off
SET client_min_messages = warning;
\if :{?base_url}
\else
DO $$ BEGIN RAISE 'no LM' USING HINT = 'Run psql with -v base_url=http://host:port/v1 -v model=name; demo/README.md has the other variables.'; END $$;
\endif
\if :{?private}
\else
\set private false
\endif
\if :{?lm_options}
\else
\set lm_options 'logprobs ''true'', temperature ''0'''
\endif
\if :{?max_chars}
\else
\set max_chars 3000
\endif
\if :{?budget}
\else
\set budget 400
\endif

-- Where nothing is said of the LM that writes prompts it is the judge's, of the grader's that one.
-- An LM at the same address has the same key,
-- unless it has its own.
\getenv api_key GEPA_API_KEY
\getenv reflection_api_key GEPA_REFLECTION_API_KEY
\getenv grader_api_key GEPA_GRADER_API_KEY
\if :{?reflection_base_url}
\else
\set reflection_base_url :base_url
\set reflection_private :private
\if :{?reflection_api_key}
\elif :{?api_key}
\set reflection_api_key :api_key
\endif
\endif
\if :{?reflection_model}
\else
\set reflection_model :model
\endif
\if :{?reflection_private}
\else
\set reflection_private false
\endif
SELECT :'reflection_model' <> '' AS reflecting \gset
\if :{?grader_base_url}
\else
\set grader_base_url :reflection_base_url
\set grader_private :reflection_private
\if :{?grader_api_key}
\elif :{?reflection_api_key}
\set grader_api_key :reflection_api_key
\endif
\endif
\if :{?grader_model}
\else
\set grader_model :reflection_model
\endif
\if :{?grader_private}
\else
\set grader_private false
\endif

CREATE EXTENSION IF NOT EXISTS gepa;
DROP SERVER IF EXISTS demo_judge CASCADE;
DROP SERVER IF EXISTS demo_reflector CASCADE;
DROP SERVER IF EXISTS demo_grader CASCADE;
CREATE SERVER demo_judge FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (base_url :'base_url', model :'model', :lm_options);
\if :private
ALTER SERVER demo_judge OPTIONS (ADD allow_private_address 'true');
\endif
\if :reflecting
CREATE SERVER demo_reflector FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (base_url :'reflection_base_url', model :'reflection_model');
\if :reflection_private
ALTER SERVER demo_reflector OPTIONS (ADD allow_private_address 'true');
\endif
CREATE SERVER demo_grader FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (base_url :'grader_base_url', model :'grader_model', temperature '0');
\if :grader_private
ALTER SERVER demo_grader OPTIONS (ADD allow_private_address 'true');
\endif
\endif

-- Past the server's log.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SET track_activities = off;
\if :{?api_key}
CREATE USER MAPPING FOR CURRENT_USER SERVER demo_judge OPTIONS (api_key :'api_key');
\endif
\if :reflecting
\if :{?reflection_api_key}
CREATE USER MAPPING FOR CURRENT_USER SERVER demo_reflector OPTIONS (api_key :'reflection_api_key');
\endif
\if :{?grader_api_key}
CREATE USER MAPPING FOR CURRENT_USER SERVER demo_grader OPTIONS (api_key :'grader_api_key');
\endif
\endif
\unset api_key
\unset reflection_api_key
\unset grader_api_key
RESET log_statement;
RESET log_min_error_statement;
RESET log_min_duration_statement;
RESET track_activities;
