# Many documents in flight when a statement ends early: each answer that the endpoint
# had given by then is stored, whether the statement had looked at it or not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Report;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $report = prepare_report($node, $mock, rows => 200);

sub verdicts { return value($node, q{SELECT count(*) FROM gepa.verdicts WHERE judge = 'j'}); }

# A session with 32 calls in flight that has been told to end, and finds 20 answers and
# that when it looks again.
sub ended_with_answers
{
	my ($sql, $end) = @_;

	point_at($node, $mock, 'judge-rules+gate', 32);
	my $session = background($node, $sql);
	ok($mock->wait_for(sub { $_->{waiting} == 32 }, '32 at the gate'), 'a session with 32 calls in flight');
	kill 'STOP', $session->{pid};
	$mock->gate(pass => 20);
	ok($mock->wait_for(sub { $_->{completed} == 20 }, '20 answers'), '... 20 of which are answered');
	$end->($session);
	kill 'CONT', $session->{pid};
	return $session;
}

sub cancel { value($node, "SELECT pg_cancel_backend($_[0]{pid})"); return; }

my $session = ended_with_answers($report, \&cancel);
like((finish($session))[1], qr/ERROR:  57014/, 'it is cancelled');
wait_sql($node, q{SELECT count(*) >= 20 FROM gepa.verdicts WHERE judge = 'j'}, 'the writer');
is(verdicts(), 20, '... and the 20 answers are stored');
is($mock->journal->{requests}, 32, '... and nothing was sent after the cancel');

# The error is caught; what had come in is there at once.
$session = ended_with_answers("$Gepa::Report::allow DO \$\$
	BEGIN
		PERFORM gepa.report('j');
	EXCEPTION WHEN query_canceled THEN
		RAISE NOTICE 'caught %', SQLERRM;
	END \$\$; SELECT 'over';", \&cancel);
my ($out, $err) = finish($session);
like($err, qr/NOTICE:  00000: caught canceling statement due to user request/, 'a cancel that is caught is still that cancel');
like($out, qr/^over$/m, '... and the session goes on');
is(verdicts(), 40, '... and the answers are stored when it is committed');

# The next pays for what is missing, and for no other.
$mock->gate(open => 1);
my $before = $mock->journal->{requests};
is(value($node, $report), 't', 'a report after that');
is($mock->journal->{requests} - $before, 160, '... calls for the others alone');

done_testing();
