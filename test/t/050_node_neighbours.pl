# The judge node beside what else hooks into planner and executor, in both orders
# of loading, and above scans of postgres_fdw (test/perl/Gepa/Compare.pm).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Compare;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $compare = Gepa::Compare->new;
my $node = $compare->{node};
my $ordered = "SELECT id, title FROM docs WHERE gepa_judge('j', body) ORDER BY title, id";
my $watched = "SELECT id FROM docs WHERE gepa_judge('j', body) AND id > 0";

value($node, q{CREATE EXTENSION pg_stat_statements});
value($node, <<~'SQL');
	CREATE FUNCTION good(lowest int) RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE n bigint; r record; BEGIN
		SELECT count(*) INTO n FROM docs WHERE id >= lowest AND gepa_judge('j', body);
		FOR r IN SELECT title FROM docs WHERE gepa_judge('k', title) LOOP n := n + 100; END LOOP;
		RETURN n;
	END $$
	SQL

# What auto_explain wrote of a statement, from a position of the log on.
sub explained
{
	my ($from, $statement) = @_;
	return grep { /Query Text: \Q$statement\E/ } split /(?=^\d{4}-\d\d-\d\d )/m, slurp_file($node->logfile, $from);
}

for my $libraries ('gepa, pg_stat_statements, auto_explain', 'auto_explain, pg_stat_statements, gepa')
{
	$compare->restart(<<~"CONF");
		shared_preload_libraries = '$libraries'
		pg_stat_statements.track = all
		pg_stat_statements.track_planning = on
		auto_explain.log_min_duration = 0
		auto_explain.log_analyze = on
		auto_explain.log_buffers = on
		auto_explain.log_triggers = on
		auto_explain.log_verbose = on
		auto_explain.log_nested_statements = on
		CONF
	value($node, 'SELECT pg_stat_statements_reset()');
	my $from = -s $node->logfile;
	$compare->run(
		"$libraries: a condition" => $watched,
		'... a list' => "SELECT id, gepa_judge('j', body), gepa_score('k', title) FROM docs",
		'... an aggregate' => "SELECT grp, count(*) FILTER (WHERE gepa_judge('j', body)) FROM docs GROUP BY grp ORDER BY grp",
		'... a join' => [ "SELECT d.id, t.id FROM docs d JOIN tags t ON t.doc = d.id WHERE gepa_judge('j', d.body)", fewer => 1 ],
		'... an early stop' => [ "SELECT id FROM docs WHERE gepa_judge('j', body) LIMIT 3", early => 8 ],
		'... below a function' => [ 'SELECT good(5)', explain => '' ],
		'... an update' => [ "UPDATE docs SET grp = 9 WHERE gepa_judge('j', body)", after => 'SELECT id FROM docs WHERE grp = 9 ORDER BY id' ],
		'... a cursor' => [ "DECLARE c NO SCROLL CURSOR FOR $ordered;\nFETCH 3 FROM c;\nFETCH 100 FROM c", explain => $ordered ],
		'... an error' => [ "SELECT id, 1 / (id - 25) FROM docs WHERE gepa_judge('j', body) OR id = 25", error => qr/22012/, early => 8 ],
		'... a failure' => [ "SELECT id, gepa_judge('f', body) FROM docs" ]);

	my $rows = 2 * value($node, "SELECT count(*) FROM docs WHERE gepa_judge('j', body)");
	is(value($node, "SELECT sum(calls), sum(rows) FROM pg_stat_statements WHERE query LIKE 'SELECT id FROM docs WHERE gepa_judge(%) AND id > %'"),
		"2|$rows", '... pg_stat_statements counts both executions, and their rows');
	my @plans = explained($from, $watched);
	is(scalar(@plans), 2, '... auto_explain writes both');
	is(scalar(grep { /Custom Scan \(Judge\)[^\n]*actual.*requests=28/s } @plans), 1, '... one of them with the node, and what it did');
}

# -- far away: the tables of this very server

my ($host, $port, $user) = ($node->host, $node->port, getpwuid($>));
my $far = "fetch_size '7'";
value($node, <<~"SQL");
	CREATE EXTENSION postgres_fdw;
	CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres', async_capable 'true');
	CREATE USER MAPPING FOR CURRENT_USER SERVER here OPTIONS (user '$user');
	CREATE FOREIGN TABLE far (id int, grp int, title text, body text) SERVER here OPTIONS (table_name 'docs', $far);
	CREATE FOREIGN TABLE far_tags (id int, doc int, tag text) SERVER here OPTIONS (table_name 'tags', $far);
	CREATE TABLE spread (id int, grp int, title text, body text) PARTITION BY LIST (grp);
	CREATE TABLE spread_near PARTITION OF spread FOR VALUES IN (0);
	INSERT INTO spread SELECT id, 0, title, 'near ' || body FROM docs WHERE id <= 5;
	SQL
for my $part (1 .. 3)
{
	value($node, <<~"SQL");
		CREATE TABLE part$part AS SELECT * FROM docs WHERE grp = $part;
		CREATE FOREIGN TABLE spread$part PARTITION OF spread FOR VALUES IN ($part) SERVER here OPTIONS (table_name 'part$part', $far);
		SQL
}
my @far = (plan => qr/Foreign Scan/);
my @async = (plan => qr/Async Foreign Scan/, any_order => 1);

$compare->run(
	'a foreign table' => [ "SELECT id FROM far WHERE gepa_judge('j', body)", @far ],
	'... with conditions that are sent' => [ "SELECT id FROM far WHERE gepa_judge('j', body) AND grp IN (1, 2) AND title > 'title 4'", @far ],
	'... and a list' => [ "SELECT id, gepa_score('j', body) FROM far WHERE gepa_judge('k', title) ORDER BY id", @far ],
	'... an aggregate' => [ "SELECT grp, count(*) FILTER (WHERE gepa_judge('j', body)) FROM far GROUP BY grp ORDER BY grp", @far ],
	# a scan that may fail is not read ahead where nobody may want its rows
	'... an early stop' => [ "SELECT id FROM far WHERE gepa_judge('j', body) LIMIT 3", @far, early => 0, peak => 'one' ],
	'... two of them' => [ "SELECT far.id, t.id FROM far JOIN far_tags t ON t.doc = far.id WHERE gepa_judge('j', body)", @far, set => 'enable_hashjoin = off', fewer => 1, any_order => 1 ],
	'... a join with one here' => [ "SELECT far.id, t.id FROM far JOIN tags t ON t.doc = far.id WHERE gepa_judge('j', body)", @far, fewer => 1, any_order => 1 ],
	'... an update' => [ "UPDATE far SET title = 'taken' WHERE gepa_judge('j', body)", @far, after => "SELECT id FROM far WHERE title = 'taken' ORDER BY id" ],
	'partitions that are scanned side by side' => [ "SELECT id FROM spread WHERE gepa_judge('j', body)", @async ],
	'... with a list' => [ "SELECT id, gepa_judge('j', body) FROM spread", @far, any_order => 1 ],
	'... with both' => [ "SELECT id, gepa_judge('j', title) FROM spread WHERE gepa_judge('k', body)", @far, any_order => 1 ],
	'... an aggregate' => [ "SELECT count(*) FROM spread WHERE gepa_judge('j', body)", @async ]);

done_testing();
