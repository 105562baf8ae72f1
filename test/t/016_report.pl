# gepa.report() and gepa.deploy(): figures against a computation of the
# test's own, and what a report pays.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Measure;
use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

prepare_tuning($node, $mock, model => 'judge-rules+gate', world => { features => 12 }, lm => { max_concurrency => 4, logprobs => 'true' });

# (positive?, expected?, score) of each test row under the current version;
# no call, if the report has judged it.
sub judge_rows
{
	my ($run) = @_;
	return [ map { [ split /\|/ ] } split /\n/, value($node, <<"SQL") ];
SELECT (v.score >= w.threshold)::int, (s.label = 'true')::int, v.score
FROM gepa.samples s CROSS JOIN gepa_verdict('j', s.inputs ->> 'document') v
	JOIN gepa.judge_versions w ON w.judge = 'j' AND w.current
WHERE s.run = $run AND s.split = 'test' AND v.status = 'ok' ORDER BY s.sample
SQL
}

sub near { return join ' ', map { defined && length ? sprintf('%.9f', $_) : '-' } @_; }

sub check_report
{
	my ($what, $report, $baseline, $tuned) = @_;
	my %rows = map { my ($metric, @rest) = split /\|/, $_, -1; ($metric => \@rest) } split /\n/, $report;
	my %search = map { $_ => delete $rows{$_} } 'search_score', 'winners_curse';
	my %side = (1 => { measures($baseline) }, 4 => { measures($tuned) });

	is(join(',', sort keys %rows), join(',', sort keys %{ $side{1} }), "$what: all measures");
	for my $at (1, 4)
	{
		for my $metric (sort keys %rows)
		{
			my @expected = @{ $side{$at}{$metric} };
			my @got = @{ $rows{$metric} }[ $at .. $at + 2 ];
			is(near(@got[ 0 .. $#expected ]), near(@expected), "$what: $metric");
			next if @expected == 3 || $metric =~ /^(tp|fp|fn|tn|undecided)$/;
			ok($got[1] <= $got[0] && $got[0] <= $got[2], '... within its interval');
		}
	}
	is(near($search{winners_curse}[4]), near($search{search_score}[4] - $rows{accuracy}[4]), "$what: the winner's curse");
	is(near($rows{accuracy}[7]), near(mcnemar($baseline, $tuned)), "$what: McNemar's p");
	is(scalar(grep { $_->[7] ne '' } values %rows), 1, '... in the row of accuracy');
	return;
}

# What cannot be reported yet.
my $report = "SELECT * FROM gepa.report('j')";
my ($out, $err) = outcome($node, $report);
like($err, qr/ERROR:  55000: judge "j" has no ended run\n.*HINT:  Tune it first/s, 'no run, no report');
my $run = start_run($node, budget => 300, seed => 1);
$mock->wait_for(sub { $_->{waiting} == 4 }, 'the run');
($out, $err) = outcome($node, $report);
like($err, qr/ERROR:  55000: judge "j" has no ended run/, 'nor while it works');
($out, $err) = outcome($node, "SELECT gepa.deploy($run)");
like($err, qr/ERROR:  55000: run $run has no candidate to deploy yet/, 'nor can it be deployed');
$mock->gate(open => 1);
is(wait_run($node, $run), 'finished', 'a run');
($out, $err) = outcome($node, "SELECT gepa.report('j', 'other')");
like($err, qr/ERROR:  55000: judge "j" has no ended run on dataset "other"/,
	'nor on a dataset it was not tuned on');
value($node, 'DROP TABLE labels');
my $ntest = value($node, "SELECT count(*) FROM gepa.samples WHERE run = $run AND split = 'test'");

# A report that is cancelled keeps what it has paid.
$mock->gate(open => 0);
$mock->reset;
my $session = background($node, "$report;");
$mock->gate(pass => 5);
ok($mock->wait_for(sub { $_->{answered} == 5 && $_->{waiting} == 4 }, 'five answered'),
	'a report judges concurrently');
value($node, "SELECT pg_cancel_backend($session->{pid})");
finish($session);
$mock->gate(open => 1);
($out, $err) = outcome($node, $report);
my $best = run_value($node, $run, 'best_candidate');
like($err, qr/the judge is still at the version that run $run began with; the report is on the run's best candidate $best/,
	'before deploy the report is on the winner');
is(judge_calls($mock), 2 * $ntest + 4, '... each test row is judged once by each version, but for those in flight at the cancel');

# The same without a call: again, and when it is deployed.
is(value($node, $report), $out, 'a second report says the same');
my $baseline = judge_rows($run);
is(value($node, "SELECT gepa.deploy($run)"), 2, 'deploy makes a version');
is(value($node, "SELECT gepa.deploy($run)"), 2, '... once');
is(value($node, $report . ";SELECT string_agg(version || ' ' || current, ',' ORDER BY version) FROM gepa.judge_versions"), "$out\n1 false,2 true",
	'the report on the deployed version is the same');
is(value($node, "SELECT run || ' ' || candidate FROM gepa.judge_versions WHERE current"), "$run $best",
	'... which says where it is from');
my $tuned = judge_rows($run);
is(judge_calls($mock), 2 * $ntest + 4, '... all without a call');
check_report('winner', $out, $baseline, $tuned);

# Another candidate than the winner.
is(value($node, "SELECT gepa.deploy($run, 1)"), 3, 'another candidate can be deployed');
$out = value($node, $report);
is(judge_calls($mock), 3 * $ntest + 4, '... and its report judges with it only');
check_report('candidate 1', $out, $baseline, judge_rows($run));
is(value($node, "SELECT gepa.deploy($run, 0); SELECT threshold = 0.5 FROM gepa.judge_versions WHERE current"), "4\nf", 'candidate 0 is the seed with a threshold of its own');
is(value($node, "SELECT count(*) FROM gepa.judge_versions v, gepa.judge_versions w WHERE v.version = 1 AND w.version = 4 AND v.components = w.components"), 1, '... and the same texts');
($out, $err) = outcome($node, "SELECT gepa.deploy($run, 99)");
like($err, qr/ERROR:  42704: run $run has no candidate 99/, 'a candidate that is not there');

# Rows without a verdict are counted apart, and tried again.
load_world($node, 'labels', rows => 80, seed => 4);
create_lm($node, 'sloppy', $mock, 'judge-rules+garbage-30');
value($node, q(SELECT gepa.create_judge('s', lm => 'sloppy', prompt => 'Is it?')));
$run = start_run($node, judge => 's', options => '{"max_proposals": 1}');
wait_run($node, $run);
$mock->reset;
my %got = map { my ($metric, @rest) = split /\|/; ($metric => \@rest) } split /\n/, value($node, "SELECT metric, n, baseline FROM gepa.report('s')");
my $undecided = value($node, q(SELECT count(DISTINCT digest) FROM gepa.verdict_errors WHERE judge = 's' AND status = 'unparseable'));
cmp_ok($undecided, '>', 0, 'some rows have no verdict');
is($got{undecided}[1], $undecided, '... which the report counts');
is($got{tp}[1] + $got{fp}[1] + $got{fn}[1] + $got{tn}[1], 24 - $undecided, '... and leaves out of the counts');
is(near($got{accuracy}[1]), near(($got{tp}[1] + $got{tn}[1]) / (24 - $undecided)), '... and of the measures');
is($got{undecided}[0], 24, '... of all test rows');
is($got{accuracy}[0], 24 - $undecided, '... while n is that of the rows which both decided');
is(($got{auroc}[1] // ''), '', 'without log-probabilities there is no area under a curve');

# Without test rows.
$run = start_run($node, judge => 's', options => '{"max_proposals": 1, "split": {"train": 0.5, "val": 0.5}, "held_out": 0}');
wait_run($node, $run);
($out, $err) = outcome($node, "SELECT * FROM gepa.report('s')");
is($out, '', 'a run without test rows has no report');
like($err, qr/NOTICE:  00000: run $run has no test samples and no comparison on held-out samples.*HINT:  Give gepa.start\(\) a test share/s,
	'... which says what is missing');

# Samples were held out, but a limit came before they were run.
$run = start_run($node, judge => 's', options => '{"max_calls": 40, "split": {"train": 0.5, "val": 0.5}}');
wait_run($node, $run);
like((outcome($node, "SELECT * FROM gepa.report('s')"))[1], qr/NOTICE:  00000: run $run has no test samples and no comparison on held-out samples/,
	'nor has one that met a limit before its comparison');

done_testing();
