# Whatever a session waits for, cancel and statement_timeout end it: the other side
# sees the call given up, and the session works and has leaked nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use Gepa::Waits;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $waits = Gepa::Waits->new($mock);
# So few descriptors that calls which do not give theirs back are soon noticed.
my $node = gepa_node('main', conf => "max_files_per_process = 64\ngepa.verdict_ring_size = '256kB'\n");
my $commit = 'the writer, at commit';
my $rounds = 0;

$waits->prepare($node);

# When the server wrote of a session's last error or warning, as a time_t.
sub logged
{
	my ($pid) = @_;
	my ($time) = (slurp_file($node->logfile) =~ /^(.*) \w+ \[$pid\] .*(?:ERROR|WARNING):  /mg)[-1];

	return value($node, "SELECT extract(epoch FROM '$time'::timestamptz)");
}

sub afterwards
{
	my ($sessions) = @_;

	is($waits->left($_, $sessions->{$_}), '', "nothing is left of waiting for $_") for $waits->names;
	cmp_ok(threads($sessions->{'the resolver'}{pid}), '>', 1, 'the resolver still hangs');
	$waits->release;
	is($waits->works($sessions->{$_}), '', "after waiting for $_ the session works, with the same descriptors and one thread")
	  for $waits->names;
	finish($_) for values %$sessions;
	stored($node, $waits->judge('room in the ring'), 9 * ++$rounds, '... and what had been answered before there was room is kept');
	return;
}

my $sessions = $waits->begin($node);
for my $name ($commit, grep { $_ ne $commit } $waits->names)
{
	my $said = $waits->timed('cancel', $name, sub { kill 'INT', $sessions->{$name}{pid}; return ended($sessions->{$name}); });

	like($said, qr/^ERROR:  57014: canceling statement due to user request\n$/, "cancel ends waiting for $name");
}
afterwards($sessions);

# At commit it is the wait that ends, not the transaction.
$sessions = $waits->begin($node, sub { 'SET statement_timeout = ' . ($_[0] eq $commit ? '2000' : '6000') . ";\n"; });
my %begun = map { $_ => value($node, "SELECT extract(epoch FROM query_start) FROM pg_stat_activity WHERE pid = $sessions->{$_}{pid}") } $waits->names;
for my $name ($waits->names)
{
	my $expected = qr/^ERROR:  57014: canceling statement due to statement timeout\n$/;

	$expected = qr/^1\nWARNING:  53400: verdict writer does not keep up.*\n$/ if $name eq $commit;
	like(ended($sessions->{$name}), $expected, "statement_timeout ends waiting for $name");
	$waits->took('statement_timeout', $name, logged($sessions->{$name}{pid}) - $begun{$name} - ($name eq $commit ? 2 : 6));
}
like($sessions->{$commit}{err}, qr/DETAIL:  The wait was ended by statement_timeout/, '... at commit in place of its error');
$_->{in} .= "RESET statement_timeout;\n" for values %$sessions;
afterwards($sessions);

# One session, many cancels.  fd.c gives no more than a third of 64 descriptors to
# calls, so 30 libcurl handles of any wait that were not given back would be missed.
$sessions = { map { $_ => $waits->session($node) } $waits->network };
for my $name ($waits->network)
{
	$sessions->{$name}{in} .= join "\n", "SET statement_timeout = '50ms';", (map { $waits->statement($name) } 1 .. 30),
	  "RESET statement_timeout;\n\\echo ended\n";
	$sessions->{$name}{run}->pump_nb;
}
for my $name ($waits->network)
{
	is(() = ended($sessions->{$name}) =~ /ERROR:  57014/g, 30, "30 times cancelled, waiting for $name");
	is($waits->works($sessions->{$name}), '', '... and nothing is lost');
}
finish($_) for values %$sessions;

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
my (undef, $err) = finish($catching);
like($err, qr/NOTICE:  00000: answer t/, '... and the next call has its own answer');
is($mock->journal->{requests}, 2, '... from the endpoint');

$waits->say_slowest;
done_testing();
