# A verdict is paid for once: the next query, another session, a rollback, a
# cancel or a timeout do not make it paid for again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

create_lm($node, 'plain', $mock, 'judge-rules');
create_lm($node, 'gated', $mock, 'judge-rules+gate');
value($node, "SELECT gepa.create_judge('j', 'plain', 'Is it good?'), gepa.create_judge('g', 'gated', 'Is it good?')");
value($node, "CREATE TABLE docs AS SELECT i AS id, 'document ' || i AS body FROM generate_series(1, 20) i");

sub requests { return $mock->journal->{requests}; }

# Number of calls that the SQL makes in a session of its own.
sub calls
{
	my ($sql) = @_;
	my $before = requests();

	value($node, $sql);
	return requests() - $before;
}

# -- unchanged rows, equal texts, NULLs

my $filter = "SELECT string_agg(id::text, ',' ORDER BY id) FROM docs WHERE gepa_judge('j', body)";
my $first = value($node, $filter);
is(requests(), 20, 'the first query calls once for each document');
is(value($node, $filter), $first, 'the second says the same');
is(requests(), 20, '... without a call');
is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE judge = 'j'"), 20, 'a row for each verdict');

value($node, "UPDATE docs SET body = body || ' changed' WHERE id = 7");
is(calls($filter), 1, 'a changed row is one call');
is(calls("SELECT gepa_judge('j', 'one text'), gepa_score('j', 'one text') FROM generate_series(1, 5)"),
	1, 'equal texts in one query are one call, whatever the function');
is( value($node, q{
	SELECT string_agg((v).cached::text, ',') FROM (SELECT gepa_verdict('j', 'paid here') v FROM generate_series(1, 2)) s}),
	'false,false', 'a verdict is not "cached" in the statement that pays for it');
is(value($node, "SELECT cached FROM gepa_verdict('j', 'paid here')"), 't', '... but is in the next');
is(calls("SELECT gepa_judge('j', NULL::text), gepa_judge('j', '{\"document\": null}'::jsonb), gepa_judge(NULL, 'x')"),
	0, 'NULL in is NULL out, and no call');

# -- ends of transactions

sub paid_once
{
	my ($name, $sql, $text) = @_;

	is(calls($sql), 1, "$name: one call");
	is(calls("SELECT gepa_judge('j', '$text')"), 0, '... which is not paid for again');
}

paid_once('rollback', "BEGIN; SELECT gepa_judge('j', 'rolled back'); ROLLBACK", 'rolled back');
paid_once('rollback to savepoint', q{
	BEGIN; SAVEPOINT s; SELECT gepa_judge('j', 'savepoint'); ROLLBACK TO s; COMMIT}, 'savepoint');
paid_once('a caught error', q{
	DO $$ BEGIN PERFORM gepa_judge('j', 'caught'); PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN END $$}, 'caught');
paid_once('read-only transaction', "BEGIN READ ONLY; SELECT gepa_judge('j', 'read only'); COMMIT", 'read only');
paid_once('read-only rolled back', "BEGIN READ ONLY; SELECT gepa_judge('j', 'read only 2'); ROLLBACK", 'read only 2');

# Neither the judge nor its version is committed when the verdict is handed over.
is(calls(q{
	BEGIN; SELECT gepa.create_judge('new', 'plain', 'Is it new?'); SELECT gepa_judge('new', 'new text'); COMMIT}),
	1, 'a judge of the same transaction: one call');
is(calls("SELECT gepa_judge('new', 'new text')"), 0, '... which is not paid for again');
is(calls(q{
	BEGIN; SELECT gepa.alter_judge('new', prompt => 'Is it newer?'); SELECT gepa_judge('new', 'new text'); ROLLBACK;
	SELECT gepa.alter_judge('new', prompt => 'Is it newer?')}), 1, 'a version that is rolled back: one call');
is(calls("SELECT gepa_judge('new', 'new text')"), 0, '... which holds when the version is made after all');

is( value($node, q{
	BEGIN; SELECT gepa.alter_judge('new', prompt => 'Is it old?') AS v1 \gset
	SELECT gepa_judge('new', 'new text') AS answer \gset
	ROLLBACK;
	SELECT gepa.alter_judge('new', prompt => 'Is it bad?') AS v2 \gset
	SELECT :v1 = :v2, count(*) FROM gepa.verdicts WHERE judge = 'new' AND version = :v2}),
	't|0', 'a version with the number of one rolled back has none of its verdicts');

# What another role's endpoint says of a text is not believed, though model and prompt are the same.
value($node, 'CREATE ROLE mallory');
may_call($node, 'mallory');
value($node, "GRANT USAGE ON FOREIGN SERVER plain TO mallory; GRANT SELECT ON docs TO mallory");
is(calls("SET ROLE mallory; SELECT gepa.create_judge('hers', 'plain', 'Is it good?'); SELECT gepa_judge('hers', body) FROM docs"),
	20, 'an equal judge of another owner pays for its own');
value($node, "SELECT gepa.drop_judge('hers')");

# Equal judges share their verdicts, and the one that stays keeps them.
value($node, "SELECT gepa.create_judge('twin', 'plain', 'Is it good?')");
is(calls("SELECT gepa_judge('twin', body) FROM docs"), 0, 'an equal judge pays nothing');
value($node, "SELECT gepa.drop_judge('j')");
is(calls("SELECT gepa_judge('twin', body) FROM docs"), 0, '... even when the one that paid is dropped');
is(value($node, "SELECT count(*) > 20 FROM gepa.verdicts WHERE judge = 'twin'"), 't', '... whose verdicts are its own now');
value($node, "SELECT gepa.drop_judge('twin'), gepa.create_judge('j', 'plain', 'Is it good?')");
is(value($node, 'SELECT count(*) FROM gepa.verdict v WHERE v.judge NOT IN (SELECT j.judge FROM gepa.judge j)'),
	0, 'the last one takes them along');
is(calls("SELECT gepa_judge('j', body) FROM docs"), 20, '... and a new one starts from nothing');

# -- cancel and timeout, with two documents paid

sub interrupted
{
	my ($name, $first, $interrupt, $setting) = @_;
	my $rows = "FROM docs WHERE id BETWEEN $first AND $first + 3 AND gepa_judge('g', '$name' || body)";

	$mock->reset;
	$mock->gate(pass => 2);
	my $session = background($node, <<~SQL);
		BEGIN;
		SELECT gepa_judge('g', '$name' || body) FROM docs WHERE id BETWEEN $first AND $first + 1;
		$setting
		SELECT count(*) $rows;
		ROLLBACK;
		SQL
	$interrupt->($session);
	my (undef, $err) = finish($session);
	like($err, qr/57014/, "$name: the query ends");
	ok($mock->wait_for(sub { $_->{in_flight} == 0 }, 'no call in flight'), '... and gives its call up');
	is($mock->journal->{answered}, 2, '... with two documents paid');
	$mock->gate(open => 1);
	value($node, "SELECT count(*) $rows");
	is($mock->journal->{answered}, 4, '... which are not paid for again');
	$mock->gate(open => 0);
	return;
}

interrupted('cancel', 1, sub {
	my ($session) = @_;
	$mock->wait_for(sub { $_->{waiting} == 2 }, 'the other documents at the gate');
	value($node, "SELECT pg_cancel_backend($session->{pid})");
}, '');
interrupted('timeout', 1, sub { }, "SET LOCAL statement_timeout = '50ms';");

# -- planning and EXPLAIN

is(calls(q{
	EXPLAIN SELECT gepa_judge('j', 'never asked');
	EXPLAIN (VERBOSE) SELECT 1 FROM docs WHERE gepa_judge('j', 'never asked' || body);
	SET plan_cache_mode = force_generic_plan;
	PREPARE p(text) AS SELECT 1 FROM docs WHERE gepa_judge('j', $1);
	EXPLAIN EXECUTE p('never asked');
	CREATE VIEW v AS SELECT gepa_judge('j', 'never asked')}), 0, 'planning makes no call');
is(calls("EXPLAIN ANALYZE SELECT gepa_judge('j', 'asked by ANALYZE')"), 1, 'EXPLAIN ANALYZE executes');

done_testing();
