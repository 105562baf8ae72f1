# Whatever a call waits for, cancel, statement_timeout, termination and a fast
# shutdown end it at once: the endpoint sees it called back, and a session that
# lives on works and has leaked nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
# So few descriptors that a call which leaks its own is soon noticed.
my $node = gepa_node('main', conf => "max_files_per_process = 64\n");
my $texts = 0;
my $event = $node->pg_version >= 17 ? 'GepaLm' : 'Extension';

create_lm($node, 'lm', $mock, 'judge-fixed-true');
value($node, q{SELECT gepa.create_judge('j', 'lm', 'Is it good?')});

sub judge
{
	my ($judge) = @_;
	return "SELECT gepa_judge('$judge', 'text @{[ ++$texts ]}');";
}

# What a call can wait for; what the journal shows when it does; and how many
# answers nobody is there to take when it is ended.  A back-off is short and of
# random length, but between many calls that all fail there is always one.
# Nobody accepts at the port of the handshake, so there is nothing to be seen.
my $in_flight = sub { $_->{in_flight} == 1 };
my $answered = sub { $_->{completed} > 0 };
my %waits = (
	'the first byte' => [ 'judge-fixed-true+hang', $in_flight, 1 ],
	'the body' => [ 'judge-fixed-true+drip-200', $in_flight, 1 ],
	'Retry-After' => [ 'judge-fixed-true+429-s60', $answered, 0 ],
	'the next attempt' => [ 'judge-fixed-true+500', $answered, undef ],
	'the TLS handshake' => [ 'judge-fixed-true', sub { 1 }, 0 ]);
my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64) or die $!;

for my $wait (sort keys %waits)
{
	my @url = $wait =~ /TLS/ ? (base_url => 'https://127.0.0.1:' . $deaf->sockport . '/v1') : ();
	my $judge = judge_on($node, $mock, $waits{$wait}[0], @url);
	$waits{$wait}[3] = judge($judge);
	$waits{$wait}[3] = "SELECT count(gepa_judge('$judge', 'text ' || i)) FROM generate_series(1, 1000) i;"
	  if $wait eq 'the next attempt';
}

# A session that waits in the way that is asked for.
sub waiting_session
{
	my ($wait) = @_;
	my (undef, $condition, undef, $statement) = @{ $waits{$wait} };

	$mock->reset;
	my $session = background($node, $statement . judge('j'));
	$mock->wait_for($condition, "a call that waits for $wait");
	wait_sql($node, "SELECT wait_event = '$event' FROM pg_stat_activity WHERE pid = $session->{pid}",
		'a session that waits');
	return $session;
}

# The endpoint's side of it: nothing goes on, no answer was taken.
sub called_back
{
	my ($wait) = @_;
	my $aborted = $waits{$wait}[2];

	ok($mock->wait_for(sub { $_->{in_flight} == 0 }, 'none in flight'), '... and the call');
	is($mock->journal->{aborted}, $aborted, '... without an answer') if defined $aborted;
	return;
}

for my $wait (sort keys %waits)
{
	my $session = waiting_session($wait);
	is(value($node, "SELECT pg_cancel_backend($session->{pid})"), 't', "cancel, waiting for $wait");
	my ($out, $err) = finish($session);
	like($err, qr/ERROR:  57014: canceling statement due to user request/, '... ends the statement');
	is($out, "t\n", '... and the session goes on and gets an answer');
	called_back($wait);

	$session = waiting_session($wait);
	is(value($node, "SELECT pg_terminate_backend($session->{pid}, 60000)"), 't', "terminate, waiting for $wait");
	(undef, $err) = finish($session);
	like($err, qr/FATAL:  57P01/, '... ends the session');
	called_back($wait);

	($out, $err) = outcome($node, "SET statement_timeout = '200ms'; $waits{$wait}[3]; RESET statement_timeout; " . judge('j'));
	like($err, qr/ERROR:  57014: canceling statement due to statement timeout/, "statement_timeout, waiting for $wait");
	is($out, 't', '... and the session goes on');
	ok($mock->wait_for(sub { $_->{in_flight} == 0 }, 'none in flight'), '... without the call');
}

# One session, many cancels: its descriptors are what they were after the first
# round, and the account of them that fd.c keeps lets further calls through.
my $round = "SET statement_timeout = '50ms'; "
  . join('', map { $_->[3] } values %waits)
  . 'RESET statement_timeout;';
my $count = q{SELECT 'open: ' || count(*) FROM pg_ls_dir('/proc/self/fd');};
my ($out, $err) = outcome($node, join "\n", $round . judge('j') . $count, ($round) x 8, judge('j') . $count);
my ($before, $after) = $out =~ /^open: (\d+)$/mg;

is(() = $err =~ /57014/g, 9 * keys %waits, 'cancelled over and over');
is(() = $out =~ /^t$/mg, 2, 'the session works before and after');
is($after, $before, "as many descriptors as before: $before");

# Who catches a cancel and goes on is not left with the call: the endpoint sees it
# called back while the statement still runs, and the next call has its own answer.
my $patient = judge_on($node, $mock, 'judge-fixed-true+hang-once');
my $holder = background($node, 'SELECT pg_advisory_lock(1);');
wait_sql($node, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted", 'the lock');
$mock->reset;
my $catching = background($node, qq{
	SET statement_timeout = '500ms';
	DO \$\$
	BEGIN
		RAISE NOTICE 'answer %', gepa_judge('$patient', 'a text');
	EXCEPTION WHEN query_canceled THEN
		PERFORM pg_advisory_lock(1);
		RAISE NOTICE 'answer %', gepa_judge('$patient', 'a text');
	END \$\$;});
ok($mock->wait_for(sub { $_->{aborted} == 1 }, 'one aborted'), 'a cancel that is caught calls back');
$holder->{in} .= "SELECT pg_advisory_unlock(1);\n";
finish($holder);
($out, $err) = finish($catching);
like($err, qr/NOTICE:  00000: answer t/, '... and the next call has its own answer');
is($mock->journal->{requests}, 2, '... from the endpoint');

# A fast shutdown does not wait for any of them.
my @sessions = map { waiting_session($_) } sort keys %waits;
ok($node->stop('fast', fail_ok => 1), 'fast shutdown while calls wait');
like((finish($_))[1], qr/FATAL:  57P01/, '... ends a session') for @sessions;
ok($mock->wait_for(sub { $_->{in_flight} == 0 }, 'none in flight'), '... and its call');
$node->start;
is(value($node, judge('j')), 't', 'and the server is as good as new');

done_testing();
