# Tuning a program of three steps on two LMs: the hidden rule is half known to the first step and
# half to the last, so that only a run that mends both reaches it; a worker that is killed in the
# middle of documents leaves no trace.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Program;
use Gepa::Run;
use Gepa::Test;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "restart_after_crash = on\n");
my %world = (rows => 200, seed => 3, features => 16);
my @rule = world_rule(seed => 3, features => 16);

create_lm($node, 'judge', $mock, 'judge-rules', max_concurrency => 4);
create_lm($node, 'weigher', $mock, 'judge-rules+gate', max_concurrency => 4);
create_lm($node, 'writer', $mock, 'reflector');
load_world($node, 'labels', %world);
value($node, "SELECT gepa.create_dataset('labels', source => 'labels', key => 'id', inputs => '{body}', label => 'keep', feedback => 'note')");
$mock->gate(open => 1);

sub tune
{
	my ($what, $judge, $options) = @_;
	my $run;

	create_program($node, $judge, lm => 'judge', weigher => 'weigher', look_for => [ map { $_->[0] } @rule[0 .. 7] ],
		rule => [ @rule[8 .. 15] ], options => { reasoning => JSON::PP::true });
	$run = start_run($node, judge => $judge, budget => 900, seed => 1, options => $options);
	is(wait_run($node, $run), 'finished', "$what: the run ends");
	is(run_flaws($node, $run), '', '... whole');
	is(value($node, "SELECT count(*) FROM gepa.proposals WHERE run = $run AND cardinality(parents) = 1 AND component IS NOT NULL"
			  . " AND component NOT IN ('claims', 'weigh', 'instruction', 'examples')"), 0, '... and knows its components');
	value($node, "SELECT gepa.deploy($run)");
	my ($baseline, $tuned) = split /\|/, value($node, "SELECT baseline, tuned FROM gepa.report('$judge') WHERE metric = 'accuracy'");
	cmp_ok($baseline, '<', 0.7, "... the seed knows too little: $baseline");
	cmp_ok($tuned, '>=', 0.9, "... the winner enough: $tuned");
	is( value($node, "SELECT count(DISTINCT components ->> 'claims') > 1, count(DISTINCT components ->> 'instruction') > 1"
			  . " FROM gepa.candidates WHERE run = $run"), 't|t', '... both steps were mended');
	return $run;
}

# By GEPA's own loop: round robin, and a merge of two lineages.
my $loop = reference_mode('{"merge": true, "candidate_selection": "epsilon_greedy"}');
my $run = tune('reference mode', 'j', $loop);
is(value($node, "SELECT count(DISTINCT component) FROM gepa.proposals WHERE run = $run AND cardinality(parents) = 1"), 3, 'each component has its turn');
is( value($node, "SELECT bool_or(k.score > greatest(a.score, b.score) AND k.components ->> 'claims' IN (a.components ->> 'claims', b.components ->> 'claims')"
		  . " AND k.components ->> 'instruction' IN (a.components ->> 'instruction', b.components ->> 'instruction')) FROM gepa.candidates k"
		  . " JOIN gepa.candidates a ON a.run = k.run AND a.candidate = k.parents[1] JOIN gepa.candidates b ON b.run = k.run AND b.candidate = k.parents[2] WHERE k.run = $run"),
	't', 'two lineages are merged: the prompt of one step from either is better than both');

# What was shown of each component.
is( value($node, "SELECT bool_and(reflection_prompt ~ 'document:\\n<<<' AND reflection_prompt ~ 'words:\\n<<<' AND reflection_prompt !~ 'summary:')"
		  . " FROM gepa.proposals WHERE run = $run AND component = 'claims' AND reflection_prompt <> ''"), 't',
	'records of the first step: its inputs and its outputs');
is( value($node, "SELECT bool_and(reflection_prompt ~ 'summary:\\n<<<' AND reflection_prompt !~ 'document:')"
		  . " FROM gepa.proposals WHERE run = $run AND component = 'instruction' AND reflection_prompt <> ''"), 't',
	'records of the verdict: what it saw');

# Traces.
is( value($node, "SELECT bool_and(jsonb_array_length(trace) = 3 AND trace -> 0 ->> 'name' = 'claims' AND trace -> 2 ->> 'name' = 'verdict'"
		  . " AND jsonb_typeof(trace -> 0 -> 'outputs' -> 'words') = 'array'"
		  . " AND (SELECT sum((t ->> 'input_tokens')::int) FROM jsonb_array_elements(trace) t) = input_tokens)"
		  . " FROM gepa.rollouts WHERE run = $run AND input_tokens > 0"), 't', 'rollouts have the trace of their steps');

# All components at once, and the default mode with examples beside.
tune('all components', 'all', reference_mode('{"component_choice": "all"}'));
tune('default mode', 'own', '{"examples": true, "max_examples": 2}');

# A worker that is killed while documents are between their steps.
my $expected = run_facts($node, $run);
$mock->gate(open => 0);
value($node, "UPDATE gepa.judge SET current_version = 1 WHERE name = 'j'");
my $killed = start_run($node, budget => 900, seed => 1, options => $loop);
$mock->gate(pass => 30);
ok($mock->wait_for(sub { $_->{waiting} == 4 && $_->{in_flight} == 4 }, 'documents at the second step'), 'a run in the middle of documents');
wait_sql($node, "SELECT count(*) = 30 FROM gepa.rollouts WHERE run = $killed", '30 rollouts');
kill_process($node, q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa run worker'));
$node->poll_query_until('postgres', 'SELECT true');
$mock->gate(open => 1);
is(wait_run($node, $killed), 'finished', 'the run ends');
same_facts(run_facts($node, $killed), $expected, '... like the undisturbed one');

done_testing();
