# With the judge node errors are met by those who would meet them without it: when the
# row that raises is reached, whatever was read ahead.

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
my $judge = judge_on($node, $mock, 'judge-rules+slow-1', max_concurrency => 16);
my $fails = judge_on($node, $mock, 'judge-rules+garbage-5', max_concurrency => 16);
my $fields = judge_on($node, $mock, 'judge-rules', judge_options => '{"inputs": ["title"]}');
my $locked = judge_on($node, $mock, 'judge-rules+key-right');
my $private = judge_on($node, $mock, 'judge-rules');

value($node, <<"SQL");
CREATE TABLE d (id int PRIMARY KEY, body text, j jsonb, judge text);
INSERT INTO d SELECT i, 'document ' || i, jsonb_build_object(CASE WHEN i < 30 THEN 'title' ELSE 'name' END, 'document ' || i),
	CASE WHEN i = 30 THEN 'nobody' ELSE '$judge' END FROM generate_series(1, 60) i;
CREATE SEQUENCE s;
CREATE ROLE alice LOGIN;
GRANT SELECT ON d TO alice;
ANALYZE d;
SQL
may_call($node, 'alice');

# Rows and messages are the same; the statement after an error, too.
sub same
{
	my ($what, $sql, %options) = @_;
	my %seen;

	for my $mode ('off', 'on')
	{
		my @sql = ("SET gepa.enable_judge_node = $mode", $sql, 'SELECT 1');
		my ($out, $err) = outcome($node, join(";\n", @sql), extra_params => [ '-U', $options{user} // getpwuid($<) ]);
		$seen{$mode} = $out . $err =~ s/LOCATION: .*\n//gr =~ s/psql:<stdin>:\d+: //gr;
	}
	is($seen{on}, $seen{off}, $what);
	like($seen{on}, $options{like}, '... ' . ($options{says} // 'which is an error')) if $options{like};
	unlike($seen{on}, qr/ERROR/, '... without an error') unless $options{like};
	return;
}

# -- answers that are none

my $order = "FROM d WHERE gepa_judge('$fails', body) IS NOT NULL ORDER BY id";
my @good = split /\n/, value($node, "SELECT id FROM d WHERE gepa_judge('$fails', body) IS NULL ORDER BY id");
cmp_ok(scalar @good, '>', 0, 'some documents have no verdict');
my $first = $good[0];
cmp_ok($first, '>', 3, '... and not the first ones');
for my $form (
	[ 'qual' => "SELECT id FROM d WHERE gepa_judge('$fails', body) IS NOT NULL LIMIT %d" ],
	[ 'target list' => "SELECT id, gepa_judge('$fails', body) FROM d LIMIT %d" ],
	[ 'guard' => "SELECT id FROM d WHERE gepa_judge('$fails', body) IS NOT NULL AND gepa_judge('$judge', body) IS NOT NULL LIMIT %d" ],
	[ 'CASE' => "SELECT id, CASE WHEN gepa_score('$fails', body) >= 0 THEN gepa_judge('$judge', body) END FROM d LIMIT %d" ])
{
	my ($name, $sql) = @$form;
	same("$name: nobody asks for verdicts that are not there", "SET gepa.on_error = error;\n" . sprintf $sql, $first - 1);
	same("$name: the first one is an error", "SET gepa.on_error = error;\n" . sprintf($sql, 60), like => qr/no verdict/);
	same("$name: or NULL", sprintf $sql, 60);
}
same('an aggregate', "SET gepa.on_error = error;\nSELECT count(*) FILTER (WHERE gepa_judge('$fails', body)) FROM d", like => qr/no verdict/);

# -- what no call escapes

same('a wrong key', "SELECT id FROM d WHERE gepa_judge('$locked', body)", like => qr/ERROR/);
same('a wrong key that is not needed', "SELECT id FROM d WHERE id < 30 OR gepa_judge('$locked', body) LIMIT 20");
same('a wrong key, caught', <<"SQL", like => qr/caught/, says => 'and told');
DO \$\$ BEGIN PERFORM id FROM d WHERE gepa_judge('$locked', body); EXCEPTION WHEN OTHERS THEN RAISE WARNING 'caught: %', SQLERRM; END \$\$;
SELECT count(gepa_judge('$judge', body)) FROM d
SQL

# -- arguments and guards that raise, or that are noticed

same('an argument that raises later', "SELECT id FROM d WHERE gepa_judge('$judge', (1000 / (id - 20))::text) IS NOT NULL LIMIT 10");
same('an argument that raises', "SELECT id FROM d WHERE gepa_judge('$judge', (1000 / (id - 20))::text) IS NOT NULL", like => qr/division by zero/);
same('a guard that raises later', "SELECT id, CASE WHEN 1000 / (id - 20) > 0 THEN gepa_judge('$judge', body) END FROM d LIMIT 10");
same('a guard that raises', "SELECT id, CASE WHEN 1000 / (id - 20) > 0 THEN gepa_judge('$judge', body) END FROM d", like => qr/division by zero/);
same('a condition below that raises later', "SELECT id FROM d WHERE 1000 / (id - 20) <> 7 AND gepa_judge('$judge', body) IS NOT NULL LIMIT 10");
same('a condition below that raises', "SELECT id FROM d WHERE 1000 / (id - 20) <> 7 AND gepa_judge('$judge', body) IS NOT NULL", like => qr/division by zero/);
same('an argument that counts', "SELECT setval('s', 1); SELECT id FROM d WHERE gepa_judge('$judge', 'n ' || nextval('s')) IS NOT NULL LIMIT 7; SELECT last_value FROM s");
same('a guard that counts', "SELECT setval('s', 1); SELECT id FROM d WHERE (nextval('s') > 0 AND gepa_judge('$judge', body)) IS NOT NULL LIMIT 7; SELECT last_value FROM s");
same('a subquery as argument', "SELECT id FROM d WHERE gepa_judge('$judge', body || (SELECT max(v) FROM generate_series(1, 3) v)) IS NOT NULL LIMIT 7");
same('a subquery that raises', "SELECT id FROM d WHERE id < 0 AND gepa_judge('$judge', body || (SELECT 1 / min(v) FROM generate_series(0, 3) v)) IS NOT NULL LIMIT 7");

# -- documents and judges that are not what they should be

same('a document that does not fit, later', "SELECT id FROM d WHERE gepa_judge('$fields', j) IS NOT NULL LIMIT 10");
same('a document that does not fit', "SELECT id FROM d WHERE gepa_judge('$fields', j) IS NOT NULL", like => qr/does not fit/);
same('an unknown judge, later', "SELECT id FROM d WHERE gepa_judge(judge, body) IS NOT NULL LIMIT 10");
same('an unknown judge', "SELECT id FROM d WHERE gepa_judge(judge, body) IS NOT NULL", like => qr/"nobody"/);
same('an LM that one may not use', "SELECT id FROM d WHERE gepa_judge('$private', body)", user => 'alice', like => qr/permission denied/);
same('... without rows', "SELECT id FROM d WHERE id > 1000 AND gepa_judge('$private', body)", user => 'alice');
same('... caught', <<"SQL", user => 'alice', like => qr/caught/, says => 'and told');
DO \$\$ BEGIN PERFORM id FROM d WHERE gepa_judge('$private', body); EXCEPTION WHEN OTHERS THEN RAISE WARNING 'caught: %', SQLERRM; END \$\$
SQL

done_testing();
