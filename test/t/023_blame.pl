# Whose fault it is: documents that an endpoint will not take cost their
# rollouts, an endpoint that takes none ends the run, and one that asks to be
# left alone is.

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

prepare_tuning($node, $mock, writer => 'reflector+gate', world => { rows => 80 }, lm => { max_concurrency => 4 });
$mock->gate(open => 1);

sub run_with
{
	my ($name, $model, %how) = @_;
	my $options = qq({"task_lm": "$name"});

	$mock->reset;
	create_lm($node, $name, $mock, $model, max_concurrency => 4);
	my $run = start_run($node, options => $how{mode} ? reference_mode($options) : $options);
	return ($run, wait_run($node, $run));
}

# A share of the documents, in a step that takes more than one round.
my ($run, $status) = run_with('picky', 'judge-rules+reject-30+html-once', mode => 'reference');
is($status, 'finished', 'a run whose endpoint rejects some documents ends');
my $seed_rejects = value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND step = 0 AND status = 'http_error'");
cmp_ok($seed_rejects, '>', 2, '... after a few rejections');
is( value($node, "SELECT bool_and(score = 0), bool_and(output ->> 'detail' LIKE '%HTTP 400%') FROM gepa.rollouts
		WHERE run = $run AND status = 'http_error'"),
	't|t', '... which score nothing and say why');
is((grep { $_->{status} == 400 } $mock->requests) + 0, value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND status = 'http_error'"),
	'what was rejected is asked once, however many rounds the step takes');
is(run_flaws($node, $run), '', 'the rows are whole');

# All of them, from the start.
($run, $status) = run_with('closed', 'judge-rules+reject-100');
is($status, 'failed', 'an endpoint that rejects every document fails the run');
like(run_value($node, $run, 'reason'), qr/has no verdict from LM "closed".*This text cannot be taken/, '... with its words');
is(judge_calls($mock), $mock->journal->{documents}, '... after one round');

# All of them, in a run that was under way.
value($node, 'ALTER ROLE CURRENT_USER SET gepa.allow_lm_mismatch = on');
$mock->reset;
$mock->gate(open => 0);
create_lm($node, 'changing', $mock, 'judge-rules', max_concurrency => 4);
$run = start_run($node, budget => 2000, options => '{"task_lm": "changing"}');
wait_reflecting($mock) or BAIL_OUT('no reflection');
value($node, q(ALTER SERVER changing OPTIONS (SET model 'judge-rules+reject-100')));
$mock->gate(open => 1);
is(wait_run($node, $run), 'failed', 'one that begins to reject every document fails the run, too');
like(run_value($node, $run, 'reason'), qr/has no verdict from LM "changing".*This text cannot be taken/, '... with its words');
cmp_ok($mock->journal->{by_model}{'judge-rules+reject-100'}{requests}, '<', 60, '... when it has rejected programs that it took before');
value($node, q(ALTER SERVER changing OPTIONS (SET model 'judge-rules')));
value($node, "SELECT gepa.resume($run); SELECT gepa.stop($run)");
is(wait_run($node, $run), 'stopped', '... and it can be resumed');

# One that asks to be left alone for longer than anybody waits.
($run, $status) = run_with('resting', 'judge-rules+429-s7200');
is($status, 'failed', 'an endpoint that wants two hours of rest fails the run');
like(run_value($node, $run, 'reason'), qr/asks not to be called again for 7200 s/, '... which says so');
cmp_ok(judge_calls($mock), '<=', 4, '... after one round');

# What one query was told holds for the next in the session, until the LM is another.
$mock->reset;
value($node, q(SELECT gepa.create_judge('resting', lm => 'resting', prompt => 'Keep it?'), set_config('gepa.on_error', 'null', false)));
my ($out, $err) = outcome($node, q(SET gepa.on_error = 'null'; SELECT gepa_judge('resting', 'one') IS NULL;
SELECT gepa_judge('resting', 'two') IS NULL; ALTER SERVER resting OPTIONS (SET model 'judge-rules+429-s7201');
SET gepa.allow_lm_mismatch = on; SELECT gepa_judge('resting', 'three') IS NULL));
is(judge_calls($mock), 1, 'an endpoint that wants rest is not called by the next query either');
like($out, qr/t\nt\nt/, '... whose documents have no verdict');

# Stopped before any worker had it: who listens hears of it all the same.
my ($heard) = outcome($node, q(LISTEN gepa; SELECT gepa.start('j', 'labels', 'writer', 150) \gset
SELECT gepa.stop(:start); SELECT gepa.wait(:start); SELECT 1;));
like($heard, qr/"event": "stopped"/, 'the end of a stopped run is notified');

# Objectives with one set for both: a merge of what the cache knows.
for my $frontier ('objective', 'hybrid', 'cartesian')
{
	$run = start_run($node, budget => 400, options => reference_mode(qq({"shared_sets": true, "frontier_type": "$frontier"})));
	is(wait_run($node, $run), 'finished', "shared sets and frontier type $frontier");
	is(value($node, "SELECT difference FROM gepa.replay($run)"), '', '... replayed without a difference');
}

done_testing();
