# gepa and llama.cpp's server, the real one, with the demo's model: what
# docs/lm.md says of it.  script/test providers installs both and names them in
# GEPA_LM_PYTHON and GEPA_LM_MODEL.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Test;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my ($python, $model) = map { $ENV{$_} || die "$_ is not set; run script/test providers" } qw(GEPA_LM_PYTHON GEPA_LM_MODEL);
my $folder = PostgreSQL::Test::Utils::tempdir();
my @servers;

# Start a server, which says much, into a file; returns its base_url.
sub serve
{
	my (@template) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $log = "$folder/$port.log";

	push @servers, IPC::Run::start([ $python, "$FindBin::RealBin/../../demo/lm_server.py", $model, $port, @template ],
		'<', \undef, '>', $log, '2>&1');
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return "http://127.0.0.1:$port/v1" if slurp_file($log) =~ /^listening on/m;
		usleep(100_000);
	}
	die "the server did not start:\n" . slurp_file($log);
}

END { local $?; $_->kill_kill for @servers; }

my $plain = serve();
my $thinking = serve("$FindBin::RealBin/thinking.jinja");
my $node = gepa_node('main');
my $judges = 0;

sub judge
{
	my ($url, $about, %options) = @_;
	my $name = 'judge' . ++$judges;
	my $list = join ', ', map { "$_ '$options{$_}'" } sort keys %options;

	value($node, "CREATE SERVER $name FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '$url', model 'smollm2',"
		  . " allow_private_address 'true', temperature '0'" . ($list ? ", $list" : '') . ')');
	value($node, "SELECT gepa.create_judge('$name', '$name', 'Is this an advertisement?', options => '$about')");
	return $name;
}

sub verdict
{
	my ($judge, $columns, $text) = @_;
	return value($node, "SELECT $columns FROM gepa_verdict('$judge', '$text')");
}

sub failure
{
	my ($judge) = @_;
	return value($node, "SELECT status, detail FROM gepa.verdict_errors WHERE judge = '$judge' ORDER BY last_at DESC LIMIT 1");
}

my $text = 'Buy two watches, get one for free, today only!';

# The demo's way: schema and log-probabilities.
my $demo = judge($plain, '{}', logprobs => 'true', max_tokens => 40);
is(value($node, "SELECT string_agg(item, ' ') FROM gepa.check_lm('$demo') WHERE ok"),
	'reachable key model json_schema logprobs usage latency', 'check_lm: everything works');
like(verdict($demo, 'status, label, score BETWEEN 0 AND 1, input_tokens > 50, output_tokens > 5', $text),
	qr/^ok\|(?:true|false)\|t\|t\|t$/, 'json_schema with log-probabilities: a verdict');
# where the other label is not among the twenty alternatives the score is 0 or 1 after all
is(value($node, "SELECT bool_or(gepa_score('$demo', d) NOT IN (0, 1)) FROM unnest('{one, two, Buy now, true, false}'::text[]) d"),
	't', '... with scores that are probabilities');
is(verdict($demo, 'cached', $text), 't', '... kept');

# A prompt that the endpoint has in its cache is counted as such.
my $priced = judge($plain, '{}', max_tokens => 40, input_price => 1000000, cached_input_price => 0);
is(verdict($priced, 'status', 'One text.'), 'ok', 'a first call');
is(verdict($priced, 'cost < input_tokens AND cost > 0', 'One more text.'), 't', '... leaves a prefix in the cache, which costs less');

# Other ways to hold an answer to its form, and none.
for my $way (qw(json_object text))
{
	my $judge = judge($plain, '{}', max_tokens => 20, structured_output => $way);

	ok(verdict($judge, "status IN ('ok', 'unparseable', 'truncated')", $text) eq 't', "$way: an answer, or why there is none");
}
my $reasoned = judge($plain, '{"reasoning": true}', max_tokens => 60, logprobs => 'true');
like(verdict($reasoned, 'status, reasoning IS NOT NULL', $text), qr/^(?:ok\|t|truncated\|)/, 'reasoning in the schema');

# What fails.
my $short = judge($plain, '{}', max_tokens => 2);
is(verdict($short, 'label', $text), '', 'two tokens are no verdict');
like(failure($short), qr/^truncated\|The answer was cut off/, '... but truncated');
my $long = judge($plain, '{"max_chars": 100000}');
is(value($node, "SELECT label FROM gepa_verdict('$long', repeat('word ', 8000))"), '', 'a document beyond the context');
like(failure($long), qr/^too_long\|.*exceeds the available context size/, '... is too long');
my $nowhere = judge($plain . '/v2', '{}');
like((outcome($node, "SELECT gepa_judge('$nowhere', 'x')"))[1], qr/ERROR:  42704: .*HINT:  Check base_url/s, 'a wrong path is an error');

# A chat template of the Jinja kind, as the server has by default: its answers
# come in fences, which the tokens have and the content has not.
my $jinja = judge($thinking, '{}', max_tokens => 60, logprobs => 'true',
	extra_body => '{"chat_template_kwargs": {"enable_thinking": false}}');
is(value($node, "SELECT string_agg(item, ' ') FROM gepa.check_lm('$jinja') WHERE ok"),
	'reachable key model json_schema logprobs usage latency', 'jinja: everything works');
like(verdict($jinja, 'status, score NOT IN (0, 1)', $text), qr/^ok\|t$/, '... a score that is a probability');

# Thinking: reasoning_content, apart from the answer and from its tokens.
my $thinks = judge($thinking, '{}', max_tokens => 80, logprobs => 'true', extra_body => '{"thinking_budget_tokens": 12}');
like(verdict($thinks, 'status, length(reasoning) > 10', $text), qr/^ok\|t$/,
	'a model that thinks for a while: its thoughts are the reasoning');
my $endless = judge($thinking, '{}', max_tokens => 10);
is(verdict($endless, 'label', $text), '', 'one that never stops');
like(failure($endless), qr/^truncated\|/, '... is cut off');

# The same server by its Messages API, which does not hold answers to a schema.
my $messages = judge($thinking, '{}', api => 'anthropic', structured_output => 'text', max_tokens => 30,
	extra_body => '{"thinking": {"type": "enabled", "budget_tokens": 12}}');
like(verdict($messages, "status IN ('ok', 'unparseable', 'truncated')", $text), qr/^t$/, 'Messages API: an answer, or why there is none');
is(value($node, "SELECT string_agg(item, ' ') FROM gepa.check_lm('$messages') WHERE ok AND item = 'reachable'"), 'reachable', '... it is reached');

done_testing();
