# Budgets: what a statement, a judge or a role may spend is never exceeded by callers side by
# side, is an error or a NULL, holds at once and at commit only, and outlives a crash.

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

# The statuses of so many texts that nobody has judged, and how many of each.
my $series = 0;

sub judging
{
	my ($judge, $n) = @_;
	my $prefix = 'series ' . ++$series;

	return "SELECT string_agg(status || '=' || n, ' ' ORDER BY status) FROM (SELECT (v).status, count(*) AS n"
	  . " FROM (SELECT gepa_verdict('$judge', '$prefix ' || i) AS v FROM generate_series(1, $n) i OFFSET 0) s"
	  . ' GROUP BY 1) c;';
}

sub spent
{
	my ($judge, $what) = @_;
	return value($node, "SELECT $what FROM gepa.budgets WHERE judge = '$judge'");
}

my $null = "SET gepa.on_budget = 'null';";

# -- a statement

my $judge = judge_on($node, $mock, 'judge-rules', max_concurrency => 8, max_tokens => 50,
	input_price => 1, output_price => 10);
is(value($node, "$null SET gepa.max_query_calls = 5;" . judging($judge, 12)), 'budget=7 ok=5', 'a statement has its calls');
is($mock->journal->{requests}, 5, '... and sends no more');
is(value($node, "SET gepa.max_query_calls = 5;" . judging($judge, 5) . judging($judge, 5)), "ok=5\nok=5",
	'... each anew');
my ($out, $err) = outcome($node, 'SET gepa.max_query_calls = 5;' . judging($judge, 6));
like($err, qr/ERROR:  53400: judge "$judge" has no verdict from LM "$judge": budget/, 'beyond it there is an error');
like($err, qr/DETAIL:  The budget of this statement is 5 calls, of which 5 are spent\./, '... which says what is used up');
like($err, qr/HINT:  Raise gepa.max_query_calls, .* Set gepa.on_budget to null/, '... and what to do');
($out, $err) = outcome($node, "SET gepa.max_query_calls = 1; SELECT gepa_judge('$judge', ARRAY['a', 'b']);");
like($err, qr/53400: .*budget/, '... for an array, too');
is(value($node, "$null SET gepa.max_query_calls = 1; SELECT array_length(array_remove(gepa_judge('$judge', ARRAY['c', 'd']), NULL), 1)"),
	1, '... or NULLs in it');
is(value($node, "$null SET gepa.max_query_calls = 0; SET gepa.enable_judge_node = off;"
		. "SELECT count(*) FROM generate_series(1, 3) n WHERE gepa_judge('$judge', 'none ' || n) IS NOT FALSE AND gepa_judge('$judge', 'none ' || n)"),
	0, 'a row without a verdict is not kept');
is(value($node, "SELECT count(*) FROM gepa.verdict_errors WHERE judge = '$judge'"), 0,
	'what a budget denies is no failure of the document');
like(value($node, "$null SET gepa.max_query_calls = 2; EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off)"
		. "SELECT gepa_judge('$judge', 'explained ' || n) FROM generate_series(1, 5) n"),
	qr/budget[ =:]+3|3 budget/i, 'EXPLAIN counts it');

# Tokens and money: an answer of the mock has 5, at most 50.
my $tokens = value($node, "$null SET gepa.max_query_tokens = 1000;" . judging($judge, 40));
like($tokens, qr/^budget=\d+ ok=\d+$/, 'a statement has its tokens');
my ($ok) = $tokens =~ /ok=(\d+)/;
cmp_ok($ok, '>', 5, '... of which most can be used');
cmp_ok(value($node, "SELECT sum(input_tokens + output_tokens) FROM gepa.verdicts WHERE judge = '$judge'"
	. " AND created_at = (SELECT max(created_at) FROM gepa.verdicts)"), '<=', 1000, '... and no more are taken');
like(value($node, "$null SET gepa.max_query_cost = 0.001;" . judging($judge, 40)), qr/^budget=\d+ ok=\d+$/, 'and its money');

# -- eight sessions, one budget

my $shared = judge_on($node, $mock, 'judge-rules+slow-5+500-rate-20-n1', max_concurrency => 16);
value($node, "SELECT gepa.set_budget('$shared', calls => 100)");
$mock->reset;
my @sessions = map { background($node, $null . judging($shared, 40)) } 1 .. 8;
my %sum = (ok => 0, budget => 0, http_error => 0);
for (@sessions)
{
	my ($statuses, $errors) = finish($_);
	is($errors, '', 'a session is served');
	$sum{$1} += $2 while $statuses =~ /(\w+)=(\d+)/g;
}
is($mock->journal->{requests}, 100, 'eight sessions send together what one budget allows, retries included');
is($sum{ok} + $sum{budget}, 320, '... and each document has a verdict, or the status budget');
is(spent($shared, "spent_calls || '/' || calls || ' ' || reserved_calls"), '100/100 0', '... all of it spent, nothing reserved');
wait_sql($node, "SELECT sum(ok) = $sum{ok} FROM gepa.spend WHERE judge = '$shared'", 'the writer');

my $money = judge_on($node, $mock, 'judge-rules+slow-5', max_concurrency => 16, max_tokens => 50, input_price => 1, output_price => 10);
value($node, "SELECT gepa.set_budget('$money', tokens => 5000, cost => 0.005)");
@sessions = map { background($node, $null . judging($money, 40)) } 1 .. 8;
is((finish($_))[1], '', 'a session is served') for @sessions;
is(spent($money, 'spent_tokens <= 5000 AND spent_cost <= 0.005 AND (spent_tokens > 4500 OR spent_cost > 0.0045)'), 't',
	'tokens and money are not overspent either, and used up');
is(spent($money, 'spent_tokens = (SELECT sum(input_tokens + output_tokens) FROM gepa.spend WHERE judge = \'' . $money . '\')'),
	't', '... and booked');

# -- a role's, and who may set what

value($node, 'CREATE ROLE alice LOGIN; CREATE ROLE boss LOGIN; GRANT alice TO boss WITH ADMIN OPTION');
may_call($node, 'alice', 'boss');
value($node, "GRANT USAGE ON FOREIGN SERVER $judge TO alice");
sub as { my ($role, $sql) = @_; return outcome($node, $sql, connstr => $node->connstr('postgres') . " user=$role"); }
like((as('alice', "SELECT gepa.set_budget(role => 'alice', calls => 99)"))[1], qr/42501: permission denied/, 'nobody sets their own budget');
like((as('alice', "SELECT gepa.set_budget('$judge', calls => 99)"))[1], qr/42501: must be owner/, '... nor that of a judge of another');
is((as('boss', "SELECT gepa.set_budget(role => 'alice', calls => 3)"))[1], '', 'who administers a role does');
is((as('alice', $null . judging($judge, 5)))[0], "budget=2 ok=3", 'the role has so many calls');
is((as('alice', 'SELECT role, spent_calls FROM gepa.budgets'))[0], "alice|3", '... and sees its budget, and no other');
is((as('alice', "SELECT lm, role, purpose, calls, ok FROM gepa.spend"))[0], "$judge|alice|judge|3|3", '... and its spending');

# -- at commit, and in queries that run

my $gated = judge_on($node, $mock, 'judge-rules+gate', max_concurrency => 2);
$mock->reset;
my $session = background($node, $null . judging($gated, 10));
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'a call'), 'a query runs');
my $open = $node->background_psql('postgres');
$open->query_safe("BEGIN; SELECT gepa.set_budget('$gated', calls => 0)");
$mock->gate(pass => 2);
ok($mock->wait_for(sub { $_->{requests} == 4 && $_->{waiting} == 2 }, 'calls'), 'a budget that is not committed does not hold');
$open->query_safe('COMMIT');
$open->quit;
$mock->gate(open => 1);
is((finish($session))[0], "budget=6 ok=4\n", '... and at commit holds for the query at work');
is(value($node, "BEGIN; SELECT gepa.set_budget('$gated', calls => 99); ROLLBACK;$null" . judging($gated, 1)), "\nbudget=1",
	'one that is rolled back does not');
is(value($node, "SELECT gepa.set_budget('$gated');" . judging($gated, 1)), "\nok=1", 'without limits it is removed');
is(spent($gated, 'count(*)'), 0, '... and no longer shown');

# -- a crash

my $lasting = judge_on($node, $mock, 'judge-rules', max_concurrency => 4);
value($node, "SELECT gepa.set_budget('$lasting', calls => 10)");
my $lock = $node->background_psql('postgres');
$lock->query_safe('BEGIN; LOCK TABLE gepa.verdict_default IN SHARE MODE');
$session = background($node, judging($lasting, 6));
$mock->reset;
is((finish($session))[0], "ok=6\n", 'six calls, whose verdicts cannot be written yet');
kill_server($node);
eval { $lock->quit };
$node->start;
is(value($node, $null . judging($lasting, 10)), 'budget=6 ok=4', 'after a crash the budget has four calls left');
wait_sql($node, "SELECT sum(calls) = 10 FROM gepa.spend WHERE judge = '$lasting'", 'the writer');
is(value($node, "SELECT calls, ok, failed FROM gepa.spend WHERE judge = '$lasting'"), '10|10|0', '... and all is booked, once');
$node->restart;
is(value($node, $null . judging($lasting, 1)), 'budget=1', '... and after a restart it is used up');

done_testing();
