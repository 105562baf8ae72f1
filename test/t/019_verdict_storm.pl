# A storm: queries that judge are rolled back, cancelled, terminated, fail;
# backends, writer, launcher, postmaster are killed, also while they recover;
# in a random order, which a seed repeats:
#
#   GEPA_STORM_SEED=7 GEPA_STORM_KILLS=200 script/test ...
#
# What holds: every answer that was handed over is in the table, once, and is
# never paid for again.
#
# Handed over is what a session has taken in.  Without the judge node it calls for one
# document after the other, so the journal of the endpoint tells: when the next request comes,
# the answer before was handed over.  Of a session that is killed at a random
# moment only the last answer is in doubt: it may have been under way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use IPC::Run;
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $seed = $ENV{GEPA_STORM_SEED} // 1;
my $kills = $ENV{GEPA_STORM_KILLS} // 40;
my $ndocs = 6 * $kills;
my $length = length 'document 0000 ';    # and an x for each up to its number

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => <<~CONF);
	restart_after_crash = on
	gepa.verdict_ring_size = '256kB'
	gepa.enable_judge_node = off
	CONF

create_lm($node, 'plain', $mock, 'judge-rules+slow-3');
create_lm($node, 'gated', $mock, 'judge-rules+gate');
create_lm($node, 'long', $mock, 'judge-rules+long-100000');
create_lm($node, 'bad', $mock, 'judge-rules+badlabel-once');
value($node, <<~SQL);
	SELECT gepa.create_judge('j', 'plain', 'Is it good?'), gepa.create_judge('g', 'gated', 'Is it good?'),
		gepa.create_judge('f', 'bad', 'Is it good?'), gepa.create_judge('l', 'long', 'Is it good?', options => '{"reasoning": true}');
	CREATE TABLE docs AS SELECT i AS id, 'document ' || lpad(i::text, 4, '0') || ' ' || repeat('x', i) AS body
		FROM generate_series(1, $ndocs) i;
	SQL

# Others fill the ring, so that what is handed over finds it full: with reasons of
# 100 kB, of which two fit, and failures; their texts are not those of the documents.
my $others = 0;
my $reasons = 0;
my $failures = 0;

sub fill
{
	my ($long) = @_;
	my $judge = $long ? 'l' : 'f';
	my $n = $long ? 2 : 14;

	$others++;
	outcome($node, "BEGIN; SELECT count(*) FROM (SELECT gepa_judge('$judge', 'other $others ' || i) FROM generate_series(1, $n) i OFFSET 0) s; ROLLBACK;");
	$long ? ($reasons += $n) : ($failures += $n);
	return;
}

# By document: was it handed over, how often was it in doubt, how often paid for.
my (%handed, %doubts, %paid);

# What was asked for since the last time, in order.
sub asked
{
	my @asked = map { $_->{messages}[-1]{content} =~ /document (\d+)/ ? 0 + $1 : () } $mock->requests;

	$mock->reset;
	$paid{$_}++ for @asked;
	return @asked;
}

# All that a session has asked for was handed over; the last may be in doubt.
sub settle
{
	my ($in_doubt) = @_;
	my @asked = asked();

	$doubts{ pop @asked }++ if $in_doubt && @asked;
	$handed{$_} = 1 for @asked;
	return;
}

sub filter { return "FROM (SELECT * FROM docs WHERE id IN (@{[join ',', @_]}) ORDER BY id) d"; }

sub judged { return "SELECT count(gepa_judge('j', body)) " . filter(@_) . ';'; }

sub stored_of { return "SELECT count(*) FROM gepa.verdicts WHERE judge = 'j' AND chars_total - $length IN (@{[join ',', @_]})"; }

# A session that has judged the documents and waits for an answer to another.
sub waiting
{
	my (@docs) = @_;
	my $session = background($node, 'BEGIN; SELECT count(CASE WHEN last THEN gepa_judge(\'g\', body) ELSE gepa_judge(\'j\', body) END)'
		  . ' FROM (SELECT body, false AS last ' . filter(@docs) . " UNION ALL SELECT 'never answered', true) s;");

	$mock->wait_for(sub { $_->{waiting} == 1 }, 'the session at the gate') or die 'the session did not get there';
	settle();
	return $session;
}

# Half of the time the writer has everything still before it.
sub maybe_block
{
	return if rand() < 0.5;
	my $lock = background($node, "BEGIN; LOCK TABLE gepa.verdict, gepa.verdict_error IN EXCLUSIVE MODE; SELECT 'locked';");
	$lock->{run}->pump until $lock->{out} =~ /locked/;
	if (rand() < 0.5)
	{
		fill($_) for 0, 1;
	}
	return $lock;
}

# A process is killed, which makes the postmaster restart all of them.
sub crash
{
	my ($pid) = @_;
	my $log = -s $node->logfile;

	kill 'KILL', $pid or return;
	$node->wait_for_log(qr/database system is ready to accept connections/, $log);
	return;
}

# Some types are there only while they have work to do.
sub crash_type
{
	my ($type, $tries) = @_;
	my $pid;

	for (1 .. $tries // 1000)
	{
		last if $pid = value($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'");
		usleep(10_000);
	}
	return $pid ? crash($pid) : undef;
}

# $down at a random moment of a session that judges; then $up, if that is needed.
# A server that is started in between would keep the pipe to psql open.
sub at_any_moment
{
	my ($docs, $down, $up) = @_;
	my $lock = maybe_block();
	my $session = background($node, 'BEGIN; ' . judged(@$docs));

	usleep(int rand 60_000);
	$down->($session->{pid});
	my ($out) = finish($session);
	finish($lock) if $lock;
	$up->() if $up;
	return settle($out !~ /^\d+$/m);
}

# A server that does not get far: recovery itself is cut off.
sub start_in_vain
{
	my $run = IPC::Run::start([ 'postgres', '-D', $node->data_dir ], '>>', $node->logfile, '2>&1');

	usleep(int rand 150_000);
	$run->kill_kill(grace => 0);
	return;
}

sub start
{
	usleep(20_000) until $node->start(fail_ok => 1);
	return;
}

my %disturbances = (
	commit => sub {
		is(value($node, judged(@_) . stored_of(@_)), "8\n8", 'in the table when the transaction has ended');
		settle();
	},
	rollback => sub {
		value($node, 'BEGIN; ' . judged(@_) . ' ROLLBACK;');
		settle();
	},
	'error in the statement' => sub {
		my (undef, $err) = outcome($node,
			"SELECT CASE WHEN id = $_[-1] THEN 1 / (id - $_[-1]) ELSE gepa_judge('j', body)::int END " . filter(@_));
		like($err, qr/22012/, 'division by zero');
		settle();
	},
	cancel => sub {
		my $session = waiting(@_);
		value($node, "SELECT pg_cancel_backend($session->{pid})");
		like((finish($session))[1], qr/57014/, 'cancelled');
	},
	terminate => sub {
		my $session = waiting(@_);
		value($node, "SELECT pg_terminate_backend($session->{pid}, 10000)");
		like((finish($session))[1], qr/57P01/, 'terminated');
	},
	'terminate at any moment' => sub {
		at_any_moment(\@_, sub { value($node, "SELECT pg_terminate_backend($_[0], 10000)"); });
	},
	'kill of a backend' => sub {
		my $session = waiting(@_);
		crash($session->{pid});
		finish($session);
	},
	'kill of a backend at any moment' => sub { at_any_moment(\@_, \&crash); },
	'kill of the writer' => sub {
		my $lock = maybe_block();
		value($node, 'BEGIN; ' . judged(@_) . ' ROLLBACK;');
		settle();
		crash_type('gepa verdict writer');
		finish($lock) if $lock;
	},
	'kill of the launcher' => sub { at_any_moment(\@_, sub { crash_type('gepa launcher'); }); },
	'kill of the server' => sub { at_any_moment(\@_, sub { kill_server($node); }, \&start); },
	'immediate shutdown' => sub { at_any_moment(\@_, sub { $node->stop('immediate'); }, \&start); },
	'fast shutdown' => sub { at_any_moment(\@_, sub { $node->stop; }, \&start); },
	'kill while recovering' => sub {
		at_any_moment(\@_, sub { kill_server($node); }, sub { start_in_vain(); start_in_vain(); start(); });
	},
	'kill of the writer that writes what was recovered' => sub {
		at_any_moment(\@_, \&crash, sub { crash_type('gepa verdict writer', 20); });
	});

diag("GEPA_STORM_SEED=$seed GEPA_STORM_KILLS=$kills");
srand($seed);
my @kinds = sort keys %disturbances;
for my $n (1 .. $kills)
{
	my $kind = $n <= @kinds ? $kinds[ $n - 1 ] : $kinds[ int rand @kinds ];
	my @docs = sort { $a <=> $b } (shuffle 1 .. $ndocs)[ 0 .. 7 ];

	note("$n: $kind @docs");
	$disturbances{$kind}->(@docs);
}

# -- what is left of it

my $stored = "SELECT chars_total - $length AS id FROM gepa.verdicts WHERE judge = 'j'";
my $handed = join ',', 0, keys %handed;

wait_sql($node, "SELECT count(*) = @{[scalar keys %handed]} FROM ($stored) s WHERE id IN ($handed)", 'what was handed over');
my @stored = split /\n/, value($node, $stored);
my %stored = map { $_ => 1 } @stored;
is(scalar(@stored), scalar(keys %stored), 'no verdict is stored twice');
is(join(' ', grep { !$stored{$_} } sort keys %handed), '', 'every answer that was handed over is stored');
is(join(' ', grep { $paid{$_} > 1 + ($doubts{$_} // 0) } sort keys %paid), '', '... and was paid for once, but for those in doubt');
is(join(' ', grep { !$paid{$_} } sort keys %stored), '', 'nothing is stored that was not paid for');
is(join(' ', grep { !$stored{$_} && !$doubts{$_} } sort keys %paid), '', 'nothing is lost that is not in doubt');
diag(scalar(keys %handed) . ' answers handed over, ' . scalar(keys %doubts) . ' in doubt, of which '
	  . scalar(grep { !$stored{$_} } keys %doubts) . ' are not stored');

wait_sql($node, "SELECT count(*) = $reasons FROM gepa.verdicts WHERE judge = 'l' AND length(reasoning) = 100000", 'long reasons');
is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE judge = 'l'"), $reasons, 'every long reason is stored, once');
my $errors = "SELECT count(*) || ' ' || COALESCE(sum(attempts), 0) FROM gepa.verdict_errors WHERE judge = 'f'";
wait_sql($node, "SELECT ($errors) LIKE '$failures %'", 'failures');
is(value($node, $errors), "$failures $failures", '... so is every failure, and its one attempt is counted once');
$mock->reset;
value($node, "SELECT count(gepa_judge('j', body)) FROM docs");
is($mock->journal->{answered}, $ndocs - keys %stored, 'the next query pays for what is missing');
is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE judge = 'j'"), $ndocs, '... and then nothing is');
wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
is(join(' ', glob $node->data_dir . '/pg_gepa/*'), '', '... nor anything left in the spool');

done_testing();
