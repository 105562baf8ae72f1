# What the rows of a run in default mode must agree in.
#
#   is(search_flaws($node, $run), '', 'whole')   names of what is wrong
#   is(shown_flaws($node, $run), '', '...')      ... with what the reflection LM was shown
package Gepa::Search;

use strict;
use warnings;

use Exporter qw(import);
use Gepa::Test;

our @EXPORT = qw(search_flaws shown_flaws);

# Queries that count what is wrong.  "held" are the keys of samples that were held out.
my $held = "(SELECT unnest(samples) FROM gepa.decisions WHERE run = %1\$d AND kind = 'held_out')";
my %flaws = (
	'decisions are not numbered, or not in this order: seed, generations, run-off, winner, held out' => "
		SELECT count(*) FROM (SELECT decision, row_number() OVER (ORDER BY decision) - 1 AS place, kind,
			lag(kind) OVER (ORDER BY decision) AS before, iteration < lag(iteration) OVER (ORDER BY decision) AS back
			FROM gepa.decisions WHERE run = %1\$d) d
		WHERE decision <> place OR back OR (kind = 'seed') <> (before IS NULL)
			OR (kind = 'generation' AND before NOT IN ('seed', 'generation'))
			OR (kind = 'held_out' AND before <> 'winner')",
	'who leads after a decision is not who led before the next' => "
		SELECT count(*) FROM (SELECT kind, led, lag(leads) OVER (ORDER BY decision) AS before FROM gepa.decisions WHERE run = %1\$d) d
		WHERE kind <> 'held_out' AND led IS DISTINCT FROM before",
	'a decision without a reason, or without the leader among those compared' => "
		SELECT count(*) FROM gepa.decisions WHERE run = %1\$d AND (coalesce(reason, '') = ''
			OR NOT EXISTS (SELECT FROM jsonb_to_recordset(compared) c(candidate int) WHERE candidate = leads))",
	'nobody is compared whose rollouts are other than said' => "
		SELECT count(*) FROM gepa.decisions d, jsonb_to_recordset(compared) c(candidate int, rollouts int, estimate float8, sd float8, chance float8)
		WHERE run = %1\$d AND kind IN ('seed', 'generation', 'run_off') AND (estimate NOT BETWEEN 0 AND 1 OR chance NOT BETWEEN 0 AND 1 OR sd < 0
			OR (candidate = led AND sd <> 0)
			OR rollouts <> (SELECT count(score) FROM gepa.rollouts o JOIN gepa.step s USING (run, step)
				WHERE o.run = d.run AND o.candidate = c.candidate AND o.split <> 'test' AND o.sample NOT IN $held
				AND s.observed_at <= d.created_at))",
	'a sample of a decision that nobody was run on' => "
		SELECT count(*) FROM gepa.decisions d, unnest(samples) k WHERE run = %1\$d AND NOT EXISTS (SELECT FROM gepa.rollouts o,
			jsonb_to_recordset(compared) c(candidate int) WHERE o.run = d.run AND o.sample = k AND o.candidate = c.candidate)",
	'the score of a candidate is not its latest estimate' => "
		SELECT count(*) FROM gepa.candidates c, gepa.decisions d, jsonb_to_recordset(compared) x(candidate int, estimate float8)
		WHERE c.run = %1\$d AND d.run = c.run AND d.decision = (SELECT max(decision) FROM gepa.decisions WHERE run = %1\$d AND kind <> 'held_out')
			AND x.candidate = c.candidate AND x.estimate <> c.score",
	'the winner is not who leads' => "
		SELECT count(*) FROM gepa.runs r WHERE run = %1\$d AND NOT EXISTS (SELECT FROM gepa.candidates c JOIN gepa.decisions d USING (run)
			WHERE c.run = r.run AND d.kind = 'winner' AND d.leads = r.best_candidate AND c.candidate = d.leads AND c.score = r.best_score)",
	'a candidate is asked twice about a sample' => "
		SELECT count(*) FROM (SELECT 1 FROM gepa.rollouts WHERE run = %1\$d GROUP BY candidate, sample HAVING count(*) > 1) o",
	'the frontier is not the best score of each validation sample and who reaches it' => "
		WITH o AS (SELECT sample, candidate, score, max(score) OVER (PARTITION BY sample) AS best FROM gepa.rollouts
				WHERE run = %1\$d AND split = 'val' AND sample NOT IN $held),
			f AS (SELECT sample, best, array_agg(candidate ORDER BY candidate) AS candidates FROM o WHERE score = best GROUP BY 1, 2)
		SELECT count(*) FROM f FULL JOIN (SELECT * FROM gepa.frontier WHERE run = %1\$d) r ON f.sample = r.key
		WHERE (f.best, f.candidates) IS DISTINCT FROM (r.score, r.candidates)",
	'held-out figures are not those of the rollouts' => "
		SELECT count(*) FROM gepa.runs r, LATERAL (SELECT count(*) AS n, avg(w.score) AS winner, avg(s.score) AS seed, avg(w.score - s.score) AS gain
			FROM gepa.rollouts w JOIN gepa.rollouts s USING (run, sample) WHERE run = r.run AND w.candidate = r.best_candidate AND s.candidate = 0
				AND sample IN $held AND w.score IS NOT NULL AND s.score IS NOT NULL) h
		WHERE r.run = %1\$d AND ((coalesce(r.held_out_n, 0), round(r.gain::numeric, 9)) IS DISTINCT FROM (h.n, round(h.gain::numeric, 9))
			OR EXISTS (SELECT FROM gepa.candidates c WHERE c.run = r.run AND candidate IN (0, r.best_candidate)
				AND round(held_out::numeric, 9) IS DISTINCT FROM round(CASE candidate WHEN r.best_candidate THEN h.winner ELSE h.seed END::numeric, 9)))");

# Samples are known in a prompt by their documents.
my %shown = (
	'a prompt shows a sample that was held out' => "
		SELECT count(*) FROM shown_samples x WHERE run = %1\$d AND (split = 'test' OR sample IN $held)",
	'a prompt shows a sample that the text it is to change was not run on before' => "
		SELECT count(*) FROM shown_samples x WHERE run = %1\$d AND NOT EXISTS (SELECT FROM gepa.rollouts o
			WHERE o.run = x.run AND o.candidate = x.parent AND o.sample = x.sample AND o.step < x.step AND o.score IS NOT NULL)",
	'a prompt shows more than twelve samples, or more than nine that were wrong while there were others' => "
		SELECT count(*) FROM (SELECT step, count(*) AS n, count(*) FILTER (WHERE score < 1) AS wrong, min(rights) AS rights
			FROM shown_samples WHERE run = %1\$d GROUP BY step) s WHERE n > 12 OR (wrong > 9 AND rights > 2 AND n - wrong < 3)",
	'what a prompt says of a sample is not what came of it' => "
		SELECT count(*) FROM shown_samples x WHERE run = %1\$d AND position(feedback IN prompt) = 0");

sub _wrong
{
	my ($node, $run, %queries) = @_;
	return join ', ', grep { value($node, sprintf($queries{$_}, $run)) } sort keys %queries;
}

sub search_flaws { my ($node, $run) = @_; return _wrong($node, $run, %flaws); }

sub shown_flaws
{
	my ($node, $run) = @_;

	value($node, q{
		CREATE OR REPLACE VIEW shown_samples AS
		SELECT f.run, f.step, p.parents[1] AS parent, s.sample, s.split, o.score, o.feedback, f.reflection_prompt AS prompt,
			(SELECT count(*) FROM gepa.rollouts r WHERE r.run = f.run AND r.candidate = p.parents[1] AND r.step < f.step AND r.score = 1) AS rights
		FROM gepa.reflections f
			JOIN gepa.proposal p ON p.run = f.run AND p.reflect_step = f.step
			JOIN gepa.samples s ON s.run = f.run AND position(s.inputs ->> 'document' IN f.reflection_prompt) > 0
			LEFT JOIN gepa.rollouts o ON o.run = f.run AND o.candidate = p.parents[1] AND o.sample = s.sample});
	return _wrong($node, $run, %shown);
}

1;
