/*
 * Budgets of judges and roles, and what was spent.  A budget that was removed keeps
 * its row, without limits, so that its stamp is known to be the last one.
 */
CREATE TABLE gepa.budget
(
	judge int UNIQUE REFERENCES gepa.judge ON DELETE CASCADE,
	role regrole UNIQUE,
	calls bigint CHECK (calls >= 0), -- a day, as the others; NULL = no limit
	tokens bigint CHECK (tokens >= 0),
	cost numeric CHECK (cost >= 0),
	stamp bigint NOT NULL,			-- tells the later of two changes
	changed_at timestamptz NOT NULL DEFAULT now(),
	CHECK ((judge IS NULL) <> (role IS NULL))
);
COMMENT ON TABLE gepa.budget IS 'what a judge or a role may spend on calls a day';

-- Added to in the transactions that store what was paid for.  Of processes that
-- write at a time each has rows of its own, so that none waits for another.
CREATE TABLE gepa.spend_day
(
	day date NOT NULL,				-- UTC
	judge int NOT NULL,				-- may be gone
	lm text NOT NULL,
	role regrole NOT NULL,			-- on whose behalf it was
	purpose text NOT NULL,			-- as in gepa.lm_calls
	writer int NOT NULL,			-- number of the process
	calls bigint NOT NULL,			-- requests that were sent
	ok bigint NOT NULL,				-- answers that could be used
	failed bigint NOT NULL,			-- calls without
	input_tokens bigint NOT NULL,
	output_tokens bigint NOT NULL,
	cost numeric NOT NULL,
	PRIMARY KEY (day, judge, lm, role, purpose, writer)
);
COMMENT ON TABLE gepa.spend_day IS 'what calls have taken, by day';

CREATE FUNCTION gepa.set_budget(
	judge text DEFAULT NULL,
	role name DEFAULT NULL,
	calls bigint DEFAULT NULL,
	tokens bigint DEFAULT NULL,
	cost numeric DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'gepa_set_budget'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION gepa.set_budget(text, name, bigint, bigint, numeric) IS
	'limits what a judge, or a role, may spend on calls a day (UTC); without limits the budget is removed';

CREATE FUNCTION gepa.budget_accounts(
	OUT judge int, OUT role oid, OUT spent_calls bigint, OUT spent_tokens bigint,
	OUT spent_cost float8, OUT reserved_calls bigint, OUT reserved_tokens bigint,
	OUT reserved_cost float8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'gepa_budget_accounts'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION gepa.budget_accounts() IS
	'the accounts behind gepa.budgets that are in use, of roles whose rights one has';
