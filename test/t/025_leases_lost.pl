# Who calls a text may be cancelled, terminated or killed, and so may those who wait
# for its verdict: the others go on, and the text is paid for once more at most.

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
my $node = gepa_node('main', conf => "restart_after_crash = on\n");
my $gated = judge_on($node, $mock, 'judge-rules+gate');

sub judging
{
	my ($text, $before) = @_;
	return background($node, ($before // '') . "SELECT status, cached FROM gepa_verdict('$gated', '$text');");
}

# One that calls, and some that wait for it.
sub holder_and_waiters
{
	my ($text, $waiters, $before) = @_;

	$mock->gate(open => 0);
	$mock->reset;
	my @sessions = judging($text);
	ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'the call'), "$text: a session calls");
	for (1 .. $waiters)
	{
		push @sessions, judging($text, $before);
		ok(session_waits($node, $sessions[-1], 'GepaLease'), '... another waits');
	}
	return @sessions;
}

# -- the holder

for my $end ([ 'pg_cancel_backend', '57014' ], [ 'pg_terminate_backend', '57P01' ])
{
	my ($function, $sqlstate) = @$end;
	my ($holder, @waiters) = holder_and_waiters($function, 3);

	value($node, "SELECT $function($holder->{pid})");
	like((finish($holder))[1], qr/$sqlstate/, '... the call is ended');
	ok($mock->wait_for(sub { $_->{requests} == 2 && $_->{in_flight} == 1 }, 'the second call'), '... one of those who wait calls');
	$mock->gate(pass => 1);
	is(join(' ', sort map { (finish($_))[0] =~ s/\n//r } @waiters), 'ok|f ok|t ok|t', '... and all of them have its verdict');
	is($mock->journal->{requests}, 2, '... one text, paid for once more');
}

# Without a further word, as when memory runs out; the server starts anew.
my ($holder, $waiter) = holder_and_waiters('killed', 1);
my $log = -s $node->logfile;
kill 'KILL', $holder->{pid};
$node->wait_for_log(qr/database system is ready to accept connections/, $log);
finish($_) for $holder, $waiter;
$mock->gate(open => 1);
is(value($node, "SELECT status, cached FROM gepa_verdict('$gated', 'killed')"), 'ok|f', '... nobody waits for the dead');
is($mock->journal->{requests}, 2, '... and the text is paid for once more');

# -- those who wait

for my $end ([ 'pg_cancel_backend', '57014' ], [ 'pg_terminate_backend', '57P01' ])
{
	my ($function, $sqlstate) = @$end;

	($holder, $waiter) = holder_and_waiters("$function of who waits", 1);
	value($node, "SELECT $function($waiter->{pid})");
	like((finish($waiter))[1], qr/$sqlstate/, '... which is ended');
	$mock->gate(pass => 1);
	is((finish($holder))[0], "ok|f\n", '... and the call goes on');
	is($mock->journal->{requests}, 1, '... undisturbed');
}
($holder, $waiter) = holder_and_waiters('statement_timeout', 0);
$waiter = background($node, <<~SQL);
	SET statement_timeout = '200ms';
	SELECT status FROM gepa_verdict('$gated', 'statement_timeout');
	RESET statement_timeout;
	SELECT status FROM gepa_verdict('$gated', 'another text');
	SQL
ok($mock->wait_for(sub { $_->{waiting} == 2 }, 'the next call'), '... another waits, and is cancelled');
$mock->gate(open => 1);
my ($out, $err) = finish($waiter);
like($err, qr/57014: canceling statement due to statement timeout/, '... by statement_timeout');
is($out, "ok\n", '... and its session goes on');
is((finish($holder))[0], "ok|f\n", '... as does the call');

done_testing();
