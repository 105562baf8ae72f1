# A document without a verdict: NULL, a status, a row that says why; and
# another try by the next query.

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

# One judge for each way to fail; each has an LM of its own.
sub judge
{
	my ($name, $model, %options) = @_;

	create_lm($node, $name, $mock, $model, %options);
	value($node, "SELECT gepa.create_judge('$name', '$name', 'Is it good?')");
	return;
}

my %failing = (
	unparseable => 'judge-rules+prose',
	refused => 'judge-rules+refusal',
	truncated => 'judge-rules+length',
	too_long => 'judge-rules+toolong',
	http_error => 'judge-rules+400',
	timeout => 'judge-rules+hang');
my $errors = 'SELECT judge, status, attempts, detail <> \'\' FROM gepa.verdict_errors';

for my $status (sort keys %failing)
{
	judge($status, $failing{$status}, $status eq 'timeout' ? (request_timeout => '0.1') : ());
	my ($out, $err) = outcome($node, "SELECT gepa_judge('$status', 'text'), gepa_score('$status', 'text'), status, label, positive, score, cached, version FROM gepa_verdict('$status', 'text')");
	is($out, "||$status||||f|1", "$status: NULL with a status");
	is($err, '', '... and no error');
	my $calls = $mock->journal->{by_model}{ $failing{$status} }{requests};
	is(value($node, "$errors WHERE judge = '$status'"), "$status|$status|$calls|t",
		"... in one row, its $calls attempt(s) counted, asked once in one statement");
	is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE judge = '$status'"), 0, '... and no verdict');
	next if $status eq 'timeout';	# five attempts take their time
	($out, $err) = outcome($node, "SET gepa.on_error = error; SELECT gepa_judge('$status', 'text')");
	like($err, qr/ERROR:  \w{5}: judge "$status" has no verdict from LM "$status": $status\n.*HINT:/s,
		'... which is raised when asked for');
	ok(wait_sql($node, "SELECT attempts = 2 * $calls FROM gepa.verdict_errors WHERE judge = '$status'", 'the writer'),
		'... and counted as well');
}
is(value($node, "SELECT count(*) FROM unnest('{a,b}'::text[]) d WHERE NOT coalesce(gepa_judge('refused', d), false)"), 2,
	'three values: neither true nor false');

# -- failures in between: the other documents are judged

judge('some', 'judge-rules+garbage-30');
my $documents = "FROM generate_series(1, 40) i, gepa_verdict('some', 'document ' || i)";
my ($good, $bad) = split /\|/, value($node,
	"SELECT count(label), count(*) FILTER (WHERE status = 'unparseable') $documents");
is($good + $bad, 40, "of 40 documents $good have a verdict, $bad have none");
cmp_ok($bad, '>', 0, '... some have none');
is(value($node, "SELECT count(*) FROM gepa.verdict_errors WHERE judge = 'some'"), $bad, '... each with its row');
$mock->reset;
value($node, "SELECT count(*) $documents");
is($mock->journal->{requests}, $bad, 'the next query tries those again, and no others');
is(value($node, "SELECT count(*), sum(attempts) FROM gepa.verdict_errors WHERE judge = 'some'"),
	"$bad|" . 2 * $bad, '... which the rows count');

# -- success takes the row away

judge('once', 'judge-rules+400-once');
is(value($node, "SELECT status FROM gepa_verdict('once', 'text')"), 'http_error', 'a failure');
is(value($node, "SELECT count(*) FROM gepa.verdict_errors WHERE judge = 'once'"), 1, '... with its row');
is(value($node, "SELECT status, cached FROM gepa_verdict('once', 'text')"), 'ok|f', 'the next query succeeds');
is(value($node, "SELECT count(*) FROM gepa.verdict_errors WHERE judge = 'once'"), 0, '... and the row is gone');

# -- a failure is recorded whatever becomes of the transaction

value($node, "BEGIN; SELECT gepa_judge('refused', 'rolled back'); ROLLBACK");
wait_sql($node, "SELECT count(*) = 4 FROM gepa.verdict_errors WHERE judge = 'refused'", 'the row');
is(value($node, "SELECT count(*) FROM gepa.verdict_errors WHERE judge = 'refused'"), 4, 'a rollback keeps the reason');

# All calls that may be in flight are answered while the session does not look; the first
# failure that it then meets ends the query, and what has come in is kept.
judge('paid', 'judge-rules+garbage-30+gate');
my $session = background($node, "SET gepa.on_error = error; SELECT count(gepa_judge('paid', 'document ' || i)) FROM generate_series(1, 40) i;");
ok($mock->wait_for(sub { $_->{waiting} == 16 }, '16 at the gate'), 'calls in flight');
kill 'STOP', $session->{pid};
$mock->gate(pass => 16);
ok($mock->wait_for(sub { $_->{by_model}{'judge-rules+garbage-30+gate'}{answered} == 16 }, '16 answers'), '... are answered');
kill 'CONT', $session->{pid};
like((finish($session))[1], qr/unparseable/, 'an error in the middle of a query');
my $known = join ' + ', map { "(SELECT count(*) FROM gepa.$_ WHERE judge = 'paid')" } 'verdicts', 'verdict_errors';
wait_sql($node, "SELECT $known = 16", 'what was paid');
is(value($node, "SELECT $known"), 16, '... keeps all that had been answered before it');

# -- what no further call can escape ends the query, with what to do

judge('key', 'judge-rules+key-secret');
my (undef, $err) = outcome($node, "SELECT gepa_judge('key', 'text ' || i) FROM generate_series(1, 5) i");
like($err, qr/ERROR:  28000:.*HINT:/s, 'a refused key is an error');
is($mock->journal->{by_model}{'judge-rules+key-secret'}{requests}, 1, '... after one call');
value($node, "CREATE USER MAPPING FOR CURRENT_USER SERVER key OPTIONS (api_key 'secret')");
is(value($node, "SELECT count(gepa_judge('key', 'text ' || i)) FROM generate_series(1, 5) i"), 5, '... until it is right');

done_testing();
