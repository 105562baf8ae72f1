# gepa.lm_calls: which calls are in the log, with what figures, who sees them, and
# what becomes of them.

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
my %prices = (input_price => 3, output_price => 7);

load_world($node, 'labels', rows => 60, seed => 5);
my $judge = judge_on($node, $mock, 'judge-rules', %prices);
create_lm($node, 'reflector', $mock, 'reflector', %prices);

# Every purpose, with the figures that the endpoint and the tables have.
value($node, "SELECT count(gepa_judge('$judge', body)) FROM labels WHERE id <= 7");
is( value($node, "SELECT count(*), sum(attempts), sum(input_tokens), sum(output_tokens), sum(cost)
		FROM gepa.lm_calls WHERE purpose = 'judge'"),
	value($node, 'SELECT count(*), 7, sum(input_tokens), sum(output_tokens), sum(cost) FROM gepa.verdicts'),
	'calls of a predicate are those that the verdicts were paid with');
is($mock->journal->{requests}, 7, '... and those that the endpoint saw');
is( value($node, 'SELECT DISTINCT role, database, lm, judge, version, run, status, http_status, attempts, sample_rate,
		detail, prompt, answer FROM gepa.lm_calls'),
	value($node, 'SELECT current_user') . "|postgres|$judge|$judge|1||ok|200|1|1|||",
	'who, where, to which LM, for which version of which judge, and no text');
is(value($node, 'SELECT bool_and(latency_ms > 0 AND now() - ended_at < interval $$1 hour$$) FROM gepa.lm_calls'),
	't', '... when and how long');

value($node, "SELECT gepa.create_dataset('labels', 'labels', 'id', '{body}', 'keep')");
value($node, "SELECT gepa.optimize('$judge', 'labels', 'reflector', 150)");
my $run = $mock->journal->{by_model};
is( value($node, "SELECT count(*) FILTER (WHERE purpose = 'rollout' AND lm = '$judge'),
		count(*) FILTER (WHERE purpose = 'reflection' AND lm = 'reflector'), bool_and(judge = '$judge'),
		count(version) FROM gepa.lm_calls WHERE run = 1"),
	join('|', $run->{'judge-rules'}{requests} - 7, $run->{reflector}{requests}, 't', 0),
	'a run makes rollouts and reflections, as many as the endpoint saw');
is( value($node, 'SELECT sum(input_tokens), sum(output_tokens), round(sum(cost), 9) FROM gepa.lm_calls WHERE run = 1'),
	value($node, 'SELECT input_tokens, output_tokens, round(cost, 9) FROM gepa.runs'),
	'... at the tokens and the price that the run has');

my $before = $mock->journal->{requests};
value($node, "SELECT * FROM gepa.report('$judge')");
is( value($node, "SELECT count(*), string_agg(DISTINCT coalesce(version::text, 'run ' || run), ' ')
		FROM gepa.lm_calls WHERE purpose = 'report'"),
	$mock->journal->{requests} - $before . '|1 run 1', 'a report measures the version and the candidate');
value($node, "SELECT * FROM gepa.check_lm('reflector')");
is(value($node, "SELECT lm, judge, version, run FROM gepa.lm_calls WHERE purpose = 'check'"), 'reflector|||', 'a check');

# What became of it.
my %models = (
	'judge-rules+500-n2' => 'ok|200|3|',
	'judge-rules+refusal' => 'refused|200|1|The model declined: I cannot help with that.',
	'judge-rules+reject-100' => 'http_error|400|1|The endpoint answered HTTP 400: This text cannot be taken.',
	'judge-rules+key-sk-wanted' => 'http_error|401|1|The endpoint answered HTTP 401: Incorrect API key provided.');
for my $model (sort keys %models)
{
	my $lm = judge_on($node, $mock, $model);

	outcome($node, "SELECT gepa_judge('$lm', 'text')");
	is(value($node, "SELECT status, http_status, attempts, detail FROM gepa.lm_calls WHERE lm = '$lm'"),
		$models{$model}, "$model is in the log");
}

# What a transaction does is no matter, and what is called back is there too.
value($node, "BEGIN; SELECT gepa_judge('$judge', 'rolled back'); ROLLBACK");
is(value($node, "SELECT purpose, status FROM gepa.lm_calls ORDER BY ended_at DESC LIMIT 1"), 'judge|ok',
	'a call of a transaction that was rolled back');
my $hanging = judge_on($node, $mock, 'judge-rules+hang');
my $session = background($node, "SELECT gepa_judge('$hanging', 'text');");
$mock->wait_for(sub { ($_->{by_model}{'judge-rules+hang'}{in_flight} // 0) == 1 }, 'the call');
value($node, "SELECT pg_cancel_backend($session->{pid})");
like((finish($session))[1], qr/canceling statement/, 'a query is cancelled');
is(value($node, "SELECT status, http_status, attempts, latency_ms > 0 FROM gepa.lm_calls WHERE lm = '$hanging'"),
	'cancelled||1|t', '... and its call is in the log');
my $pausing = judge_on($node, $mock, 'judge-rules+429-s60');
$session = background($node, "SELECT gepa_judge('$pausing', 'text');");
$mock->wait_for(sub { ($_->{by_model}{'judge-rules+429-s60'}{completed} // 0) == 1 }, 'the pause');
value($node, "SELECT pg_terminate_backend($session->{pid})");
finish($session);
wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $session->{pid}", 'its end');
is(value($node, "SELECT status, attempts FROM gepa.lm_calls WHERE lm = '$pausing'"), 'cancelled|1',
	'so is one that was waiting to be tried again, of a session that was terminated');

# Sampling.
create_lm($node, 'canned', $mock, 'canned', api => 'canned', base_url => undef, allow_private_address => undef);
value($node, "SELECT gepa.create_judge('canned', 'canned', 'Is it good?')");

sub judge_texts
{
	my ($settings, $what, $n) = @_;

	value($node, "$settings; SELECT count(gepa_judge('$what', 'text ' || n || clock_timestamp()))
		FROM generate_series(1, $n) n");
	return value($node, "SELECT count(*) FROM gepa.lm_calls WHERE judge = '$what' AND ended_at >
		(SELECT coalesce(max(ended_at), '-infinity') FROM gepa.lm_calls WHERE purpose = 'check')");
}

sub mark { value($node, "SELECT * FROM gepa.check_lm('canned')"); return; }

mark();
is(judge_texts('SET gepa.call_log_sample_rate = 0', 'canned', 50), 0, 'a rate of 0 keeps nothing');
my $some = judge_texts('SET gepa.call_log_sample_rate = 0.5', 'canned', 400);
cmp_ok($some, '>', 100, "a rate of 0.5 keeps some: $some of 400");
cmp_ok($some, '<', 300, '... and not the others');
is(value($node, "SELECT count(*) FROM gepa.lm_calls WHERE sample_rate = 0.5"), $some, '... and says so');
my $failing = judge_on($node, $mock, 'judge-rules+reject-100');
mark();
is(judge_texts('SET gepa.call_log_sample_rate = 0.0001', $failing, 20), 20, 'failures are kept at any rate');
mark();
is(judge_texts('SET gepa.call_log_sample_rate = 0', $failing, 20), 0, '... but 0');

# Texts.
sub texts
{
	my ($settings, $document) = @_;
	value($node, "$settings; SELECT gepa_judge('$judge', '$document')");
	return value($node, 'SELECT prompt, answer FROM gepa.lm_calls ORDER BY ended_at DESC LIMIT 1');
}
is(texts('SELECT 1', 'kept secret'), '|', 'texts are off');
like(texts('SET gepa.call_log_text = 10', 'once more'), qr/^system: \S.\|\{"label": $/, 'the beginning of them');
like(texts('SET gepa.call_log_text = 20000', 'a third document'), qr/^system: .*\nuser: .*a third document.*\|\{"label": "\w+"\}$/s,
	'the whole of them, roles and all');
is( value($node, q{SET gepa.call_log_text = 8; SELECT * FROM gepa.check_lm('canned');
		SELECT string_agg(DISTINCT octet_length(prompt)::text, ' ') FROM gepa.lm_calls WHERE purpose = 'check'})
	=~ s/.*\n//sr, '8', 'cut by bytes');

# ... without the key, also where an endpoint repeats it.
my $leaking = judge_on($node, $mock, 'judge-rules+leak');
value($node, qq{CREATE USER MAPPING FOR CURRENT_USER SERVER "$leaking" OPTIONS (api_key 'sk-secret-5678')});
outcome($node, "SET gepa.call_log_text = 20000; SELECT gepa_judge('$leaking', 'text')");
like(value($node, "SELECT detail FROM gepa.lm_calls WHERE lm = '$leaking'"), qr/I was sent Bearer \*+ and/, 'the key is taken out');
is(value($node, "SELECT count(*) FROM gepa.lm_calls c WHERE c::text LIKE '%sk-secret%'"), 0, '... of everything');

# Who sees what.
value($node, qq{CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE watcher IN ROLE pg_monitor; CREATE ROLE friend IN ROLE alice;
	GRANT USAGE ON FOREIGN SERVER "$judge", "$failing" TO alice});
may_call($node, 'alice');
value($node, "SET gepa.call_log_text = 20000; SET ROLE alice; SELECT gepa_judge('$judge', 'of alice'), gepa_judge('$failing', 'of alice')");
for my $see (
	[ 'alice', '2|2|2|2|1' ],
	[ 'friend', '2|2|2|2|1' ],
	[ 'bob', '0|0|0|0|0' ],
	[ 'watcher', '2|0|0|0|0' ])
{
	my ($role, $rows) = @$see;
	my $calls = "SELECT count(*), count(judge), count(prompt), count(*) FILTER (WHERE coalesce(answer, detail) IS NOT NULL),
		count(detail)";

	is(value($node, "SET ROLE $role; $calls FROM gepa.lm_calls WHERE role = 'alice'"), $rows, "what $role sees of alice");
	is(value($node, "SET ROLE $role; SELECT count(*), count(prompt) FROM gepa.call_log() WHERE role = 'alice'::regrole"),
		join('|', (split /\|/, $rows)[ 0, 2 ]), '... is what the function gives as well');
}
is(value($node, "SET ROLE bob; SELECT count(*) FROM gepa.lm_calls"), 0, 'who made no calls sees none');
cmp_ok(value($node, "SET ROLE watcher; SELECT count(*) FROM gepa.lm_calls WHERE role <> 'alice'"), '>', 100,
	'who may read all statistics sees those of all');
like((outcome($node, "SET ROLE alice; SET gepa.call_log_text = 100"))[1], qr/ERROR:  42501/, 'nobody switches texts on for themselves');
like((outcome($node, "SET ROLE alice; SET gepa.call_log_sample_rate = 0"))[1], qr/ERROR:  42501/, '... or the log off');

# Another database sees that calls were made, and no more.
value($node, 'CREATE DATABASE other');
value($node, 'CREATE EXTENSION gepa', db => 'other');
is( value($node, "SELECT DISTINCT database, count(judge) OVER (), count(prompt) OVER (), count(detail) OVER ()
		FROM gepa.lm_calls WHERE role = 'alice'", db => 'other'),
	'postgres|0|0|0', 'no names and no texts of another database');

# The size is a bound, and a restart the end.
$node->append_conf('postgresql.conf', "gepa.call_log_size = 64kB\n");
$node->restart;
is(value($node, 'SELECT count(*) FROM gepa.lm_calls'), 0, 'a restart empties the log');
mark();
judge_texts('SELECT 1', 'canned', 1000);
my ($n, $checks, $good) = split /\|/,
  value($node, "SELECT count(*), count(*) FILTER (WHERE purpose = 'check'),
	bool_and(judge = 'canned' AND lm = 'canned' AND status = 'ok' AND attempts = 1 AND database = 'postgres') FROM gepa.lm_calls");
cmp_ok($n, '>', 200, "64 kB hold the newest calls: $n");
cmp_ok($n, '<', 500, '... and no more');
is("$checks $good", '0 t', '... the oldest is gone, the others are whole');
is( value($node, "SET gepa.call_log_text = 1000000;
		SELECT count(gepa_judge('canned', n || repeat('long ', 30000))) FROM generate_series(1, 100) n;
		SELECT count(*) BETWEEN 5 AND 10, bool_and(octet_length(prompt) = 8192 OR prompt IS NULL) FROM gepa.lm_calls")
	=~ s/.*\n//sr, 't|t', 'a long text takes an eighth of the log, not more');

done_testing();
