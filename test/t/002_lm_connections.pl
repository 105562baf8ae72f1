# Connections are kept, also when more calls are in flight than the pool keeps idle.

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

my $at_a_time = 80;    # the pool keeps 64
my $documents = 240;
my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

# A report judges a whole test split; its run needs a few other rows.
create_lm($node, 'lm', $mock, 'judge-rules', max_concurrency => $at_a_time);
load_world($node, 'labels', rows => 300, seed => 5);
my $options = reference_mode();
value($node, <<"EOSQL");
	UPDATE labels SET part = CASE WHEN id <= 20 THEN 'train' WHEN id <= 40 THEN 'val' ELSE 'test' END;
	DELETE FROM labels WHERE part = 'test' AND id > 280;
	SELECT gepa.create_judge('judge', lm => 'lm', prompt => 'Keep it?');
	SELECT gepa.create_dataset('labels', source => 'labels', key => 'id', inputs => '{body}', label => 'keep', split => 'part');
	SELECT gepa.optimize('judge', dataset => 'labels', reflection_lm => NULL, budget => 60, options => '$options');
	SELECT gepa.deploy(run => 1);
	ALTER SERVER lm OPTIONS (SET model 'judge-rules+gate');
EOSQL

$mock->reset;
my $session = background($node,
	"SET gepa.allow_lm_mismatch = on; SELECT max(n) FROM gepa.report('judge') WHERE metric = 'accuracy';");
ok($mock->wait_for(sub { $_->{waiting} == $at_a_time }, 'all places taken'), 'max_concurrency calls are in flight');
my $before = $mock->journal->{connections};
$mock->gate(open => 1);
my ($out) = finish($session);
my $journal = $mock->journal;

is($out, "$documents\n", 'all documents are judged');
is($journal->{peak}, $at_a_time, 'never more at a time');
cmp_ok($journal->{requests}, '>=', $documents, 'each with a call');

is($journal->{connections} - $before, 0, 'no connection is opened after the first round');

done_testing();
