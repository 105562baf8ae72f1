# Whose verdicts are whose: a role does not learn, from a verdict being known,
# that a role it is not a member of has had a text judged; and each role sees
# in the views what was paid on its account.

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

# alice owns the judge; carol is of her group, dave as well but does not inherit;
# bob and eve may only use the LM.
sub prepare
{
	my ($node) = @_;

	create_lm($node, 'judging', $mock, 'judge-rules');
	create_lm($node, 'gated', $mock, 'judge-rules+gate');
	create_lm($node, 'broken', $mock, 'judge-rules+400');
	value($node, 'CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE eve; CREATE ROLE carol IN ROLE alice; CREATE ROLE dave NOINHERIT IN ROLE alice');
	may_call($node, qw(alice bob eve dave));
	value($node, 'GRANT CREATE ON SCHEMA public TO PUBLIC; GRANT USAGE ON FOREIGN SERVER judging, gated, broken TO PUBLIC');
	value($node, "SET ROLE alice; SELECT gepa.create_judge('j', 'judging', 'Is it good?'), gepa.create_judge('b', 'broken', 'Is it good?'),
		gepa.create_judge('g', 'gated', 'Is it good?')");
	return $node;
}

# ("cached", requests made) of a text judged by a role
sub asked
{
	my ($node, $role, $text) = @_;
	my $before = $mock->journal->{requests};
	my $cached = value($node, ($role ? "SET ROLE $role; " : '') . "SELECT cached FROM gepa_verdict('j', '$text')");

	return $cached . '|' . ($mock->journal->{requests} - $before);
}

sub rows
{
	my ($node, $role, $view) = @_;
	return value($node, ($role ? "SET ROLE $role; " : '') . "SELECT string_agg(payer || ':' || n, ' ' ORDER BY payer)
		FROM (SELECT payer, count(*) AS n FROM gepa.$view GROUP BY payer) v");
}

# What holds with a writer and without.
sub check
{
	my ($node, $name) = @_;

	is(asked($node, 'alice', 'a text'), 'f|1', "$name: the owner pays for a text");
	is(asked($node, 'bob', 'a text'), 'f|1', "$name: another role does not learn of it, and pays as well");
	is(asked($node, 'eve', 'a text'), 'f|1', "$name: ... nor a third");
	is(asked($node, 'dave', 'a text'), 'f|1', "$name: ... nor a member without the privileges");
	is(asked($node, $_, 'a text'), 't|0', "$name: " . ($_ || 'a superuser') . ' finds it') for 'alice', 'bob', 'eve', 'dave', 'carol', '';
	is(asked($node, 'carol', 'another'), 'f|1', "$name: what a member of the owner pays for");
	is(asked($node, 'alice', 'another'), 't|0', "$name: ... the owner finds");
	is(asked($node, 'bob', 'another'), 'f|1', "$name: ... and others do not");
	is(asked($node, '', 'a third'), 'f|1', "$name: what a superuser pays for");
	is(asked($node, 'carol', 'a third'), 't|0', "$name: ... is the owner's");

	is(rows($node, 'alice', 'verdicts'), 'alice:3', "$name: the owner sees its own verdicts");
	is(rows($node, 'carol', 'verdicts'), 'alice:3', "$name: ... and so do its members");
	is(rows($node, 'bob', 'verdicts'), 'bob:2', "$name: another role sees what it paid for");
	is(rows($node, 'eve', 'verdicts'), 'eve:1', "$name: ... and so does a third");
	is(rows($node, '', 'verdicts'), 'alice:3 bob:2 dave:1 eve:1', "$name: a superuser sees all");
	is(value($node, "SET ROLE bob; SELECT DISTINCT judge, version, status, positive IS NOT NULL FROM gepa.verdicts"), 'j|1|ok|t',
		"$name: rows of others have judge and version");

	# Failures.
	value($node, "SET ROLE $_; SELECT gepa_judge('b', 'a text')") for 'alice', 'bob', 'bob';
	is(rows($node, 'alice', 'verdict_errors'), 'alice:1', "$name: the owner sees its own failures");
	is(rows($node, 'bob', 'verdict_errors'), 'bob:1', "$name: ... and others theirs");
	is(value($node, 'SET ROLE bob; SELECT attempts FROM gepa.verdict_errors'), 2, "$name: ... counted apart");

	# One session, one transaction, several roles: what it knows is not told on.
	my $before = $mock->journal->{requests};
	is( value($node, <<~'SQL'), "f\nt\nf\nt\nt\nf", "$name: SET ROLE within a transaction");
		BEGIN;
		SET ROLE alice; SELECT cached FROM gepa_verdict('j', 'in one session');
		SET ROLE carol; SELECT cached FROM gepa_verdict('j', 'in one session');
		SET ROLE bob; SELECT cached FROM gepa_verdict('j', 'in one session');
		SET ROLE bob; SELECT cached FROM gepa_verdict('j', 'in one session');
		SET ROLE alice; SELECT cached FROM gepa_verdict('j', 'in one session');
		SET ROLE eve; SELECT cached FROM gepa_verdict('j', 'in one session');
		COMMIT;
		SQL
	is($mock->journal->{requests} - $before, 3, "$name: ... pays once for each");
	is(rows($node, '', 'verdicts'), 'alice:4 bob:3 dave:1 eve:2', "$name: ... and stores what each has paid for");

	# Even in one query.
	$before = $mock->journal->{requests};
	value($node, q{CREATE FUNCTION be(text, text) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM set_config(''role'', $1, false); RETURN $2; END'});
	is(value($node, "SELECT count(gepa_judge('j', be(r, 'in one query'))) FROM unnest('{alice,bob,carol,bob,alice}'::text[]) r"), 5,
		"$name: roles that change within a query");
	is($mock->journal->{requests} - $before, 2, "$name: ... are told apart");

	# Lending on purpose.
	value($node, "SET ROLE alice; CREATE FUNCTION shared(text) RETURNS bool LANGUAGE sql SECURITY DEFINER AS 'SELECT cached FROM gepa_verdict(''j'', \$1)'");
	is(value($node, "SET ROLE bob; SELECT shared('a third')"), 't', "$name: a SECURITY DEFINER function shares its owner's verdicts");
	is(asked($node, 'bob', 'a third'), 'f|1', "$name: ... which its caller does not find otherwise");
	return;
}

my $node = prepare(gepa_node('main'));
check($node, 'preloaded');
check(prepare(gepa_node('plain', preload => 0)), 'without preload');

# -- all rows of a version are in its partition, whoever paid

wait_sql($node, "SELECT set_config('role', 'eve', false), gepa_judge('j', clock_timestamp()::text) \\g /dev/null
	SELECT to_regclass('gepa.verdict_1_1') IS NOT NULL", 'a partition');
is(value($node, 'SELECT count(DISTINCT payer), count(*) = (SELECT count(*) FROM gepa.verdicts) FROM gepa.verdict_1_1'), '4|t',
	'a version has one partition for all payers');
is(asked($node, $_, 'a text'), 't|0', ($_ || 'a superuser') . ' finds its verdicts there') for 'alice', 'bob', 'eve', 'dave', '';

# -- while it is called: who waits for whom

$mock->reset;
$mock->gate(open => 0);
my @sessions = background($node, "SET ROLE alice; SELECT gepa_judge('g', 'in flight');");
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'a call of alice'), 'a call of the owner is in flight');
push @sessions, background($node, "SET ROLE bob; SELECT gepa_judge('g', 'in flight');");
ok($mock->wait_for(sub { $_->{waiting} == 2 }, 'a call of bob'), '... and another role does not wait for it');
push @sessions, map { background($node, "SET ROLE $_; SELECT gepa_judge('g', 'in flight');") } 'carol', 'bob';
wait_sql($node, "SELECT count(*) = 4 FROM pg_stat_activity WHERE query LIKE '%in flight%' AND state = 'active' AND pid <> pg_backend_pid()", 'four queries');
$mock->gate(open => 1);
finish($_) for @sessions;
is($mock->journal->{requests}, 2, '... while those of one account share one call');
value($node, "SET ROLE alice; SELECT gepa.drop_judge('g'), gepa.create_judge('g', 'gated', 'Is it good?')");

# -- before the writer has written: in the ring

my $lock = background($node, "BEGIN; LOCK TABLE gepa.verdict IN EXCLUSIVE MODE; SELECT 'locked';");
$lock->{run}->pump until $lock->{out} =~ /locked/;
value($node, "SET ROLE alice; SELECT gepa_judge('g', 'in the ring')");
is(value($node, "SET ROLE $_->[0]; SELECT cached FROM gepa_verdict('g', 'in the ring')"), $_->[1], "in the ring: $_->[0]")
  for [ 'alice', 't' ], [ 'carol', 't' ], [ 'bob', 'f' ], [ 'bob', 't' ], [ 'eve', 'f' ];
$lock->{in} .= "COMMIT;\n";
finish($lock);
wait_sql($node, "SELECT count(*) = 3 FROM gepa.verdicts WHERE judge = 'g'", 'three verdicts');
is(value($node, "SELECT string_agg(payer, ' ' ORDER BY payer) FROM gepa.verdicts WHERE judge = 'g'"), 'alice bob eve', 'all are written');

# -- a role that takes a name does not take what was paid under it

value($node, "SET ROLE bob; SELECT gepa.create_judge('his', 'judging', 'Is it his?'); SELECT gepa_judge('his', 'his text'); SELECT gepa_judge('j', 'his text')");
value($node, "ALTER ROLE bob RENAME TO robert; CREATE ROLE bob");
may_call($node, 'bob');
value($node, "SET ROLE bob; SELECT gepa.create_judge('new', 'judging', 'Is it his?')");
is(value($node, "SET ROLE bob; SELECT cached FROM gepa_verdict('$_', 'his text')"), 'f', "a role with an old name pays, judge $_") for 'new', 'j';
is(value($node, "SET ROLE robert; SELECT cached FROM gepa_verdict('$_', 'his text')"), 't', "... and who had it does not, judge $_")
  for 'his', 'j';

# -- a role that is gone

value($node, 'DROP OWNED BY eve; DROP ROLE eve');
is(value($node, "SELECT count(*) > 1 FROM gepa.verdicts WHERE payer ~ '^[0-9]+\$'"), 't', 'a superuser sees what was paid by a role that is gone');
is(value($node, "SET ROLE alice; SELECT count(*) FROM gepa.verdicts WHERE payer ~ '^[0-9]+\$'"), 0, '... and nobody else does');
value($node, "SET ROLE alice; SELECT gepa.alter_judge('j', prompt => 'Is it fine?'); SELECT gepa.prune_verdicts('j', 0)");
is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE judge = 'j'"), 0, 'pruning by the owner takes the rows of all payers');
value($node, "SET ROLE $_; SELECT gepa_judge('j', 'last')") for 'alice', 'bob', 'dave';
value($node, "SET ROLE alice; SELECT gepa.drop_judge('j')");
is(value($node, "SELECT count(*) FROM gepa.verdict WHERE judge = 1"), 0, '... and so does dropping the judge');

done_testing();
