# What reaches the table late: failures of documents that were judged since, and
# verdicts of a transaction that has not committed the extension yet.

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
my $judge = judge_on($node, $mock, 'judge-rules+badlabel-once');

sub judge { my ($text) = @_; return "SELECT count(gepa_judge('$judge', '$text ' || i)) FROM generate_series(1, 30) i"; }

sub say
{
	my ($to, $sql) = @_;

	$to->{in} .= "$sql;\nSELECT 'said';\n";
	$to->{run}->pump until $to->{out} =~ s/said\n//;
	return;
}

# Failures that wait while success is written.
sub fail_and_succeed
{
	my ($text) = @_;
	my $lock = background($node, '');

	say($lock, 'BEGIN; LOCK TABLE gepa.verdict, gepa.verdict_error IN SHARE MODE');
	is((outcome($node, judge($text)))[0], 0, "$text: all documents fail");
	finish($lock);
	is((outcome($node, judge($text)))[0], 30, '... and succeed then');
	return;
}

# The last file goes when all is written.
sub wait_drained
{
	my @files;

	for my $n (1 .. 600)
	{
		@files = glob $node->data_dir . '/pg_gepa/*';
		last if !@files;
		value($node, 'SELECT pg_sleep(0.1)');
	}
	return is("@files", '', '... all is written');
}

sub is_settled
{
	my ($n) = @_;

	is(value($node, 'SELECT count(*) FROM gepa.verdicts'), $n, '... every document has a verdict');
	is(value($node, 'SELECT count(*) FROM gepa.verdict_error'), 0, '... and no row that says why it has none');
	return;
}

fail_and_succeed('put back');
wait_drained();
is_settled(30);

fail_and_succeed('crash');
kill_server($node);
$node->start;
wait_drained();
is_settled(60);

# The view shows a row beside a verdict to nobody.
value($node, "INSERT INTO gepa.verdict_error SELECT verdict_digest, payer, digest, judge, version, 'refused', 'late', 1 FROM gepa.verdict LIMIT 2;
	DELETE FROM gepa.verdict v USING (SELECT * FROM gepa.verdict_error LIMIT 1) e WHERE v.digest = e.digest");
is(value($node, 'SELECT count(*), (SELECT count(*) FROM gepa.verdict_error) FROM gepa.verdict_errors'), '1|2', 'a document with a verdict is not shown as without');

# -- the extension and verdicts in one transaction

for my $end ('COMMIT', 'ROLLBACK')
{
	my $log = -s $node->logfile;
	my $db = lc $end;

	value($node, "CREATE DATABASE $db");
	my $session = background($node, '', db => $db);
	say($session, "BEGIN; CREATE EXTENSION gepa; CREATE SERVER s FOREIGN DATA WRAPPER gepa_lm
		OPTIONS (base_url '@{[$mock->url]}', model 'judge-rules', allow_private_address 'true');
		SELECT gepa.create_judge('j', 's', 'Is it good?'); SELECT count(gepa_judge('j', 'text ' || i)) FROM generate_series(1, 5) i");
	ok($node->wait_for_log(qr/gepa verdict writer (is held up: extension "gepa" is being created)/, $log), "$end: the writer waits for the extension")
		if $end eq 'COMMIT';
	wait_sql($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer' AND datname = '$db'", 'the writer');
	$session->{in} .= "$end;\n";
	is((finish($session))[1], '', "$end: the transaction ends");
	if ($end eq 'COMMIT')
	{
		wait_sql($node, 'SELECT count(*) = 5 FROM gepa.verdicts', 'the verdicts', db => $db);
		is(value($node, 'SELECT count(*) FROM gepa.verdicts', db => $db), 5, '... and its verdicts are stored');
		next;
	}
	wait_drained();
	my $discarded = 0;
	my $text = slurp_file($node->logfile, $log);
	$discarded += $1 while $text =~ /gepa verdict writer discarded (\d+) verdicts?, the extension is not installed/g;
	is($discarded, 5, '... and what it paid for is let go, which the log says');
}

done_testing();
