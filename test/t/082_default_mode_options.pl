# Options of a run in default mode: limits that only the worker knows of, how many samples are
# held out, and options of the other mode.

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

prepare_tuning($node, $mock, world => { rows => 120 }, lm => { input_price => 1, output_price => 1 });

# Run it to the end and return columns of its row.
sub tuned
{
	my ($options, $columns, %more) = @_;
	my $run = start_run($node, budget => 300, options => $options, %more);

	is(wait_run($node, $run), 'finished', "$options: it ends");
	is(value($node, "SELECT difference FROM gepa.replay($run)"), '', '... and its replay is the same');
	return ($run, run_value($node, $run, $columns));
}

# Limits end the search where it is: there is a winner, and no report on it.
my $ended = 'best_candidate IS NOT NULL, held_out_n IS NULL';
is((tuned('{"max_calls": 50}', "reason, calls <= 50, $ended"))[1], 'max_calls|t|t|t', 'max_calls: so many requests, and no more');
is((tuned('{"max_tokens": 20000}', "reason, input_tokens + output_tokens BETWEEN 10000 AND 20000, $ended"))[1], 'max_tokens|t|t|t', 'max_tokens');
is((tuned('{"max_cost": 0.01}', "reason, cost BETWEEN 0.005 AND 0.01, $ended"))[1], 'max_cost|t|t|t', 'max_cost');
is((tuned('{"max_seconds": 0}', "reason, reflections, $ended"))[1], 'max_seconds|0|t|t', 'max_seconds ends it between rounds');

# Deploy takes such a winner, and says what is not known of it.
my ($uncompared) = tuned('{"max_calls": 100}', 'reason');
like((outcome($node, "SELECT gepa.deploy($uncompared, (SELECT max(candidate) FROM gepa.candidates WHERE run = $uncompared))"))[1],
	qr/NOTICE:  00000: candidate \d+ of run $uncompared was not compared with the seed on held-out samples\nDETAIL:  The run has made no such comparison\.\n/,
	'deploy says that there was no comparison');
unlike((outcome($node, "SELECT gepa.deploy($uncompared, 0)"))[1], qr/compared/, '... which the seed needs none of');

# A budget that cannot work.
like((outcome($node, q(SELECT gepa.start('j', 'labels', 'writer', 5))))[1], qr/DETAIL:  The engine says: the budget leaves too few rollouts to search with\.\nHINT:  Raise it to at least 10, or lower held_out or reserve\.\n/,
	'the hint is the way out');

# The limit comes while others are at work.
my ($limited) = tuned('{"max_calls": 60, "pipelined": true}', 'reason');
is(run_flaws($node, $limited), '', 'all proposals are decided on');

# Of a run that is still at it, deploy says so.
$mock->reset;
create_lm($node, 'slow', $mock, 'reflector+gate');
$mock->gate(open => 0);
my $going = start_run($node, reflection_lm => 'slow', budget => 300);
ok(wait_reflecting($mock), 'a run waits for its reflection LM');
like((outcome($node, "SELECT gepa.deploy($going)"))[1], qr/NOTICE:  00000: run $going has not ended\nDETAIL:  Candidate 0 leads so far, and there is no figure of it on held-out samples yet\.\nHINT:  /,
	'deploy says that it has not ended');
unlike((outcome($node, "SELECT gepa.deploy($going, 0)"))[1], qr/has not ended/, '... but of the seed, named as such');
$mock->gate(open => 1);
is(wait_run($node, $going), 'finished', 'it goes on');

# As many as are asked for, none included.
my $run;
is((tuned('{"held_out": 20}', 'held_out_n'))[1], 20, 'held_out: so many');
is((tuned('{"held_out": 0}', 'held_out_n IS NULL AND gain IS NULL'))[1], 't', '... or none');

# A seed that wins is its own match: there is nothing to give figures of.
is((tuned('{"stop_at_score": 0.01}', 'reason, best_candidate'))[1], 'stop_at_score; no gain over the seed, which is the winner|0', 'a seed that wins is no gain');
my $seed_wins = value($node, 'SELECT max(run) FROM gepa.runs');
like((outcome($node, "SELECT gepa.deploy($seed_wins)"))[1], qr/DETAIL:  The winner is the seed itself, which scores \d\.\d{3} on \d+ held-out samples\.\n/, '... as deploy says');

# A limit in the midst of the report leaves some pairs, and what they say is said.
is((tuned('{"stop_at_score": 0.01, "max_calls": 30}', 'reason, best_candidate, calls, held_out_n'))[1], 'max_calls; no gain over the seed, which is the winner|0|30|14',
	'so does a report that is not whole');

# Options of the other mode are told of.
my (undef, $err) = outcome($node, q(SELECT gepa.optimize('j', 'labels', 'writer', 150, options => '{"minibatch_size": 8, "merge": true}')));
like($err, qr/NOTICE:.*options without effect in mode "default": .*minibatch_size/, 'options without effect are told of');

done_testing();
