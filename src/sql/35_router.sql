/*
 * Routers are rows of gepa.judge: one name is that of a judge or of a router.
 */
CREATE TABLE gepa.router_version
(
	judge int NOT NULL REFERENCES gepa.judge ON DELETE CASCADE,
	version int NOT NULL,
	rules jsonb NOT NULL,			-- [{"when":, "judge":}, ...] in order
	otherwise text NOT NULL,		-- the judge of what no rule is true of
	options jsonb NOT NULL,
	judges int[] NOT NULL,			-- those named, in the order of first mention
	classifiers int[] NOT NULL,		-- the same
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (judge, version)
);
COMMENT ON TABLE gepa.router_version IS 'immutable versions of routers';

CREATE TABLE gepa.router_run
(
	run int PRIMARY KEY REFERENCES gepa.run ON DELETE CASCADE,
	router int NOT NULL REFERENCES gepa.judge ON DELETE CASCADE,
	version int NOT NULL			-- of the router, that chose the samples
);
COMMENT ON TABLE gepa.router_run IS 'runs that tune a judge of a router on its slice of the labels';
CREATE INDEX router_run_router_idx ON gepa.router_run (router);

CREATE FUNCTION gepa.create_router(
	name text,
	rules jsonb[],
	"else" text,
	options jsonb DEFAULT '{}')
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_create_router'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.create_router(text, jsonb[], text, jsonb) IS
	'creates a router: a name, usable as a judge''s, that chooses the judge of each document by rules; returns its id';

CREATE FUNCTION gepa.alter_router(
	name text,
	rules jsonb[] DEFAULT NULL,
	"else" text DEFAULT NULL,
	options jsonb DEFAULT NULL)
RETURNS int
AS 'MODULE_PATHNAME', 'gepa_alter_router'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.alter_router(text, jsonb[], text, jsonb) IS
	'makes a new version of a router; returns its number';

CREATE FUNCTION gepa.route(router text, doc text)
RETURNS text
AS 'MODULE_PATHNAME', 'gepa_route_text'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION gepa.route(text, text) IS
	'the judge that a router chooses for a document; NULL where a judge has to be asked first';

CREATE FUNCTION gepa.route(router text, doc jsonb)
RETURNS text
AS 'MODULE_PATHNAME', 'gepa_route_jsonb'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION gepa.route(text, jsonb) IS
	'the judge that a router chooses for a document of several fields; NULL where a judge has to be asked first';

CREATE FUNCTION gepa.start_branches(
	router text,
	dataset text,
	reflection_lm name,
	budget int,
	seed bigint DEFAULT 0,
	options jsonb DEFAULT '{}',
	OUT judge text,
	OUT run int,
	OUT samples int,
	OUT reason text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_start_branches'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.start_branches(text, text, name, int, bigint, jsonb) IS
	'starts tuning each judge of a router on the samples that go to it; a judge without a run has a reason';

CREATE FUNCTION gepa.report_slices(
	router text,
	dataset text DEFAULT NULL,
	OUT judge text,
	OUT metric text,
	OUT n int,
	OUT baseline float8,
	OUT baseline_low float8,
	OUT baseline_high float8,
	OUT tuned float8,
	OUT tuned_low float8,
	OUT tuned_high float8,
	OUT p_value float8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_report_slices'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.report_slices(text, text) IS
	'gepa.report() of a router for each of its judges, on that judge''s slice';
