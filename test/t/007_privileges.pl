# Who may spend, and who may see: every way to a call, with and without USAGE.

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

create_lm($node, 'judging', $mock, 'judge-rules');
create_lm($node, 'reflecting', $mock, 'reflector');
value($node, "CREATE ROLE $_ LOGIN") for 'alice', 'bob', 'eve';
value($node, 'GRANT CREATE ON SCHEMA public TO PUBLIC');
may_call($node, 'alice', 'bob', 'eve');
value($node, 'GRANT USAGE ON FOREIGN SERVER judging, reflecting TO alice; GRANT USAGE ON FOREIGN SERVER judging TO bob');
load_world($node, 'labels', rows => 80, seed => 2);
value($node, 'GRANT SELECT ON labels TO alice');

sub as { my ($role, $sql) = @_; return value($node, "SET SESSION AUTHORIZATION $role;\n$sql"); }
sub refused { my ($role, $sql) = @_; return (outcome($node, "SET SESSION AUTHORIZATION $role;\n$sql"))[1]; }

as('alice', "SELECT gepa.create_judge('j', 'judging', 'Is it good?')");
as('alice', "SELECT gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep', feedback => 'note')");
my $run = as('alice', "SELECT gepa.optimize('j', 'd', 'reflecting', 120)");
as('alice', "SELECT gepa.deploy($run, force => true)");
as('alice', "SELECT gepa_judge('j', 'a stored text'), count(*) FROM gepa.report('j')");
as('bob', "SELECT gepa_judge('j', 'a stored text')");
as('bob', "SELECT gepa_judge('j', 'bob''s text')");

# -- no USAGE, no call and no verdict, whatever the way

my $calls = $mock->journal->{requests};
my %ways = (
	'a predicate' => "SELECT gepa_judge('j', 'new')",
	'a predicate on jsonb' => q{SELECT gepa_score('j', '{"document": "new"}'::jsonb)},
	'a predicate on an array' => q{SELECT gepa_judge('j', ARRAY['new'])},
	'a stored verdict' => "SELECT gepa_judge('j', 'a stored text')",
	'a prepared statement' => "PREPARE p AS SELECT gepa_verdict('j', 'new'); EXECUTE p",
	'check_lm' => "SELECT * FROM gepa.check_lm('judging')",
	'a judge of one\'s own' => "SELECT gepa.create_judge('mine', 'judging', 'p')",
	'a view of somebody else\'s' => 'SELECT * FROM judged');
as('alice', "CREATE VIEW judged AS SELECT gepa_judge('j', 'new'); GRANT SELECT ON judged TO PUBLIC");
for my $way (sort keys %ways)
{
	like(refused('eve', $ways{$way}), qr/ERROR:  42501: permission denied for LM "judging".*HINT/s, "no USAGE: $way");
}
like(refused('eve', $_), qr/ERROR:  42501: must be owner of/, "no ownership: $_")
  for "SELECT gepa.prune_verdicts('j', 1)", "SELECT gepa.report('j')", "SELECT gepa.start('j', 'd', 'reflecting', 100)", "SELECT gepa.optimize('j', 'd', 'reflecting', 100)",
	"SELECT gepa.alter_judge('j')", "SELECT gepa.drop_judge('j')", "SELECT gepa.drop_dataset('d')";

# USAGE is that of the role the code runs as: gone for alice, stored verdicts are gone as well.
value($node, 'REVOKE USAGE ON FOREIGN SERVER judging FROM alice');
like(refused('alice', $_), qr/42501: permission denied for LM "judging"/, "USAGE revoked: $_")
  for "SELECT gepa_judge('j', 'a stored text')", "SELECT gepa.report('j')", "SELECT gepa.alter_judge('j', prompt => 'new')",
	"SELECT gepa.start('j', 'd', 'reflecting', 100)", "SELECT gepa.optimize('j', 'd', 'reflecting', 100)";
value($node, 'GRANT USAGE ON FOREIGN SERVER judging TO alice; REVOKE USAGE ON FOREIGN SERVER reflecting FROM alice');
like(refused('alice', "SELECT gepa.start('j', 'd', 'reflecting', 100)"), qr/42501: permission denied for LM "reflecting"/,
	'a run takes USAGE on its reflection LM as well');
like(refused('alice', "SELECT gepa.start('j', 'd', NULL, 100, options => '{\"task_lm\": \"reflecting\"}')"),
	qr/42501: permission denied for LM "reflecting"/, '... and on its task_lm');
value($node, 'GRANT USAGE ON FOREIGN SERVER reflecting TO alice');

# The right to spend can be lent by SECURITY DEFINER, and only by one who has it.
as($_, "CREATE FUNCTION lent_by_$_(text) RETURNS bool LANGUAGE sql SECURITY DEFINER AS 'SELECT gepa_judge(''j'', \$1)'")
  for 'bob', 'eve';
is(as('eve', "SELECT lent_by_bob('a stored text') IS NOT NULL"), 't', 'SECURITY DEFINER lends USAGE');
like(refused('bob', "SELECT lent_by_eve('a stored text')"), qr/42501: permission denied for LM/, '... which its owner must have');

is($mock->journal->{requests}, $calls, 'none of this made a call');

# -- another role's runs

for my $role ('bob', 'eve')
{
	like(refused($role, "SELECT gepa.$_($run)"), qr/ERROR:  42501: must be owner of run "$run"/, "$role: gepa.$_()")
	  for 'stop', 'resume', 'deploy', 'wait';
	is(as($role, "SELECT count(*) FROM gepa.$_"), 0, "$role sees no $_")
	  for 'runs', 'progress', 'samples', 'candidates', 'frontier', 'proposals', 'reflections', 'rollouts', 'verdict_errors', 'datasets';
	is(as($role, 'SELECT count(*) FROM gepa.verdicts'), $role eq 'bob' ? 2 : 0, "$role sees what it paid for and nothing else");
	is(as($role, 'SELECT count(*) FROM gepa.judges'), $role eq 'bob' ? 1 : 0, "$role sees judges that it may call");
}
cmp_ok(as('alice', "SELECT count(*) FROM gepa.$_"), '>', 0, "the owner sees $_")
  for 'runs', 'samples', 'candidates', 'frontier', 'proposals', 'reflections', 'rollouts', 'verdicts', 'datasets', 'judges';

# A function that tells what it is shown is shown nothing of others.
as('eve', q{CREATE FUNCTION tell(text) RETURNS bool LANGUAGE plpgsql COST 0.0000001
	AS 'BEGIN RAISE NOTICE ''seen %'', $1; RETURN true; END'});
as('eve', q{CREATE FUNCTION tell(jsonb) RETURNS bool LANGUAGE plpgsql COST 0.0000001
	AS 'BEGIN RAISE NOTICE ''seen %'', $1; RETURN true; END'});
unlike(refused('eve', $_), qr/seen/, "nothing leaks: $_")
  for 'SELECT 1 FROM gepa.verdicts WHERE tell(label)', 'SELECT 1 FROM gepa.samples WHERE tell(inputs)',
	'SELECT 1 FROM gepa.rollouts WHERE tell(feedback)', 'SELECT 1 FROM gepa.reflections WHERE tell(reflection_prompt)',
	'SELECT 1 FROM gepa.candidates WHERE tell(components)', 'SELECT 1 FROM gepa.judge_versions WHERE tell(components)';
like(refused('alice', 'SELECT 1 FROM gepa.verdicts WHERE tell(label)'), qr/seen/, '... but one\'s own is shown');

# The tables themselves are nobody's.
like(refused('alice', "SELECT * FROM gepa.$_"), qr/42501: permission denied for table $_/, "table $_")
  for 'fence', 'judge', 'judge_version', 'verdict', 'verdict_default', 'verdict_error', 'dataset', 'run', 'sample', 'step', 'proposal', 'rollout', 'front';

done_testing();
