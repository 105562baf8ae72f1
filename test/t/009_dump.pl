# pg_dump and pg_restore: everything comes along, nothing is paid for again,
# and runs that were interrupted by the dump go on from there.

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
my $dump = $node->backup_dir . '/gepa.dump';
my @tables = qw(fence judge judge_version imported_program router_version verdict verdict_default verdict_error dataset grader grade run sample step reflection_call proposal
	rollout front decision text_run router_run sweep sweep_point classifier);

mkdir $node->backup_dir;
create_lm($node, 'plain', $mock, 'judge-rules');
create_lm($node, 'gated', $mock, 'judge-rules+gate', max_concurrency => 4);
create_lm($node, 'broken', $mock, 'judge-rules+400');
create_lm($node, 'reflecting', $mock, 'reflector');
create_lm($node, 'grading', $mock, 'grader-rules-5');
load_world($node, 'labels', rows => 80, seed => 5);
value($node, "SELECT gepa.create_judge('j', 'plain', 'Is it good?'), gepa.create_judge('g', 'gated', 'Is it good?'),
	gepa.create_judge('b', 'broken', 'Is it good?', labels => ARRAY['true', 'false', 'it''s \\ \"odd\"'])");
value($node, q{SELECT gepa.create_router('r', ARRAY['{"when": "lang = ''it''''s'' OR length > 20", "judge": "j@1"}']::jsonb[], 'j')});
value($node, q{SELECT gepa.create_classifier('c', 'labels', 'body', 'keep')});
value($node, q{SELECT gepa.create_router('by_c', ARRAY['{"when": {"classifier": "c", "label": "true"}, "judge": "j@1"}']::jsonb[], 'j')});
value($node, "SELECT gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep', feedback => 'note')");
my $grade = q{SELECT score, feedback FROM gepa.grade('a', '{"inputs": {"document": "text"}}')};
value($node, q{SELECT gepa.create_grader('a', 'rubric', 'grading', '{"target": "document", "criteria": [{"name": "n", "description": "d"}]}')});
my $graded = value($node, $grade);

# A finished run, deployed; verdicts and an error.
my $finished = value($node, q(SELECT gepa.optimize('j', 'd', 'reflecting', 200, options => '{"combee": true}')));
value($node, "SELECT gepa.deploy($finished, force => true)");
my $report = value($node, "SELECT * FROM gepa.report('j')");
my $filter = "SELECT string_agg(id::text, ',' ORDER BY id) FROM labels WHERE gepa_judge('j', body)";
my $kept = value($node, $filter);
value($node, "SELECT gepa_judge('b', 'text')");
value($node, q{SELECT gepa.create_judge('program', 'plain', 'Is it good?', options =>
	'{"steps": [{"name": "find", "prompt": "Say everything.", "lm": "plain", "outputs": {"found": {"type": "string"}}}]}')});
my $stepped = value($node, "SELECT gepa_judge('program', 'a text for two steps')");

# A finished run of texts, by a function.
value($node, "CREATE FUNCTION longest(sample jsonb, candidate jsonb) RETURNS float8 LANGUAGE sql AS 'SELECT length(candidate ->> ''q'')::float8'");
my $texts = value($node, "SELECT gepa.optimize_text('longest(jsonb,jsonb)', 'reflecting', 12, '{\"q\": \"a\"}', objective => 'Be long.')");
my $best = value($node, "SELECT gepa.best_text($texts)");

# A judge and a run that were made elsewhere.
value($node, "SELECT gepa.import_program('imported', 'plain', gepa.export_program('j'))");
value($node, "SELECT gepa.import_result('imported', 'd', gepa.export_result($finished))");

# Another role's verdicts, and some outside of any partition.
value($node, "CREATE ROLE guest; GRANT USAGE ON FOREIGN SERVER plain TO guest");
may_call($node, 'guest');
value($node, "SET ROLE guest; SELECT gepa_judge('j', 'a guest''s text')");
my $partitions = q{SELECT string_agg(inhrelid::regclass || ' ' || pg_get_expr(relpartbound, oid), ', ' ORDER BY inhrelid::regclass::text)
	FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'gepa.verdict'::regclass};
wait_sql($node, "SELECT set_config('role', 'guest', false), gepa_judge('j', clock_timestamp()::text) \\g /dev/null
	SELECT count(*) = 2 FROM gepa.judge_versions WHERE to_regclass('gepa.verdict_1_' || version) IS NOT NULL AND judge = 'j'", 'two partitions');
value($node, "BEGIN; SELECT gepa.create_judge('never', 'plain', 'Never?'); SELECT gepa_judge('never', 'text'); ROLLBACK");

# A stopped run, and one at work with four rollouts under way.
sub at_the_gate
{
	my ($n) = @_;
	my $run = value($node, "SELECT gepa.start('g', 'd', 'reflecting', 150, seed => $n)");

	$mock->gate(pass => 20);
	$mock->wait_for(sub { $_->{waiting} == 4 && $_->{by_model}{'judge-rules+gate'}{answered} == 20 * $n }, 'the gate');
	wait_sql($node, "SELECT count(*) = 20 FROM gepa.rollouts WHERE run = $run", 'twenty rollouts');
	return $run;
}
my $stopped = at_the_gate(1);
value($node, "SELECT gepa.stop($stopped)");
is(value($node, "SELECT gepa.wait($stopped)"), 'stopped', 'a run is stopped');
my $running = at_the_gate(2);
is(value($node, "SELECT status FROM gepa.sweep('j', 'd', '{plain}', 'reflecting', 60)"), 'measured', 'a sweep has ended');
is(value($node, "SELECT status FROM gepa.runs WHERE run = $running"), 'running', 'another is at work');

$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
my $parted = value($node, $partitions);
my $routes = q{SELECT string_agg(gepa.route('by_c', body) || gepa.classify('c', body), ',' ORDER BY id) FROM labels};
my $routed = value($node, $routes);
like($routed, qr/j\@1true.*jfalse|jfalse.*j\@1true/s, 'a classifier tells some from others');
my %before = map { $_ => content($node, 'postgres', $_) } @tables;

sub content
{
	my ($of, $db, $table) = @_;
	return value($of, "SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM gepa.$table t", db => $db);
}

sub calls
{
	my ($of, $db, $sql) = @_;
	my $model = 'judge-rules';
	my $requests = $mock->journal->{by_model}{$model}{requests};

	return (value($of, $sql, db => $db), $mock->journal->{by_model}{$model}{requests} - $requests);
}

# What must hold for a copy, wherever it is.
sub check_copy
{
	my ($of, $db, $name) = @_;

	is(content($of, $db, $_), $before{$_}, "$name: table $_") for @tables;
	is(value($of, $partitions, db => $db), $parted, "$name: partitions of verdicts");
	is(value($of, $routes, db => $db), $routed, "$name: a classifier says what it said");
	my $asked = $mock->journal->{by_model}{'grader-rules-5'}{requests} // 0;
	is(value($of, $grade, db => $db), $graded, "$name: a grader has what it said");
	is($mock->journal->{by_model}{'grader-rules-5'}{requests} // 0, $asked, "$name: ... and is not asked again");
	is(calls($of, $db, q{SET ROLE guest; SELECT gepa_judge('j', 'a guest''s text')}), 0, "$name: each role finds its own");
	is_deeply([ calls($of, $db, $filter) ], [ $kept, 0 ], "$name: stored verdicts make no call");
	is_deeply([ calls($of, $db, "SELECT gepa_judge('program', 'a text for two steps')") ], [ $stepped, 0 ], "$name: nor do those of a program");
	is((calls($of, $db, "SELECT gepa_judge('program', 'another text')"))[1], 2, "$name: ... whose steps are asked for what is new");
	is_deeply([ calls($of, $db, "SELECT * FROM gepa.report('j')") ], [ $report, 0 ], "$name: nor does the report");
	is( value($of, "SELECT gepa.create_judge('new', 'plain', 'New?') > (SELECT max(id) FROM gepa.judges),
			gepa.create_dataset('new', 'labels', 'id', '{body}', 'keep') > (SELECT max(id) FROM gepa.datasets),
			gepa.create_classifier('new', 'labels', 'body', 'keep') > (SELECT max(id) FROM gepa.classifiers)", db => $db),
		't|t|t', "$name: ids go on");
	is((calls($of, $db, "SELECT gepa_judge('j', 'a new text')"))[1], 1, "$name: what is new is asked for");

	is(value($of, "SELECT gepa.best_text($texts)", db => $db), $best, "$name: the texts of a run");
	is(value($of, "SELECT difference FROM gepa.replay($texts)", db => $db), '', "$name: ... which can be replayed");

	# The stopped run.
	$mock->reset;
	$mock->gate(open => 1);
	value($of, "SELECT gepa.resume($stopped)", db => $db);
	is(value($of, "SELECT gepa.wait($stopped)", db => $db), 'finished', "$name: a stopped run is resumed");
	paid_for_the_rest($of, $db, $stopped, $name);

	# The one that was at work when the dump was taken: no worker knows of it.
	$mock->reset;
	is(value($of, "SELECT status FROM gepa.runs WHERE run = $running", db => $db), 'running', "$name: a run that was at work");
	value($of, "SELECT gepa.resume($running)", db => $db);
	is(value($of, "SELECT gepa.wait($running)", db => $db), 'finished', "$name: ... is resumed as well");
	paid_for_the_rest($of, $db, $running, $name);
	cmp_ok(value($of, "SELECT gepa.start('new', 'new', NULL, 100)", db => $db), '>', $running, "$name: a new run has the next number");
	return;
}

sub paid_for_the_rest
{
	my ($of, $db, $run, $name) = @_;

	is( $mock->journal->{by_model}{'judge-rules+gate'}{requests},
		value($of, "SELECT count(DISTINCT (step, split, sample)) - 20 FROM gepa.rollouts WHERE run = $run", db => $db),
		"$name: ... and pays for what was not recorded");
	return;
}

# -- into another database of the server, whose own run goes on meanwhile

value($node, 'CREATE DATABASE copy TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), $dump ], 'pg_restore into another database');
value($node, "SELECT gepa.stop($running)");
is(value($node, "SELECT gepa.wait($running)"), 'stopped', 'the original is stopped');
check_copy($node, 'copy', 'another database');

# -- into another server

my $other = gepa_node('other');
value($other, 'CREATE ROLE other; CREATE ROLE guest; DROP EXTENSION gepa');
$other->command_ok([ 'pg_restore', '--exit-on-error', '-d', $other->connstr('postgres'), $dump ], 'pg_restore into another server');
check_copy($other, 'postgres', 'another server');

# A live run that nobody knows of can be stopped.
value($other, 'CREATE DATABASE again TEMPLATE template0');
$other->command_ok([ 'pg_restore', '--exit-on-error', '-d', $other->connstr('again'), $dump ], 'once more');
value($other, "SELECT gepa.stop($running)", db => 'again');
is(value($other, "SELECT status FROM gepa.runs WHERE run = $running", db => 'again'), 'stopped', 'a restored run is stopped at once');

# -- the schema alone

value($other, 'CREATE DATABASE empty TEMPLATE template0');
$other->command_ok([ 'pg_restore', '--exit-on-error', '--schema-only', '-d', $other->connstr('empty'), $dump ], 'the schema alone');
is(value($other, 'SELECT (SELECT count(*) FROM gepa.judges) + (SELECT count(*) FROM gepa.runs), count(*) FROM gepa.lms', db => 'empty'),
	'0|5', '... has LMs and no judges');
is(value($other, "SELECT gepa.create_judge('j', 'plain', 'Is it good?')", db => 'empty'), 1, '... and can be used');
$node->command_ok([ 'pg_dump', '--schema-only', '-f', "$dump.sql", $node->connstr('postgres') ], 'pg_dump --schema-only');
unlike(slurp_file("$dump.sql"), qr/^COPY gepa/m, '... has no rows');

done_testing();
