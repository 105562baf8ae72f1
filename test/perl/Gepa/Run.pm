# Runs in TAP tests: something to tune, starting it, and what came of it.
#
#   prepare_tuning($node, $mock, model => 'judge-rules+gate', rows => 120, lm => { max_concurrency => 4 });
#       LMs "judge" and "writer", table labels, dataset 'labels', judge 'j'
#   my $run = start_run($node, budget => 150, options => '{"max_proposals": 3}');
#   is(wait_run($node, $run), 'finished');
#   run_value($node, $run, 'status, reason')                   columns of gepa.runs
#   my $facts = run_facts($node, $run);                        all but clocks
#   same_facts(run_facts($node, $other), $facts, 'same run')   shows the first difference
#   is(run_flaws($node, $run), '', 'whole')                    what a run that has ended must not leave behind
#   judge_calls($mock)                                         requests to judge models
package Gepa::Run;

use strict;
use warnings;

use Exporter qw(import);
use Gepa::Test;
use Test::More;

our @EXPORT = qw(prepare_tuning start_run wait_run run_value run_facts same_facts run_flaws judge_calls);

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

# Rows that are half written: queries that count them.
my %flaws = (
	'a step without rollouts, or rollouts without a step' => "SELECT count(*) FROM
		(SELECT step FROM gepa.step WHERE run = %1\$d AND kind = 'evaluate') s
		FULL JOIN (SELECT DISTINCT step FROM gepa.rollout WHERE run = %1\$d) o USING (step) WHERE s.step IS NULL OR o.step IS NULL",
	'slots that are missing' => 'SELECT count(*) FROM (SELECT 1 FROM gepa.rollout WHERE run = %1$d
		GROUP BY step HAVING max(slot) + 1 <> count(*)) s',
	'a proposal undecided, or without its reflection' => "SELECT count(*) FROM gepa.proposal p LEFT JOIN gepa.step s
		ON s.run = p.run AND s.step = p.reflect_step AND s.kind = 'reflect'
		WHERE p.run = %1\$d AND (accepted IS NULL OR (reflect_step IS NULL) <> (s.step IS NULL))",
	'rollouts of an unknown proposal' => 'SELECT count(*) FROM gepa.rollout o LEFT JOIN gepa.proposal p USING (run, proposal)
		WHERE o.run = %1$d AND p.run IS NULL',
	'figures other than their rows' => "SELECT count(*) FROM gepa.run r,
		(SELECT count(*) AS n, sum(input_tokens) AS tokens FROM gepa.rollout WHERE run = %1\$d) o,
		(SELECT count(*) AS n, coalesce(sum(input_tokens), 0) AS tokens FROM gepa.step WHERE run = %1\$d AND kind = 'reflect') s
		WHERE run = %1\$d AND (r.rollouts, r.reflections, r.input_tokens) IS DISTINCT FROM (o.n, s.n, o.tokens + s.tokens)");

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
