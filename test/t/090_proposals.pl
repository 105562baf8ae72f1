# The ways in which a run has new texts written: templates, groups, functions, earlier
# proposals, limits, copies, seeds; in both modes where both have a say.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Search;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "restart_after_crash = on\n");

prepare_tuning($node, $mock, world => { rows => 160, features => 12, notes => 0.8 }, lm => { input_price => 1, output_price => 1 });
create_lm($node, $_, $mock, "reflector-$_") for qw(copies stubborn wordy);
create_lm($node, 'slow', $mock, 'reflector+gate');

my %modes = (default => sub { $_[0] }, reference => sub { reference_mode($_[0]) });

# Run it to the end; it is whole, and its replay is the same.
sub tuned
{
	my ($options, %more) = @_;
	my $run = start_run($node, budget => 300, options => $options, %more);

	is(wait_run($node, $run), 'finished', "$options: it ends") or diag(run_value($node, $run, 'reason'));
	is(value($node, "SELECT difference FROM gepa.replay($run)"), '', '... and its replay is the same');
	is(run_flaws($node, $run), '', '... and it is whole') unless $more{flawed};
	return $run;
}

sub reflections { my ($run, $what) = @_; return value($node, "SELECT $what FROM gepa.reflections WHERE run = $run"); }

sub calls { my ($run, $what) = @_; return value($node, "SELECT $what FROM gepa.reflection_calls WHERE run = $run"); }

# Without any of it.
my $plain = tuned('{}');
my $plain_facts = run_facts($node, $plain);
is(calls($plain, 'count(*)'), 0, 'a plain run has no calls but those of its reflections');
is(reflections($plain, q(bool_and(reflection_prompt LIKE 'An assistant judges documents%and nothing after it.'))), 't',
	'... and its prompts are the template and nothing else');

# Templates.
my $template = q(Mine:\n```\n<curr_param>\n```\n<side_info>\nThat was all.);
my $own = tuned(qq({"reflection_templates": {"instruction": "$template"}}));
is(reflections($own, q(bool_and(reflection_prompt LIKE E'Mine:\n%That was all.'), count(*) > 0)), 't|t', 'a component has its own template');

# Groups.
for my $mode (sort keys %modes)
{
	my $options = $modes{$mode}->('{"combee": true, "minibatch_size": 9}');
	my $run = tuned($options);
	my ($n, $k) = (reflections($run, 'count(*)'), 3);

	is(calls($run, 'count(*), count(DISTINCT (step, part)), count(DISTINCT step), max(part)'), ($n * $k) . '|' . ($n * $k) . "|$n|2",
		"$mode mode: each reflection has three groups");
	is(value($node, "SELECT count(*) FROM (SELECT step FROM gepa.reflection_calls, unnest(records) k WHERE run = $run GROUP BY step
		HAVING count(DISTINCT k) < 9 OR max(k) > 12 OR count(*) > 24) s"), 0, '... which have all of its records');
	is(reflections($run, q(bool_and(reflection_prompt LIKE '%3 writers have each improved it%'))), 't', '... and one call makes a text of theirs');
	is(value($node, "SELECT count(*) FROM gepa.reflections f WHERE run = $run AND input_tokens <=
		(SELECT sum(input_tokens) FROM gepa.reflection_calls c WHERE c.run = f.run AND c.step = f.step)"), 0, '... figures of a reflection are those of all its calls');
	is(value($node, "SELECT calls - (SELECT count(*) FROM gepa.rollout o WHERE o.run = r.run AND input_tokens > 0) FROM gepa.run r WHERE run = $run"), $n * ($k + 1),
		'... all of which are counted');
	is(value($node, "SELECT sum(calls) >= $n * 4 FROM gepa.spend WHERE purpose = 'reflection'"), 't', '... and booked');
	cmp_ok(run_value($node, $run, 'best_score'), '>', 0.7, '... and the run gets better');
	same_facts(run_facts($node, tuned($options)) =~ s/^run.*\n//r, run_facts($node, $run) =~ s/^run.*\n//r, '... which is the same run once more');
}

# A worker that dies among the groups of a reflection.
my $grouped = '{"combee": true, "reflections_per_round": 1, "max_reflections": 4}';
$mock->gate(open => 1);
$mock->reset;
my $expected = run_facts($node, tuned($grouped, reflection_lm => 'slow'));
my $requests = $mock->journal->{by_model}{'reflector+gate'}{requests};
$mock->gate(open => 0);
$mock->reset;
my $killed = start_run($node, budget => 300, options => $grouped, reflection_lm => 'slow');
$mock->wait_for(sub { $_->{waiting} == 3 }, 'three groups') or BAIL_OUT('no groups');
$mock->gate(pass => 2);
wait_sql($node, "SELECT count(*) = 2 FROM gepa.reflection_calls WHERE run = $killed", 'two answers');
kill_process($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa run worker'");
$mock->wait_for(sub { $_->{by_model}{'reflector+gate'}{requests} == 4 && $_->{waiting} > 0 }, 'the third group, once more');
is(calls($killed, 'count(*)'), 2, 'killed in the midst of a reflection, what came in is there');
$mock->gate(open => 1);
is(wait_run($node, $killed), 'finished', '... the run ends');
same_facts(run_facts($node, $killed), $expected, '... like the undisturbed one');
is($mock->journal->{by_model}{'reflector+gate'}{requests}, $requests + 1, '... and has paid only for the call that was under way again');
is(run_flaws($node, $killed) . search_flaws($node, $killed), '', '... with whole rows');

# The same while the groups are put together.
$mock->gate(open => 0);
$mock->reset;
$killed = start_run($node, budget => 300, options => $grouped, reflection_lm => 'slow');
$mock->wait_for(sub { $_->{waiting} == 3 }, 'three groups') or BAIL_OUT('no groups');
$mock->gate(pass => 3);
$mock->wait_for(sub { $_->{waiting} == 1 && $_->{by_model}{'reflector+gate'}{requests} == 4 }, 'what makes one text of theirs');
kill_process($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa run worker'");
$mock->wait_for(sub { $_->{by_model}{'reflector+gate'}{requests} == 5 && $_->{waiting} > 0 }, 'the same once more');
$mock->gate(open => 1);
is(wait_run($node, $killed), 'finished', 'killed before the last call, the run ends');
same_facts(run_facts($node, $killed), $expected, '... like the undisturbed one');
is($mock->journal->{by_model}{'reflector+gate'}{requests}, $requests + 1, '... and the groups are not asked again');

# Earlier proposals.
my %came = (default => 'lost to other texts', reference => 'rejected, no better on the minibatch');
for my $mode (sort keys %modes)
{
	my $told = tuned($modes{$mode}->('{"show_rejected": 4, "max_growth": 500, "max_reflections": 12}'), reflection_lm => 'stubborn');
	my $untold = tuned($modes{$mode}->('{"max_reflections": 12}'), reflection_lm => 'stubborn');

	is(reflections($told, "count(*) FILTER (WHERE reflection_prompt LIKE '%These changes were tried before%# Change 1%What came of it: $came{$mode}. On the same documents%') > 0,
		bool_or(reflection_prompt LIKE '%# Change 5%')"), 't|f', "$mode mode: earlier proposals are shown, up to four");
	is(reflections($untold, q(bool_or(reflection_prompt LIKE '%tried before%'))), 'f', '... which are not without the option');
	is(value($node, "SELECT bool_or(components ->> 'instruction' LIKE '%RULE%') FROM gepa.proposal WHERE run = $told"), 't', '... whoever is told of them goes on');
	is(value($node, "SELECT bool_or(components ->> 'instruction' LIKE '%RULE%') FROM gepa.proposal WHERE run = $untold"), 'f', '... and who is not begins anew')
	  if $mode eq 'reference';
}

# Limits on length.
my $short = tuned('{"max_prompt_chars": 400}', reflection_lm => 'wordy');
is(reflections($short, q(bool_and(reflection_prompt LIKE '%The new text may have at most 400 characters; the present one has %'), max(length(text)))), 't|400',
	'who is told of a limit keeps to it');
my $slow = tuned('{"max_growth": 100}', reflection_lm => 'wordy');
is(value($node, "SELECT max(length(p.components ->> 'instruction') - length(q.components ->> 'instruction')) FROM gepa.proposal p
	JOIN gepa.proposal q ON q.run = p.run AND q.candidate = p.parents[1] JOIN gepa.step s ON s.run = p.run AND s.step = p.reflect_step
	WHERE p.run = $slow"), 100, 'likewise of a limit on growth');
my $long = tuned('{"max_reflections": 2}', reflection_lm => 'wordy');
like(reflections($long, 'min(detail), count(text)'), qr/^the new text has 30000 characters, more than max_prompt_chars \(20000\)\|0$/, 'who is not told goes beyond it');
is(calls($long, q(count(*) > 0, bool_and(detail LIKE 'the new text has 30000%'), bool_and(answer IS NOT NULL))), 't|t|t', '... twice, which is recorded');
is(reflections($long, q(bool_and(reflection_prompt LIKE '%your answer could not be used: the new text has 30000 characters%'))), 't', '... and is told after the first time');

# Copies of documents.
my $guarded = tuned('{}', reflection_lm => 'copies');
is(calls($guarded, q(count(*) > 0, bool_and(detail LIKE 'the new text copies "%" from the document of sample "%"'))), 't|t', 'a text that copies a document is no use');
is(reflections($guarded, q(count(*) = count(text), bool_or(text LIKE '%Like this%'))), 't|f', '... and asked for once more, without');
my $open = tuned('{"copy_guard": 0}', reflection_lm => 'copies');
is(reflections($open, q(bool_or(text LIKE '%Like this%'))) . calls($open, 'count(*)'), 't0', 'unless the guard is off');
is(calls(tuned(reference_mode('{}'), reflection_lm => 'copies'), 'count(*)'), 0, '... as it is in reference mode');

# Functions.
value($node, q{
	CREATE TABLE trace (t text);
	CREATE FUNCTION propose(component text, current text, records jsonb) RETURNS text LANGUAGE sql AS $$
		SELECT current || coalesce((SELECT string_agg(DISTINCT E'\nRULE: documents that mention "' || w.m[1] || '" are ' || l.m[1], '')
			FROM jsonb_array_elements(records) r,
				LATERAL regexp_match(r ->> 'Feedback', 'The word "(\w+)"') w(m),
				LATERAL regexp_match(r ->> 'Feedback', 'right label (?:was|is) "(\w+)"') l(m)
			WHERE w.m IS NOT NULL AND l.m IS NOT NULL AND position('"' || w.m[1] || '"' IN current) = 0), E'\nRead on.')
	$$;
	CREATE FUNCTION breaks(text, text, jsonb) RETURNS text LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO public.trace VALUES ($1);
			RETURN 1 / (SELECT count(*) FROM public.trace WHERE t = 'none');
		END $$;
	CREATE FUNCTION nothing(text, text, jsonb) RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
	CREATE FUNCTION copy(text, text, records jsonb) RETURNS text LANGUAGE sql AS $$ SELECT records -> 0 ->> 'Inputs' $$});
for my $mode (sort keys %modes)
{
	$mock->reset;
	my $run = tuned($modes{$mode}->('{"proposer": "propose(text, text, jsonb)"}'), reflection_lm => undef);

	is($mock->journal->{by_model}{reflector}{requests} // 0, 0, "$mode mode: a function in place of the reflection LM");
	cmp_ok(run_value($node, $run, 'best_score'), '>', 0.6, '... which finds what helps');
	is(reflections($run, q(count(*) > 0, bool_and(answer = text), bool_and(jsonb_typeof(reflection_prompt::jsonb) = 'array'), sum(input_tokens))), 't|t|t|0',
		'... is given the records, and costs nothing');
	is(value($node, "SELECT options ->> 'proposer' FROM gepa.run WHERE run = $run"), 'public.propose(pg_catalog.text,pg_catalog.text,pg_catalog.jsonb)', '... and is kept by its whole name');
}
my $broken = tuned('{"proposer": "breaks(text, text, jsonb)"}', reflection_lm => undef);
is(reflections($broken, 'min(detail), max(detail), count(text)'), ('function_error: the proposer failed with SQLSTATE 22012: division by zero|' x 2) . '0',
	'an error in it is the reason why there is no text');
is(value($node, 'SELECT count(*) FROM trace'), 0, '... and leaves no trace');
is(reflections(tuned('{"proposer": "nothing(text, text, jsonb)"}', reflection_lm => undef), 'min(detail), count(text)'), 'the proposer returned NULL|0', 'so does NULL');
like(reflections(tuned('{"proposer": "copy(text, text, jsonb)"}', reflection_lm => undef), 'min(detail), count(text)'),
	qr/^the new text copies "[^"]+" from the document of sample "\d+"\|0$/, 'its texts are held to what others are held to');

# A function of the same name that is somebody else's is not called.
value($node, 'CREATE ROLE mallory');
my $stopped = start_run($node, budget => 300, options => '{"proposer": "propose(text, text, jsonb)"}', reflection_lm => undef);
value($node, "SELECT gepa.stop($stopped)");
wait_run($node, $stopped);
value($node, 'ALTER FUNCTION propose(text, text, jsonb) OWNER TO mallory');
value($node, "SELECT gepa.resume($stopped)");
is(wait_run($node, $stopped), 'failed', 'a function that has another owner since ends the run');
like(run_value($node, $stopped, 'reason'), qr/function public\.propose\(\S+\) belongs to another role/, '... and says so');

# Seeds.  In default mode each has a step of training and one of validation samples.
my %steps = (default => 8, reference => 4);
value($node, q(SELECT gepa.create_judge('other', lm => 'judge', prompt => 'Is it any good?')));
value($node, q(SELECT gepa.alter_judge('other', prompt => 'Later.')));
for my $mode (sort keys %modes)
{
	my $rule = 'RULE: documents that mention \"zorvex\" are true';
	my $run = tuned($modes{$mode}->(qq({"seeds": [{"instruction": "Keep it?"}, {"instruction": "$rule"}], "seed_from": "other\@1"})));

	is(value($node, "SELECT string_agg(components ->> 'instruction', '|' ORDER BY candidate) FROM gepa.candidates WHERE run = $run AND parents = '{}'"),
		'Is this page worth keeping?|Is it any good?|Keep it?|RULE: documents that mention "zorvex" are true', "$mode mode: a run with four seeds");
	is(value($node, "SELECT options ->> 'seed_from', jsonb_array_length(options -> 'seeds') FROM gepa.run WHERE run = $run"), 'other@1|3', '... which it keeps with it');
	is(value($node, "SELECT count(DISTINCT n) = 1 AND min(n) > 0 FROM (SELECT (SELECT count(*) FROM gepa.rollouts o WHERE o.run = c.run AND o.candidate = c.candidate
		AND o.step < $steps{$mode} AND o.proposal < 4) AS n FROM gepa.candidates c WHERE run = $run AND parents = '{}') s"), 't', '... and runs on the same samples');
	is(search_flaws($node, $run), '', '... with whole decisions') if $mode eq 'default';
}

# Instruction and examples, each by its own proposer.
for my $mode (sort keys %modes)
{
	my $run = tuned($modes{$mode}->('{"examples": true}'), budget => 500);
	my $changed = "FROM gepa.proposal p JOIN gepa.proposal q ON q.run = p.run AND q.candidate = p.parents[1] WHERE p.run = $run";

	is(value($node, "SELECT count(*) > 0 AND bool_and(p.reflect_step IS NOT NULL) AND bool_and(p.components -> 'examples' = q.components -> 'examples')
		$changed AND p.component = 'instruction' AND p.reason NOT LIKE 'recomb%' AND p.reflect_step IS NOT NULL"), 't', "$mode mode: the instruction is changed by reflection");
	is(value($node, "SELECT count(*) > 0 AND bool_and(p.components -> 'instruction' = q.components -> 'instruction')
		$changed AND p.component = 'examples'"), 't', '... examples by the engine, one of them at a time');
	is(value($node, "SELECT count(*) FROM gepa.proposal WHERE run = $run AND component = 'examples' AND reflect_step IS NOT NULL"), 0, '... without a call');
	is(value($node, "SELECT bool_or(components ->> 'instruction' LIKE '%RULE%' AND components ->> 'examples' <> '[]') FROM gepa.proposal WHERE run = $run AND candidate IS NOT NULL"),
		't', '... and candidates have both');
}

done_testing();
