# The judge node off and on: particular joins (test/perl/Gepa/Compare.pm).

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
my $no = 'enable_memoize = off, enable_%sjoin = off, enable_%s = off';
my @loop = (set => sprintf($no, 'hash', 'mergejoin'), plan => qr/Nested Loop/);
my @merge = (set => sprintf($no, 'hash', 'nestloop'), plan => qr/Merge (?:\w+ )?Join/);
my @hash = (set => sprintf($no, 'merge', 'nestloop'), plan => qr/Hash (?:\w+ )?Join/);

$compare->run(
	'merge: the inner side is read again' => [ "SELECT a.id, b.id FROM docs a JOIN docs b ON a.grp = b.grp WHERE a.id < 9 AND b.id < 12 AND gepa_judge('j', b.body)", @merge, @moves, any_order => 1 ],
	'merge: full' => [ "SELECT d.id, t.id FROM docs d FULL JOIN tags t ON t.doc = d.id WHERE gepa_judge('j', coalesce(d.body, t.tag))", @merge, plan => qr/Merge Full Join/ ],
	'merge: both sides judged inside' => [ "SELECT d.id, t.id FROM (SELECT * FROM docs WHERE gepa_judge('j', body)) d FULL JOIN (SELECT * FROM tags WHERE gepa_judge('k', tag)) t ON t.doc = d.id",
		@merge, plan => qr/Merge Full Join/, any_order => 1, early => 40 ],
	'hash: full' => [ "SELECT d.id, t.id FROM docs d FULL JOIN tags t ON t.doc = d.id WHERE gepa_judge('j', coalesce(d.body, t.tag))", @hash, plan => qr/Hash Full Join/ ],
	'hash: right' => [ "SELECT d.id, t.id FROM docs d RIGHT JOIN tags t ON t.doc = d.id WHERE gepa_judge('j', t.tag || coalesce(d.title, ''))", @hash, plan => qr/Hash Left Join/ ],
	'loop: over everything' => [ "SELECT d.id, t.id FROM docs d, tags t WHERE d.id < 6 AND t.id < 4 AND gepa_judge('j', d.title || t.tag)", @loop ],
	'loop: what is judged is materialised' => [ "SELECT d.id, t.id FROM docs d, tags t WHERE d.id < 6 AND t.id < 9 AND gepa_judge('j', t.tag)",
		@loop, plan => qr/Materialize/, @moves ],
	'loop: an index on the inner side' => [ "$pairs WHERE d.grp = 1 AND gepa_judge('j', t.tag || t.id)", @loop, set => "$loop[1], enable_seqscan = off, enable_bitmapscan = off",
		plan => qr/Index Scan using tags_doc/, @moves ],
	'loop: with a bitmap on the inner side' => [ "$pairs WHERE d.grp = 1 AND gepa_judge('j', t.tag || t.id)", @loop, set => "$loop[1], enable_seqscan = off, enable_indexscan = off",
		plan => qr/Bitmap Heap Scan on tags/, @moves ],
	'loop: by inequality' => [ "SELECT a.id, b.id FROM docs a JOIN docs b ON a.id < b.id AND b.id < a.id + 3 WHERE gepa_judge('j', a.body)", @loop, @moves ],
	'loop: memoized' => [ "SELECT t.id, s.body FROM tags t JOIN LATERAL (SELECT body FROM docs d WHERE d.id = t.doc AND gepa_judge('j', d.body) OFFSET 0) s ON true",
		set => 'enable_hashjoin = off, enable_mergejoin = off, enable_seqscan = off', plan => qr/Memoize/ ],
	'lateral' => [ "SELECT d.id, s.n FROM docs d, LATERAL (SELECT count(*) n FROM tags t WHERE t.doc < d.grp * 4 AND gepa_judge('j', t.tag || t.id)) s WHERE d.id < 6" ],
	'lateral, of which one' => [ "SELECT d.id, s.id FROM docs d, LATERAL (SELECT t.id FROM tags t WHERE t.doc > d.id AND gepa_judge('j', t.tag || t.id) ORDER BY t.id LIMIT 1) s", early => 200 ],
	'lateral, of the outer text' => [ "SELECT d.id, s.good FROM docs d, LATERAL (SELECT gepa_judge('j', d.body) AS good) s", node => 0, peak => 'one' ],
	'the table itself' => "SELECT a.id, b.id FROM docs a JOIN docs b ON a.id = b.id + 1 WHERE gepa_judge('j', a.title || b.title)",
	'using' => [ "SELECT id, a.title FROM docs a JOIN docs b USING (id) WHERE gepa_judge('j', b.body)", @moves ],
	'natural' => [ "SELECT id FROM docs NATURAL JOIN (SELECT id, tag FROM tags) s WHERE gepa_judge('j', tag) AND gepa_judge('k', body)", @moves ],
	'left, in ON' => [ "SELECT d.id, t.id FROM docs d LEFT JOIN tags t ON t.doc = d.id AND gepa_judge('j', d.body || t.tag)", node => undef, peak => 'one' ],
	'left, in ON, of the null side' => "SELECT d.id, t.id FROM docs d LEFT JOIN tags t ON t.doc = d.id AND gepa_judge('j', t.tag)",
	'left, in ON, of the other side' => [ "SELECT d.id, t.id FROM docs d LEFT JOIN tags t ON t.doc = d.id AND gepa_judge('j', d.body)", node => undef, peak => 'one' ],
	'at most one' => [ "SELECT t.id FROM tags t JOIN docs d ON d.id = t.doc WHERE gepa_judge('j', d.body)", @loop, set => "$loop[1], enable_seqscan = off", @moves ],
	'genetic' => [ "SELECT a.id FROM docs a, docs b, docs c WHERE a.id = b.id AND b.id = c.id AND gepa_judge('j', a.body) AND gepa_judge('k', c.body)", set => 'geqo_threshold = 2', @moves ],
	'in the order it is written' => [ "SELECT a.id FROM docs a JOIN docs b ON a.id = b.id JOIN tags c ON c.doc = b.id WHERE gepa_judge('j', a.body)", set => 'join_collapse_limit = 1', @moves ]);

done_testing();
