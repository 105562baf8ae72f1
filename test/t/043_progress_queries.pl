# Queries with judges in gepa.progress: how far they are, what they wait for, who sees
# them, and that none stays behind.

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

create_lm($node, 'free', $mock, 'judge-rules', max_concurrency => 8, input_price => 1000, output_price => 1000);
create_lm($node, 'gated', $mock, 'judge-rules+gate', max_concurrency => 8, input_price => 1000, output_price => 1000);
value($node, "SELECT gepa.create_judge('f', 'free', 'Is it good?'), gepa.create_judge('g', 'gated', 'Is it good?'), gepa.create_judge('h', 'gated', 'Is it bad?')");
value($node, "CREATE TABLE docs AS SELECT i AS id, 'text ' || i AS body FROM generate_series(1, 100) i; ANALYZE docs");
value($node, "CREATE ROLE $_ LOGIN") for 'alice', 'bob', 'ann', 'watcher';
value($node, 'GRANT alice TO ann; GRANT pg_read_all_stats TO watcher; GRANT SELECT ON docs TO alice; GRANT USAGE ON FOREIGN SERVER gated, free TO alice');
may_call($node, 'alice');

my $queries = "FROM gepa.progress WHERE kind = 'query'";
sub gone { my ($how) = @_; return ok(wait_sql($node, "SELECT count(*) = 0 $queries", $how), $how); }

# The first call to an LM goes alone; here both have had theirs.
my $first = background($node, "SELECT gepa_judge('f', 'the first'), gepa_judge('g', 'the first');");
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'the first at the gate'), 'a first call');
$mock->gate(pass => 1);
finish($first);

# -- how far it is

# Of 100 documents 40 are judged at once, and 8 of the others then wait at the gate.
my $session = background($node, "SET ROLE alice; SELECT count(CASE WHEN id <= 40 THEN gepa_judge('f', body) ELSE gepa_judge('g', body) END) FROM docs;");
ok($mock->wait_for(sub { $_->{waiting} == 8 }, 'eight at the gate'), 'a query is at work');
ok(wait_sql($node, "SELECT judged = 40 AND in_flight = 8 $queries", 'forty judged, and the next on their way'), 'what has an answer is counted');
is(value($node, "SELECT run, judge, owner, status, phase, judged, in_flight, stored, failed, rollouts, budget, dataset $queries AND pid = $session->{pid}"),
	'|f, g|alice|running|judging|40|8|0|0|||', 'what it does');
ok(session_waits($node, $session, 'GepaLm'), 'what it waits for has a name');
is(value($node, "SELECT rows BETWEEN 48 AND 100, input_tokens > 0, output_tokens > 0, cost > 0, elapsed > '0', eta > '0' $queries"), 't|t|t|t|t|t',
	'... with tokens, cost, and the time to go');

# -- who sees it

my %sees = (alice => 1, ann => 1, watcher => 1, bob => 0);
is(value($node, "SET SESSION AUTHORIZATION $_; SELECT count(*) $queries"), $sees{$_}, "$_ sees " . ($sees{$_} ? 'it' : 'nothing'))
  for sort keys %sees;
value($node, 'CREATE DATABASE other');
value($node, 'CREATE EXTENSION gepa', db => 'other');
is(value($node, "SELECT count(*) $queries", db => 'other'), 0, 'other databases do not');
$mock->gate(open => 1);
is((finish($session))[0], "100\n", 'it ends');
gone('... and is shown no more');

# -- however it ends

$mock->gate(open => 0);
my $again = "SELECT count(gepa_judge('g', 'again ' || body)), count(gepa_judge('h', 'again ' || body)) FROM docs";
for my $end ('cancel', 'terminate')
{
	$session = background($node, "$again;");
	ok(wait_sql($node, "SELECT in_flight = 8 AND judge = 'g, h' $queries", 'at work'), 'a query with two judges');
	is(value($node, "SELECT pg_${end}_backend($session->{pid})"), 't', $end);
	finish($session);
	gone("... leaves nothing behind: $end");
}

# -- calls that start while it waits

# The second query has no place until the first one's are free; nothing is answered meanwhile.
my $holder = background($node, "$again;");
ok(wait_sql($node, "SELECT in_flight = 8 $queries", 'one at work'), 'a query has all places');
$session = background($node, "SELECT count(g), count(h) FROM (SELECT id, gepa_judge('g', 'later ' || body) AS g FROM docs OFFSET 0) a,
	LATERAL (SELECT gepa_judge('h', a.id || body) AS h FROM docs OFFSET 0) b;");
ok(wait_sql($node, "SELECT in_flight = 0 $queries AND pid = $session->{pid}", 'the other waits'), '... another has none');
is(value($node, "SELECT pg_cancel_backend($holder->{pid})"), 't', '... the first is cancelled');
finish($holder);
my $its = "$queries AND pid = $session->{pid}";
ok(wait_sql($node, "SELECT in_flight = 8 $its", 'its places'), '... and what the other then sends is seen');

# With eight answers its first row is ready, and the node below the join begins; all are of one statement.
$mock->gate(pass => 8);
ok(wait_sql($node, "SELECT rows > 100 AND in_flight = 8 $its", 'two nodes'), '... once, when two nodes are at work');
is(value($node, "SELECT pg_cancel_backend($session->{pid})"), 't', '... which is cancelled, too');
finish($session);
gone('... and gone');

# An error that is caught, and a cursor that is left alone.
$mock->gate(open => 1);
$session = background($node, "DO \$\$BEGIN PERFORM 1 / (gepa_judge('g', body)::int - gepa_judge('g', body)::int) FROM docs;
	EXCEPTION WHEN division_by_zero THEN PERFORM pg_sleep(0.01); END\$\$;\nBEGIN;\nDECLARE c CURSOR FOR SELECT gepa_judge('g', 'cursor ' || body) FROM docs;
	FETCH 3 FROM c;\nSELECT pg_sleep(600);");
ok(wait_sql($node, "SELECT in_flight = 0 $queries", 'a cursor'), 'a cursor that is left alone has nothing in flight, and is shown');
is(value($node, "SELECT pid = $session->{pid} $queries"), 't', '... alone: an error that was caught left nothing');
is(value($node, "SELECT pg_terminate_backend($session->{pid})"), 't', 'the session is ended');
finish($session);
gone('... and the cursor with it');

# -- without preload there is nothing to see

my $other = gepa_node('other', preload => 0);
create_lm($other, 'judging', $mock, 'judge-rules');
value($other, "SELECT gepa.create_judge('j', 'judging', 'Is it good?')");
is(value($other, "SELECT count(gepa_judge('j', 'text')), (SELECT count(*) FROM gepa.progress) FROM generate_series(1, 3)"), '3|0', 'without preload only runs are shown');

done_testing();
