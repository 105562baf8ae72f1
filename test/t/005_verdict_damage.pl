# A spool that is damaged: a record that cannot be read costs no other one, and a
# file is kept in which something could not be read; a file that is not there any
# more, or cannot be written, stops nobody.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $spool = $node->data_dir . '/pg_gepa';
my $total = 0;

create_lm($node, 'plain', $mock, 'judge-rules');
value($node, "SELECT gepa.create_judge('j', 'plain', 'Is it good?')");

sub files { return map { s/.*\///r } sort glob "$spool/*"; }

sub refuse { return value($node, 'ALTER TABLE gepa.verdict ADD CONSTRAINT refused CHECK (false) NOT VALID'); }

sub judge
{
	my ($text, $n) = @_;
	my ($out) = outcome($node, "SELECT count(*) FROM (SELECT gepa_judge('j', '$text ' || i) FROM generate_series(1, $n) i OFFSET 0) s");
	return $out;
}

# $n verdicts wait in one file, to which something happens while the server is down.
sub damaged
{
	my ($text, $n, $damage) = @_;

	refuse();
	is(judge($text, $n), $n, "$text: $n wait");
	my ($file) = grep { !/bad/ } files();
	$node->stop('immediate');
	$damage->("$spool/$file");
	$node->start;
	return $file;
}

# So many are left of them; the rest is asked for again.
sub left
{
	my ($text, $n, $left) = @_;

	value($node, 'ALTER TABLE gepa.verdict DROP CONSTRAINT refused');
	wait_sql($node, "SELECT count(*) = $total + $left FROM gepa.verdicts", "$text: $left are written");
	$mock->reset;
	is(judge($text, $n), $n, "$text: judged again");
	is($mock->journal->{requests}, $n - $left, "... $left of $n have survived");
	wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
	is(value($node, 'SELECT count(*) FROM gepa.verdicts'), $total += $n, '... and all are stored');
	return;
}

sub flip
{
	my ($file, $at) = @_;
	my $byte;

	open my $fh, '+<:raw', $file or die "$file: $!";
	seek $fh, $at, 0 or die $!;
	read($fh, $byte, 1) == 1 or die "$file is short";
	seek $fh, $at, 0 or die $!;
	print {$fh} chr(ord($byte) ^ 0x20);
	close $fh or die $!;
	return;
}

sub rest_is
{
	my ($names, $what) = @_;
	is(join(' ', files()), $names, $what);
	unlink map { "$spool/$_" } split / /, $names;
	return;
}

# The length of a record, for those that are to be hit.
my $header = 16;
my $length;
damaged('a length', 4, sub { $length = ((-s $_[0]) - $header) / 4; });
left('a length', 4, 4);
rest_is('', 'a file that is whole is removed');

my $log = -s $node->logfile;
my $file = damaged('a byte', 20, sub { flip($_[0], $header + 5 * $length + 100); });
ok($node->log_contains("gepa has found damaged verdicts in \"pg_gepa/$file\"", $log), 'a byte in the middle');
left('a byte', 20, 19);
rest_is("$file.bad", 'the file is kept');

$file = damaged('of a length', 20, sub { flip($_[0], $header + 5 * $length + 1); });
left('of a length', 20, 19);
rest_is("$file.bad", 'a length that is wrong hides no other record');

$file = damaged('of the last', 20, sub { flip($_[0], $header + 19 * $length + 100); });
left('of the last', 20, 19);
rest_is("$file.bad", 'a last record that is damaged is not taken for one that was not written completely');

$log = -s $node->logfile;
damaged('torn', 20, sub { truncate $_[0], (-s $_[0]) - 30 or die $!; });
ok($node->log_contains('gepa drops the last \d+ bytes of "pg_gepa/', $log), 'one that was not written completely');
left('torn', 20, 19);
rest_is('', '... leaves nothing');

damaged('short', 1, sub { truncate $_[0], 7 or die $!; });
left('short', 1, 0);
rest_is('', 'neither does a file that was being made');

$log = -s $node->logfile;
$file = damaged('unreadable', 5, sub { chmod 0000, $_[0] or die $!; });
ok($node->log_contains("could not open file \"pg_gepa/$file\": Permission denied", $log), 'a file that cannot be opened');
is(join(' ', files()), "$file.bad", '... is set aside');
$node->stop;
rename "$spool/$file.bad", "$spool/$file" or die $!;
chmod 0600, "$spool/$file" or die $!;
$node->start;
left('unreadable', 5, 5);
rest_is('', '... and used when it is put back');

# -- while the server is up

for my $gone ('removed', 'write-protected')
{
	refuse();
	is(judge("before it is $gone", 3), 3, 'three wait');
	($file) = files();
	$gone eq 'removed' ? unlink "$spool/$file" : chmod 0400, "$spool/$file" or die $!;
	my ($out, $err) = outcome($node, "SELECT gepa_judge('j', 'after it is $gone') IS NULL");
	unlike($err, qr/could not write a verdict to the spool/, "a segment that is $gone is not missed");
	is(scalar(grep { $_ ne $file } files()), 1, '... another one is made');
	$node->stop('immediate');
	$node->start;
	$mock->reset;
	is(judge("before it is $gone", 3), 3, '... and known after a crash:');
	is($mock->journal->{requests}, $gone eq 'removed' ? 3 : 0, '... what was in a file that is still there');
	value($node, "SELECT gepa_judge('j', 'after it is $gone')");
	is($mock->journal->{requests}, $gone eq 'removed' ? 3 : 0, '... and in the new one');
	value($node, 'ALTER TABLE gepa.verdict DROP CONSTRAINT refused');
	wait_sql($node, "SELECT count(*) = $total + 4 FROM gepa.verdicts", 'all of them');
	$total += 4;
	wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
	rest_is('', 'nothing is left');
}

done_testing();
