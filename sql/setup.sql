--
-- What the tests share.
--

-- How a statement is refused, with everything that the user would see.
CREATE FUNCTION refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'ACCEPTED: ' || statement;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', code || ' ' || message, '  DETAIL: ' || nullif(detail, ''),
		'  HINT: ' || nullif(hint, ''));
END
$$;

-- How many verdicts are stored.  With workers that is a moment later; wait for
-- as many as are expected, but not for ever.
CREATE FUNCTION stored(expected bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	FOR i IN 1..100 LOOP
		SELECT count(*) INTO n FROM gepa.verdicts;
		EXIT WHEN n >= expected;
		PERFORM pg_sleep(0.1);
	END LOOP;
	RETURN n;
END
$$;
