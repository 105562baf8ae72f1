# What the comparison of the judge node off and on finds: it can fail (test/perl/Gepa/Compare.pm).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Compare;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $compare = Gepa::Compare->new;
my $mode = "current_setting('gepa.enable_judge_node')";

sub finds
{
	my ($name, $given, $expected) = @_;
	return like(join("\n", $compare->wrong($given)), $expected, "finds $name");
}

is(join("\n", $compare->wrong("SELECT id FROM docs WHERE gepa_judge('j', body)")), '', 'finds nothing where nothing is');
finds('other rows', "SELECT $mode, gepa_judge('j', body) FROM docs", qr/^off says:\noff\|.*and on:\non\|/ms);
finds('another order', "SELECT id FROM docs WHERE gepa_judge('j', body) ORDER BY CASE $mode WHEN 'on' THEN id ELSE -id END", qr/^off says:\n27\n.*and on:\n2\n/ms);
finds('other notices', [ "SELECT tell($mode) FROM docs WHERE gepa_judge('j', body)",
		before => q{CREATE FUNCTION tell(t text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'told %', t; RETURN 'x'; END$$} ], qr/^off says:\nNOTICE:  00000: told off/m);
finds('other errors', [ "SELECT id, CASE $mode WHEN 'on' THEN 1 / (id - 9) ELSE ln(id - 9) END FROM docs WHERE gepa_judge('j', body) IS NULL OR true", error => qr/ERROR/, early => 64 ],
	qr/^off says:\nERROR:  2201E.*and on:\nERROR:  22012/ms);
finds('an error', "SELECT 1 / (id - 9) FROM docs WHERE gepa_judge('j', body) IS NOT NULL", qr/^an error, off: ERROR:  22012/m);
finds('an error that is missing', [ "SELECT id FROM docs WHERE gepa_judge('j', body)", error => qr/22012/ ], qr/^not the expected error, on/m);
finds('a text more', "SELECT id FROM docs WHERE gepa_judge('j', body) IS NULL OR $mode = 'on' AND gepa_judge('j', title)", qr/^sent besides: .*title 1 x 1/m);
finds('a text less', "SELECT id FROM docs WHERE gepa_judge('j', body) IS NULL OR $mode = 'off' AND gepa_judge('j', title)", qr/^not sent: .*title 1 x 1/m);
finds('too much ahead', [ "DECLARE c CURSOR FOR SELECT id FROM docs WHERE gepa_judge('j', body);\nFETCH c", early => -2, explain => '' ], qr/^\d+ texts ahead of 2, more than 0/m);
finds('nothing that is judged', "SELECT id FROM docs", qr/^nothing reached the mock$/m);
finds('nothing that overlaps', [ "SELECT id FROM docs WHERE id < 4 AND slow(body)", before => q{CREATE FUNCTION slow(text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RETURN gepa_judge('j', $1); END$$} ],
	qr/^1 at a time with the node on$/m);
finds('what overlaps', [ "SELECT id FROM docs WHERE gepa_judge('j', body)", peak => 'one' ], qr/^\d+ at a time with the node on$/m);
finds('a plan without a node', [ "SELECT id FROM docs WHERE gepa_judge('j', body)", explain => 'SELECT 1' ], qr/^no node: /m);
finds('a plan with a node', [ "SELECT id FROM docs WHERE gepa_judge('j', body)", node => 0 ], qr/^a node: /m);
finds('another plan', [ "SELECT id FROM docs WHERE gepa_judge('j', body)", plan => qr/Hash Join/ ], qr/^not the plan that is wanted/m);
finds('a text that must not be sent', [ "SELECT id FROM docs WHERE gepa_judge('j', body)", never => qr/alpha/ ], qr/^must not be sent: judge-rules: document 9 alpha/m);
finds('a text that is missing', [ "SELECT id FROM docs WHERE gepa_judge('j', body)", always => qr/gamma/ ], qr/^none of what is always sent/m);
finds('a session that is gone', [ "SELECT count(*) FROM docs WHERE gepa_judge('j', body);\nSELECT pg_terminate_backend(pg_backend_pid())", explain => '' ], qr/^the session is gone, on/m);

done_testing();
