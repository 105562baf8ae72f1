# A storm: queries that judge are rolled back, cancelled, terminated, fail;
# backends, writer, launcher, postmaster are killed, also while they recover;
# in a random order, which a seed repeats:
#
#   GEPA_STORM_SEED=7 GEPA_STORM_KILLS=200 script/test ...
#
# What holds: every answer that was handed over is in the table, once, and is
# never paid for again.
#
# Sessions judge with the judge node or without it, in queries to the end, up to a LIMIT, by a
# cursor, or with arrays; the seed draws.  What was handed over the journal of the endpoint
# tells: Gepa::Book.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Book;
use Gepa::Mock;
use Gepa::Test;
use IPC::Run;
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = $ENV{GEPA_STORM_SEED} // 1;
my $kills = $ENV{GEPA_STORM_KILLS} // 40;
my $ndocs = 12 * $kills;
my $batch = 16;          # documents of a session
my $concurrency = 3;
my $length = length 'document 0000 ';    # and an x for each up to its number

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => <<~CONF);
	restart_after_crash = on
	gepa.verdict_ring_size = '256kB'
	CONF

create_lm($node, 'plain', $mock, 'judge-rules+slow-3', max_concurrency => $concurrency);
create_lm($node, 'gated', $mock, 'judge-rules+gate');
create_lm($node, 'long', $mock, 'judge-rules+long-100000');
create_lm($node, 'bad', $mock, 'judge-rules+badlabel-once');
value($node, <<~SQL);
	SELECT gepa.create_judge('j', 'plain', 'Is it good?'), gepa.create_judge('g', 'gated', 'Is it good?'),
		gepa.create_judge('f', 'bad', 'Is it good?'), gepa.create_judge('l', 'long', 'Is it good?', options => '{"reasoning": true}');
	CREATE TABLE docs AS SELECT i AS id, 'document ' || lpad(i::text, 4, '0') || ' ' || repeat('x', i) AS body
		FROM generate_series(1, $ndocs) i;
	SQL

# The next query of a session; $overlaps: it may have several calls in flight.
my $overlaps;

sub mode
{
	$overlaps = rand() < 0.6;
	return 'SET LOCAL gepa.enable_judge_node = ' . ($overlaps ? 'on' : 'off') . ';';
}

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
	outcome($node, "BEGIN; @{[ mode() ]} SELECT count(*) FROM (SELECT gepa_judge('$judge', 'other $others ' || i) FROM generate_series(1, $n) i OFFSET 0) s; ROLLBACK;");
	$long ? ($reasons += $n) : ($failures += $n);
	return;
}

my $book = Gepa::Book->new($mock, qr/document (\d+)/, $concurrency);

# The last session has ended.
sub settle { my ($end, $cut_at) = @_; return $book->settle($end, $overlaps, $cut_at); }

sub filter { return "FROM (SELECT * FROM docs WHERE id IN (@{[join ',', @_]}) ORDER BY id) d"; }

# Queries that judge the documents: SQL that says a number when it is through, and how it ends.
my @forms = (
	sub { ("SELECT count(gepa_judge('j', body)) " . filter(@_), 'all'); },
	sub { ("SELECT count(*) + $batch FROM (SELECT id " . filter(@_) . " WHERE gepa_judge('j', body) OR id = 0) s", 'all'); },
	sub { ("SELECT count(*) FROM (SELECT id " . filter(@_) . " WHERE gepa_judge('j', body) LIMIT @{[ 1 + int rand 5 ]}) s", 'early'); },
	sub {
		("DECLARE c CURSOR FOR SELECT gepa_judge('j', body) " . filter(@_)
			  . "; FETCH @{[ 1 + int rand 4 ]} c; FETCH 1 c; FETCH @{[ 1 + int rand 9 ]} c; FETCH ALL c; SELECT $batch", 'all');
	},
	sub { $overlaps = 1; ("SELECT cardinality(gepa_judge('j', array_agg(body))) " . filter(@_), 'all'); });

# In a transaction.
sub judged
{
	my $mode = mode();
	my ($sql, $end) = $forms[ int rand @forms ]->(@_);

	note(($overlaps ? 'several calls: ' : 'one call: ') . substr $sql, 0, 60);
	return ("$mode $sql;", $end);
}

sub stored_of { return "SELECT count(*) FROM gepa.verdicts WHERE judge = 'j' AND chars_total - $length IN (@{[join ',', 0, @_]})"; }

# A session that has judged the documents and waits for an answer to another.
sub waiting
{
	my (@docs) = @_;
	my $session = background($node, 'BEGIN; ' . mode() . ' SELECT count(CASE WHEN last THEN gepa_judge(\'g\', body) ELSE gepa_judge(\'j\', body) END)'
		  . ' FROM (SELECT body, false AS last ' . filter(@docs) . " UNION ALL SELECT 'never answered', true) s;");

	$mock->wait_for(sub { $_->{waiting} == 1 }, 'the session at the gate') or die 'the session did not get there';
	wait_sql($node, "SELECT judged = $batch FROM gepa.progress WHERE pid = $session->{pid}", 'all before it') or die 'it did not get there' if $overlaps;
	settle('all');
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
	my ($docs, $down, $up, $cut) = @_;
	my $lock = maybe_block();
	my ($sql, $end) = judged(@$docs);
	my $session = background($node, "BEGIN; $sql");

	usleep(int rand 60_000);
	my $cut_at = time;
	$down->($session->{pid});
	my ($out) = finish($session);
	finish($lock) if $lock;
	$up->() if $up;
	return settle($out =~ /^\d+$/m ? $end : $cut // 'killed', $cut ? $cut_at : 0);
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
		my ($sql, $end) = judged(@_);
		value($node, "BEGIN; $sql COMMIT;");
		my @handed = settle($end);
		@handed = @_ if $end eq 'all';
		is(value($node, stored_of(@handed)), scalar(@handed), 'in the table when the transaction has ended');
	},
	rollback => sub {
		my ($sql, $end) = judged(@_);
		value($node, "BEGIN; $sql ROLLBACK;");
		settle($end);
	},
	'error in the statement' => sub {
		my $wrong = $_[ int rand @_ ];
		my (undef, $err) = outcome($node, 'BEGIN; ' . mode()
			  . " SELECT CASE WHEN id = $wrong THEN 1 / (id - $wrong) ELSE gepa_judge('j', body)::int END " . filter(@_));
		like($err, qr/22012/, 'division by zero');
		settle('early');
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
	'cancel at any moment' => sub {
		at_any_moment(\@_, sub { value($node, "SELECT pg_cancel_backend($_[0])"); }, undef, 'cancelled');
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
		my ($sql, $end) = judged(@_);
		my ($out) = outcome($node, "BEGIN; SET LOCAL statement_timeout = '500ms'; $sql ROLLBACK;");    # where the ring is full
		settle($out =~ /^\d+$/m ? $end : 'cancelled');
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
	my @docs = sort { $a <=> $b } (shuffle 1 .. $ndocs)[ 0 .. $batch - 1 ];

	note("$n: $kind @docs");
	$disturbances{$kind}->(@docs);
}

# -- what is left of it

my $stored = "SELECT chars_total - $length AS id FROM gepa.verdicts WHERE judge = 'j'";
my @handed = $book->handed;

wait_sql($node, "SELECT count(*) = @{[scalar @handed]} FROM ($stored) s WHERE id IN (@{[join ',', 0, @handed]})", 'what was handed over');
my @stored = split /\n/, value($node, $stored);
my %stored = map { $_ => 1 } @stored;
is(scalar(@stored), scalar(keys %stored), 'no verdict is stored twice');
is(join(' ', grep { !$stored{$_} } @handed), '', 'every answer that was handed over is stored');
is(join(' ', $book->paid_again), '', '... and was paid for once, but for those in doubt');
is(join(' ', $book->not_paid(@stored)), '', 'nothing is stored that was not paid for');
is(join(' ', grep { !$stored{$_} } $book->certain), '', 'nothing is lost that is not in doubt');
cmp_ok($book->most, '>', 1, 'several calls of a session were cut off');
diag(scalar(@handed) . ' answers handed over, ' . scalar($book->doubtful) . ' in doubt, of which '
	  . scalar(grep { !$stored{$_} } $book->doubtful) . ' are not stored; at most ' . $book->most . ' in flight');

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
