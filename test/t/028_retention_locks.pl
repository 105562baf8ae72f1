# Deleting verdicts of many versions beside a command that locks all partitions, and looking
# them up beside the writer, which makes partitions.

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
my $versions = 7;

create_lm($node, 'plain', $mock, 'judge-rules');

sub say
{
	my ($to, $sql) = @_;

	$to->{in} .= "$sql;\nSELECT 'said';\n";
	$to->{run}->pump until $to->{out} =~ s/said\n//;
	return;
}

# As many partitions, made in the order of their versions.
sub make_judge
{
	my ($judge) = @_;

	value($node, "SELECT gepa.create_judge('$judge', 'plain', 'Is it 1?')");
	for my $n (1 .. $versions)
	{
		value($node, "SELECT gepa.alter_judge('$judge', prompt => 'Is it $n?')") if $n > 1;
		value($node, "SELECT gepa_judge('$judge', 'text')");
	}
	return wait_sql($node, "SELECT gepa_judge('$judge', clock_timestamp()::text) \\g /dev/null
		SELECT count(*) = $versions + 1 FROM pg_inherits WHERE inhparent = 'gepa.verdict'::regclass", 'partitions');
}

sub waits { my ($session) = @_; return wait_sql($node, "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $session->{pid}", 'a lock'); }

my $log = -s $node->logfile;
for my $deletion ("SELECT count(*) FROM gepa.prune_verdicts('j', 0)", "SELECT gepa.drop_judge('j')")
{
	make_judge('j');
	my ($second) = (split /\n/, value($node, "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'gepa.verdict'::regclass ORDER BY inhrelid"))[2];

	# ANALYZE has some of the partitions, and waits for this one.
	my $lock = background($node, '');
	say($lock, "BEGIN; LOCK TABLE $second IN ACCESS EXCLUSIVE MODE");
	my @sessions = background($node, 'ANALYZE gepa.verdict;');
	waits($sessions[0]);
	push @sessions, background($node, "$deletion;");
	waits($sessions[1]);
	finish($lock);
	is((finish($_))[1], '', "$deletion: no deadlock with ANALYZE") for @sessions;
	is(value($node, "SELECT gepa.drop_judge('j') \\g /dev/null\nSELECT count(*) FROM gepa.verdict"), 0, '... and all is gone')
		if $deletion =~ /prune/;
	wait_sql($node, "SELECT gepa.create_judge('k', 'plain', 'Is it k?') \\g /dev/null
		SELECT gepa_judge('k', 'text') \\g /dev/null
		SELECT gepa.drop_judge('k') \\g /dev/null
		SELECT count(*) = 1 FROM pg_inherits WHERE inhparent = 'gepa.verdict'::regclass", 'no partitions');
}

# A look-up that waits for a partition, and another session that locks the two as the writer does.
value($node, "SELECT gepa.create_judge('l', 'plain', 'Is it l?')");
my $holder = background($node, '');
say($holder, 'BEGIN; LOCK TABLE gepa.verdict_default IN ACCESS EXCLUSIVE MODE');
my $lookup = background($node, "SELECT gepa_judge('l', 'another text');");
waits($lookup);
my $maker = background($node, 'BEGIN; LOCK TABLE ONLY gepa.verdict IN ACCESS EXCLUSIVE MODE; LOCK TABLE gepa.verdict_default IN ACCESS EXCLUSIVE MODE; COMMIT;');
waits($maker);
finish($holder);
is((finish($_))[1], '', 'a look-up and the writer: no deadlock') for $lookup, $maker;

unlike(slurp_file($node->logfile, $log), qr/deadlock detected/, 'the log agrees');

done_testing();
