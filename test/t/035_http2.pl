# HTTP/2: calls are streams of one connection, and end one by one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Front;
use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(usleep);

my $mock = Gepa::Mock->new;
my $front = Gepa::Front->new($mock);
my $narrow = Gepa::Front->new($mock, streams => 4);
my $node = gepa_node('main');
my %tls = (base_url => $front->url, ca_file => $front->ca);

prepare_tuning($node, $mock);

# Protocols, and how many connections, of the calls that a front has newly finished.
my %seen;

sub finished
{
	my ($of, $at_least) = @_;
	my @calls;

	for (1 .. 200)
	{
		@calls = @{ $of->calls };
		splice @calls, 0, $seen{$of} // 0;
		last if @calls >= $at_least;
		usleep(20_000);
	}
	$seen{$of} += @calls;
	my %protocols = map { $_->{protocol} => 1 } @calls;
	my %connections = map { $_->{connection} => 1 } @calls;
	return join(' ', sort(keys %protocols), scalar keys %connections);
}

# A run whose judge is at the gate with sixteen calls, which are in flight together: the
# endpoint is known to answer, so none goes alone.
my $runs = 0;

sub run_at_gate
{
	my ($of, %options) = @_;
	my $judge = 'at_gate' . ++$runs;

	create_lm($node, $judge, $mock, 'judge-rules+gate', max_concurrency => 16, %options);
	value($node, "SELECT gepa.create_judge('$judge', '$judge', 'Is it good?')");
	$mock->gate(open => 1);
	value($node, "SELECT gepa_judge('$judge', 'the first')");
	finished($of, 1);
	$mock->reset;
	$mock->gate(open => 0);
	my $run = start_run($node, judge => $judge, budget => 80, options => reference_mode());
	ok($mock->wait_for(sub { $_->{waiting} == 16 }, 'sixteen at the gate'), 'sixteen calls are in flight');
	return $run;
}

sub end_run
{
	my ($run, $what) = @_;
	$mock->gate(open => 1);
	is(wait_run($node, $run), 'finished', $what);
	is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND status <> 'ok'"), 0, '... with all answers');
	return;
}

end_run(run_at_gate($front, %tls), '... and answered');
is(finished($front, 40), 'HTTP/2.0 1', '... by HTTP/2, which TLS agreed upon, over one connection');

end_run(run_at_gate($front, %tls, http_version => '1.1'), 'http_version 1.1');
is(finished($front, 40), 'HTTP/1.1 16', '... is kept to, with a connection for each call');

end_run(run_at_gate($narrow, base_url => $narrow->url, ca_file => $narrow->ca), 'an endpoint that takes four streams');
like(finished($narrow, 40), qr{^HTTP/2.0 (?:[4-9]|1\d)$}, '... gets some connections');

# The end of one stream is not the end of others: four are answered, twelve
# time out meanwhile and are sent again.
my $run = run_at_gate($front, %tls, request_timeout => '1.5');
$mock->gate(pass => 4);
ok($mock->wait_for(sub { $_->{aborted} >= 12 }, 'twelve aborted'), 'twelve streams time out, and are reset');
end_run($run, '... what they carried is asked again');
is(finished($front, 40), 'HTTP/2.0 1', '... over the connection on which others went on');

# A session: time-out and cancel of a stream leave its connection as it is.
my $good = judge_on($node, $mock, 'judge-fixed-true+gate', %tls);
my $silent = judge_on($node, $mock, 'judge-fixed-true+hang', %tls, request_timeout => '0.2');
$mock->reset;
$mock->gate(open => 0);
my $session = background($node, "SELECT gepa_judge('$good', 'one'); SELECT gepa_judge('$silent', 'two'); SELECT gepa_judge('$good', 'three');");
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'one at the gate'), 'a call waits');
value($node, "SELECT pg_cancel_backend($session->{pid})");
ok($mock->wait_for(sub { $_->{aborted} == 1 }, 'one aborted'), '... and is cancelled');
$mock->gate(open => 1);
my ($out, $err) = finish($session);
like($err, qr/ERROR:  57014/, '... which is an error');
is($out, "\nt\n", '... the next times out, the last is answered');
is(finished($front, 7), 'HTTP/2.0 1', '... all over one connection');

done_testing();
