# Arrays of documents: judged side by side wherever the call stands, each text once,
# and back in the shape in which they came.

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
my $rules = 'RULE: documents that mention "keep" are true';

create_lm($node, 'judging', $mock, 'judge-rules+bias-false', max_concurrency => 8);
create_lm($node, 'gated', $mock, 'judge-rules+bias-false+gate', max_concurrency => 8);
create_lm($node, 'partial', $mock, 'judge-rules+bias-false+reject-30', max_concurrency => 8);
value($node, "SELECT gepa.create_judge('j', 'judging', '$rules'), gepa.create_judge('g', 'gated', '$rules'), gepa.create_judge('p', 'partial', '$rules')");
value($node, "CREATE TABLE docs AS SELECT i AS id, CASE WHEN i % 3 = 0 THEN 'keep ' ELSE 'drop ' END || i AS body FROM generate_series(1, 40) i");

# -- side by side

my $session = background($node, "SELECT gepa_judge('g', array_agg(body ORDER BY id)) = array_agg(id % 3 = 0 ORDER BY id) FROM docs;");
ok($mock->wait_for(sub { $_->{waiting} == 8 }, 'eight at the gate'), 'as many as max_concurrency allows are on their way');
$mock->gate(open => 1);
is((finish($session))[0], "t\n", '... and each element has the verdict of its document');
is($mock->journal->{requests}, 40, '... for one request each');

# In PL/pgSQL, where the judge node does not reach.
$mock->gate(open => 0);
value($node, q{CREATE FUNCTION judged(docs text[]) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		verdicts bool[] := gepa_judge('g', docs);
	BEGIN
		RETURN cardinality(array_positions(verdicts, true));
	END $$});
$session = background($node, "SELECT judged(array_agg('keep it, ' || body)) FROM docs;");
ok($mock->wait_for(sub { $_->{waiting} == 8 }, 'eight at the gate'), 'the same in PL/pgSQL');
is(value($node, "SELECT pg_cancel_backend($session->{pid})"), 't', 'a cancel');
like((finish($session))[1], qr/57014: canceling statement/, '... ends it while it waits');
$mock->gate(open => 1);
is(value($node, "SELECT judged(array_agg('keep it, ' || body)) FROM docs"), 40, '... and it can be called again');

# -- each text once

$mock->reset;
is(value($node, "SELECT gepa_judge('j', ARRAY['keep', 'drop', 'keep', NULL, 'keep'])"), '{t,f,t,NULL,t}', 'equal texts');
is($mock->journal->{requests}, 2, '... are one request');
is(value($node, "SELECT gepa_judge('j', ARRAY['keep', 'drop', 'new'])"), '{t,f,f}', 'texts that are stored');
is($mock->journal->{requests}, 3, '... are none');
is(value($node, "SELECT gepa_judge('j', ARRAY['{\"document\": \"keep\"}', '{\"document\": null}']::jsonb[])"), '{t,NULL}', 'jsonb and text are one document');
is(value($node, "SELECT gepa_judge('j', '{}'::text[]), gepa_judge('j', '{NULL,NULL}'::text[]), gepa_score('j', NULL::text[]) IS NULL"),
	'{}|{NULL,NULL}|t', 'nothing to judge');
is($mock->journal->{requests}, 3, '... is no request');
is(value($node, "SELECT gepa_score('j', '[0:1][5:6]={{keep,drop},{NULL,keep}}'::text[])"), '[0:1][5:6]={{1,0},{NULL,1}}', 'dimensions and bounds stay');

# The scalar form sees the same verdicts.
is(value($node, "SELECT gepa_judge('j', array_agg(body ORDER BY id)) = array_agg(gepa_judge('j', body) ORDER BY id) FROM docs"), 't',
	'an array has the verdicts of its elements');
is($mock->journal->{requests}, 43, '... which are paid for once');

# -- documents without a verdict

my $query = "SELECT gepa_judge('p', array_agg(body ORDER BY id)) FROM docs";
my $verdicts = value($node, $query);
my $failed = () = $verdicts =~ /NULL/g;
cmp_ok($failed, '>', 0, "documents that fail ($failed of 40) are NULL");
cmp_ok($failed, '<', 40, '... the others have their verdict');
wait_sql($node, "SELECT count(*) = $failed FROM gepa.verdict_errors WHERE judge = 'p'", 'the errors');
is(value($node, "SELECT count(*) FROM gepa.verdict_errors WHERE judge = 'p'"), $failed, '... and the reasons are told');
like((outcome($node, "SET gepa.on_error = error; $query"))[1], qr/ERROR:  \w{5}: .*judge "p".*HINT/s, 'gepa.on_error = error raises instead');
is(value($node, "SET gepa.on_error = error; SELECT gepa_judge('j', array_agg(body ORDER BY id)) = array_agg(id % 3 = 0 ORDER BY id) FROM docs"), 't',
	'... where there is something to raise');
like((outcome($node, 'SELECT gepa_judge(\'j\', ARRAY[\'{"title": "keep"}\'::jsonb])'))[1], qr/22023: document does not fit judge "j"/, 'a document that does not fit');

done_testing();
