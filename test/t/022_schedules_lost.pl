# What a schedule needs goes away: the row says so, the schedule goes on, and
# nothing upsets the launcher.

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
my $create = "SELECT gepa.create_schedule('%s', 'j', 'labels', 'writer', every => '1 hour', budget => 300, deploy => 'if_better', options => '%s')";
my $seed_only = reference_mode('{"stop_at_score": 0}');

# Falls due and has a reason that matches; else as it was.
sub fails
{
	my ($name, $pattern, $what) = @_;
	my $last = schedule($node, $name, "coalesce(last_at, '-infinity')");

	fall_due($node, $name);
	wait_schedule($node, $name, "outcome NOT IN ('started') AND last_at > '$last'");
	like(schedule($node, $name, "outcome || ': ' || reason"), $pattern, $what);
	is(schedule($node, $name, "enabled AND next_at > now() + interval '50 minutes'"), 't', '... and the schedule goes on');
	return;
}

prepare_tuning($node, $mock, world => { rows => 80 }, lm => { max_concurrency => 4 });
value($node, sprintf $create, 's', $seed_only);
value($node, sprintf $create, 'long', '{}');
value($node, sprintf $create, 'blind', reference_mode('{"stop_at_score": 0, "split": {"train": 0.5, "val": 0.5, "test": 0}}'));

fails('blind', qr/^kept: run \d+ held no test samples out/, 'no test rows');
is(schedule($node, 'blind', 'n IS NULL AND p_value IS NULL'), 't', '... there are no numbers');

# A run that fails, one that is stopped.
value($node, "ALTER SERVER writer OPTIONS (SET model 'reflector+401')");
fails('long', qr/^failed: run \d+ failed: .*401/, 'the run fails');
value($node, "ALTER SERVER writer OPTIONS (SET model 'reflector+gate')");
fall_due($node, 'long');
ok(wait_reflecting($mock), 'a run at work');
value($node, "SELECT gepa.stop(last_run) FROM gepa.schedules WHERE schedule = 'long'");
ok(wait_schedule($node, 'long', "outcome = 'stopped' AND reason = 'stopped on request'"), '... is stopped');

# What it names is dropped, or changed.
value($node, 'ALTER SERVER writer RENAME TO author');
fails('s', qr/^failed: .*"writer" does not exist/, 'the reflection LM is gone');
value($node, 'ALTER SERVER author RENAME TO writer');
value($node, 'ALTER TABLE labels RENAME TO labelled');
fails('s', qr/^failed: relation "public.labels" does not exist/, 'the source of the dataset is gone');
value($node, "SELECT gepa.drop_dataset('labels')");
fails('s', qr/^failed: dataset "labels" does not exist/, 'the dataset is gone');
value($node, 'ALTER TABLE labelled RENAME TO labels');
value($node, "SELECT gepa.create_dataset('labels', 'labels', 'id', '{body}', 'keep')");
value($node, "ALTER SERVER judge OPTIONS (ADD temperature '0.5')");
fails('s', qr/^failed: settings of LM "judge" differ/, 'the LM of the judge was changed');
value($node, 'ALTER SERVER judge OPTIONS (DROP temperature)');

# Rights, and the role itself.
value($node, <<"SQL");
CREATE ROLE curator LOGIN;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO curator;
GRANT USAGE ON FOREIGN SERVER judge, writer TO curator;
GRANT ALL ON SCHEMA public TO curator;
SET ROLE curator;
CREATE TABLE mine (id int, body text, keep text);
INSERT INTO mine SELECT i, 'page ' || i, (i % 2 = 0)::text FROM generate_series(1, 40) i;
SELECT gepa.create_judge('k', 'judge', 'Keep it?');
SELECT gepa.create_dataset('mine', 'mine', 'id', '{body}', 'keep');
SELECT gepa.create_schedule('theirs', 'k', 'mine', 'writer', every => '1 hour', options => '$seed_only');
SQL
fall_due($node, 'theirs');
ok(wait_schedule($node, 'theirs', "outcome = 'finished'"), 'a schedule fires as its owner');
is(value($node, 'SELECT r.owner FROM gepa.runs r, gepa.schedules s WHERE r.run = s.last_run AND s.schedule = $$theirs$$'), 'curator', '... whose run it is');
my ($out, $err) = outcome($node, "SET ROLE curator; SELECT schedule FROM gepa.schedules; SELECT gepa.drop_schedule('s')");
is($out, 'theirs', 'a role sees its own schedules');
like($err, qr/ERROR:  42501: must be owner of schedule "s"/, '... and changes no others');
value($node, 'REVOKE USAGE ON FOREIGN SERVER judge FROM curator');
fails('theirs', qr/^failed: permission denied for foreign server judge|^failed: .*judge/, 'a right is lost');
value($node, 'DROP OWNED BY curator; DROP ROLE curator');
fall_due($node, 'theirs');
ok(wait_schedule($node, 'theirs', 'NOT enabled'), 'of a role that was dropped nothing fires');
is(schedule($node, 'theirs', 'outcome, reason'), 'failed|the role that owned the schedule was dropped; the schedule is disabled', '... and the row says so');

# A time zone that an upgrade has removed.
value($node, sprintf $create, 'nowhere', '{}');
value($node, q(UPDATE gepa.schedule SET time_zone = 'Europe/Nowhere' WHERE name = 'nowhere'));
fall_due($node, 'nowhere');
ok(wait_schedule($node, 'nowhere', 'NOT enabled'), 'a schedule that has no next time is disabled');
like(schedule($node, 'nowhere', 'reason'), qr/^time zone "Europe\/Nowhere" not recognized.*; the schedule is disabled$/, '... and says so');

# Judge, extension, database.
value($node, "SELECT gepa.drop_judge('j')");
is(value($node, 'SELECT string_agg(schedule, $$,$$) FROM gepa.schedules'), 'theirs', 'schedules go with their judge');
value($node, 'CREATE DATABASE other');
value($node, $_, db => 'other') for ('CREATE EXTENSION gepa', 'CREATE TABLE labels (id int, body text, keep text)',
	sprintf("CREATE SERVER %s FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned')", 'judge'),
	"SELECT gepa.create_judge('j', 'judge', 'Keep it?')",
	"SELECT gepa.create_dataset('labels', 'labels', 'id', '{body}', 'keep')",
	"SELECT gepa.create_schedule('tick', 'j', 'labels', NULL, every => '1 second', min_new_labels => 1)");
ok(wait_sql($node, "SELECT outcome = 'skipped' FROM gepa.schedules", 'the schedule there', db => 'other'), 'a schedule in another database');
value($node, 'DROP EXTENSION gepa CASCADE', db => 'other');
value($node, 'CREATE EXTENSION gepa', db => 'other');
value($node, 'DROP DATABASE other');
value($node, <<'SQL');
SELECT gepa.create_judge('j', 'judge', 'Keep it?');
SELECT gepa.create_schedule('after', 'j', 'labels', 'writer', every => '1 second', min_new_labels => 1);
SQL
ok(wait_schedule($node, 'after', "outcome = 'skipped' AND last_at > created_at + interval '2 seconds'"), 'the launcher goes on');
unlike($node->logfile ? PostgreSQL::Test::Utils::slurp_file($node->logfile) : '', qr/gepa launcher.*exited with exit code|terminated by signal|PANIC/, '... undisturbed');

# The endpoint goes away while versions are compared.
value($node, 'ALTER SERVER judge OPTIONS (ADD connect_timeout $$1$$)');
value($node, sprintf $create, 'alone', $seed_only);
value($node, "SELECT gepa.alter_judge('j', prompt => 'Keep it or not?')");
fall_due($node, 'alone');
ok(wait_schedule($node, 'alone', "outcome = 'kept'"), 'a comparison with the endpoint there');
value($node, "UPDATE gepa.schedule SET outcome = 'started' WHERE name = 'alone'; TRUNCATE gepa.verdict");
$mock->stop;
value($node, "SELECT gepa.enable_schedule('alone')");
ok(wait_schedule($node, 'alone', "outcome = 'failed'"), '... and one without it');
like(schedule($node, 'alone', 'reason'), qr/^the winner of run \d+ could not be compared: /, '... which says so');

done_testing();
