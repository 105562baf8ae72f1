# A sweep over LMs of planted quality and price: the points, who is dominated,
# and what a repeat, another measure, a deploy and a failure make of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

# One can learn, at a price; one says true and one says false, whatever it reads.
prepare_tuning($node, $mock, world => { rows => 120, prevalence => 0.75 }, lm => { input_price => 10, output_price => 10 });
create_lm($node, 'cheap', $mock, 'judge-fixed-true', input_price => 1, output_price => 1);
create_lm($node, 'waste', $mock, 'judge-fixed-false', input_price => 5, output_price => 5, requests_per_minute => 60_000);
create_lm($node, 'broken', $mock, 'judge-rules+key-secret', input_price => 1);

sub sweep
{
	my ($lms, %options) = @_;
	return sprintf("gepa.%s('j', 'labels', '{%s}', 'writer', %d, seed => %d, options => '%s')",
		$options{function} // 'sweep', $lms, $options{budget} // 150, $options{seed} // 0, $options{options} // '{"parallel_runs": 3}');
}

# The points: exactly these.
my $first = value($node, 'SELECT lm, n, status, quality, dominated, surely_dominated, run FROM ' . sweep('judge,cheap,waste'));
my $truth = value($node, "SELECT avg((label = 'true')::int)::float8, avg((label = 'false')::int)::float8, count(*) FROM gepa.samples WHERE run = 1 AND split = 'test'");
my ($true, $false, $n) = split /\|/, $truth;
my ($learnt) = $first =~ /^judge\|$n\|measured\|([\d.]+)\|f\|f\|\d+$/m;
cmp_ok($learnt, '>', $true, 'the LM that learns is the best, and on the frontier');
like($first, qr/^cheap\|$n\|measured\|\Q$true\E\|f\|f\|\d+$/m, 'the cheapest is on the frontier, and as good as always saying true');
like($first, qr/^waste\|$n\|measured\|\Q$false\E\|t\|t\|\d+$/m, 'one that is dearer and worse is dominated, beyond chance');
is(scalar(split /\n/, $first), 3, 'there are no others');

# The figures, from the verdicts.
is( value($node, q{SELECT string_agg(lm, ',' ORDER BY lm) FROM gepa.quality_cost q JOIN LATERAL (
		SELECT sum(o.cost) / count(*) * 1000000 AS cost, avg(o.input_tokens) AS input, avg(o.output_tokens) AS output, avg(o.latency_ms) AS latency
		FROM gepa.samples s JOIN gepa.verdict o ON o.digest = decode(s.digest, 'hex')
		WHERE s.run = q.run AND s.split = 'test' AND q.lm = CASE o.label WHEN 'false' THEN 'waste' ELSE 'cheap' END
			AND o.verdict_digest IN (SELECT verdict_digest FROM gepa.verdict GROUP BY 1 HAVING count(DISTINCT label) = 1)) v ON true
		WHERE abs(q.cost_per_million - v.cost) < 1e-6 AND abs(q.input_tokens - v.input) < 1e-6 AND abs(q.output_tokens - v.output) < 1e-6
			AND abs(q.documents_per_second - least(16000 / v.latency, CASE lm WHEN 'waste' THEN 1000 END)) < 1e-6 * q.documents_per_second AND q.measured_per_second > 0}),
	'cheap,waste', 'money, tokens and speed are those of the verdicts');
is(value($node, "SELECT count(DISTINCT f.rows) FROM (SELECT run, md5(string_agg(sample || split || label, ',' ORDER BY split, sample)) AS rows FROM gepa.samples GROUP BY run) f"),
	1, 'all runs have the same samples in the same splits');
is(value($node, 'SELECT string_agg(DISTINCT sweep_status, $$,$$), bool_and(low <= quality AND quality <= high), min(metric) FROM gepa.quality_cost'),
	'finished|t|accuracy', 'the view has the same points, with intervals');
like((outcome($node, q(SELECT gepa.report('j'))))[1], qr/has no ended run/, 'runs of a sweep are no matter of a report');

# A repeat pays nothing; another measure neither.
my $calls = $mock->journal->{requests};
is(value($node, 'SELECT lm, n, status, quality, dominated, surely_dominated, run FROM ' . sweep('judge,cheap,waste')), $first, 'a repeat says the same');
like(value($node, 'SELECT string_agg(metric || $$ $$ || quality, $$,$$) FROM ' . sweep('waste,cheap,judge', options => '{"quality": "f1"}')),
	qr/^f1 [\d.]+,f1 0.[89]\d*,f1 0$/, 'another measure measures anew');
value($node, 'SELECT count(*) FROM ' . sweep('judge,cheap,waste'));
is($mock->journal->{requests}, $calls, '... both without a call');
is(value($node, 'SELECT count(*), (SELECT count(*) FROM gepa.sweep) FROM gepa.runs'), '3|1', '... and without a run');

# What is missing is done: an LM that has come, a setting, one that fails.
create_lm($node, 'late', $mock, 'judge-fixed-true', input_price => 2, output_price => 2);
is( value($node, 'SELECT string_agg(lm || $$ $$ || settings || $$ $$ || dominated, $$, $$ ORDER BY run) FROM '
		  . sweep('late', options => '{"settings": [{}, {"reasoning": false}]}')),
	'judge {} false, cheap {} false, waste {} true, late {} true, late {"reasoning": false} true',
	'points that are added stand beside those that are there');
is( value($node, q{SELECT count(*), (SELECT count(*) FROM gepa.runs), min(p.cost_per_million) FILTER (WHERE settings = '{}') > min(p.cost_per_million) FILTER (WHERE settings <> '{}')
	FROM gepa.quality_cost p WHERE lm = 'late'}), '2|5|t', '... at the cost of their runs; less is said without reasons');
is(value($node, "SELECT string_agg(version || ' ' || (options ->> 'reasoning') || ' ' || current, ', ' ORDER BY version) FROM gepa.judge_versions"),
	'1 true true, 2 false false', 'a setting is a version that is not current');
my ($out, $err) = outcome($node, 'SELECT lm, status, quality IS NULL FROM ' . sweep('cheap,broken') . " WHERE lm IN ('broken', 'cheap')");
is($out, "cheap|measured|f\nbroken|failed|t", 'an LM that fails is a point without a result');
like($err, qr/WARNING:.*LM "broken" with settings \{\} has no result: run 6 failed: .*key/, '... of which one is told');
is(value($node, 'SELECT DISTINCT sweep_status, sweep_reason FROM gepa.quality_cost'), 'finished|1 of 6 points have no result', '... and the sweep has ended');
value($node, "ALTER SERVER broken OPTIONS (SET model 'judge-fixed-false')");
value($node, 'SELECT count(*) FROM ' . sweep('broken'));
is(value($node, "SELECT string_agg(status || ' ' || run, ', ' ORDER BY run) FROM gepa.quality_cost WHERE lm = 'broken'"),
	'failed 6, measured 7', 'an LM with other settings is another point');

# Deploying: a point judges under the LM and the settings it was tuned for.
value($node, "SELECT gepa.deploy(run, force => true) FROM gepa.quality_cost WHERE lm = 'judge'");
$calls = $mock->journal->{requests};
is( value($node, "SELECT v.lm, count(*), bool_and((r.v).cached), round(avg(((r.v).label = r.label)::int), 6) FROM gepa.judge_versions v,
		(SELECT label, gepa_verdict('j', inputs ->> 'document') AS v FROM gepa.samples WHERE run = 1 AND split = 'test') r WHERE v.current GROUP BY 1"),
	sprintf('judge|%d|t|%.6f', $n, $learnt), 'deployed it judges as measured, under its LM');
is($mock->journal->{requests}, $calls, '... from what the sweep has paid');
like(value($node, "SELECT metric || ' ' || n FROM gepa.report('j') WHERE metric = 'accuracy'"), qr/^accuracy $n$/, '... and can be reported');
value($node, "SELECT gepa.deploy(run, force => true) FROM gepa.quality_cost WHERE lm = 'late' AND settings <> '{}'");
is(value($node, "SELECT lm, options ->> 'reasoning' FROM gepa.judge_versions WHERE current"), 'late|false', 'a setting is deployed with its point');

# Another version, other rows: another sweep.  The version can be named.
is(value($node, 'SELECT ' . sweep('cheap', function => 'start_sweep', options => '{"version": 1}')), 1, 'the version that was tuned can be named');
value($node, 'DELETE FROM labels WHERE id = (SELECT min(id) FROM labels)');
my $other = value($node, 'SELECT ' . sweep('cheap', function => 'start_sweep', options => '{"version": 1}'));
is($other, 2, 'rows that have changed are another sweep');
is(value($node, "SELECT gepa.wait_sweep($other, '3 minutes')"), 'finished', '... which ends in the background');

# What is refused.
for my $case (
	[ sweep('nobody'), qr/42704: LM "nobody" does not exist/ ],
	[ sweep(''), qr/22023: a sweep must have from 1 to 1000 points/ ],
	[ sweep('cheap', options => '{"quality": "tp"}'), qr/22023: invalid value for sweep option "quality".*It must be one of "accuracy", /s ],
	[ sweep('cheap', options => '{"settings": [{"split": {}}]}'), qr/22023: "split" cannot be in a setting of a sweep/ ],
	[ sweep('cheap', options => '{"settings": [{"windows": 3}]}'), qr/22023: unknown run option "windows"/ ],
	[ sweep('cheap', options => '{"settings": []}'), qr/22023: invalid value for sweep option "settings"/ ],
	[ sweep('cheap', options => '{"task_lm": "late"}'), qr/22023: run option "task_lm" cannot be given to a sweep/ ],
	[ sweep('cheap', options => '{"split": {"train": 0.5, "val": 0.5}}'), qr/22023: a sweep needs samples that are held out/ ],
	[ sweep('cheap', budget => 3), qr/22023: .*the budget leaves too few rollouts/s ],
	[ 'gepa.wait_sweep(99)', qr/42704: sweep 99 does not exist/ ])
{
	like((outcome($node, "SELECT $case->[0]"))[1], $case->[1], "refused: $case->[0]");
}
is(value($node, 'SELECT count(*) FROM gepa.sweep'), 2, 'what is refused leaves nothing');
like((outcome($node, 'BEGIN; SELECT gepa.wait_sweep(' . sweep('cheap', function => 'start_sweep', seed => 9) . ')'))[1],
	qr/55000: sweep \d+ cannot be waited for in the transaction that changed it/, 'nor can it be waited for before it is committed');
value($node, "CREATE ROLE guest; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO guest");
like((outcome($node, 'SET ROLE guest; SELECT gepa.stop_sweep(1)'))[1], qr/42501: must be owner of sweep "1"/, 'only an owner stops a sweep');
is(value($node, 'SET ROLE guest; SELECT count(*) FROM gepa.quality_cost'), 0, '... and sees it');

done_testing();
