# Corpus jobs of judges that take several calls for a document: a program of three steps, and
# one whose verdict is voted on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Job;
use Gepa::Mock;
use Gepa::Program;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "max_worker_processes = 24\n");

use_jobs($node, $mock);
create_lm($node, 'reader', $mock, 'judge-rules', max_concurrency => 4);
create_lm($node, 'voter', $mock, 'judge-rules', max_concurrency => 4, temperature => 0.7);
load_world($node, 'pages', rows => 40, seed => 3);
value($node, 'ALTER TABLE pages ADD kept bool, ADD voted jsonb');

my @rule = world_rule(seed => 3);
my %known = (look_for => [ map { $_->[0] } @rule ], rule => \@rule, weigher => 'reader');

create_program($node, 'steps', %known, lm => 'reader');
$mock->reset;
my $job = start_job('steps', q('pages', 'id', 'body', 'kept'));
is(wait_job($job), 'finished', 'a job of a program ends');
is(job_value($job, 'rows, judged, failed'), '40|40|0', '... with all rows');
is($mock->journal->{requests}, 120, '... for three calls each');
is(value($node, 'SELECT count(*) FROM pages WHERE kept::text IS DISTINCT FROM keep'), 0, '... and the verdicts that both steps lead to');
$mock->reset;
$job = start_job('steps', q('pages', 'id', 'body', 'kept'));
is(wait_job($job), 'finished', 'again');
is($mock->journal->{requests}, 0, '... nothing is called');

create_program($node, 'votes', %known, lm => 'voter', options => { votes => 3 });
$mock->reset;
$job = start_job('votes', q('pages', 'id', 'body', 'voted'));
is(wait_job($job), 'finished', 'a job of a program with votes ends');
is(job_value($job, 'rows, judged, failed'), '40|40|0', '... with all rows');
is($mock->journal->{requests}, 160, '... for two steps and two votes, which agree, each');
is(value($node, q(SELECT count(*) FROM pages WHERE voted ->> 'label' IS DISTINCT FROM keep)), 0, '... and the right verdicts');

done_testing();
