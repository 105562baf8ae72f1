# A watch follows its judge: to a version that becomes current while a call is on the
# wire, not where it names one, and through a router (066_watch.pl has the rest).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Job;
use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "max_worker_processes = 24\n");
my $judge = judge_on($node, $mock, 'judge-rules', max_concurrency => 8);

use_jobs($node, $mock);

sub alter
{
	my ($which, $word) = @_;
	return value($node, "SELECT gepa.alter_judge('$which', prompt => E'Is it good?\\nRULE: documents that mention \"$word\" are true')");
}

# A call on the wire is not in vain.
my $gated = judge_on($node, $mock, 'judge-rules+gate');
value($node, 'CREATE TABLE mails (id int PRIMARY KEY, body text)');
my $mails = value($node, "SELECT gepa.watch_table('$gated', 'mails', 'id', 'body', 'mail_verdict')");
wait_idle($mails, 'an empty table');
$mock->gate(open => 0);
value($node, "INSERT INTO mails VALUES (1, 'one')");
$mock->wait_for(sub { $_->{waiting} == 1 }, 'a call at the gate');
alter($gated, 'two');
value($node, "INSERT INTO mails VALUES (2, 'two')");
$mock->gate(open => 1);
wait_idle($mails, 'a call on the wire');
is(versions('mail_verdict'), '1:1 2:2', 'what was asked before is finished by its version, what came after by the next');
my $first = value($node, "SELECT gepa.watch_table('$gated', 'mails', 'id', 'body', 'mail_first', options => '{\"version\": 1}')");
value($node, "INSERT INTO mails VALUES (3, 'three')");
wait_idle($_, 'option version') for $first, $mails;
is(versions('mail_first'), '1:1 2:1 3:1', 'a watch with option version stays with it');
is(versions('mail_verdict'), '1:1 2:2 3:2', '... beside one without');

# A router, and the judges that it names.
my $branch = judge_on($node, $mock, 'judge-rules+bias-false');
alter($branch, 'zebra');
value($node, <<"SQL");
SELECT gepa.create_router('by_length', ARRAY['{"when": "length > 100", "judge": "$judge"}']::jsonb[], '$branch');
CREATE TABLE letters (id int PRIMARY KEY, body text, keep text);
SQL
my $letters = value($node, "SELECT gepa.watch_table('by_length', 'letters', 'id', 'body', 'keep, letter_verdict')");
value($node, "INSERT INTO letters VALUES (1, 'zebra')");
wait_idle($letters, 'a router');
alter($branch, 'lion');
value($node, "INSERT INTO letters VALUES (2, 'zebra')");
wait_idle($letters, 'a judge of a router has another version');
is(value($node, "SELECT string_agg(id || keep, ' ' ORDER BY id) FROM letters"), '1true 2false', 'a router\'s judge is followed');
value($node, qq(SELECT gepa.alter_router('by_length', ARRAY['{"when": "length > 50", "judge": "$judge"}']::jsonb[], '$branch'); INSERT INTO letters VALUES (3, 'lion')));
wait_idle($letters, 'a router has another version');
is(versions('letter_verdict'), '1:1 2:1 3:2', '... and so is the router');
is(job_value($letters, 'version'), 2, '... in gepa.jobs as well');
value($node, "SELECT gepa.unwatch_table($_)") for $mails, $first, $letters;

done_testing();
