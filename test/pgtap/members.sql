/*
 * What holds of every object of the extension, whatever it is called.
 *
 * Run in a database that has the extensions pgtap and gepa.
 */
BEGIN;
SELECT no_plan();
LOAD 'gepa';
SET client_min_messages = warning;

\ir members.psql

-------------------------------------------------------------------- comments

SELECT is_empty(
	$$SELECT what FROM member
		WHERE classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_namespace'::regclass,
				'pg_foreign_data_wrapper'::regclass)
			AND obj_description(objid, classid::regclass::name) IS NULL
			AND NOT EXISTS (SELECT FROM pg_class WHERE oid = objid AND relkind IN ('S', 'i'))$$,
	'every object has a comment');

------------------------------------------------------------------------ dump

SELECT is_empty(
	$$SELECT relation::regclass FROM member_relation
		WHERE relkind IN ('r', 'S') AND relation <> ALL (
			(SELECT extconfig FROM pg_extension WHERE extname = 'gepa')::oid[])$$,
	'pg_dump keeps every table and sequence that has rows of its own');

SELECT finish();
ROLLBACK;
