# The spool: what waits for its writer when the server ends is in files, and is
# written after the next start; once, whatever state the files are in.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use File::Copy qw(copy);
use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The writer's own commits must be durable whatever is configured; these are not the writer.
local $ENV{PGOPTIONS} = '-c synchronous_commit=on';

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', streaming => 1, conf => "gepa.verdict_ring_size = '2MB'\nsynchronous_commit = off\n");
my $spool = $node->data_dir . '/pg_gepa';

create_lm($node, 'plain', $mock, 'judge-rules');
create_lm($node, 'broken', $mock, 'judge-rules+400');
create_lm($node, 'long', $mock, 'judge-rules+long-20000');
create_lm($node, 'huge', $mock, 'judge-rules+long-400000');
value($node, "SELECT gepa.create_judge('j', 'plain', 'Is it good?'), gepa.create_judge('b', 'broken', 'Is it good?'),
	gepa.create_judge('l', 'long', 'Is it good?', options => '{\"reasoning\": true}'),
	gepa.create_judge('h', 'huge', 'Is it good?', options => '{\"reasoning\": true}')");

sub files { return sort glob "$spool/*"; }

# Until the writers can write again.
sub refuse
{
	my ($db) = @_;
	value($node, "ALTER TABLE gepa.$_ ADD CONSTRAINT refused CHECK (false) NOT VALID", db => $db) for qw(verdict verdict_error);
	return;
}

sub permit
{
	my ($db) = @_;
	value($node, "ALTER TABLE gepa.$_ DROP CONSTRAINT refused", db => $db) for qw(verdict verdict_error);
	return;
}

sub judge
{
	my ($judge, $text, $n, $db) = @_;
	my ($out) = outcome($node, "SELECT count(*) FROM (SELECT gepa_judge('$judge', '$text ' || i) FROM generate_series(1, $n) i OFFSET 0) s",
		db => $db // 'postgres');
	is($out, $n, "$n of $judge: $text");
	return;
}

# -- what is refused stays, here and over a crash, and is used meanwhile

refuse();
judge('j', 'refused', 20);
judge('b', 'refused', 3);
my ($out, $err) = outcome($node, "SELECT cached FROM gepa_verdict('j', 'refused 1'); SELECT gepa_judge('j', 'refused too') IS NULL");
is($out, "t\nf", 'what waits is known');
like($err, qr/WARNING:  38000: verdict writer cannot write; this transaction commits before its verdicts are in the table/,
	'... and who commits is told that it is not in the table');
$mock->reset;
my $log = -s $node->logfile;
kill_server($node);
$node->start;
ok($node->log_contains('gepa has found verdicts that were handed over before the server ended', $log), 'after kill -9 of the postmaster they are found');
judge('j', 'refused', 20);
is($mock->journal->{requests}, 0, '... at once, none is paid for again');
my @kept = files();
copy($_, "$_.copy") for @kept;
permit();
stored($node, 'j', 21, '... and are written when they can be');
my $attempts = "SELECT count(*), sum(attempts) FROM gepa.verdict_errors WHERE judge = 'b'";
wait_sql($node, 'SELECT count(*) = 3 FROM gepa.verdict_errors', 'failures');
is(value($node, $attempts), '3|3', '... failures as well');
wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
is(join(' ', grep { !/copy/ } files()), '', 'no file is left when nothing waits');

# -- files from before the writer's commit, as a crash between commit and mark leaves them

$node->stop;
rename "$_.copy", $_ for @kept;
$node->start;
wait_sql($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'a writer');
wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
is(value($node, "SELECT count(*) FROM gepa.verdict"), 21, 'what is written twice is there once');
is(value($node, $attempts), '3|3', '... and attempts are counted once');
is(join(' ', files()), '', '... and that was all');

# -- what is done is not written again; commits of the writer are durable

value($node, 'ALTER TABLE gepa.verdict ADD CONSTRAINT refused CHECK (chars_total <> 6) NOT VALID');
is(value($node, "SELECT gepa_judge('j', 'poison') IS NULL"), 'f', 'one that keeps its segment');
judge('j', 'those that are done', 5);
$node->stop('immediate');
$node->start;
stored($node, 'j', 26, 'what has left the spool is in the table, although synchronous_commit is off');
is(value($node, "DELETE FROM gepa.verdict WHERE chars_total = 21 RETURNING 'deleted'"),
	join("\n", ('deleted') x 5), 'five are deleted');
$node->stop('immediate');
$node->start;
value($node, 'ALTER TABLE gepa.verdict DROP CONSTRAINT refused');
stored($node, 'j', 22, 'a start writes what waits, and nothing that was written before');

# -- a ring that was made smaller

refuse();
judge('h', 'huge', 1);
judge('l', 'portion', 60);
$node->append_conf('postgresql.conf', "gepa.verdict_ring_size = '256kB'\n");
$log = -s $node->logfile;
$node->stop('immediate');
$node->start;
ok($node->log_contains('Not all of them fit into gepa.verdict_ring_size', $log), 'a smaller ring does not hold all');
permit();
stored($node, 'l', 60, '... and all is written');
stored($node, 'h', 1, '... also what is larger than the ring');

# -- torn and foreign files

refuse();
judge('j', 'torn', 3);
$node->stop('immediate');
my ($file) = files();
truncate $file, (-s $file) - 100 or die $!;
append_to_file("$spool/0F000001", 'GEPA');
append_to_file("$spool/0F000002", 'of another version, perhaps');
append_to_file("$spool/README", 'of somebody');
$log = -s $node->logfile;
$node->start;
ok($node->log_contains('gepa drops the last \d+ bytes of "pg_gepa/', $log), 'a record that is not whole is dropped');
ok($node->log_contains('gepa leaves file "pg_gepa/0F000002" alone', $log), '... a file that cannot be read is left alone');
ok(!-e "$spool/0F000001", '... one that was being made is removed');
permit();
stored($node, 'j', 24, '... and the others are written');
$mock->reset;
judge('j', 'torn', 3);
is($mock->journal->{requests}, 1, 'what was not whole is asked for again');
stored($node, 'j', 25, '... and stored');
unlink "$spool/0F000002", "$spool/README";

# -- a few that wait for long do not keep what is written

value($node, 'ALTER TABLE gepa.verdict ADD CONSTRAINT refused CHECK (chars_total <> 6) NOT VALID');
for my $round (1 .. 6)
{
	is(value($node, "SELECT gepa_judge('l', 'poiso$round') IS NULL"), 'f', 'one that waits');
	judge('l', "round $round", 60);
}
my $size = 0;
$size += -s $_ for files();
cmp_ok($size, '<', 4 * 1024 * 1024, 'of 7 MB that passed through the spool not all is kept');
$node->stop('immediate');
$node->start;
value($node, 'ALTER TABLE gepa.verdict DROP CONSTRAINT refused');
stored($node, 'l', 426, '... and what waited is written after a crash');

# -- a base backup, and a standby that is promoted

refuse();
judge('j', 'in a backup', 2);
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$mock->reset;
is(value($standby, "SELECT cached FROM gepa_verdict('j', 'in a backup 1')"), 't', 'a standby knows what waited in its base backup');
is($mock->journal->{requests}, 0, '... without a call');
permit();
stored($node, 'j', 27, 'the primary writes it');
$node->wait_for_catchup($standby);
$standby->promote;
wait_sql($standby, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'a writer');
wait_sql($standby, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
is(value($standby, "SELECT count(*) FROM gepa.verdicts WHERE judge = 'j'"), 27, '... and the promoted standby, once more, in vain');
$standby->stop;

# -- databases of other encodings

my %known;
for my $db ('latin1', 'sql_ascii')
{
	value($node, "CREATE DATABASE $db ENCODING '$db' LOCALE 'C' TEMPLATE template0");
	value($node, "CREATE EXTENSION gepa; CREATE SERVER s FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '@{[$mock->url]}',
		model 'judge-rules+script+long-100000', allow_private_address 'true');
		SELECT gepa.create_judge('j', 's', 'Is it good?', options => '{\"reasoning\": true}')", db => $db);
	refuse($db);
	$known{$db} = value($node, "SELECT md5(reasoning), octet_length(reasoning) >= 100000 FROM gepa_verdict('j', 'a text')", db => $db);
	like($known{$db}, qr/\|t$/, "$db: a reason of 100 kB");
}
$node->stop('immediate');
$node->start;
for my $db (sort keys %known)
{
	my $stored = 'SELECT md5(reasoning), octet_length(reasoning) >= 100000 FROM gepa.verdicts';

	permit($db);
	wait_sql($node, "SELECT EXISTS ($stored)", $db, db => $db);
	is(value($node, $stored, db => $db), $known{$db}, "$db: the same is written after a crash");
}

# -- databases and extensions that go

value($node, 'CREATE DATABASE other');
value($node, "CREATE EXTENSION gepa; CREATE SERVER s FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'm');
	SELECT gepa.create_judge('j', 's', 'Is it good?')", db => 'other');
refuse('other');
judge('j', 'dropped', 4, 'other');
$log = -s $node->logfile;
$node->stop('immediate');
$node->start;
value($node, 'DROP DATABASE other WITH (FORCE)');
$node->wait_for_log(qr/gepa launcher discarded 4 verdicts of a database that was dropped/, $log);
refuse();
judge('j', 'without a table', 4);
$node->stop('immediate');
$log = -s $node->logfile;
$node->start;
value($node, 'DROP EXTENSION gepa CASCADE');
$node->wait_for_log(qr/(?:gepa verdict writer discarded 1 verdict, the extension is not installed.*){4}/s, $log);
wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
is(join(' ', files()), '', 'nothing is left of either');

done_testing();
