# A full disk: under the spool, and under the table.  GEPA_SMALL_DISK names a
# file system of some 32 MB that may be filled; script/test mounts one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $disk = $ENV{GEPA_SMALL_DISK};

if (!$disk)
{
	fail('a disk to fill: GEPA_SMALL_DISK is not set, nothing was tested');
	done_testing();
	exit;
}

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $spool = $node->data_dir . '/pg_gepa';
my $lm = "CREATE SERVER plain FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '@{[$mock->url]}', model 'judge-rules',
	allow_private_address 'true'); SELECT gepa.create_judge('j', 'plain', 'Is it good?')";

sub fill
{
	open my $file, '>', "$disk/filler" or die $!;
	1 while syswrite $file, 'x' x 4096;
	like($!, qr/No space left on device/, 'the disk is full');
	close $file;
	return;
}

sub empty { return unlink "$disk/filler"; }

sub judge
{
	my ($text, $n) = @_;
	return "SELECT count(*) FROM (SELECT gepa_judge('j', '$text ' || i) FROM generate_series(1, $n) i OFFSET 0) s;";
}

sub warnings { return scalar(() = $_[0] =~ /WARNING:  $_[1]/g); }

# -- the spool's disk

mkdir "$disk/spool", 0700 or die $!;
$node->stop;
rmdir $spool or die $!;
symlink "$disk/spool", $spool or die $!;
$node->start;
value($node, $lm);
is(value($node, judge('room', 5)), 5, 'a spool on another disk');
wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
fill();
my ($out, $err) = outcome($node, judge('full', 5) . judge('full too', 5) . 'SELECT count(*) FROM gepa.verdicts');
is($out, "5\n5\n15", 'a full disk under the spool keeps no verdict from the table');
is(warnings($err, '53100: could not write a verdict to the spool: No space left on device'), 1, '... and is told of once');
is(warnings($err, ''), 1, '... and nothing else is');
empty();
($out, $err) = outcome($node, judge('room again', 5));
is("$out $err", '5 ', 'with room again there is nothing to tell');

# What could not be appended is, as soon as it has to wait and can be.
value($node, 'ALTER TABLE gepa.verdict ADD CONSTRAINT refused CHECK (false) NOT VALID');
wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
fill();
($out, $err) = outcome($node, judge('waiting', 5));
is($out, 5, 'verdicts that wait');
like($err, qr/could not write a verdict to the spool.*verdict writer cannot write/s, '... which is told');
empty();
for (1 .. 600)
{
	last if grep { -s } glob "$disk/spool/*";
	usleep(100_000);
}
is(value($node, judge('behind', 1)), 1, '... and are appended when there is room');
$node->stop('immediate');
$node->start;
$mock->reset;
is(value($node, judge('waiting', 5)), 5, '... known after a crash');
is($mock->journal->{requests}, 0, '... without a call');
value($node, 'ALTER TABLE gepa.verdict DROP CONSTRAINT refused');
wait_sql($node, 'SELECT count(*) = 26 FROM gepa.verdicts', 'the rest');
is(value($node, 'SELECT count(*) FROM gepa.verdicts'), 26, '... and stored');

# -- the table's disk

mkdir "$disk/tables", 0700 or die $!;
value($node, "CREATE TABLESPACE small LOCATION '$disk/tables'");
value($node, 'CREATE DATABASE small TABLESPACE small');
value($node, "CREATE EXTENSION gepa; $lm", db => 'small');
value($node, judge('room', 1), db => 'small');
fill();
$mock->reset;
my $log = -s $node->logfile;
($out, $err) = outcome($node, judge('full', 200), db => 'small');
is($out, 200, 'a query goes on with a full disk under the table');
is(warnings($err, '38000: verdict writer cannot write; this transaction commits before its verdicts are in the table'), 1,
	'... and is told that its verdicts are not there');
ok($node->log_contains('gepa verdict writer cannot write a verdict .*could not extend file', $log), '... the log says why');
is(value($node, judge('full', 200), db => 'small'), 200, 'what waits is used');
is($mock->journal->{requests}, 200, '... and paid for once');
empty();
wait_sql($node, 'SELECT count(*) = 201 FROM gepa.verdicts', 'room again', db => 'small');
is(value($node, 'SELECT count(*) FROM gepa.verdicts', db => 'small'), 201, '... and stored when there is room again');
is($mock->journal->{requests}, 200, '... without another call');

$node->stop;
system_or_bail('rm', '-rf', "$disk/spool", "$disk/tables");
done_testing();
