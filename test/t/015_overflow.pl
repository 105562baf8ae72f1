# More runs than there are slots for them: what finds no slot stays queued in its
# table, and is found there when slots become free.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = gepa_node('main');
my $runs = 140;    # slots: 128

value($node, q(CREATE SERVER canned FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned')));
value($node, q(CREATE TABLE labels AS SELECT i AS id, 'text ' || i AS body, i % 2 = 0 AS keep FROM generate_series(1, 20) i));
value($node, q(SELECT gepa.create_dataset('labels', 'labels', 'id', '{body}', 'keep')));
value($node, q(SELECT gepa.create_judge('j', 'canned', 'Is it good?')));
value($node, "SELECT count(gepa.start('j', 'labels', 'canned', 30, i)) FROM generate_series(1, $runs) i");
wait_sql($node, "SELECT count(*) = $runs FROM gepa.runs WHERE status = 'finished'", 'the end of all runs');
is(value($node, 'SELECT count(*), bool_and(rollouts > 0) FROM gepa.runs'), "$runs|t", "$runs runs end, though there are slots for 128");

done_testing();
