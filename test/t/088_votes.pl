# Votes on a verdict: no call in vain, no verdict of too few; they are counted, stored, and
# paid from budgets as a whole.  A kill in the middle of votes invents nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Program;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $in_flight = 4;
my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "restart_after_crash = on\n");

# What is said of a document each time it is asked about: a and b are the labels true and
# false, x is an answer without any.  Behind it the label that comes of three votes, how many
# were cast, and the score.
my @scripts = (
	[ 'a', 'true', 2, '0.833', '["true", "true"]' ],
	[ 'b', 'false', 2, '0.167', '["false", "false"]' ],
	[ 'aba', 'true', 3, '0.625', undef ],
	[ 'bab', 'false', 3, '0.375', undef ],
	[ 'abb', 'false', 3, '0.375', undef ],
	[ 'axa', 'true', 3, '0.833', undef ],
	[ 'axb', undef, 3, undef, undef ],
	[ 'x', undef, 2, undef, undef ]);

create_lm($node, 'sampler', $mock, 'judge-rules+votes', temperature => '0.7', seed => 40, input_price => 1);
value($node, q(SELECT gepa.create_judge('v', 'sampler', 'Is it good?', options => '{"votes": 3}')));
value($node, 'CREATE TABLE scripts (id int, body text)');
value($node, "INSERT INTO scripts VALUES ($_, 'document $_. VOTES: $scripts[$_][0]')") foreach 0 .. $#scripts;

# Serially, so that the first votes of a document are its first requests.
my $verdicts = q(SELECT (gepa_verdict('v', body)).* FROM scripts WHERE id = %d);
foreach my $id (0 .. $#scripts)
{
	my ($script, $label, $calls, $score, $votes) = @{ $scripts[$id] };

	$mock->reset;
	my $got = value($node, "SET gepa.on_error = 'null'; SELECT label, round(score::numeric, 3), jsonb_array_length(votes), votes, positive FROM ("
		  . sprintf($verdicts, $id) . ') v');
	my ($said, $scored, $cast, $all, $positive) = split /\|/, $got;
	is($said, $label // '', "votes $script: the label");
	is($scored, $score // '', '... its score is the share of the votes');
	is($mock->journal->{requests}, $calls, '... and no vote is asked for in vain');
	is($cast, $calls, '... all are told') if defined $label;
	is($all, $votes, '... with their labels') if defined $votes;
	is($positive, $label eq 'true' ? 't' : 'f', '... the label decides') if defined $label;
}
is(value($node, "SELECT status FROM gepa.verdict_errors WHERE judge = 'v' ORDER BY 1 LIMIT 1"), 'unparseable',
	'where no label wins there is no verdict, but a reason');
stored($node, 'v', 6, 'the others are stored');
is(value($node, "SELECT count(*), bool_and(cost > 0), max(jsonb_array_length(votes)) FROM gepa.verdicts WHERE judge = 'v'"), '6|t|3',
	'with their votes');
$mock->reset;
is(value($node, "SELECT (gepa_verdict('v', body)).votes FROM scripts WHERE id = 0"), '["true", "true"]', 'found again, votes and all');
is($mock->journal->{requests}, 0, '... and nothing is asked');

# A seed makes an answer what it was: each vote has one of its own.
value($node, q(SELECT gepa_judge('v', 'another document. VOTES: ab')));
is(join(' ', sort map { $_->{wire}{seed} } $mock->requests), '40 41 42', 'votes have seeds of their own');

# Side by side: as many documents as find places, through the judge node.
value($node, q(CREATE TABLE many AS SELECT i, 'page ' || i || '. VOTES: ' || CASE i % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' ELSE 'ab' END AS body
	FROM generate_series(1, 30) i));
$mock->reset;
$mock->meet(6);
is(value($node, q(SELECT count(*) FILTER (WHERE i % 3 = 0), count(*) FILTER (WHERE i % 3 = 1) FROM many WHERE gepa_judge('v', body))), '10|0',
	'thirty documents, judged side by side');
is($mock->journal->{requests}, 20 * 2 + 10 * 3, '... with two votes where they agree, and three elsewhere');
cmp_ok($mock->journal->{peak}, '>=', 6, '... of several documents at a time');
is(value($node, q(SELECT value, low FROM gepa.estimate('v', 'many', 'body || i') WHERE item = 'to_judge')), '90|60',
	'an estimate knows how many calls there may be');

# A budget is asked for all votes of a document at once, and gets back what was not asked for.
$mock->reset;
is(value($node, q(SET gepa.max_query_calls = 5; SET gepa.on_budget = 'null';
	SELECT string_agg(status, ' ' ORDER BY status), count(votes) FROM (SELECT (gepa_verdict('v', 'budgeted ' || i || '. VOTES: a')).* FROM generate_series(1, 3) i) v)),
	'budget ok ok|2', 'of five calls two documents have their verdicts, and the third has none');
is($mock->journal->{requests}, 4, '... and not one vote that would be in vain');
$mock->reset;
is(value($node, q(SET gepa.max_query_calls = 2; SET gepa.on_budget = 'null'; SELECT gepa_judge('v', 'two are too few. VOTES: a'))), '', 'room for all votes or for none');
is($mock->journal->{requests}, 0, '... nothing is sent');

# An LM that does not sample.
create_lm($node, 'frozen', $mock, 'judge-rules', temperature => '0');
like((outcome($node, q(SELECT gepa.create_judge('w', 'frozen', 'Is it good?', options => '{"votes": 3}'))))[1],
	qr/ERROR:  22023: judge "w" cannot have "votes" with LM "frozen": at temperature 0.*HINT:  Set the temperature/s, 'votes want an LM that samples');
like((outcome($node, q(SELECT gepa.alter_judge('v', lm => 'frozen'))))[1], qr/22023.*temperature 0/s, '... also later');

# A vote that gets no answer, after all its attempts.
create_lm($node, 'failing', $mock, 'judge-rules+votes+400', temperature => '1');
value($node, q(SELECT gepa.create_judge('f', 'failing', 'Is it good?', options => '{"votes": 5}')));
$mock->reset;
is(value($node, q(SET gepa.on_error = 'null'; SELECT status, label, votes, input_tokens FROM gepa_verdict('f', 'a document'))), 'http_error|||0',
	'votes without an answer are no verdict');
is($mock->journal->{requests}, 3, '... and none is asked for that cannot help');

# A program's last step is voted on.
load_world($node, 'pages', rows => 6, seed => 3);
my @rule = world_rule(seed => 3);
create_program($node, 'p', lm => 'sampler', weigher => 'sampler', look_for => [ map { $_->[0] } @rule ], rule => \@rule,
	options => { votes => 3 });
$mock->reset;
value($node, "SELECT count(gepa_judge('p', body)) FROM pages");
my $journal = $mock->journal;
my $steps = grep { ($_->{wire}{response_format}{json_schema}{name} // '') ne 'verdict' } $mock->requests;
is($steps, 12, 'steps before it are asked once');
is(value($node, "SELECT sum(jsonb_array_length(votes)) FROM gepa.verdicts WHERE judge = 'p'"), $journal->{requests} - $steps, 'the rest are votes');

# Tuning: rollouts have their votes, and a worker that is killed among them loses no more
# than what was not recorded.
prepare_tuning($node, $mock, model => 'judge-rules+votes+gate', judge => '{"votes": 3}', world => { rows => 40 },
	lm => { max_concurrency => $in_flight, temperature => '0.7' });
$mock->reset;
my $run = start_run($node, budget => 40, options => '{"max_proposals": 2}');
$mock->gate(pass => 15);
ok($mock->wait_for(sub { $_->{completed} == 15 && $_->{waiting} > 0 && $_->{waiting} == $_->{in_flight} }, 'votes at the gate'),
	'a run in the middle of its votes');
kill_process($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa run worker'");
$node->poll_query_until('postgres', 'SELECT true');
my $before = value($node, "SELECT count(*), coalesce(sum(jsonb_array_length(output -> 'votes')), 0) FROM gepa.rollouts WHERE run = $run");
my ($rollouts, $cast) = split /\|/, $before;
cmp_ok($cast, '<=', 15, "what is recorded was answered: $rollouts rollouts of $cast votes");
is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND jsonb_array_length(output -> 'votes') < 2"), 0,
	'no verdict is made of fewer votes than it takes');
$mock->gate(open => 1);
is(wait_run($node, $run), 'finished', 'the run goes on, and ends');
is(run_flaws($node, $run), '', '... whole');
is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND (jsonb_array_length(output -> 'votes') NOT IN (2, 3)"
		. " OR jsonb_array_length(jsonb_path_query_first(trace, '\$[*] ? (\@.name == \"verdict\")') -> 'votes') <> jsonb_array_length(output -> 'votes'))"),
	0, 'each rollout has its votes, and the trace what each said');
my $paid = value($node, "SELECT sum(jsonb_array_length(output -> 'votes')) FROM gepa.rollouts WHERE run = $run");
cmp_ok(judge_calls($mock), '<=', $paid + (15 - $cast) + $in_flight, '... and is asked again for no more than was not recorded');
cmp_ok(judge_calls($mock), '>=', $paid, '... and invents none');
is(value($node, "SELECT calls >= $paid FROM gepa.runs WHERE run = $run"), 't', 'the run counts its calls');

# Deployed, the votes go on.
my $version = value($node, "SELECT gepa.deploy($run)");
is(value($node, "SELECT options ->> 'votes' FROM gepa.judge_versions WHERE judge = 'j' AND version = $version"), 3, 'a deployed version votes');

done_testing();
