# pg_upgrade carries everything over: judges, versions, verdicts, and a run that
# was at work goes on in the new cluster as if nothing had been.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $old = gepa_node('old');
my $new = gepa_node('new');
my $bin = $old->config_data('--bindir');

prepare_tuning($old, $mock, writer => 'reflector+gate', world => { rows => 80 });
$mock->gate(open => 1);
my $expected_run = start_run($old);
is(wait_run($old, $expected_run), 'finished', 'a run that is left alone');
my $expected = run_facts($old, $expected_run);

$mock->gate(open => 0);
my $run = start_run($old);
wait_reflecting($mock) or BAIL_OUT('no reflection');
my $what = 'SELECT (SELECT count(*) FROM gepa.verdicts), (SELECT max(version) FROM gepa.judge_versions), (SELECT count(*) FROM gepa.rollouts),
	(SELECT count(*) FROM pg_inherits WHERE inhparent = \'gepa.verdict\'::regclass)';
value($old, "SELECT gepa.deploy($expected_run, force => true)");
value($old, q(SELECT count(gepa_judge('j', 'page ' || i)) FROM generate_series(1, 20) i));
wait_sql($old, "SELECT gepa_judge('j', clock_timestamp()::text) \\g /dev/null
	SELECT count(*) >= 2 FROM pg_inherits WHERE inhparent = 'gepa.verdict'::regclass", 'a partition');
my $kept = value($old, $what);
value($new, 'DROP EXTENSION gepa');
$_->stop('fast') for $old, $new;

chdir $PostgreSQL::Test::Utils::tmp_check or die $!;
command_ok(
	[ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bin, '-B', $bin,
		'-s', $new->host, '-p', $old->port, '-P', $new->port ],
	'pg_upgrade runs');
$new->start;
is(value($new, $what), $kept, 'verdicts, versions and rollouts are there');
$mock->gate(open => 1);
is(wait_run($new, $run), 'finished', 'the run that was at work goes on');
same_facts(run_facts($new, $run), $expected, '... as if nothing had been');
$mock->reset;
value($new, q(SELECT count(gepa_judge('j', 'page ' || i)) FROM generate_series(1, 20) i));
is(judge_calls($mock), 0, 'stored verdicts are found');
is(value($new, "SELECT difference FROM gepa.replay($run)"), '', 'the replay finds no difference');
value($new, 'SELECT gepa.drop_judge(\'j\'); DROP EXTENSION gepa CASCADE');
is(value($new, "SELECT count(*) FROM pg_class WHERE relname LIKE 'gepa%'"), 0, 'the extension can be dropped');

done_testing();
