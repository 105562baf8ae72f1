# A query's memory does not grow with its rows: what it takes when a tenth has been
# judged is what it takes at the end, with many rows and with large documents.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use Gepa::Waits;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

sub rss
{
	my ($pid) = @_;

	my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB$/m;
	return 1024 * $kb;
}

# (bytes at a tenth, and when all but a few are answered) of a statement on gated calls
sub measure
{
	my ($rows, $session, $sql) = @_;

	$mock->gate(open => 0);
	$mock->reset;
	$session->{in} .= "$sql;\n";
	$session->{run}->pump_nb;
	$mock->gate(pass => $rows / 10);
	ok($mock->wait_for(sub { $_->{completed} == $rows / 10 }, 'a tenth'), 'a tenth is answered');
	my $tenth = rss($session->{pid});
	$mock->gate(pass => $rows * 9 / 10 - 4);
	ok($mock->wait_for(sub { $_->{completed} == $rows - 4 }, 'nearly all'), '... and nearly all');
	my $end = rss($session->{pid});
	$mock->gate(pass => 4);
	finish($session);
	is($session->{out}, "$rows\n", '... and all');
	is($mock->journal->{requests}, $rows, '... once each');
	cmp_ok($mock->journal->{peak}, '>', 1, '... several at a time');
	return ($tenth, $end);
}

sub bounded
{
	my ($name, $tenth, $end, $most) = @_;

	diag(sprintf '%s: %.1f MB at a tenth, %.1f MB at the end, ratio %.2f', $name, $tenth / 1e6, $end / 1e6, $end / $tenth);
	return cmp_ok($end - $tenth, '<', $most, "$name: memory does not grow with them");
}

# -- 1 MB each, of which no more than work_mem is kept besides what is on its way: 60 MB in all

my $large = judge_on($node, $mock, 'judge-fixed-true+gate', max_concurrency => 4, judge_options => '{"max_chars": 2000000}');
value($node, "CREATE TABLE large AS SELECT i AS id, (SELECT string_agg(md5(i || ' ' || j), '') FROM generate_series(1, 31250) j) AS body FROM generate_series(1, 60) i");
is(value($node, 'SELECT min(length(body)) FROM large'), 1_000_000, 'documents of 1 MB');
bounded('large documents', measure(60, background($node, ''), "SELECT count(*) FROM large WHERE gepa_judge('$large', body)"), 15_000_000);
bounded('large documents, put together', measure(60, background($node, ''), "SELECT count(*) FILTER (WHERE gepa_judge('$large', 'again ' || body)) FROM large"), 15_000_000);

# -- many rows: a few are remembered, but that is less than what was sent of each

my $many = judge_on($node, $mock, 'judge-fixed-true+gate', max_concurrency => 64);
bounded('many rows', measure(8000, background($node, ''), "SELECT count(*) FROM generate_series(1, 8000) i WHERE gepa_judge('$many', 'row ' || i)"), 7200 * 1000);

done_testing();
