# The default mode where there is little or nothing to learn, where answers are missing, and with
# what there is to be tuned beside an instruction.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Search;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

prepare_tuning($node, $mock, world => { rows => 160, features => 12 }, lm => { max_concurrency => 16 });
my $no_test = '"split": {"train": 0.6, "val": 0.4}';

sub run_with
{
	my ($what, %options) = @_;
	my $run = start_run($node, budget => 300, %options);

	is(wait_run($node, $run), 'finished', "a run $what");
	is(run_flaws($node, $run) . search_flaws($node, $run), '', '... has whole rows');
	is(value($node, "SELECT difference FROM gepa.replay($run)"), '', '... and a replay agrees');
	return $run;
}

# What reflection is shown.
my $run = run_with('without test rows', options => "{$no_test}");
cmp_ok(value($node, "SELECT count(*) FROM gepa.reflections WHERE run = $run"), '>', 2, 'it has reflected');
is(shown_flaws($node, $run), '', 'what the reflection LM was shown is what the incumbent was run on, and nothing held out');
$run = run_with('with test rows and few records', options => '{"records": 4}');
is(shown_flaws($node, $run), '', 'the same');
cmp_ok(value($node, "SELECT max(n) FROM (SELECT count(*) AS n FROM shown_samples WHERE run = $run GROUP BY step) s"), '<=', 4, '... with so many records at most');

# Samples of one group, and copies of one document, are held out together.
load_world($node, 'sites', rows => 160, seed => 7, features => 12, sites => 40, copies => 0.3);
value($node, "SELECT gepa.create_dataset('sites', source => 'sites', key => 'id', inputs => '{body}', label => 'keep', feedback => 'note', group_by => 'site')");
$run = run_with('on groups', dataset => 'sites', options => "{$no_test}");
is(value($node, "SELECT count(*) > 5, count(*) FILTER (WHERE EXISTS (SELECT FROM gepa.sample o WHERE o.run = s.run AND o.key <> ALL (d.samples)
		AND (o.group_key = s.group_key OR o.digest = s.digest)))
	FROM gepa.decision d JOIN gepa.sample s USING (run) WHERE run = $run AND kind = 'held_out' AND s.key = ANY (samples)"), 't|0', 'groups are held out whole');

# A limit that is met in the midst of a generation, and one that is met at its end.
for my $limit ('"max_tokens": 3000', '"max_tokens": 8000, "pipelined": true', '"max_calls": 50', '"max_calls": 10', '"max_seconds": 0')
{
	$run = start_run($node, budget => 300, options => "{$limit}");
	is(wait_run($node, $run), 'finished', "a run with $limit");
	is(run_flaws($node, $run) . search_flaws($node, $run), '', '... decides on what came in');
	is(value($node, "SELECT kind, leads = best_candidate, (SELECT reason ~ '^max_' FROM gepa.runs r WHERE r.run = d.run)
		FROM gepa.decisions d JOIN gepa.runs USING (run) WHERE d.run = $run ORDER BY decision DESC LIMIT 1"), 'winner|t|t', '... says who won');
	is(value($node, "SELECT difference FROM gepa.replay($run)"), '', '... and a replay agrees');
}

# Labels that were shuffled among the documents: nothing can be learnt.
value($node, q{UPDATE labels l SET keep = b.keep, note = ''
	FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM labels) a
		JOIN (SELECT keep, row_number() OVER (ORDER BY md5(id::text)) AS n FROM labels) b USING (n) WHERE a.id = l.id});
my @null = map { run_with('on shuffled labels', seed => $_) } 1 .. 6;
my $null_runs = 'FROM gepa.runs WHERE run IN (' . join(', ', @null) . ')';
cmp_ok(value($node, "SELECT count(*) $null_runs AND reason ~ '; no (certain )?gain over the seed' AND gain_low <= 0"), '>=', 5, 'report no certain gain');
my $null = value($node, "SELECT min(run) $null_runs AND gain <= 0");
like(run_value($node, $null, 'reason'), qr/^\w.*; no gain over the seed: [-+]0\.\d{3} on \d+ held-out samples, 95 % interval [-+]\d\.\d+ to [-+]\d\.\d+$/, '... and says so');
my ($out, $err) = outcome($node, "SELECT gepa.deploy($null)");
like($err, qr/ERROR:  55000: the winner of run $null is no better than its seed on held-out samples\nDETAIL:  On \d+ held-out samples.*\nHINT:  .*force => true/, '... so deploy asks for force');
is(value($node, "SELECT gepa.deploy($null, force => true)"), 2, '... and takes it');
my %curse = map { split /\|/ } split /\n/, value($node, "SELECT metric, tuned FROM gepa.report('j') WHERE metric IN ('search_score', 'winners_curse')");
cmp_ok($curse{winners_curse}, '>', 0, "what it was chosen by, $curse{search_score}, was too high");

# gepa.optimize() tells estimates for what they are.
load_world($node, 'other', rows => 160, seed => 5, features => 12);
value($node, "SELECT gepa.create_dataset('other', source => 'other', key => 'id', inputs => '{body}', label => 'keep', feedback => 'note')");
($out, $err) = outcome($node, "SELECT gepa.optimize('j', 'other', 'writer', 200)");
like($err, qr/NOTICE:  00000: run $out finished: \d+ rollouts, best candidate \d+ with \d\.\d{4} \(estimate\)\nDETAIL:  On \d+ held-out samples the seed scores/, 'gepa.optimize() says what is an estimate');

# Documents that the endpoint will not take have no score, and count as rollouts.
$mock->reset;
create_lm($node, 'picky', $mock, 'judge-rules+reject-20', max_concurrency => 16);
$run = run_with('whose endpoint rejects documents', dataset => 'other', options => '{"task_lm": "picky"}');
is(value($node, "SELECT count(*) > 5, bool_and(score IS NULL) FROM gepa.rollouts WHERE run = $run AND status = 'http_error'"), 't|t', 'they have no score');
is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND status = 'ok' AND score IS NULL"), 0, '... all others have');
is(judge_calls($mock), run_value($node, $run, 'rollouts'), '... and were asked about once');
is(shown_flaws($node, $run), '', '... nor are they shown');
create_lm($node, 'closed', $mock, 'judge-rules+reject-100', max_concurrency => 16);
$run = start_run($node, dataset => 'other', options => '{"task_lm": "closed"}');
is(wait_run($node, $run), 'failed', 'an endpoint that takes nothing fails the run');
create_lm($node, 'sloppy', $mock, 'judge-rules+garbage-20', max_concurrency => 16);
$run = run_with('whose endpoint talks nonsense', dataset => 'other', options => '{"task_lm": "sloppy"}');
is(value($node, "SELECT count(*) > 5, bool_and(score = 0) FROM gepa.rollouts WHERE run = $run AND status = 'unparseable'"), 't|t', 'which scores nothing');

# Examples alone, and beside an instruction; none of them is held out.
for my $case ([ 'of examples only', undef, '' ], [ 'of instruction and examples', 'writer', ', "examples": true' ])
{
	my ($what, $writer, $more) = @$case;

	$run = run_with($what, dataset => 'other', reflection_lm => $writer, options => "{$no_test$more}");
	my $shown = "gepa.proposal p, jsonb_array_elements((p.components ->> 'examples')::jsonb) e JOIN gepa.samples s ON s.digest = e ->> 'digest'
		WHERE p.run = $run AND s.run = $run";
	cmp_ok(value($node, "SELECT count(*) FROM $shown"), '>', 5, 'examples are tried');
	is(value($node, "SELECT count(*) FROM $shown AND (s.split <> 'train' OR s.sample IN (SELECT unnest(samples) FROM gepa.decisions WHERE run = $run AND kind = 'held_out'))"),
		0, '... which are training samples that are not held out');
	is(value($node, "SELECT count(DISTINCT component) FROM gepa.proposals WHERE run = $run AND reflection_prompt IS NOT NULL OR run = $run AND component = 'examples'"),
		defined $writer ? 2 : 1, '... and components change');
}

done_testing();
