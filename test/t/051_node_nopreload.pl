# The judge node where gepa is not in shared_preload_libraries: it is there from the
# moment the library is loaded, and before that calls are right, one by one.

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
my $node = gepa_node('main', preload => 0);
my $n = 0;

create_lm($node, 'one', $mock, 'judge-rules', max_concurrency => 8);
value($node, q{SELECT gepa.create_judge('j', 'one', 'Is it good?')});
value($node, q{CREATE TABLE docs AS SELECT i AS id, 'document ' || i || (ARRAY[' alpha', ''])[i % 2 + 1] AS body FROM generate_series(1, 12) i; ANALYZE docs});
my $sql = q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM docs WHERE gepa_judge('j', body)};
my $plan = q{EXPLAIN (COSTS OFF) SELECT id FROM docs WHERE gepa_judge('j', body)};

# A session of its own, under a version that nobody has asked: (rows, requests, most at a time, messages).
sub session
{
	my ($before, $overlaps) = @_;

	value($node, 'SELECT gepa.alter_judge(\'j\', prompt => \'Is it good? ' . ++$n . '\')');
	$mock->reset;
	$mock->meet(2) if $overlaps;
	my ($out, $err) = outcome($node, "$before$sql;");
	my $journal = $mock->journal;
	return ((split /\n/, $out)[-1], $journal->{requests}, $journal->{peak} > 1 ? 1 : 0, $err);
}

my ($rows, $requests, $overlapped, $err) = session('', 0);
is($requests, 12, 'the first statement of a session asks for each row');
is($overlapped, 0, '... one after the other');
is($err, '', '... and nothing is said about it');

for my $case (
	[ 'LOAD', "LOAD 'gepa';\n" ],
	[ 'a first statement', "SELECT gepa_judge('j', body) FROM docs LIMIT 0;\n" ],
	[ 'a first EXPLAIN', "$plan;\n" ])
{
	my ($name, $before) = @$case;
	my @got = session($before, 1);

	is_deeply([ @got[0 .. 2] ], [ $rows, 12, 1 ], "after $name calls overlap");
}

value($node, q{ALTER DATABASE postgres SET session_preload_libraries = 'gepa'});
my @got = session('', 1);
is_deeply(\@got, [ $rows, 12, 1, '' ], 'with session_preload_libraries the first statement overlaps');
like(value($node, $plan), qr/Custom Scan \(Judge\)/, '... as its plan says');
@got = session("SET gepa.enable_judge_node = off;\n", 0);
is_deeply(\@got, [ $rows, 12, 0, '' ], '... unless it is switched off');
value($node, q{ALTER DATABASE postgres RESET session_preload_libraries});

# A plan of before the library came is of no use to it, nor the other way.
value($node, 'SELECT gepa.alter_judge(\'j\', prompt => \'Is it good? ' . ++$n . '\')');
$mock->reset;
my ($out) = outcome($node, <<~"SQL");
	SET plan_cache_mode = force_generic_plan;
	PREPARE p AS $sql;
	EXECUTE p;
	EXECUTE p;
	SQL
is($out, "$rows\n$rows", 'a plan that was made while the library was loaded is right');
is($mock->journal->{requests}, 12, '... and asks once for each row');

done_testing();
