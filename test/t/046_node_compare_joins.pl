# The judge node off and on: joins (test/perl/Gepa/Compare.pm).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Compare;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $compare = Gepa::Compare->new;

# What is judged at a scan may be judged above the joins instead, where that means fewer calls.
my @moves = (fewer => 1);
my $pairs = 'SELECT d.id, t.id FROM docs d JOIN tags t ON t.doc = d.id';
my %method = (
	hash => { set => 'enable_mergejoin = off, enable_nestloop = off', plan => qr/Hash (?:\w+ )?Join/ },
	merge => { set => 'enable_hashjoin = off, enable_nestloop = off', plan => qr/Merge (?:\w+ )?Join/ },
	'nested loop' => { set => 'enable_hashjoin = off, enable_mergejoin = off, enable_memoize = off', plan => qr/Nested Loop/ });

# -- inner joins, each in every way

for my $way (sort keys %method)
{
	my @forced = %{ $method{$way} };
	my @inner = $way eq 'nested loop' ? (peak => 'any') : ();    # a row or two at a time

	$compare->run(
		"$way: one table judged" => [ "$pairs WHERE gepa_judge('j', d.body)", @forced, @moves ],
		"$way: the other" => [ "$pairs WHERE gepa_judge('j', t.tag)", @forced, @moves ],
		"$way: both" => [ "$pairs WHERE gepa_judge('j', d.body) AND gepa_judge('k', t.tag)", @forced, @moves, order => 1 ],
		"$way: the pair" => [ "$pairs WHERE gepa_judge('j', d.body || t.tag)", @forced ],
		"$way: the pair, in ON" => [ "SELECT d.id, t.id FROM docs d JOIN tags t ON t.doc = d.id AND (d.grp = 1 OR gepa_judge('j', d.title || t.tag))", @forced ],
		"$way: in the list" => [ "SELECT d.id, t.id, gepa_judge('j', d.body), gepa_judge('k', t.tag) FROM docs d JOIN tags t ON t.doc = d.id", @forced ],
		"$way: with an aggregate above" => [ "SELECT d.grp, count(*) FROM docs d JOIN tags t ON t.doc = d.id WHERE gepa_judge('j', d.body) GROUP BY 1 ORDER BY 1",
			@forced, @moves ],
		"$way: with an ORDER BY above" => [ "$pairs WHERE gepa_judge('j', d.body) ORDER BY t.tag, t.id", @forced, @moves ],
		"$way: three tables" => [ "SELECT d.id, t.id, e.id FROM docs d JOIN tags t ON t.doc = d.id JOIN docs e ON e.id = t.id
			WHERE gepa_judge('j', d.body) AND gepa_judge('j', e.title)", @forced, @moves ],
		"$way: a few of them" => [ "$pairs WHERE gepa_judge('j', d.body) LIMIT 3", @forced, @moves, early => 40 ],
		"$way: left" => [ "SELECT d.id, t.id FROM docs d LEFT JOIN tags t ON t.doc = d.id WHERE gepa_judge('j', d.body)", @forced, plan => qr/ (?:Left|Right)/ ],
		"$way: left, the list" => [ "SELECT d.id, gepa_judge('j', coalesce(t.tag, d.body)) FROM docs d LEFT JOIN tags t ON t.doc = d.id", @forced ],
		"$way: left, judged inside" => [ "SELECT d.id, s.id FROM docs d LEFT JOIN (SELECT * FROM tags WHERE gepa_judge('j', tag)) s ON s.doc = d.id", @forced, @inner ],
		"$way: left, the null side above" => [ "SELECT d.id, t.id FROM docs d LEFT JOIN tags t ON t.doc = d.id WHERE t.id IS NULL OR gepa_judge('j', t.tag)", @forced ],
		"$way: semi" => [ "SELECT id FROM docs d WHERE id IN (SELECT doc FROM tags t WHERE gepa_judge('j', t.tag || t.id)) ORDER BY id",
			@forced, plan => qr/Semi|Unique|HashAggregate/, early => 40, @inner ],
		"$way: semi, outside" => [ "SELECT id FROM docs d WHERE gepa_judge('j', body) AND EXISTS (SELECT FROM tags t WHERE t.doc = d.id) ORDER BY id",
			@forced, plan => qr/Semi|Unique|HashAggregate/ ],
		"$way: anti" => [ "SELECT d.id FROM docs d LEFT JOIN tags t ON t.doc = d.id AND gepa_judge('j', t.tag || t.id) WHERE t.doc IS NULL ORDER BY 1",
			@forced, plan => qr/Anti/, early => 40, @inner ],
		"$way: anti, outside" => [ "SELECT id FROM docs d WHERE gepa_judge('j', body) AND NOT EXISTS (SELECT FROM tags t WHERE t.doc = d.id) ORDER BY id",
			@forced, plan => qr/Anti/ ]);
}

done_testing();
