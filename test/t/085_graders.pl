# Graders: each kind makes a run climb to what only the grader can tell, on samples that chose
# nothing; what they say, cost and fail at is rows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "restart_after_crash = on\n");
my $criteria = '"criteria": [{"name": "right", "description": "Is the label right?", "weight": 3},'
  . ' {"name": "reasoning", "description": "Is there a reason?", "scale": [0, 1]}]';

prepare_tuning($node, $mock, world => { rows => 160 }, lm => { max_concurrency => 8 });
create_lm($node, 'grader', $mock, 'grader-rules-3', input_price => '1.0', output_price => '2.0');
create_lm($node, 'scorer', $mock, 'scorer-rules-3');
create_lm($node, "writer_$_", $mock, "reflector-$_") for qw(hints scores form);
create_lm($node, 'formal', $mock, 'judge-form');
value($node, <<"SQL");
-- the hidden rule as a table, for the function
CREATE SCHEMA curation;
CREATE TABLE curation.rule AS
	SELECT DISTINCT substring(note from '"(.*)"') AS word, keep AS label FROM labels WHERE note <> '';
CREATE TABLE curation.trace (n int);
CREATE FUNCTION curation.grade(sample jsonb, output jsonb) RETURNS jsonb LANGUAGE sql AS \$\$
	INSERT INTO curation.trace VALUES (1);
	SELECT coalesce((SELECT jsonb_build_object('score', (label = output ->> 'label')::int,
			'feedback', format('The word "%s" stands for "%s".', word, label),
			'objectives', jsonb_build_object('known', 1))
		FROM curation.rule WHERE sample -> 'inputs' ->> 'body' ILIKE '%' || word || '%'
			OR sample -> 'inputs' ->> 'document' ILIKE '%' || word || '%' LIMIT 1),
		'{"score": 1, "objectives": {"known": 0}}')
\$\$;
SELECT gepa.create_grader('match', 'labels');
SELECT gepa.create_grader('rubric', 'rubric', 'grader', '{$criteria}');
SELECT gepa.create_grader('quality', 'rubric', 'grader', '{"target": "document", $criteria}');
SELECT gepa.create_grader(api, 'reward_model', lm, format('{"api": "%s", "instructions": "Is the answer right?"}', api)::jsonb)
FROM (VALUES ('classify', 'scorer'), ('score', 'scorer'), ('pooling', 'scorer'), ('chat', 'grader')) a(api, lm);
SELECT gepa.create_grader('planted', 'function', options => '{"function": "curation.grade(jsonb,jsonb)"}');
SELECT gepa.create_grader('form', 'format', options => '{"require": ["reasoning"], "max_chars": 1000}');
SELECT gepa.create_dataset('bare', source => 'labels', key => 'id', inputs => '{body}', label => NULL);
SELECT gepa.create_judge('f', lm => 'formal', prompt => '$Gepa::Run::prompt', options => '{"reasoning": true}');
SQL

# A run by a list of graders: finished, and on held-out samples as good as it should be.
sub climbs
{
	my ($what, $graders, %options) = @_;
	my $run = start_run($node, budget => 600, dataset => 'bare', %options,
		options => qq({"graders": $graders, "max_examples": 0}));

	is(wait_run($node, $run), 'finished', "$what: the run ends") or diag(run_value($node, $run, 'reason'));
	my ($seed, $best) = split /\|/, value($node, "SELECT min(held_out) FILTER (WHERE candidate = 0), max(held_out) FILTER (WHERE candidate > 0)
		FROM gepa.candidates WHERE run = $run");
	cmp_ok($best, '>=', 0.9, "... and reaches $best on held-out samples");
	cmp_ok($seed, '<', 0.75, "... from $seed");
	return $run;
}

climbs('labels', '[{"grader": "match"}]', dataset => 'labels');
my $rubric = climbs('rubric', '[{"grader": "rubric"}]', reflection_lm => 'writer_hints');
climbs('rubric of documents', '[{"grader": "quality"}]', reflection_lm => 'writer_hints');
climbs("reward model, $_", qq([{"grader": "$_"}]), reflection_lm => 'writer_scores') for qw(classify score pooling chat);
my $function = climbs('function', '[{"grader": "planted"}]', reflection_lm => 'writer_hints');
climbs('format', '[{"grader": "form"}]', judge => 'f', reflection_lm => 'writer_form');
my $several = climbs('several', '[{"grader": "rubric", "weight": 2}, {"grader": "planted"}, {"grader": "form", "weight": 0.5}]', reflection_lm => 'writer_hints');

is(value($node, "SELECT count(*) FROM gepa.samples WHERE run = $rubric AND label <> ''"), 0, 'samples without a label have none');

# What they said and took.
is(value($node, 'SELECT count(*) FROM curation.trace'), 0, 'a function leaves no trace');
is( value($node, "SELECT string_agg(DISTINCT k, ' ' ORDER BY k) FROM gepa.rollouts, jsonb_object_keys(objectives) k WHERE run = $several"),
	'form planted planted.known rubric rubric.reasoning rubric.right', 'objectives are scores, criteria and what a function names');
is( value($node, "SELECT count(*) FROM gepa.rollouts, LATERAL (SELECT sum((g ->> 'weight')::float8 * (g ->> 'score')::float8) / 3.5 AS mean
		FROM jsonb_array_elements(graders) g) m WHERE run = $several AND abs(score - mean) > 1e-9"), 0, 'the score is the weighted mean');
is( value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $several AND feedback !~ '(?n)^rubric .*\nplanted .*\nform '"), 0,
	'the feedback has the text of each under its name');
is( value($node, "SELECT r.grader_calls = o.calls AND r.grader_cost = o.cost AND r.cost = o.cost AND o.calls > 0 AND o.cost > 0 FROM gepa.runs r,
	(SELECT sum(grader_calls) AS calls, sum(grader_cost) AS cost FROM gepa.rollouts WHERE run = $rubric) o WHERE r.run = $rubric"), 't',
	'what graders took is counted apart, and part of the run');
is( value($node, "SELECT sum(calls) = (SELECT sum(grader_calls) FROM gepa.runs) AND bool_and(lm IN ('grader', 'scorer')) FROM gepa.spend WHERE purpose = 'grader'"), 't',
	'... and booked under its purpose and LM');
is($mock->journal->{by_model}{'grader-rules-3'}{requests} - $mock->journal->{by_model}{'grader-rules-3'}{prompts}, 0,
	'no call is made twice, by whatever candidate or run');

# One of several that has no score: neither has the rollout.
create_lm($node, 'blurred', $mock, 'grader-rules-3+prose-rate-30');
value($node, "SELECT gepa.create_grader('blurred', 'rubric', 'blurred', '{$criteria}')");
my $blurred = start_run($node, budget => 200, dataset => 'bare', reflection_lm => 'writer_hints',
	options => '{"graders": [{"grader": "planted"}, {"grader": "blurred"}], "max_examples": 0}');
is(wait_run($node, $blurred), 'finished', 'a grader without some scores: the run ends');
is( value($node, "SELECT count(*) FILTER (WHERE score IS NULL) BETWEEN 20 AND 100, bool_and((score IS NULL) = (graders -> 1 ->> 'status' = 'unparseable')),
	bool_and(graders -> 0 ->> 'score' IS NOT NULL), bool_and((graders -> 1 ->> 'score' IS NULL) = (score IS NULL)) FROM gepa.rollouts WHERE run = $blurred"),
	't|t|t|t', '... and no score is invented, nor the mean of the others taken');

# A document that the endpoint rejects has a score of 0, and so it counts for each objective.
create_lm($node, 'picky', $mock, 'judge-rules+reject-20');
my $rejected = start_run($node, budget => 120, dataset => 'bare', options => reference_mode('{"graders": [{"grader": "planted"}], "frontier_type": "hybrid", "task_lm": "picky", "max_examples": 0}'));
is(wait_run($node, $rejected), 'finished', 'rejected documents in a frontier of objectives') or diag(run_value($node, $rejected, 'reason'));
cmp_ok(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $rejected AND status = 'http_error' AND score = 0"), '>', 0, '... score 0');
is(value($node, "SELECT difference FROM gepa.replay($rejected)"), '', '... and a replay agrees');

# A function that takes its time does not keep a run from stopping.
value($node, <<'SQL');
CREATE FUNCTION curation.slow(sample jsonb, output jsonb) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN 1; END $$;
SELECT gepa.create_grader('slow', 'function', options => '{"function": "curation.slow(jsonb,jsonb)"}');
SQL
my $slow = start_run($node, budget => 60, dataset => 'bare', reflection_lm => 'writer_hints', options => '{"graders": [{"grader": "slow"}], "max_examples": 0}');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), 'a grader sleeps');
value($node, "SELECT gepa.stop($slow)");
is(wait_run($node, $slow), 'stopped', '... and is cancelled when the run is stopped');
is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $slow AND graders IS NOT NULL"), 0, '... which is no result');
value($node, "CREATE OR REPLACE FUNCTION curation.slow(sample jsonb, output jsonb) RETURNS float8 LANGUAGE sql AS 'SELECT 1::float8'; SELECT gepa.resume($slow)");
is(wait_run($node, $slow), 'finished', '... and it is asked again when it goes on') or diag(run_value($node, $slow, 'reason'));
is(run_flaws($node, $slow), '', '... whole');

# What compares versions by labels says at once that there are none.
for my $call ("gepa.sweep('j', 'bare', '{judge}', 'writer', 40, options => '{\"graders\": [{\"grader\": \"planted\"}]}')",
	"gepa.create_schedule('s', 'j', 'bare', 'writer', every => '1 day', deploy => 'if_better', options => '{\"graders\": [{\"grader\": \"planted\"}]}')")
{
	my (undef, undef, $said) = $node->psql('postgres', "SELECT $call");
	like($said, qr/dataset "bare" has no labels to compare versions by.*HINT/s, 'without labels there is no comparison') or diag($call);
}
is(value($node, 'SELECT count(*) FROM gepa.runs WHERE status IN (\'waiting\', \'running\')'), 0, '... and no run for it');

# The reference mode needs a number.
value($node, <<'SQL');
CREATE TABLE curation.broken ();
CREATE FUNCTION curation.fragile(sample jsonb, output jsonb) RETURNS float8 LANGUAGE plpgsql AS $$
BEGIN
	IF to_regclass('curation.broken') IS NOT NULL AND sample ->> 'key' = '1' THEN
		RAISE division_by_zero USING MESSAGE = 'not today';
	END IF;
	RETURN 1;
END $$;
SELECT gepa.create_grader('fragile', 'function', options => '{"function": "curation.fragile(jsonb,jsonb)"}');
SQL
value($node, "SELECT gepa.create_dataset('all', source => 'SELECT id, body, ''val'' AS part FROM labels WHERE id <= 20 UNION ALL SELECT id, body, ''train'' FROM labels WHERE id BETWEEN 21 AND 40',
	key => 'id', inputs => '{body}', label => NULL, split => 'part')");
my $fragile = start_run($node, budget => 60, dataset => 'all', options => reference_mode('{"graders": [{"grader": "fragile"}], "max_examples": 0}'));
is(wait_run($node, $fragile), 'failed', 'a function that raises ends a run in reference mode');
like(run_value($node, $fragile, 'reason'), qr/grader "fragile" has no score for sample "1": function_error.*22012: not today.*gepa\.resume/, '... with what it raised');
value($node, "DROP TABLE curation.broken; SELECT gepa.resume($fragile)");
is(wait_run($node, $fragile), 'finished', '... and goes on once it is mended');
is(run_flaws($node, $fragile), '', '... whole');

# A grader whose LM does not answer.
create_lm($node, 'locked', $mock, 'grader-rules-3+key-open');
value($node, "SELECT gepa.create_grader('locked', 'rubric', 'locked', '{$criteria}')");
my $locked = start_run($node, budget => 60, dataset => 'all', options => reference_mode('{"graders": [{"grader": "locked"}], "max_examples": 0}'));
is(wait_run($node, $locked), 'failed', 'a grader without an answer ends a run');
like(run_value($node, $locked, 'reason'), qr/grader "locked" has no score from LM "locked".*gepa\.resume\($locked\)/, '... which names grader and LM');
cmp_ok(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $locked AND score IS NULL AND label IS NOT NULL"), '>', 0, '... and keeps what was judged');
value($node, "CREATE USER MAPPING FOR CURRENT_USER SERVER locked OPTIONS (api_key 'open'); SELECT gepa.resume($locked)");
is(wait_run($node, $locked), 'finished', '... for when it is resumed');

# An altered grader is another one.
my $altered = start_run($node, budget => 400, dataset => 'bare', reflection_lm => 'writer_hints', options => '{"graders": [{"grader": "locked"}], "max_examples": 0}');
value($node, "SELECT gepa.stop($altered); SELECT gepa.wait($altered, '1 minute'); SELECT gepa.alter_grader('locked', options => '{\"instructions\": \"Be strict.\", $criteria}')");
if (run_value($node, $altered, 'status') eq 'stopped')
{
	value($node, "SELECT gepa.resume($altered)");
	is(wait_run($node, $altered), 'failed', 'a run is not resumed with another grader');
	like(run_value($node, $altered, 'reason'), qr/grader "locked" is no longer what the run was started with/, '... and says so');
}

# A budget counts the calls of all.
$mock->reset;
my $poor = start_run($node, budget => 400, dataset => 'all', reflection_lm => 'writer_hints',
	options => '{"graders": [{"grader": "locked"}, {"grader": "planted"}], "max_examples": 0, "max_calls": 30}');
is(wait_run($node, $poor), 'finished', 'a run that may make 30 calls ends');
is(run_value($node, $poor, "reason ~ '^max_calls', calls, grader_calls BETWEEN 5 AND 25"), 't|30|t', '... with them, its graders\' included');
is($mock->journal->{requests}, 30, '... and no call more is made');

# kill -9 in the middle of grading.
create_lm($node, 'gated', $mock, 'grader-rules-3+gate', max_concurrency => 4);
value($node, "SELECT gepa.create_grader('gated', 'rubric', 'gated', '{$criteria}')");
$mock->reset;
my $kept = value($node, 'SELECT count(*) FROM gepa.grades');
my $killed = start_run($node, budget => 200, dataset => 'bare', reflection_lm => 'writer_hints', options => '{"graders": [{"grader": "gated"}], "max_examples": 0}');
$mock->gate(pass => 10);
$mock->wait_for(sub { $_->{waiting} == 4 }, 'four calls at the gate');
wait_sql($node, "SELECT count(*) = $kept + 10 FROM gepa.grades", 'ten grades are kept');
kill_process($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa run worker'");
$mock->wait_for(sub { $_->{waiting} == 4 && $_->{in_flight} == 4 && $_->{by_model}{'grader-rules-3+gate'}{requests} > 14 }, 'the next worker at the gate');
$mock->gate(open => 1);
is(wait_run($node, $killed), 'finished', 'killed in the middle of grading, a run ends');
is(run_flaws($node, $killed), '', '... whole');
for my $model ('grader-rules-3+gate', 'judge-rules')
{
	my $calls = $mock->journal->{by_model}{$model};
	cmp_ok($calls->{requests} - $calls->{prompts}, '<=', 4, "... and $model was asked again at most what was in flight");
}

done_testing();
