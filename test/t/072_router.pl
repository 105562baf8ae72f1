# Routers: which texts reach which judge's LM, how often, and that the judge node asks for
# the same ones, many at a time; rules that ask a judge; what fails.

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
my $rows = 120;
my @judges = ('english', 'german', 'rest', 'topic');
my $version = 0;

# A model each, so that the mock tells their requests apart.
my %model = map { $judges[$_] => "judge-rules+bias-false+slow-2+seed-$_" } 0 .. $#judges;
create_lm($node, $_, $mock, $model{$_}, max_concurrency => 8) for @judges;
create_lm($node, 'broken', $mock, 'judge-rules+reject-30', max_concurrency => 8);

sub prompt { return "E'Is it good ($version)?\\nRULE: documents that mention \"yes\" are true\\nRULE: documents that mention \"code\" are true'"; }

value($node, join ';', map { "SELECT gepa.create_judge('$_', '$_', " . prompt() . ')' } @judges);
value($node, "SELECT gepa.create_judge('broken', 'broken', " . prompt() . ')');
value($node, <<"SQL");
CREATE TABLE d AS SELECT i AS id, (ARRAY['en', 'de', 'fr'])[i % 3 + 1] AS lang,
	format('%s %s text %s', CASE WHEN i % 2 = 0 THEN 'yes' ELSE 'no' END, CASE WHEN i % 4 < 2 THEN 'code' ELSE 'prose' END, i) AS body
FROM generate_series(1, $rows) i;
ALTER TABLE d ADD doc jsonb;
UPDATE d SET doc = jsonb_build_object('document', body, 'lang', lang);
ALTER TABLE d ADD PRIMARY KEY (id), ADD keep bool;
ANALYZE d;
SELECT gepa.create_router('by_lang', ARRAY['{"when": "lang = ''en'' AND length > 5", "judge": "english"}',
	'{"when": "lang = ''de''", "judge": "german"}']::jsonb[], 'rest');
SELECT gepa.create_router('raises', ARRAY['{"when": "120 / (id - 7) > 0 AND lang = ''en''", "judge": "english"}']::jsonb[], 'rest',
	'{"fields": {"id": "int4", "lang": "text"}}');
SELECT gepa.create_router('by_topic', ARRAY['{"when": "lang = ''en''", "judge": "english"}',
	'{"when": {"judge": "topic", "label": "true"}, "judge": "german"}']::jsonb[], 'rest');
SELECT gepa.create_router('by_broken', ARRAY['{"when": {"judge": "broken", "label": "true"}, "judge": "german"}']::jsonb[], 'rest');
SELECT gepa.create_classifier('kind', 'd', 'body', 'CASE WHEN body ~ ''code'' THEN ''code'' ELSE ''prose'' END');
SELECT gepa.create_router('by_kind', ARRAY['{"when": "lang = ''en''", "judge": "english"}',
	'{"when": {"classifier": "kind", "label": "code"}, "judge": "german"}']::jsonb[], 'rest');
SQL

# What was judged before is forgotten.
sub forget
{
	$version++;
	value($node, join ';', map { "SELECT gepa.alter_judge('$_', prompt => " . prompt() . ')' } @judges, 'broken');
	$mock->reset;
	return;
}

# What each judge's LM was sent: { judge => { text => how often } }
sub sent
{
	my $texts = $mock->texts;
	return { map { $texts->{ $model{$_} } ? ($_ => $texts->{ $model{$_} }) : () } @judges };
}

sub texts
{
	my ($where) = @_;
	return { map { $_ => 1 } split /\n/, value($node, "SELECT body FROM d WHERE $where") };
}

# With the node off and on: the same rows, the same texts; then many at a time.
sub both
{
	my ($sql, $what, $expected) = @_;
	my %seen;

	for my $mode ('off', 'on')
	{
		forget();
		$mock->meet(8) if $mode eq 'on';
		$seen{$mode} = join '|', outcome($node, "SET gepa.enable_judge_node = $mode;\n$sql");
		$seen{"sent $mode"} = sent();
		$seen{"peak $mode"} = $mock->journal->{peak};
	}
	is($seen{on}, $seen{off}, "$what: the rows are those without the node");
	is_deeply($seen{'sent off'}, $expected, '... each judge was sent its documents, and each once');
	is_deeply($seen{'sent on'}, $expected, '... with the node as well');
	is($seen{'peak off'}, 1, '... one at a time without it');
	cmp_ok($seen{'peak on'}, '>=', 8, '... many at a time with it');
	return $seen{on};
}

my $by_lang = { english => texts("lang = 'en'"), german => texts("lang = 'de'"), rest => texts("lang = 'fr'") };
my $by_topic = { english => texts("lang = 'en'"), topic => texts("lang <> 'en'"), german => texts("lang <> 'en' AND body ~ 'code|yes'"),
	rest => texts("lang <> 'en' AND body !~ 'code|yes'") };

like(both("SELECT id FROM d WHERE gepa_judge('by_lang', doc) ORDER BY id", 'a condition', $by_lang), qr/^1\n2\n4/, '... some are kept');
both("SELECT id, (gepa_verdict('by_lang', doc)).judge, (gepa_verdict('by_lang', doc)).label FROM d ORDER BY id", 'the SELECT list', $by_lang);
both("SELECT sum(gepa_score('by_lang', doc)), count(*) FILTER (WHERE gepa_judge('by_lang', doc)) FROM d", 'aggregates', $by_lang);
both("SELECT id FROM d WHERE CASE WHEN gepa_judge('by_lang', doc) THEN gepa_judge('english', body) END ORDER BY id", 'beside one of its judges',
	{ english => { %{ texts("lang = 'en'") }, %{ texts("body ~ 'code|yes'") } }, german => texts("lang = 'de'"), rest => texts("lang = 'fr'") });
both("SELECT id FROM d WHERE gepa_judge(CASE WHEN id % 2 = 0 THEN 'by_lang' ELSE 'rest' END, doc) ORDER BY id", 'names that differ by row',
	{ english => texts("lang = 'en' AND id % 2 = 0"), german => texts("lang = 'de' AND id % 2 = 0"), rest => texts("lang = 'fr' OR id % 2 = 1") });
my $topic = both("SELECT id, (gepa_verdict('by_topic', doc)).judge FROM d ORDER BY id", 'a rule that asks a judge', $by_topic);
like($topic, qr/^1\|german\n2\|german\n3\|english(\n.*){3}\n7\|rest/, '... by whose label the judge is chosen') or diag(substr($topic, 0, 99));
both("SELECT id FROM d WHERE CASE WHEN gepa_judge('by_topic', doc) THEN gepa_judge('english', body) END ORDER BY id", 'a guard that is such a call',
	{ %$by_topic, english => { %{ texts("lang = 'en'") }, %{ texts("body ~ 'code|yes'") } } });

# A classifier decides without a call.
my $by_kind = { english => texts("lang = 'en'"), german => texts("lang <> 'en' AND body ~ 'code'"), rest => texts("lang <> 'en' AND body !~ 'code'") };
both("SELECT id, (gepa_verdict('by_kind', doc)).judge FROM d ORDER BY id", 'a rule with a classifier', $by_kind);
both("SELECT id FROM d WHERE gepa_judge('by_kind', doc) ORDER BY id", '... as a condition', $by_kind);
is(value($node, "SELECT count(*) FROM (SELECT doc, (gepa_verdict('by_kind', doc)).judge FROM d) v WHERE judge = gepa.route('by_kind', doc)"), $rows, '... as gepa.route() says');
forget();
$mock->meet(8);
is(value($node, "SELECT cardinality(gepa_judge('by_kind', array_agg(doc ORDER BY id))) FROM d"), $rows, '... in an array');
is_deeply(sent(), $by_kind, '... sends each judge its documents');

# What a text is sent to is stored there: asked in another way it costs nothing.
forget();
value($node, "SELECT count(*) FROM d WHERE gepa_judge('by_topic', doc)");
my $paid = $mock->journal->{requests};
is(value($node, "SELECT gepa_judge('by_topic', array_agg(doc ORDER BY id)) = array_agg(gepa_judge('by_topic', doc) ORDER BY id) FROM d"), 't',
	'an array has the verdicts of its elements');
is(value($node, "SELECT bool_and((gepa_verdict(v.judge, body)).cached) FROM (SELECT body, (gepa_verdict('by_topic', doc)).judge FROM d) v"), 't',
	'a verdict is stored as that of the judge it is of');
is($mock->journal->{requests}, $paid, '... and paid for once');

forget();
$mock->meet(8);
is(value($node, "SELECT cardinality(gepa_judge('by_topic', array_agg(doc ORDER BY id))) FROM d"), $rows, 'an array through a router');
is_deeply(sent(), $by_topic, '... sends each judge its documents');
cmp_ok($mock->journal->{peak}, '>=', 8, '... many at a time');

# In a cursor what is looked ahead at is no more than the window; all of it is right.
forget();
is(value($node, "BEGIN; DECLARE c CURSOR FOR SELECT id, gepa_judge('by_topic', doc) FROM d ORDER BY id; FETCH 2 FROM c; FETCH 1 FROM c; COMMIT"),
	"1|t\n2|t\n3|f", 'a cursor');

# Beside parallel workers there are no subtransactions, in which judges are opened.
forget();
my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off;';
like(value($node, "$parallel EXPLAIN SELECT count(*) FILTER (WHERE gepa_judge('by_topic', doc)) FROM d WHERE id > 0"), qr/Gather/, 'a plan with workers');
value($node, "$parallel SELECT count(*) FILTER (WHERE gepa_judge('by_topic', doc)) FROM d WHERE id > 0");
is_deeply(sent(), $by_topic, '... sends the same');

# A document whose rule gets no answer has none, and says why; nobody guesses.
forget();
my $failed = value($node, "SELECT count(*) FROM d WHERE gepa_judge('by_broken', doc) IS NULL");
cmp_ok($failed, '>', 0, "some are not answered by the judge of a rule ($failed)");
cmp_ok($failed, '<', $rows, '... others are');
is(value($node, "SELECT string_agg(DISTINCT concat(judge, ' ', status), ', ') FROM (SELECT (gepa_verdict('by_broken', doc)).* FROM d) v WHERE label IS NULL"),
	'broken http_error', '... of which it is told who failed and how');
is(value($node, "SELECT count(*) FROM d WHERE NOT coalesce(gepa_judge('by_broken', doc), true) AND body ~ 'yes|code'"), 0, '... and no other judge is asked for them');
is(value($node, "SELECT count(*) FILTER (WHERE v IS NULL) FROM (SELECT unnest(gepa_judge('by_broken', array_agg(doc))) AS v FROM d) a"), $failed, '... in an array the same');
like((outcome($node, "SET gepa.on_error = error; SELECT count(*) FROM d WHERE gepa_judge('by_broken', doc)"))[1], qr/ERROR:  \w{5}: .*judge "broken"/s,
	'gepa.on_error = error raises it');

# A condition that raises is met by whoever gets to the row, and by nobody else.
my $raising = "SELECT id FROM (SELECT id, doc || jsonb_build_object('id', id) AS doc FROM d ORDER BY id OFFSET 0) d WHERE gepa_judge('raises', doc)";
for my $mode ('off', 'on')
{
	like((outcome($node, "SET gepa.enable_judge_node = $mode; $raising"))[1], qr/22012: division by zero.*CONTEXT:  rule 1 of router "raises"/s,
		"$mode: a condition that raises");
	is(value($node, "SET gepa.enable_judge_node = $mode; $raising LIMIT 4"), "1\n2\n4\n5", '... beyond what is read is no error');
}

# Corpus jobs.
forget();
my $job = value($node, "SELECT gepa.judge_table('by_topic', 'd', 'id', 'doc', 'keep, kept', options => '{\"batch\": 20}')");
is(value($node, "SELECT gepa.wait_job($job, '1 minute')"), 'finished', 'a job through a router');
is_deeply(sent(), $by_topic, '... sends each judge its documents');
is(value($node, "SELECT rows, judged, stored, failed FROM gepa.jobs WHERE job = $job"), "$rows|$rows|0|0", '... is told as a job with a judge');
is(value($node, "SELECT (input_tokens > (SELECT sum(v.input_tokens) FROM (SELECT (gepa_verdict(judge, body)).* FROM (SELECT body, (gepa_verdict('by_topic', doc)).judge FROM d) x) v))
	FROM gepa.jobs WHERE job = $job"), 't', '... with what was asked for rules');
is(value($node, "SELECT count(*) FROM d JOIN kept USING (id) WHERE keep = gepa_judge('by_topic', doc) AND positive = keep AND version = 1"), $rows, '... and writes what the chosen judge says');
$paid = $mock->journal->{requests};
$job = value($node, "SELECT gepa.judge_table('by_topic', 'd', 'id', 'doc', 'keep')");
is(value($node, "SELECT gepa.wait_job($job, '1 minute')"), 'finished', '... which another job finds');
is($mock->journal->{requests}, $paid, '... without a call');
forget();
my $by_classifier = value($node, "SELECT gepa.judge_table('by_kind', 'd', 'id', 'doc', options => '{\"batch\": 20}')");
is(value($node, "SELECT gepa.wait_job($by_classifier, '1 minute')"), 'finished', 'a job through a router with a classifier');
is_deeply(sent(), $by_kind, '... sends each judge its documents');
like((outcome($node, "SELECT gepa.judge_table('by_topic', 'd', 'id', 'doc', options => '{\"version\": 7}')"))[1], qr/42809|42704/, 'a version that a router does not have');

# EXPLAIN
my $plan = value($node, "EXPLAIN (COSTS OFF) SELECT count(*) FROM d WHERE gepa_judge('by_topic', doc)");
like($plan, qr/Judge: by_topic, version 1, router to english, topic, german, rest$/m, 'EXPLAIN says what a router chooses from');
forget();
$plan = value($node, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM d WHERE gepa_judge('by_topic', doc)");
my %calls = $plan =~ /Judge: (\w+), version \d+, on LM .*\n\s+Calls: requests=(\d+)/g;
is_deeply(\%calls, { map { $_ => scalar(keys %{ $by_topic->{$_} }) . '' } keys %$by_topic }, '... and ANALYZE what each of them did');
is($mock->journal->{requests}, eval { my $n = 0; $n += $_ for values %calls; $n }, '... all told');

# A cancel while the rules' judge is waited for leaves nothing in flight.
create_lm($node, 'gated', $mock, 'judge-rules+gate', max_concurrency => 8);
value($node, "SELECT gepa.create_judge('gated', 'gated', 'Is it good?');
	SELECT gepa.create_router('by_gated', ARRAY['{\"when\": {\"judge\": \"gated\", \"label\": \"true\"}, \"judge\": \"german\"}']::jsonb[], 'rest')");
for my $what ("count(*) FROM d WHERE gepa_judge('by_gated', doc)", "gepa_judge('by_gated', array_agg(doc)) FROM d")
{
	my $session = background($node, "SELECT $what;");
	ok($mock->wait_for(sub { $_->{waiting} == 8 }, 'eight at the gate'), 'eight wait for the judge of a rule');
	is(value($node, "SELECT pg_cancel_backend($session->{pid})"), 't', '... a cancel');
	like((finish($session))[1], qr/57014: canceling statement/, '... ends it');
	ok($mock->wait_for(sub { $_->{waiting} == 0 }, 'nobody at the gate'), '... with nothing in flight');
}

done_testing();
