# Results of the Python package gepa: what it wrote comes in and goes out again
# without loss, and it reads what a run here has come to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Python;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $folder = PostgreSQL::Test::Utils::tempdir();

prepare_tuning($node, $mock);
value($node, q{
	CREATE TABLE mine AS SELECT n AS id, body, keep, CASE WHEN n < 12 THEN 'train' WHEN n < 24 THEN 'val' ELSE 'test' END AS part
	FROM (SELECT row_number() OVER (ORDER BY id) - 1 AS n, body, keep FROM labels) l WHERE n < 48;
	SELECT gepa.create_dataset('mine', 'mine', 'id', '{body}', 'keep', split => 'part');
	SELECT gepa.create_judge('other', 'judge', 'Is it good?'),
		gepa.create_judge('two', 'judge', 'Is it good?', options => '{"steps": [{"name": "find", "prompt": "List claims.", "outputs": {"claims": {"type": "string"}}}]}')});

sub export
{
	my ($run, $file) = @_;

	append_to_file("$folder/$file", value($node, "SELECT gepa.export_result($run)"));
	return "$folder/$file";
}

sub import_file
{
	my ($file, $dataset, %options) = @_;
	my $options = $options{options} // '{}';

	return value($node, sprintf "SELECT gepa.import_result('%s', %s, pg_read_file('%s')::jsonb, '%s')",
		$options{judge} // 'other', $dataset ? "'$dataset'" : 'NULL', $file, $options);
}

# What the package wrote.
append_to_file("$folder/labels.jsonl", value($node, "SELECT gepa.export_labels('mine')") . "\n");
note python('results.py', 'make', $folder);
my %run;
my %arguments = (
	plain => ['mine', options => '{"ids": "position"}'],
	dspy => [],
	old => [],
	objectives => [],
	text => [],
	merged => [undef, judge => 'two', options => '{"components": {"decide": "instruction"}}']);
my @names = sort keys %arguments;

for my $name (@names)
{
	my ($dataset, %options) = @{ $arguments{$name} };

	$run{$name} = import_file("$folder/$name.json", $dataset, %options);
	my $file = export($run{$name}, "$name.out");
	delete $options{options} if $name eq 'plain';
	my $again = import_file($file, $dataset, %options);
	ok(slurp_file(export($again, "$name.again")) eq slurp_file($file), "$name: what came out comes in as it is");
}
is(python('results.py', 'compare', $folder, @names), join("\n", map { "$_: the same" } @names), 'what the package wrote comes out as it came in');

# Marked, and of use.
my $plain = $run{plain};
is(value($node, "SELECT count(*) FROM gepa.runs WHERE imported IS NULL"), 0, 'imported runs are marked as such');
is(value($node, "SELECT status || ' ' || (best_score = (SELECT max(score) FROM gepa.candidates c WHERE c.run = r.run)) FROM gepa.runs r WHERE run = $plain"),
	'finished true', 'one has ended, and a best candidate');
is(value($node, "SELECT count(*) FROM gepa.candidates WHERE run = $plain AND components ->> 'instruction' LIKE 'Is it good?%'"),
	value($node, "SELECT jsonb_array_length(pg_read_file('$folder/plain.json')::jsonb -> 'candidates')"), 'its candidates are there');
is(value($node, "SELECT count(*) FROM gepa.frontier WHERE run = $plain AND score = (SELECT max(o.score) FROM gepa.rollouts o WHERE o.run = $plain AND o.sample = key)"),
	12, '... and its frontier');
is(value($node, "SELECT string_agg(split || ' ' || n, ', ' ORDER BY split) FROM (SELECT split, count(*) AS n FROM gepa.samples WHERE run = $plain GROUP BY 1) s"),
	'test 24, train 12, val 12', 'samples are those of the dataset');
like(value($node, "SELECT string_agg(tree, E'\\n') FROM gepa.lineage($plain) AS l(tree)"), qr/\d/, 'lineage');
is(value($node, "SELECT text FROM gepa.prompt_diff($plain, 0, 1) AS d(component, text)") =~ /holds/, 1, 'differences of texts');
my $calls = $mock->journal->{requests};
my ($out, $err) = outcome($node, "SELECT n FROM gepa.report('other') WHERE metric = 'accuracy'");
is($out, 24, 'a report is on the test rows');
like($err, qr/the report is on the run's best candidate/, '... of the best candidate');
is($mock->journal->{requests} - $calls, 48, '... which are judged for it');
is(value($node, "SELECT gepa.deploy($plain)"), 2, 'it can be deployed');
is(value($node, "SELECT v.components ->> 'instruction' = c.components ->> 'instruction' FROM gepa.judge_versions v, gepa.candidates c, gepa.runs r
	WHERE v.judge = 'other' AND v.current AND r.run = $plain AND c.run = $plain AND c.candidate = r.best_candidate"), 't', '... as a version with its text');
for my $call ("resume($plain)", "replay($plain)")
{
	(undef, $err) = outcome($node, "SELECT gepa.$call");
	like($err, qr/^.*ERROR:  55000: run $plain .*HINT:/ms, "no gepa.$call");
}

# A new run goes on from its candidates.
my $seeds = value($node, "SELECT jsonb_build_object('seeds', jsonb_agg(components)) FROM gepa.candidates WHERE run = $plain AND candidate IN (1, 2)");
my $next = start_run($node, judge => 'other', budget => 120, options => $seeds);
is(wait_run($node, $next), 'finished', 'a run from candidates of an imported one');
is(value($node, "SELECT count(DISTINCT c.candidate) FROM gepa.candidates n JOIN gepa.candidates c ON c.components ->> 'instruction' = n.components ->> 'instruction'
	WHERE n.run = $next AND n.parents = '{}' AND c.run = $plain AND c.candidate IN (1, 2)"), 2, '... begins with them');

# What runs here have come to, in both modes.
for my $mode ('default', 'reference')
{
	my $mine = start_run($node, budget => 150, options => $mode eq 'default' ? '{}' : reference_mode('{"frontier_type": "hybrid"}'));

	is(wait_run($node, $mine), 'finished', "a run in $mode mode");
	my $file = export($mine, "$mode.json");
	my ($best, $best_idx, $n) = split /\|/, value($node, "SELECT c.components, r.best_candidate, (SELECT count(*) FROM gepa.candidates c WHERE c.run = r.run)
		FROM gepa.runs r JOIN gepa.candidates c ON c.run = r.run AND c.candidate = r.best_candidate WHERE r.run = $mine");
	like(python('results.py', 'show', $file), qr/"candidates": $n/, '... can be read by the package');
	my $copy = import_file($file, 'labels', judge => 'j');
	ok(slurp_file(export($copy, "$mode.out")) eq slurp_file($file), '... and comes in again as it went out');

	# with its rollouts
	value($node, "SELECT count(*) FROM gepa.import_rollouts($copy, (SELECT string_agg(r::text, E'\\n') FROM gepa.export_rollouts($mine) r))");
	my $rollouts = q{SELECT md5(string_agg((r - 'split')::text, ',' ORDER BY r ->> 'step', r ->> 'slot')) FROM gepa.export_rollouts(%s) r};
	is(value($node, sprintf $rollouts, $copy), value($node, sprintf $rollouts, $mine), '... and its rollouts');
	append_to_file("$folder/$mode.full", value($node, "SELECT gepa.export_result($copy)"));
	ok(slurp_file("$folder/$mode.full") eq slurp_file($file), '... which say what the result said');
}
is(value($node, "SELECT gepa.deploy(run => max(run), force => true) FROM gepa.runs WHERE judge = 'j'"),
	value($node, "SELECT gepa.deploy(run => max(run), force => true) FROM gepa.runs WHERE judge = 'j' AND imported IS NULL"),
	'a run and its copy deploy the same, threshold and all');

done_testing();
