# A schedule fires, tunes, and deploys only what is better.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Schedule;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

$mock->gate(open => 1);
prepare_tuning($node, $mock, model => 'judge-rules+gate', world => { rows => 200 }, lm => { max_concurrency => 4 });

# Firing, tuning, deploying.
value($node, "SELECT gepa.create_schedule('tune', 'j', 'labels', 'writer', every => '1 hour', budget => 300, deploy => 'if_better')");
is(schedule($node, 'tune', "enabled, last_at IS NULL, outcome IS NULL, next_at > now() + interval '50 minutes', time_zone = current_setting('TimeZone')"),
	't|t|t|t|t', 'a new schedule waits for its time');
fall_due($node, 'tune');
ok(wait_schedule($node, 'tune', "outcome = 'deployed'"), 'it fires, tunes and deploys');
is(schedule($node, 'tune', "last_run = 1, deployed = 2, champion = 1, n = (SELECT count(*) FROM gepa.samples WHERE run = 1 AND split = 'test')"),
	't|t|t|t', 'the row says what was compared on what');
is(schedule($node, 'tune', "last_at < now(), next_at > now() + interval '50 minutes', next_at < now() + interval '61 minutes'"), 't|t|t',
	'a time long missed fires once, and the next counts from now');
is(value($node, "SELECT v.run, v.candidate = s.challenger FROM gepa.judge_versions v, gepa.schedules s WHERE v.judge = 'j' AND v.current"),
	'1|t', 'the winner is the current version');
my $calls = judge_calls($mock);
is(value($node, "SELECT r.baseline = s.champion_accuracy, r.tuned = s.challenger_accuracy, s.p_value < r.p_value, s.p_value < s.level,
		round((s.n * (r.tuned - r.baseline))::numeric) = s.challenger_only - s.champion_only
	FROM gepa.report('j') r, gepa.schedules s WHERE r.metric = 'accuracy'"),
	't|t|t|t|t', 'gepa.report() says the same');
is(judge_calls($mock), $calls, '... without a call: both go one way');

# An equal challenger is not deployed, and costs no call: all is stored.
my $seed_only = reference_mode('{"stop_at_score": 0}');
value($node, "SELECT gepa.create_schedule('equal', 'j', 'labels', 'writer', every => '1 hour', budget => 300, deploy => 'if_better',
	options => '$seed_only')");
my $nval = value($node, "SELECT count(*) FROM gepa.samples WHERE run = 1 AND split = 'val'");
fall_due($node, 'equal');
ok(wait_schedule($node, 'equal', "outcome = 'kept'"), 'a winner that is no better is not deployed');
like(schedule($node, 'equal', 'reason'), qr/^candidate 0 of run 2 is not better than version 2 at level 0.05$/, '... and the reason says so');
is(schedule($node, 'equal', 'champion_only, challenger_only, p_value, deployed IS NULL, champion_accuracy = challenger_accuracy'),
	'0|0|1|t|t', '... with the numbers');
is(value($node, "SELECT current_version FROM gepa.judges"), 2, '... the version stays');
is(judge_calls($mock) - $calls, $nval, '... and only the run was paid');

# While a run is at work its schedule does not start another.
value($node, "SELECT gepa.create_schedule('slow', 'j', 'labels', 'writer', every => '1 hour', budget => 300, options => '$seed_only')");
$mock->gate(open => 0);
fall_due($node, 'slow');
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'its run at the gate'), 'a schedule without deploy fires');
fall_due($node, 'slow');
ok(wait_schedule($node, 'slow', "reason = 'run 3 was still at work at the next time'"), 'its next time comes too early');
is(schedule($node, 'slow', "outcome, last_run, next_at > now(), (SELECT count(*) FROM gepa.runs)"), 'started|3|t|3', '... and starts no second run');
$mock->gate(open => 1);
ok(wait_schedule($node, 'slow', "outcome = 'finished'"), 'the end of the run ends it');
fall_due($node, 'slow');
ok(wait_schedule($node, 'slow', "outcome = 'finished' AND last_run = 4"), 'the time after that fires again');
is(value($node, "SELECT current_version FROM gepa.judges"), 2, 'nothing is deployed unasked');

# Somebody else changes the judge while versions are compared.
value($node, "SELECT gepa.alter_judge('j', prompt => 'Is this page worth a look?')");
$mock->gate(open => 0);
fall_due($node, 'equal');
$mock->gate(pass => $nval);
ok(wait_sql($node, "SELECT status = 'finished' FROM gepa.runs WHERE run = 5", 'run 5'), 'the run ends');
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'the comparison at the gate'), 'the comparison calls');
is( value($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'gepa schedule worker'"
		  . ' AND xact_start IS NULL AND backend_xmin IS NULL AND backend_xid IS NULL'),
	1, '... with no transaction open');
value($node, "SELECT gepa.alter_judge('j', prompt => 'Is this page any good?')");
$mock->gate(open => 1);
ok(wait_schedule($node, 'equal', "outcome = 'kept' AND last_run = 5"), 'then nothing is deployed');
like(schedule($node, 'equal', 'reason'), qr/^the current version was changed from 3 to 4 while they were compared$/, '... and the reason says so');
is(value($node, "SELECT current_version FROM gepa.judges"), 4, '... the version of somebody else stays');

# Killed while comparing: the next worker goes on, from what is stored.
$mock->gate(open => 0);
fall_due($node, 'equal');
$mock->gate(pass => $nval + 10);
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'the comparison again'), 'a comparison under way');
ok(wait_sql($node, "SELECT count(*) = 10 FROM gepa.verdicts WHERE judge = 'j' AND version = 4", 'ten verdicts'), 'ten verdicts are stored');
$calls = judge_calls($mock);
value($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'gepa schedule worker'");
$mock->gate(open => 1);
ok(wait_schedule($node, 'equal', "outcome = 'kept' AND last_run = 6"), 'another worker ends it');
is(judge_calls($mock) - $calls, schedule($node, 'equal', 'n') - 10, '... and pays for what was not stored');

done_testing();
