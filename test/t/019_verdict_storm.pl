# A storm: queries that judge are rolled back, cancelled, fail; backends, the
# writer and the server are killed; in a random order, which a seed repeats:
#
#   GEPA_STORM_SEED=7 GEPA_STORM_KILLS=200 script/test ...
#
# What holds: a verdict whose transaction committed is in the table for good,
# once.  One whose transaction did not commit gets there too, unless a crash
# meets it in the ring: that, and no more, is what a crash can lose, and only
# that is ever paid for again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{GEPA_STORM_SEED} // 1;
my $kills = $ENV{GEPA_STORM_KILLS} // 25;
my $ndocs = 6 * $kills;
my $length = length 'document 0000 ';    # and an x for each up to its number

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "restart_after_crash = on\n");

create_lm($node, 'plain', $mock, 'judge-rules');
create_lm($node, 'gated', $mock, 'judge-rules+gate');
value($node, <<~SQL);
	SELECT gepa.create_judge('j', 'plain', 'Is it good?'), gepa.create_judge('g', 'gated', 'Is it good?');
	CREATE TABLE docs AS SELECT i AS id, 'document ' || lpad(i::text, 4, '0') || ' ' || repeat('x', i) AS body
		FROM generate_series(1, $ndocs) i;
	SQL

# State of a document: committed, or handed over, or in a crash; and how often
# it may have been paid for.
my (%committed, %handed, %payments);

sub pay
{
	my ($state, @docs) = @_;

	for my $doc (@docs)
	{
		$payments{$doc} //= 1;
		$state->{$doc} = 1;
	}
	return;
}

# What is not committed may have been in the ring.
sub lose
{
	$payments{$_}++ for grep { !$committed{$_} } keys %handed;
	%handed = ();
	return;
}

sub filter { return "FROM (SELECT * FROM docs WHERE id IN (@{[join ',', @_]}) ORDER BY id) d"; }

sub judged { return "SELECT count(gepa_judge('j', body)) " . filter(@_) . ';'; }

# A session that has judged the documents and waits for an answer.
sub waiting
{
	my (@docs) = @_;
	my $session = background($node, 'SELECT count(CASE WHEN last THEN gepa_judge(\'g\', body) ELSE gepa_judge(\'j\', body) END)'
		  . ' FROM (SELECT body, false AS last ' . filter(@docs) . " UNION ALL SELECT 'never answered', true) s;");

	$mock->wait_for(sub { $_->{waiting} == 1 }, 'the session at the gate') or die 'the session did not get there';
	pay(\%handed, @docs);
	return $session;
}

# A process is killed, which makes the postmaster restart all of them.
sub crash
{
	my ($pid) = @_;
	my $log = -s $node->logfile;

	kill 'KILL', $pid;
	$node->wait_for_log(qr/database system is ready to accept connections/, $log);
	return lose();
}

my %disturbances = (
	commit => sub {
		my $there = "SELECT count(*) FROM gepa.verdicts WHERE judge = 'j' AND chars_total - $length IN (@{[join ',', @_]})";

		is(value($node, judged(@_) . $there), "8\n8", 'in the table when the transaction has ended');
		pay(\%committed, @_);
	},
	rollback => sub {
		value($node, 'BEGIN; ' . judged(@_) . ' ROLLBACK;');
		pay(\%handed, @_);
	},
	error => sub {
		my (undef, $err) = outcome($node,
			"SELECT CASE WHEN id = $_[-1] THEN 1 / (id - $_[-1]) ELSE gepa_judge('j', body)::int END " . filter(@_));
		like($err, qr/22012/, 'division by zero');
		pay(\%handed, @_[ 0 .. $#_ - 1 ]);
	},
	cancel => sub {
		my $session = waiting(@_);
		value($node, "SELECT pg_cancel_backend($session->{pid})");
		like((finish($session))[1], qr/57014/, 'cancelled');
	},
	'kill of a backend' => sub {
		my $session = waiting(@_);
		crash($session->{pid});
		finish($session);
	},
	'kill of the writer' => sub {
		my $writer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'";
		value($node, 'BEGIN; ' . judged(@_) . ' ROLLBACK;');
		pay(\%handed, @_);
		wait_sql($node, "SELECT EXISTS ($writer)", 'a writer');
		crash(value($node, $writer));
	},
	restart => sub {
		value($node, 'BEGIN; ' . judged(@_[ 0 .. 3 ]) . ' ROLLBACK;');
		pay(\%handed, @_[ 0 .. 3 ]);
		value($node, judged(@_[ 4 .. 7 ]));
		pay(\%committed, @_[ 4 .. 7 ]);
		$node->stop('immediate');
		$node->start;
		lose();
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
my %due = (%committed, %handed);
my $due = join ',', 0, keys %due;

wait_sql($node, "SELECT count(*) = @{[scalar keys %due]} FROM ($stored) s WHERE id IN ($due)", 'what was handed over');
my @stored = split /\n/, value($node, $stored);
my %stored = map { $_ => 1 } @stored;
is(scalar(@stored), scalar(keys %stored), 'no verdict is stored twice');
is(join(' ', grep { !$stored{$_} } sort keys %committed), '', 'every verdict of a transaction that committed is stored');
is(join(' ', grep { !$stored{$_} } sort keys %handed), '', '... and every other one that no crash has met');

my %paid;
$paid{ 0 + $_ }++ for map { $_->{messages}[-1]{content} =~ /document (\d+)/ } $mock->requests;
is(join(' ', grep { $paid{$_} > $payments{$_} } sort keys %paid), '', 'nothing is paid for again but what a crash has met');
is(join(' ', grep { !$paid{$_} } sort keys %stored), '', 'nothing is stored that was not paid for');

$mock->reset;
value($node, "SELECT count(gepa_judge('j', body)) FROM docs");
is($mock->journal->{answered}, $ndocs - keys %stored, 'the next query pays for what is missing');
is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE judge = 'j'"), $ndocs, '... and then nothing is');

done_testing();
