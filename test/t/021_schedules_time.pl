# When schedules fire: after a downtime once, disabled not at all, with enough
# new labels only; and what a restart finds.

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
my $node = gepa_node('main', conf => "wal_level = replica\nmax_wal_senders = 4\n");
my $short = "options => '" . reference_mode('{"stop_at_score": 0}') . "'";

$mock->gate(open => 1);
prepare_tuning($node, $mock, model => 'judge-rules+gate', lm => { max_concurrency => 4 });

# Real time: one fires every second for want of nothing, one for want of
# labels does not, one is disabled.
value($node, "SELECT gepa.create_schedule('off', 'j', 'labels', 'writer', every => '1 second', $short);"
	  . " SELECT gepa.disable_schedule('off')");
value($node, "SELECT gepa.watch_dataset('j', 'labels', 'writer', 5, look_every => '1 second', budget => 200, $short)");
my $watch = 'j on labels';
ok(wait_schedule($node, $watch, "last_at > created_at + interval '2 seconds'"), 'a watch looks again and again');
is(schedule($node, $watch, 'outcome, reason, last_run IS NULL'), 'skipped|0 of 5 new labels|t', '... and does nothing');
is(schedule($node, 'off', 'enabled, last_at IS NULL, outcome IS NULL'), 'f|t|t', 'what is disabled does not fire');
value($node, "INSERT INTO labels (id, body, keep) SELECT 1000 + i, 'new page ' || i, (i % 2 = 0)::text FROM generate_series(1, 4) i");
ok(wait_schedule($node, $watch, "reason = '4 of 5 new labels'"), 'too few labels arrive');
value($node, "INSERT INTO labels (id, body, keep) VALUES (1005, 'new page 5', 'true')");
ok(wait_schedule($node, $watch, 'last_run = 1'), 'one more, and it fires');
ok(wait_schedule($node, $watch, "outcome = 'skipped' AND reason = '0 of 5 new labels'"), '... and counts anew');
is(schedule($node, $watch, 'last_run, labels_seen'), '1|125', '... while its last run is remembered');
value($node, "DELETE FROM labels WHERE id > 1001");
ok(wait_schedule($node, $watch, 'labels_seen = 121'), 'labels that go away');
value($node, "INSERT INTO labels (id, body, keep) SELECT 1010 + i, 'newer page ' || i, (i % 2 = 0)::text FROM generate_series(1, 5) i");
ok(wait_schedule($node, $watch, 'last_run = 2'), '... do not hide those that come');
value($node, "SELECT gepa.drop_schedule('$watch')");
is(value($node, "SELECT count(*) FROM gepa.schedules WHERE schedule = '$watch'"), 0, 'a schedule is dropped');
is(value($node, 'SELECT count(*) FROM gepa.runs'), 2, '... its runs stay');

# Enabled again it fires at its next time from then on.
value($node, "SELECT gepa.enable_schedule('off')");
ok(wait_schedule($node, 'off', "outcome = 'finished'"), 'what is enabled fires');
value($node, "SELECT gepa.drop_schedule('off')");
my $runs = value($node, 'SELECT max(run) FROM gepa.runs');

# Downtime.
value($node, "SELECT gepa.create_schedule('nightly', 'j', 'labels', 'writer', at => '0 3 * * *', time_zone => 'Asia/Tokyo', budget => 200, $short)");
is(schedule($node, 'nightly', "next_at = (SELECT gepa.schedule_times('0 3 * * *', 'Asia/Tokyo', n => 1)), to_char(next_at AT TIME ZONE 'Asia/Tokyo', 'HH24:MI')"),
	't|03:00', 'three in the morning over there');
$node->restart;
is(schedule($node, 'nightly', 'last_at IS NULL'), 't', 'a restart is no reason to fire');
value($node, "UPDATE gepa.schedule SET next_at = next_at - interval '10 days'");
$mock->gate(open => 0);
$node->restart;
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'its run at the gate'), 'what was missed fires after the restart');
is(schedule($node, 'nightly', "outcome, last_run - $runs, next_at = (SELECT gepa.schedule_times('0 3 * * *', 'Asia/Tokyo', n => 1))"),
	'started|1|t', '... once, and the next time counts from now');

# The server goes down while the run is at work, and after it has ended.
$node->stop('immediate');
$node->start;
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'the run again'), 'the run goes on after a crash');
$mock->gate(open => 1);
ok(wait_schedule($node, 'nightly', "outcome = 'finished'"), '... and its end is noticed');
is(value($node, "SELECT count(*) FROM gepa.runs WHERE run > $runs"), 1, '... of one run');
value($node, "UPDATE gepa.schedule SET outcome = 'started', reason = NULL");
$node->restart;
ok(wait_schedule($node, 'nightly', "outcome = 'finished'"), 'a run that ended in the moment of a crash is found');

# A standby fires nothing; it does once it is promoted.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
value($node, "UPDATE gepa.schedule SET next_at = now() - interval '1 day'");
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
my ($out, $err) = outcome($standby, "SELECT gepa.enable_schedule('nightly')");
like($err, qr/ERROR:  25006: gepa\.enable_schedule\(\) cannot be used on a standby/, 'a standby says that it is one');
is(value($standby, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'gepa%'"), 0, '... and has no worker');
$node->stop;
$standby->promote;
ok(wait_schedule($standby, 'nightly', "outcome = 'finished' AND (SELECT count(*) FROM gepa.runs WHERE run > $runs) = 2"), 'promoted, it fires what is due');

done_testing();
