# Judges of three steps on two LMs: documents overtake each other between the steps, a step
# that fails ends its document and says so, and what a step was made for is part of the version.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Program;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

create_lm($node, 'reader', $mock, 'judge-rules', max_concurrency => 2, input_price => 1);
create_lm($node, 'weigher', $mock, 'judge-rules+gate', max_concurrency => 3, input_price => 2);
load_world($node, 'pages', rows => 12, seed => 3);

# The words of the rule, listed by the first step; the verdict sees no more than their summary.
my @rule = world_rule(seed => 3);
my %known = (lm => 'reader', look_for => [ map { $_->[0] } @rule ], rule => \@rule);

create_program($node, 'p', %known, weigher => 'weigher');
is(value($node, q(SELECT string_agg(c, ', ') FROM gepa.judge_versions v, jsonb_object_keys(v.components) c WHERE judge = 'p')),
	'weigh, claims, instruction', 'a component of each step, and the verdict\'s');

# While the gate holds what the second step has sent, the first one goes on with other documents.
my $query = 'SELECT count(*), count(*) FILTER (WHERE kept::text = keep) FROM (SELECT keep, gepa_judge($$p$$, body) AS kept FROM pages OFFSET 0) p';
my $session = background($node, "$query;");
ok( $mock->wait_for(
		sub { ($_->{by_model}{'judge-rules'}{answered} // 0) >= 8 && $_->{waiting} == 3 }, 'eight documents behind the first step'),
	'documents at different steps do not wait for each other');
is($mock->journal->{by_model}{'judge-rules+gate'}{peak}, 3, 'each LM has its own limit');
$mock->gate(open => 1);
my ($counts) = finish($session);
is($counts, "12|12\n", 'the program knows all labels: the last step saw what the first two made of the documents');
my $journal = $mock->journal;
is("$journal->{by_model}{'judge-rules'}{requests}|$journal->{by_model}{'judge-rules+gate'}{requests}", '24|12',
	'three calls a document');
cmp_ok($journal->{by_model}{'judge-rules'}{peak}, '<=', 2, 'no more at a time than each LM takes');
like(value($node, "EXPLAIN SELECT FROM pages WHERE gepa_judge('p', body)"), qr/Custom Scan \(Judge\).*Judge: p, version 1/s, 'a judge node took part');

# What later steps are shown.
my @requests = $mock->requests;
my ($weigh) = grep { $_->{model} =~ /gate/ } @requests;
like($weigh->{messages}[1]{content}, qr/^words:\n<<<(\w+)\n\[.*\]\n\1>>>\nAnswer:$/s, 'outputs are fenced like documents');
my @verdicts = grep { join('', map { $_->{content} } @{ $_->{messages} }) =~ /worth keeping/ } @requests;
is(scalar(grep { $_->{messages}[1]{content} !~ /^summary:\n<<</ || $_->{messages}[1]{content} =~ /document:/ } @verdicts), 0,
	'the verdict sees only what it was said to');

# Sums, and the store.
is(value($node, "SELECT bool_and(cost > 0 AND input_tokens > 100 AND chars_seen = chars_total), count(*) FROM gepa.verdicts WHERE judge = 'p'"),
	't|12', 'tokens and cost of all steps; characters of the document');
value($node, $query);
is($mock->journal->{requests}, $journal->{requests}, 'asked again, nothing is called');
is(value($node, "SELECT sum(cost) = (SELECT sum(cost) FROM gepa.lm_calls WHERE judge = 'p') FROM gepa.verdicts WHERE judge = 'p'"), 't',
	'the log of calls has the same cost');
like(value($node, "EXPLAIN (ANALYZE, TIMING OFF) SELECT FROM pages WHERE gepa_judge('p', body || '.')"), qr/Calls: requests=36\n/, 'as does EXPLAIN');
is(value($node, "SELECT value FROM gepa.estimate('p', 'pages', 'body || id') WHERE item = 'to_judge'"), 36, 'an estimate counts the calls of all steps');

# A budget of calls: what a document takes is reserved with its first call.
$mock->reset;
is( value($node, "SET gepa.on_budget = 'null'; SET gepa.max_query_calls = 8; SELECT count(*), count(kept) FROM (SELECT gepa_judge('p', body || '?') AS kept FROM pages OFFSET 0) p"),
	'12|2', 'of eight calls two documents are judged');
is($mock->journal->{requests}, 6, '... and no third one is begun');
is(value($node, "SET gepa.on_budget = 'null'; SET gepa.max_query_calls = 2; SELECT status FROM gepa_verdict('p', 'another')"), 'budget', 'two calls are none');
value($node, q(SELECT gepa.set_budget(judge => 'p', calls => 1000)));
is(value($node, "SELECT count(gepa_judge('p', body || '!')) FROM pages"), 12, 'a budget of a day allows them');
is(value($node, "SELECT reserved_calls FROM gepa.budgets WHERE judge = 'p'"), 0, '... and holds nothing when they have ended');
value($node, q(SELECT gepa.set_budget(judge => 'p')));

# A step that fails in the middle.
my %failing = (
	'judge-rules+prose' => ['unparseable', 'step weigh: The answer is not the JSON asked for'],
	'judge-rules+refusal' => ['refused', 'step weigh: '],
	'judge-rules+400' => ['http_error', 'step weigh: ']);
foreach my $model (sort keys %failing)
{
	my ($status, $detail) = @{ $failing{$model} };
	my $name = $model =~ s/.*\+//r;

	create_lm($node, "lm_$name", $mock, $model);
	create_program($node, "with_$name", %known, weigher => "lm_$name");
	$mock->reset;
	is(value($node, "SET gepa.on_error = 'null'; SELECT status, label IS NULL, score IS NULL FROM gepa_verdict('with_$name', (SELECT body FROM pages WHERE id = 1))"),
		"$status|t|t", "$name: no verdict");
	stored($node, "with_$name", 0, 'nothing');
	is(value($node, "SELECT detail LIKE '$detail%' FROM gepa.verdict_errors WHERE judge = 'with_$name'"), 't', '... and the row says which step');
	is($mock->journal->{by_model}{'judge-rules'}{requests}, 1, '... which was the last one that was called');
	my (undef, $error) = outcome($node, "SET gepa.on_error = 'error'; SELECT gepa_judge('with_$name', (SELECT body FROM pages WHERE id = 2))");
	like($error, qr/has no verdict from LM "lm_$name": $status/, '... as an error it names the LM of the step');
}

# Identity and rights.
value($node, q(ALTER SERVER weigher OPTIONS (ADD temperature '0.5')));
my (undef, $error) = outcome($node, "SELECT gepa_judge('p', 'x')");
like($error, qr/55000.*settings of LM "weigher" differ/, 'the LM of a step has changed');
value($node, q(SELECT gepa.alter_judge('p')));
is(value($node, "SELECT gepa_judge('p', body) FROM pages WHERE id = 1"), value($node, "SELECT keep = 'true' FROM pages WHERE id = 1"),
	'a new version is made for it as it is');
value($node, q(CREATE ROLE reader LOGIN; GRANT USAGE ON FOREIGN SERVER reader TO reader; GRANT SELECT ON pages TO reader));
may_call($node, 'reader');
(undef, $error) = outcome($node, "SET ROLE reader; SELECT gepa_judge('p', body || '!') FROM pages WHERE id = 1");
like($error, qr/42501.*weigher/, 'USAGE on all LMs is needed');

done_testing();
