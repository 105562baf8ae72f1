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
my $node = gepa_node('main');
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

done_testing();
