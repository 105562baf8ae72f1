# Runs in TAP tests: something to tune, starting it, and what came of it.
#
#   prepare_tuning($node, $mock, model => 'judge-rules+gate', rows => 120, lm => { max_concurrency => 4 });
#       LMs "judge" and "writer", table labels, dataset 'labels', judge 'j'
#   my $run = start_run($node, budget => 150, options => '{"max_seconds": 3}');
#   start_run($node, options => reference_mode('{"max_proposals": 3}'))    by GEPA's own loop: 'reference' mode
#   is(wait_run($node, $run), 'finished');
#   run_value($node, $run, 'status, reason')                   columns of gepa.runs
#   my $facts = run_facts($node, $run);                        all but clocks
#   same_facts(run_facts($node, $other), $facts, 'same run')   shows the first difference
#   my ($before, $together, $beside) = first_reflection($node, $run)   rollouts; reflections at a time; rollouts that wait for none of them
#   wait_reflecting($mock)                  until a run waits for its reflection LM, which is at the gate, and for nothing else
#   is(run_flaws($node, $run), '', 'whole')                    what a run that has ended must not leave behind
#   judge_calls($mock)                                         requests to judge models
package Gepa::Run;

use strict;
use warnings;

use Exporter qw(import);
use Gepa::Test;
use Test::More;

our @EXPORT = qw(prepare_tuning reference_mode start_run wait_run run_value run_facts same_facts first_reflection
  wait_reflecting run_flaws judge_calls);

our $prompt = 'Is this page worth keeping?';

sub prepare_tuning
{
	my ($node, $mock, %options) = @_;
	my %world = (rows => 120, seed => 3, %{ $options{world} // {} });
	my $split = $options{split} ? ", split => '$options{split}'" : '';
	my $judge = $options{judge} // q({"reasoning": true});

	create_lm($node, 'judge', $mock, $options{model} // 'judge-rules', %{ $options{lm} // {} });
	create_lm($node, 'writer', $mock, $options{writer} // 'reflector');
	load_world($node, 'labels', %world);
	value($node, "SELECT gepa.create_judge('j', lm => 'judge', prompt => '$prompt', options => '$judge')");
	value($node, "SELECT gepa.create_dataset('labels', source => 'labels', key => 'id', inputs => '{body}',"
		  . " label => 'keep', feedback => 'note'$split)");
	return;
}

# Options of a run that searches as the reference implementation does, but for what keeps
# it in its budget and from asking twice; for tests that are about that loop, or count what
# it does.  Whatever else is tested is tested in the mode that a run has by itself.
sub reference_mode
{
	my ($more) = @_;
	my $loop = '"mode": "reference", "hard_budget": true, "skip_known_texts": true, "ascending_order": true,'
	  . ' "zero_mean_merge": true, "expand_placeholders": false, "reuse_rollouts": true';

	return "{$loop}" if !defined $more || $more eq '{}';
	return $more =~ s/^\{/{$loop, /r;
}

sub start_run
{
	my ($node, %options) = @_;
	my $lm = exists $options{reflection_lm} ? $options{reflection_lm} : 'writer';

	return value($node, sprintf(
			"SELECT gepa.%s('%s', dataset => '%s', reflection_lm => %s, budget => %d, seed => %d, options => '%s')",
			$options{function} // 'start', $options{judge} // 'j', $options{dataset} // 'labels',
			defined $lm ? "'$lm'" : 'NULL',
			$options{budget} // 150, $options{seed} // 0, $options{options} // '{}'),
		db => $options{db} // 'postgres');
}

sub wait_run
{
	my ($node, $run, %options) = @_;
	return value($node, "SELECT gepa.wait($run, '3 minutes')", %options);
}

sub run_value
{
	my ($node, $run, $columns) = @_;
	return value($node, "SELECT $columns FROM gepa.runs WHERE run = $run");
}

# Everything a run decided, as text that equals another run's if it did the same.
sub run_facts
{
	my ($node, $run) = @_;
	return value($node, <<"SQL");
SELECT 'run', status, reason, rollouts, reflections, iteration, best_candidate, best_score FROM gepa.runs WHERE run = $run;
SELECT 'candidate', candidate, parents, components, score, rollouts_at_discovery
FROM gepa.candidates WHERE run = $run ORDER BY candidate;
SELECT 'proposal', proposal, iteration, parents, component, text, candidate, accepted, reason, reflection_prompt, answer
FROM gepa.proposals WHERE run = $run ORDER BY proposal;
SELECT 'decision', decision, iteration, kind, led, leads, compared, samples, reason FROM gepa.decisions WHERE run = $run ORDER BY decision;
SELECT 'held out', held_out_n, gain, gain_low, gain_high, rounds FROM gepa.runs WHERE run = $run;
SELECT 'frontier', key, score, candidates FROM gepa.frontier WHERE run = $run ORDER BY key;
SELECT 'rollout', step, proposal, sample, split, score, feedback, label, output, status
FROM gepa.rollouts WHERE run = $run ORDER BY step, sample;
SQL
}

sub same_facts
{
	my ($got, $expected, $name) = @_;
	my @got = split /\n/, $got;
	my @expected = split /\n/, $expected;

	return pass($name) if $got eq $expected;
	shift @got, shift @expected while @got && @expected && $got[0] eq $expected[0];
	return is($got[0] // 'nothing more', $expected[0] // 'nothing more', $name);
}

sub first_reflection
{
	my ($node, $run) = @_;
	return split /\|/, value($node, <<"SQL");
WITH f AS (SELECT (SELECT min(step) FROM gepa.reflections WHERE run = $run) AS reflection,
		(SELECT min(step) FROM gepa.rollouts WHERE run = $run AND proposal > 0) AS child)
SELECT (SELECT count(*) FROM gepa.rollouts WHERE run = $run AND step < reflection),
	(SELECT count(*) FROM gepa.reflections WHERE run = $run AND step < child),
	(SELECT count(*) FROM gepa.rollouts WHERE run = $run AND step BETWEEN reflection AND child - 1) FROM f
SQL
}

sub wait_reflecting
{
	my ($mock) = @_;

	return $mock->wait_for(
		sub {
			my $reflecting = $_->{by_model}{'reflector+gate'}{in_flight} // 0;
			return $reflecting > 0 && $reflecting == $_->{in_flight};
		},
		'a reflection');
}

# Rows that are half written: queries that count them.
my %flaws = (
	'a step without rollouts, or rollouts without a step' => "SELECT count(*) FROM
		(SELECT step, detail FROM gepa.step WHERE run = %1\$d AND kind = 'evaluate') s
		FULL JOIN (SELECT DISTINCT step FROM gepa.rollout WHERE run = %1\$d) o USING (step) WHERE s.step IS NULL OR (o.step IS NULL AND detail IS NULL)",
	'slots that are missing' => 'SELECT count(*) FROM (SELECT 1 FROM gepa.rollout o WHERE run = %1$d
			AND NOT EXISTS (SELECT FROM gepa.step s WHERE s.run = o.run AND s.step = o.step AND kind = $$evaluate$$ AND detail IS NOT NULL)
		GROUP BY step HAVING max(slot) + 1 <> count(*)) s',
	'a proposal undecided, or without its reflection' => "SELECT count(*) FROM gepa.proposal p LEFT JOIN gepa.step s
		ON s.run = p.run AND s.step = p.reflect_step AND s.kind = 'reflect'
		WHERE p.run = %1\$d AND (accepted IS NULL OR (reflect_step IS NULL) <> (s.step IS NULL))",
	'rollouts of an unknown proposal' => 'SELECT count(*) FROM gepa.rollout o LEFT JOIN gepa.proposal p USING (run, proposal)
		WHERE o.run = %1$d AND p.run IS NULL',
	'figures other than their rows' => "SELECT count(*) FROM gepa.run r,
		(SELECT count(*) AS n, sum(input_tokens) AS tokens FROM gepa.rollout WHERE run = %1\$d) o,
		(SELECT count(*) AS n, coalesce(sum(input_tokens), 0) AS tokens FROM gepa.step WHERE run = %1\$d AND kind = 'reflect') s
		WHERE run = %1\$d AND ((r.rollouts, r.reflections) IS DISTINCT FROM (o.n, s.n)
			OR CASE r.grader_calls WHEN 0 THEN r.input_tokens IS DISTINCT FROM o.tokens + s.tokens ELSE r.input_tokens < o.tokens + s.tokens END)");

sub run_flaws
{
	my ($node, $run) = @_;
	return join ', ', grep { value($node, sprintf($flaws{$_}, $run)) } sort keys %flaws;
}

sub judge_calls
{
	my ($mock) = @_;
	my $models = $mock->journal->{by_model};
	my $calls = 0;

	$calls += $models->{$_}{requests} for grep { /^judge-/ } keys %$models;
	return $calls;
}

1;
