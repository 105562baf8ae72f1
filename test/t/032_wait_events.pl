# What gepa's processes wait for has a name in pg_stat_activity, from PostgreSQL 17 on;
# before, each is "Extension".  (A full ring is in 005_verdict_ring.pl.)

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
my $node = gepa_node('main');

sub waits_for
{
	my ($name, $who) = @_;
	my $event = $node->pg_version >= 17 ? $name : 'Extension';

	return ok(wait_sql($node, "SELECT count(*) > 0 FROM pg_stat_activity
		WHERE $who AND wait_event_type = 'Extension' AND wait_event = '$event'", $name), $name);
}

waits_for('GepaLauncherMain', "backend_type = 'gepa launcher'");

# An answer, and whoever waits for a run that waits for one.
prepare_tuning($node, $mock, writer => 'reflector+gate', world => { rows => 40 });
my $run = start_run($node);
waits_for('GepaLm', "backend_type = 'gepa run worker'");
my $session = background($node, "SELECT gepa.wait($run);");
waits_for('GepaRunChange', "pid = $session->{pid}");
$mock->gate(open => 1);
is((finish($session))[0], "finished\n", '... until the run has ended');

# A verdict writer with nothing to write ends after a while, so one is kept in work.
create_lm($node, 'canned', $mock, 'canned', api => 'canned', base_url => undef, allow_private_address => undef);
value($node, "SELECT gepa.create_judge('canned', 'canned', 'Is it good?')");
$session = background($node, "DO \$\$BEGIN LOOP
	PERFORM gepa_judge('canned', clock_timestamp()::text); COMMIT; PERFORM pg_sleep(0.1);
	END LOOP; END\$\$;");
waits_for('GepaWriterMain', "backend_type = 'gepa verdict writer'");
value($node, "SELECT pg_cancel_backend($session->{pid})");
finish($session);
wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'its end');

# A commit without a writer, because nobody starts one.
my $launcher = value($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa launcher'");
kill 'STOP', $launcher;
$session = background($node, "SELECT gepa_judge('canned', 'the last');");
waits_for('GepaVerdictsWritten', "pid = $session->{pid}");
kill 'CONT', $launcher;
finish($session);
is(value($node, "SELECT count(*) > 0 FROM gepa.verdicts WHERE judge = 'canned'"), 't', '... which is then written');

done_testing();
