# A run that fails says why in its row, and goes on once that is mended.
# What is wrong with an answer, and not with the endpoint, fails no run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

# The gate is for the reflection LM: there a run waits with a few steps behind it.
prepare_tuning($node, $mock, model => 'judge-rules+key-right', writer => 'reflector+gate', world => { rows => 80 },
	lm => { max_concurrency => 4 });
value($node, q(CREATE USER MAPPING FOR CURRENT_USER SERVER judge OPTIONS (api_key 'right')));
$mock->gate(open => 1);
my $run = start_run($node);
is(wait_run($node, $run), 'finished', 'a run without a fault');
my $expected = run_facts($node, $run);

sub status { return run_value($node, $_[0], q(status || ': ' || coalesce(reason, '-'))); }

sub goes_on
{
	my ($what) = @_;

	$mock->gate(open => 1);
	value($node, "SELECT gepa.resume($run)");
	is(wait_run($node, $run), 'finished', "$what: resumed, it ends");
	same_facts(run_facts($node, $run), $expected, '... as if it had not failed');
	return;
}

# A run that waits for its first reflection; what is done now, it meets next.
sub reflecting_run
{
	$mock->gate(open => 0);
	my $id = start_run($node);
	wait_reflecting($mock) or BAIL_OUT('no reflection');
	return $id;
}

# A wrong key.
$mock->reset;
value($node, q(ALTER USER MAPPING FOR CURRENT_USER SERVER judge OPTIONS (SET api_key 'wrong')));
my ($out, $err) = outcome($node, "SELECT gepa.optimize('j', 'labels', 'writer', 150)");
$run = value($node, 'SELECT max(run) FROM gepa.runs');
like($err, qr/ERROR:  38000: run $run failed: judge "j" has no verdict from LM "judge": .*401.*HINT:  Mend the cause, then SELECT gepa.resume\($run\)/s,
	'a wrong key fails the run');
like(status($run), qr/^failed: judge "j" has no verdict from LM "judge": .*401.*\. .*api_key/,
	'... and the row says so, with what to do');
cmp_ok(judge_calls($mock), '<=', 4, '... after no more calls than go out at once');
unlike(status($run) . $err, qr/wrong/, '... and without showing the key');
value($node, q(ALTER USER MAPPING FOR CURRENT_USER SERVER judge OPTIONS (SET api_key 'right')));
goes_on('wrong key');

# The same in the middle, by the right to use the LM, and by its settings.
$run = reflecting_run();
value($node, q(ALTER SERVER judge OPTIONS (ADD temperature '0.5')));
$mock->gate(open => 1);
is(wait_run($node, $run), 'failed', 'settings of the LM that change in between fail the run');
like(status($run), qr/settings of LM "judge" are no longer those that the run was started with.*0\.5.*Set the LM back/s,
	'... and the row says so');
value($node, "ALTER ROLE CURRENT_USER SET gepa.allow_lm_mismatch = on");
goes_on('allowed settings');
value($node, q(ALTER ROLE CURRENT_USER RESET ALL; ALTER SERVER judge OPTIONS (DROP temperature)));

# A reflection LM that refuses, and that does not exist any more.
$run = reflecting_run();
value($node, q(SELECT gepa.stop((SELECT max(run) FROM gepa.runs)); ALTER SERVER writer OPTIONS (SET model 'nonesuch')));
wait_run($node, $run);
value($node, "SELECT gepa.resume($run)");
is(wait_run($node, $run), 'failed', 'an unknown model fails the run');
like(status($run), qr/LM "writer".*404.*nonesuch/s, '... and the row says so');
value($node, q(ALTER SERVER writer RENAME TO poet));
value($node, "SELECT gepa.resume($run)");
is(wait_run($node, $run), 'failed', 'an LM that is gone fails the run');
like(status($run), qr/LM "writer" does not exist\. Create it/, '... and the row says so');
value($node, q(ALTER SERVER poet RENAME TO writer; ALTER SERVER writer OPTIONS (SET model 'reflector+gate')));
goes_on('unknown model');

# Rows that do not fit the run's journal.
$run = reflecting_run();
value($node, "SELECT gepa.stop($run)");
wait_run($node, $run);
value($node, "DELETE FROM gepa.rollout WHERE run = $run AND step = 0 AND slot = 0");
value($node, "SELECT gepa.resume($run)");
is(wait_run($node, $run), 'failed', 'rows that somebody has deleted fail the run');
like(status($run), qr/journal of run $run does not fit its engine at entry 0\..*Start a new run/,
	'... and the row says so');

# No answers of an LM: whole rounds are tried again before the run fails.
$mock->reset;
create_lm($node, 'lost', $mock, 'judge-rules+html');
$run = start_run($node, options => '{"task_lm": "lost"}');
is(wait_run($node, $run), 'failed', 'an endpoint that gives no answers fails the run');
is(max(values %{ $mock->texts->{'judge-rules+html'} }), 3, '... when calls were tried in three rounds');
like(status($run), qr/has no verdict from LM "lost": http_error\. .* not JSON .*Check that base_url/, '... and the row says what to look at');
unlike(status($run), qr/on_error/, '... and nothing that is for queries');

# Answers that cannot be used: rollouts without a score, and iterations
# without a proposal.
$mock->reset;
$mock->gate(open => 1);
create_lm($node, 'sloppy', $mock, 'judge-rules+garbage-30');
create_lm($node, 'mute', $mock, 'reflector+empty');
$run = start_run($node, options => '{"task_lm": "sloppy"}');
is(wait_run($node, $run), 'finished', 'a judge that talks garbage fails no run');
is( value($node, "SELECT count(*) > 5, bool_and(score = 0), bool_and(o.label IS NULL), bool_and(output ->> 'answer' <> ''),
		bool_and(o.feedback LIKE 'The answer could not be used (unparseable): % The expected label was \"' || s.label || '\".%')
		FROM gepa.rollouts o JOIN gepa.samples s USING (run, split, sample) WHERE run = $run AND status = 'unparseable'"),
	't|t|t|t|t', '... its garbage scores nothing, and feedback says why');
is(run_value($node, $run, 'lm'), 'sloppy', '... and option task_lm names it');

$run = start_run($node, reflection_lm => 'mute', options => reference_mode('{"max_proposals": 2}'));
is(wait_run($node, $run), 'finished', 'a reflection LM that says nothing fails no run');
is( value($node, "SELECT count(*), bool_and(text IS NULL), bool_and(detail <> '') FROM gepa.reflections WHERE run = $run"),
	'2|t|t', '... its answers are rows with what was wrong');
is($mock->journal->{by_model}{'reflector+empty'}{requests}, 4, '... each was asked for once more');
is(value($node, "SELECT count(*) FROM gepa.proposals WHERE run = $run"), 0, '... and proposed nothing');

done_testing();
