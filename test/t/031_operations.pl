# Every query of docs/operations.md, literally, in a server where there is something to see;
# and the links between the pages of the documentation.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $text = slurp_file("$top/docs/operations.md");
my @blocks = $text =~ /^```sql\n(.*?)^```$/msg;
my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

# The LM, judge and run that the page names, and a failure of every kind it speaks of.
load_world($node, 'labels', rows => 60, seed => 5);
create_lm($node, 'qwen', $mock, 'judge-rules');
create_lm($node, 'opus', $mock, 'reflector');
value($node, q{SELECT gepa.create_judge('code_quality', 'qwen', 'Is it good?');
	CREATE USER MAPPING FOR CURRENT_USER SERVER qwen OPTIONS (api_key 'sk-test-1234');
	SELECT gepa.create_dataset('labels', 'labels', 'id', '{body}', 'keep');
	SELECT gepa.create_schedule('nightly', 'code_quality', 'labels', 'opus', budget => 50, at => '@daily')});
value($node, q{SELECT gepa.optimize('code_quality', 'labels', 'opus', 150)});
value($node, q{SELECT count(gepa_judge('code_quality', body)) FROM labels});
my $garbage = judge_on($node, $mock, 'judge-rules+garbage-100');
my $failing = judge_on($node, $mock, 'judge-rules+reject-100');
value($node, "SELECT gepa_judge('$_', 'text')") for $garbage, $failing;

cmp_ok(scalar @blocks, '>', 15, 'the page has queries');
for my $block (@blocks)
{
	my ($first) = $block =~ /^(.*)$/m;
	my ($out, $err) = outcome($node, $block);

	is($err =~ s/^.*NOTICE.*\n//mgr, '', "runs: $first");
}

# What some of them show.
sub shown
{
	my ($heading) = @_;
	my ($block) = $text =~ /^### \Q$heading\E\n.*?^```sql\n(.*?)^```$/ms or die $heading;
	return value($node, $block);
}
my ($health) = map { value($node, $_) } grep { /AS tried_again,\n.*median_ms/s } @blocks;
like($health, qr/^qwen\|\d+\|0\|0\|/m, 'the first query shows an LM that is well');
like($health, qr/^$failing\|1\|1\|0\|/m, '... and one that is not');
like(shown('A key has expired or was revoked'), qr/^qwen\|/, 'who has a key');
like(shown('Answers cannot be parsed'), qr/^$garbage\|1\|unparseable\|/, 'what cannot be parsed');
like(shown('It costs too much'), qr/^qwen\|judge\|code_quality\|\d+\|/m, 'what a call costs');
like(shown('The verdict store grows'), qr/^code_quality\|1\|\d+\|/m, 'where verdicts are');
my ($look) = grep { /call_log_text = / } @blocks;
like(value($node, $look), qr/a document to look at, at /, 'how to see a prompt');
is(value($node, 'SELECT enabled FROM gepa.schedules'), 'f', 'what a restored database must not do was switched off');

# Without preload.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\ngepa.verdict_ring_size = 8MB\n");
$node->restart;
like((outcome($node, "LOAD 'gepa'"))[1], qr/WARNING: .*"gepa.verdict_ring_size"/, 'a setting that is none without preload');
like((outcome($node, 'SELECT gepa.resume(1)'))[1], qr/gepa was not preloaded/, '... and what else is said');
is(value($node, "SELECT gepa_judge('code_quality', body) IS NOT NULL FROM labels LIMIT 1"), 't', '... while judges work');

# Links lead somewhere.
sub anchors
{
	my ($path) = @_;
	my %anchors;

	for (slurp_file($path) =~ /^#+ (.+)$/mg)
	{
		(my $anchor = lc) =~ s/[^\w\s-]//g;
		$anchors{ $anchor =~ s/ /-/gr } = 1;
	}
	return \%anchors;
}

for my $page ('README.md', map { s{^\Q$top\E/}{}r } glob "$top/docs/*.md")
{
	my ($folder) = "$top/$page" =~ m{^(.*)/};
	my @dead = grep {
		my ($file, $anchor) = /^([^#]*)(?:#(.*))?$/;
		my $path = $file eq '' ? "$top/$page" : "$folder/$file";
		!-e $path || (defined $anchor && !anchors($path)->{$anchor});
	} grep { !/^\w+:/ } slurp_file("$top/$page") =~ /\]\(([^)\s]+)\)/g;

	is("@dead", '', "$page has no dead link");
}

done_testing();
