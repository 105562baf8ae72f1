# The same models behind other wire formats: judging, tuning, faults and keys
# are what they are with chat completions.

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
my $node = gepa_node('main', conf => "log_statement = none\nlog_min_messages = debug1\nlog_error_verbosity = verbose\n");
my $gemini_url = $mock->url =~ s/v1$/v1beta/r;

my %dialects = (
	anthropic => { api => 'anthropic' },
	'anthropic, by a tool' => { api => 'anthropic', structured_output => 'tool' },
	gemini => { api => 'gemini', base_url => $gemini_url, logprobs => 'true' });

sub judge_of
{
	my ($dialect, $model, %options) = @_;
	return judge_on($node, $mock, $model, %{ $dialects{$dialect} }, %options);
}

# Columns of the verdict on a text.
sub verdict
{
	my ($judge, $columns, $text) = @_;
	return value($node, "SELECT $columns FROM gepa_verdict('$judge', '$text')");
}

sub complaint
{
	my ($judge, $text) = @_;
	return (outcome($node, "SELECT gepa_judge('$judge', '$text')"))[1];
}

# What the endpoints would refuse, the mock refuses: one call proves the form.
for my $dialect (sort keys %dialects)
{
	my $judge = judge_of($dialect, 'judge-rules+reasoning+key-sk-secret-one', temperature => 0, max_tokens => 300,
		judge_options => '{"reasoning": true}', input_price => 1_000_000);

	value($node, qq{CREATE USER MAPPING FOR CURRENT_USER SERVER "$judge" OPTIONS (api_key 'sk-secret-one')});
	$mock->reset;
	is(verdict($judge, "status || ' ' || (label IN ('true', 'false')) || ' ' || (input_tokens > 50)"
			  . " || ' ' || (output_tokens > 0) || ' ' || (cost >= input_tokens)", 'a text'),
		'ok true true true true', "$dialect: a verdict with its price");
	like(value($node, "SELECT reasoning FROM gepa.verdicts WHERE judge = '$judge'"), qr/stands out/, '... and its reason');
	my ($request) = $mock->requests;
	is(scalar(grep { /sk-secret-one/ } values %{ $request->{headers} }), $dialect =~ /gemini|anthropic/ ? 2 : 1,
		'... the key in one header (which the mock copies)');
	like(value($node, "SELECT string_agg(item || '=' || ok, ' ') FROM gepa.check_lm('$judge')"),
		qr/^reachable=true key=true model=true json_schema=true logprobs=(?:true|false) usage=true latency=true$/, '... check_lm likes it');
}
my ($last) = reverse $mock->requests;
is($last->{wire}{generationConfig}{responseMimeType}, 'application/json', 'gemini: the form is asked for');
my $scored = judge_of('gemini', 'judge-rules');
like(verdict($scored, 'round(score::numeric, 2)', 'a text'), qr/^0\.[2-7]\d$/, 'gemini: probabilities are scores');

# Sampling, limits and extra_body, as each dialect wants them.
my $claude = judge_of('anthropic', 'judge-fixed-true', top_p => '0.9', reasoning_effort => 'low',
	extra_body => '{"thinking": {"type": "adaptive"}, "top_k": 3}');
$mock->reset;
value($node, "SELECT gepa_judge('$claude', 'text')");
my $wire = ($mock->requests)[0]{wire};
is_deeply([ @$wire{qw(max_tokens top_p top_k)}, $wire->{thinking}{type}, $wire->{output_config}{effort} ],
	[ 4096, '0.9', 3, 'adaptive', 'low' ], 'anthropic: sampling, effort and extra_body');
is($wire->{output_config}{format}{type}, 'json_schema', '... beside the schema');
is($wire->{system}[0]{cache_control}{type}, 'ephemeral', '... what all documents share is marked for the cache');
ok(!exists $wire->{messages}[-1]{content}[0]{cache_control}, '... the document is not');
is(value($node, "SELECT lm_identity ->> 'max_tokens' FROM gepa.judge_versions WHERE judge = '$claude'"), 4096,
	'... the limit that must be sent is part of the identity');
my $studio = judge_of('gemini', 'judge-fixed-true', seed => 7, reasoning_effort => 'low', max_tokens => 99,
	extra_body => '{"generationConfig": {"topK": 4, "seed": 8}, "safetySettings": []}');
$mock->reset;
value($node, "SELECT gepa_judge('$studio', 'text')");
$wire = ($mock->requests)[0]{wire};
is_deeply([ @{ $wire->{generationConfig} }{qw(seed topK maxOutputTokens)}, $wire->{generationConfig}{thinkingConfig} ],
	[ 8, 4, 99, { thinkingLevel => 'low' } ], 'gemini: generationConfig and the members of extra_body are one');
ok(exists $wire->{safetySettings}, '... other members stand beside it');
is(value($node, "SELECT lm_identity ->> 'api' FROM gepa.judge_versions WHERE judge = '$studio'"), 'gemini',
	'... the dialect is part of the identity');

# What fails for good.
my %fatal = (
	'+key-sk-secret-two' => qr/ERROR:  28000: .*HINT:  Check the key/s,
	'+403' => qr/ERROR:  42501: .*HINT:  The endpoint knows the key/s,
	'+quota' => qr/ERROR:  53400: .*HINT:  The account has no quota left/s,
	'+redirect-8080' => qr/ERROR:  38000: .*HINT:  Redirects are not followed/s,
	'+nosuch' => qr/ERROR:  42704: .*HINT:  Check base_url .*and model/s);
# ... and what one document only meets with.
my %status = (
	'+toolong' => qr/^too_long\|.*(?:too long|exceeds)/,
	'+refusal' => qr/^refused\|.*(?:cannot help|PROHIBITED_CONTENT)/,
	'+filter' => qr/^refused\|.*(?:refusal|SAFETY)/,
	'+length' => qr/^truncated\|The answer was cut off/,
	'+empty' => qr/^unparseable\|The answer is empty/,
	'+garbage-100' => qr/^unparseable\|.*lorem ipsum/,
	'+reject-100' => qr/^http_error\|.*HTTP 400: This text cannot/,
	'+html' => qr/^http_error\|The response is not JSON/,
	'+badlabel' => qr/^unparseable\|/);
for my $dialect (sort keys %dialects)
{
	for my $fault (sort keys %fatal)
	{
		my $judge = judge_of($dialect, "judge-fixed-true$fault");

		like(complaint($judge, 'text'), $fatal{$fault}, "$dialect: $fault is an error");
		is($mock->journal->{by_model}{"judge-fixed-true$fault"}{requests} // 1, 1, '... at once') if $dialect eq 'gemini';
		$mock->reset;
	}
	for my $fault (sort keys %status)
	{
		my $judge = judge_of($dialect, "judge-fixed-true$fault");

		is(verdict($judge, 'label IS NULL', 'text'), 't', "$dialect: $fault is no verdict");
		like(value($node, "SELECT status, detail FROM gepa.verdict_errors WHERE judge = '$judge'"), $status{$fault}, '... and says why');
	}
	for my $fault (qw(+529-once +429-once +503-once +drop-once +drop-body-once))
	{
		my $judge = judge_of($dialect, "judge-fixed-true$fault");
		is(verdict($judge, 'label, status', "text of $dialect"), 'true|ok', "$dialect: $fault passes");
	}
}
$dialects{chat} = {};

# When to come back, as headers and bodies say it: seen by how much later the second request came.
my %waits = ('429-ms1200' => 'chat', '429-reset' => 'chat', '429-reset-once' => 'anthropic', '429-s1' => 'gemini');
for my $wait (sort keys %waits)
{
	my $model = "judge-fixed-true+$wait" . ($wait =~ /once/ ? '' : '-once');
	my $judge = judge_of($waits{$wait}, $model);

	$mock->reset;
	is(verdict($judge, 'status', 'text'), 'ok', "$waits{$wait}: $model passes");
	my ($first, $second) = $mock->requests;
	cmp_ok($second->{time_in} - $first->{time_out}, '>=', 0.9, '... after the time that was asked for');
}

# Tuning: both LMs behind one dialect.
prepare_tuning($node, $mock);
for my $dialect ('anthropic', 'gemini')
{
	my %lm = %{ $dialects{$dialect} };

	create_lm($node, "${dialect}_judge", $mock, 'judge-rules', %lm, max_concurrency => 4);
	create_lm($node, "${dialect}_writer", $mock, 'reflector', %lm);
	value($node, "SELECT gepa.create_judge('j_$dialect', '${dialect}_judge', '$Gepa::Run::prompt', options => '{\"reasoning\": true}')");
	my $run = start_run($node, judge => "j_$dialect", reflection_lm => "${dialect}_writer", budget => 200, seed => 1);
	is(wait_run($node, $run), 'finished', "$dialect: a run ends");
	is(run_value($node, $run, 'reflections > 0'), 't', '... with reflections');
	is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND status <> 'ok'"), 0, '... every rollout is ok');
	is(value($node, "SELECT max(score) > min(score) FROM gepa.candidates WHERE run = $run"), 't', '... better than its seed');
	is(run_flaws($node, $run), '', '... and whole');
}

# No key in what was said or logged, whatever the dialect's header.
my $leaks = join "\n", map { my $judge = judge_of($_, 'judge-fixed-true+leak');
	value($node, qq{CREATE USER MAPPING FOR CURRENT_USER SERVER "$judge" OPTIONS (api_key 'sk-secret-leaked')});
	(complaint($judge, 'text'), value($node, "SELECT status, detail FROM gepa.verdict_errors WHERE judge = '$judge'")) }
  sort keys %dialects;
like($leaks, qr/I was sent Bearer \*+/, 'an endpoint that repeats the key is quoted without it');
unlike($leaks, qr/sk-secret/, '... in every dialect');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/sk-secret/, '... and the log has none');

done_testing();
