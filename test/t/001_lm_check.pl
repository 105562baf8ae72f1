# gepa.check_lm(): the first thing that a new user runs has to tell what works, and of
# whatever does not in one sentence what is wrong, and in one what to do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use IO::Socket::INET;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A certificate that nobody vouches for.
my $folder = PostgreSQL::Test::Utils::tempdir();
my $pem = "$folder/cert.pem";
system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
	'-subj', '/CN=localhost', '-keyout', "$pem.key", '-out', "$pem.crt");
append_to_file($pem, slurp_file("$pem.key") . slurp_file("$pem.crt"));

my $mock = Gepa::Mock->new(tls => $pem);
my $node = gepa_node('main', preload => 0);
my $lms = 0;

# A check in a session of its own: those that wait overlap.
sub start_check
{
	my ($model, %options) = @_;
	my $key = delete $options{key};
	my $lm = 'lm' . ++$lms;

	create_lm($node, $lm, $mock, $model, %options);
	value($node, "CREATE USER MAPPING FOR CURRENT_USER SERVER $lm" . ($key && " OPTIONS (api_key '$key')")) if defined $key;
	return background($node, "SELECT item, ok, detail FROM gepa.check_lm('$lm');");
}

# "item=ok" of all items, and the details.
sub end_check
{
	my ($out) = finish(@_);
	my @rows = map { [ split /\|/, $_, 3 ] } split /\n/, $out;

	return (join(' ', map { "$_->[0]=$_->[1]" } @rows), { map { @$_[ 0, 2 ] } @rows });
}

sub check
{
	return end_check(start_check(@_));
}

# Places where nothing good happens.  A backlog that is full drops what comes; a listener that
# nobody accepts from takes connections and is silent; one that says hello speaks no TLS.
my $closed = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
my @full = (IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1'));
push @full, map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full[0]->sockport, Blocking => 0) } 1 .. 4;
my $hole = '127.0.0.1:' . $full[0]->sockport;
my $mute = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1');
my $silent = '127.0.0.1:' . $mute->sockport;
my $plain = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
my $hello = IPC::Run::start([ 'python3', '-c', <<"PYTHON" ], '>', \my $up);
import socket
listener = socket.create_server(("127.0.0.1", ${\($plain =~ s/.*://r)}))
print("up", flush=True)
while True:
    connection, _ = listener.accept()
    connection.recv(1000)
    connection.sendall(b"SSH-2.0-hello\\r\\n")
    connection.close()
PYTHON
$hello->pump until $up;

my $tls = 'localhost:' . $mock->tls_port;
my $here = '127.0.0.1:' . $mock->port;
my $root = 'Correct base_url: it is the root of the API, and usually ends in /v1.';
append_to_file("$folder/empty", "\n");

# What fails => model, options of the server, the items, and what the last of them says; ROLE and
# lmN stand for names.
my %failures = (
	# no way to an answer
	'a name that does not resolve' => [ 'judge-rules', { base_url => 'https://no-such-host.invalid/v1' },
		'reachable=f', 'The host name "no-such-host.invalid" of base_url does not resolve.'
		  . ' Correct base_url, or make the name known to the resolver of the database server.' ],
	'nobody listens' => [ 'judge-rules', { base_url => "http://$closed/v1" },
		'reachable=f', "Nothing listens at $closed: the connection was refused."
		  . ' Start the endpoint, or correct host and port in base_url.' ],
	'no route' => [ 'judge-rules', { base_url => 'http://255.255.255.255:80/v1' },
		'reachable=f', '255.255.255.255:80 cannot be connected to from the database server.'
		  . ' Check the network between the two, or correct host and port in base_url.' ],
	'a black hole' => [ 'judge-rules', { base_url => "http://$hole/v1", connect_timeout => '0.3' },
		'reachable=f', "No connection to $hole stood within connect_timeout (0.3 s)."
		  . ' Let the database server through the firewall before it, or correct host and port in base_url.' ],
	'a private address' => [ 'judge-rules', { allow_private_address => 'false' },
		'reachable=f', 'The address of base_url is private, and the server does not allow that.'
		  . ' If this is intended, a superuser can set option allow_private_address of the server to true.' ],
	'no TLS' => [ 'judge-rules', { base_url => "https://$plain/v1" },
		'reachable=f', "$plain and the database server could not agree on TLS."
		  . ' Write http:// in base_url if the endpoint has no TLS; else it must speak TLS 1.2 or newer.' ],
	'a handshake that hangs' => [ 'judge-rules', { base_url => "https://$silent/v1", connect_timeout => '0.3' },
		'reachable=f', "$silent took the connection, and the TLS handshake did not end within connect_timeout (0.3 s)."
		  . ' Write http:// in base_url if the endpoint has no TLS; else see why it hangs.' ],
	'a certificate that nobody vouches for' => [ 'judge-rules', { base_url => "https://$tls/v1", key => 'sk-test-1234' },
		'reachable=f', 'The certificate of localhost is of no issuer that the database server trusts.'
		  . " Install the issuer's certificate in the system's store of the database server, or name it with option ca_file." ],
	'a proxy that is not there' => [ 'judge-rules', { proxy => "http://$closed" },
		'reachable=f', "The proxy that the server's options name does not let the call through."
		  . " Correct option proxy, let the proxy pass calls to $here, or drop the option." ],
	'a proxy that opens no tunnel' => [ 'judge-rules', { base_url => "https://$tls/v1", proxy => "http://$here" },
		'reachable=f', "The proxy that the server's options name does not let the call through."
		  . " Correct option proxy, let the proxy pass calls to $tls, or drop the option." ],
	'a proxy that wants a password' => [ 'judge-rules+407', { proxy => "http://$here" },
		'reachable=f', "The proxy that the server's options name does not let the call through."
		  . " Correct option proxy, let the proxy pass calls to $here, or drop the option." ],
	'... and that nobody named' => [ 'judge-rules+407', {},
		'reachable=f', 'A proxy between the two wants a password (HTTP 407), and gepa gives none.'
		  . " Have calls to $here let through, or name a proxy that wants no password with option proxy." ],
	'no answer in time' => [ 'judge-rules+hang', { request_timeout => '0.3' },
		'reachable=f', "$here took the request, and no whole answer came within request_timeout (0.3 s)."
		  . ' Raise request_timeout of the server, or see at the endpoint why it is slow.' ],
	'a connection that is closed' => [ 'judge-rules+drop', {},
		'reachable=f', "$here closed the connection before a whole answer had come."
		  . " See the endpoint's log; if it speaks TLS, write https:// in base_url." ],

	# keys
	'no key' => [ 'judge-rules+key-sk-wanted', {},
		'reachable=t key=f', 'The endpoint wants a key (HTTP 401), and role ROLE has none for this LM.'
		  . " CREATE USER MAPPING FOR ROLE SERVER lmN OPTIONS (api_key '...'), or have api_key_file set." ],
	'a mapping without a key' => [ 'judge-rules+key-sk-wanted', { key => '' },
		'reachable=t key=f', 'The endpoint wants a key (HTTP 401), and the user mapping of ROLE has none.'
		  . " ALTER USER MAPPING FOR ROLE SERVER lmN OPTIONS (ADD api_key '...'): a server that moves loses its keys." ],
	'a wrong key' => [ 'judge-rules+key-sk-wanted', { key => 'sk-test-1234' },
		'reachable=t key=f', 'The endpoint does not accept the key (HTTP 401).'
		  . ' Set the right one: api_key of the user mapping, or what api_key_file or api_key_env names.' ],
	'a key without the right' => [ 'judge-rules+403', { key => 'sk-test-1234' },
		'reachable=t key=f', 'The endpoint knows the key, and forbids the call (HTTP 403).'
		  . ' Have the provider give the key\'s account the right to model "judge-rules+403".' ],
	'a key file that is not there' => [ 'judge-rules', { api_key_file => "$folder/none" },
		'key=f', 'The key cannot be had: could not open api_key_file of LM "lmN": No such file or directory.'
		  . ' The file must be readable for the operating system user of the server.' ],
	'a key file without a key' => [ 'judge-rules', { api_key_file => "$folder/empty" },
		'key=f', 'The key cannot be had: api_key_file of LM "lmN" holds no usable key.'
		  . ' It must hold the key alone: printable ASCII characters without blanks.' ],
	'a variable that is not set' => [ 'judge-rules', { api_key_env => 'GEPA_NO_SUCH_KEY' },
		'key=f', 'The key cannot be had: environment variable of option api_key_env of LM "lmN" is not set.'
		  . ' Set it in the environment of the server, then restart.' ],

	# HTTP errors
	'an unknown model' => [ 'no-such-model', {},
		'reachable=t model=f', 'The endpoint has no model "no-such-model" (HTTP 404).'
		  . " Correct option model; http://$here/v1/models usually lists what there is." ],
	'a base_url that leads nowhere' => [ 'judge-rules', { base_url => "http://$here/wrong" },
		'reachable=t model=f', "There is no chat API at http://$here/wrong (HTTP 404). $root" ],
	'a base_url where nothing can be posted' => [ 'judge-rules+405', {},
		'reachable=t model=f', "There is no chat API at http://$here/v1 (HTTP 405). $root" ],
	'a schema that is not taken' => [ 'judge-rules+lacks-response_format', {},
		'reachable=t json_schema=f', 'The endpoint does not take structured_output json_schema (HTTP 400).'
		  . ' Set structured_output of the server to a weaker form: json_object, or text.' ],
	'log-probabilities that are refused' => [ 'judge-rules+lacks-logprobs', { logprobs => 'true' },
		'reachable=t logprobs=f', 'The endpoint refuses to give log-probabilities (HTTP 400).'
		  . ' Set logprobs of the server to false, or serve the model where they are given.' ],
	'an option that is not known' => [ 'judge-rules+lacks-seed', { seed => 7 },
		'reachable=t model=f', 'The endpoint answered HTTP 400: Unsupported parameter: seed.'
		  . " Take what the endpoint does not know out of the server's options, extra_body included." ],
	'a context that is too short' => [ 'judge-rules+toolong', {},
		'reachable=t model=f', 'The endpoint finds even this small request too long (HTTP 400).'
		  . ' Serve the model with a longer context, or raise the limit on request bodies before it.' ],
	'a body that is too long' => [ 'judge-rules+413', {},
		'reachable=t model=f', 'The endpoint finds even this small request too long (HTTP 413).'
		  . ' Serve the model with a longer context, or raise the limit on request bodies before it.' ],
	'too many calls' => [ 'judge-rules+429-s7', {},
		'reachable=t model=f', 'The endpoint takes no more calls for now (HTTP 429); it wants 7 s of rest.'
		  . ' Try again later; if it goes on, lower max_concurrency or ask the provider for a higher limit.' ],
	'too many calls, without Retry-After' => [ 'judge-rules+429-bare', {},
		'reachable=t model=f', 'The endpoint takes no more calls for now (HTTP 429); it does not say for how long.'
		  . ' Try again later; if it goes on, lower max_concurrency or ask the provider for a higher limit.' ],
	'a quota that is used up' => [ 'judge-rules+quota', {},
		'reachable=t model=f', 'The account of the key has no quota left (HTTP 429).'
		  . " Add credit, or raise the account's limit, at the provider." ],
	'an account without money' => [ 'judge-rules+402', {},
		'reachable=t model=f', 'The account of the key has no quota left (HTTP 402).'
		  . " Add credit, or raise the account's limit, at the provider." ],
	(map { ("what passes by itself: $_" => [ "judge-rules+$_", {},
			'reachable=t model=f', "The endpoint answered HTTP $_: The server had an error. Try again:"
			  . " judges' calls are tried again by themselves, a check is not; if it goes on, see the endpoint's log." ]) }
	  408, 409, 425),
	'an endpoint that fails' => [ 'judge-rules+503', {},
		'reachable=t model=f', 'The endpoint answered HTTP 503: The server had an error.'
		  . " See the endpoint's log; it may be overloaded, or still loading the model." ],
	'a redirect' => [ 'judge-rules+redirect-' . $mock->port, {},
		'reachable=t model=f', 'The endpoint sends elsewhere (HTTP 307), and redirects are not followed.'
		  . ' Set base_url to where it sends; often that is the same with https://.' ],

	# no answer of a model
	'a web page' => [ 'judge-rules+html', {}, 'reachable=t model=f', "A web page came instead of JSON. $root" ],
	'something else' => [ 'judge-rules+plain', {}, 'reachable=t model=f', "What came is no JSON. $root" ],
	'another JSON' => [ 'judge-rules+nochoices', {},
		'reachable=t model=f', 'What came is no whole chat completion.'
		  . ' Correct base_url and api; the endpoint must speak the dialect that api names.' ],
	'far too much' => [ 'judge-rules+huge', {},
		'reachable=t model=f', "What came is larger than any chat completion. $root" ],
	'a model that declines' => [ 'judge-rules+refusal', {},
		'reachable=t model=f', 'The model declined: I cannot help with that.'
		  . " Use another model, or loosen the provider's content filter: the question was harmless." ],
	'a filter' => [ 'judge-rules+filter', {},
		'reachable=t model=f', "The provider's content filter stopped the answer."
		  . " Use another model, or loosen the provider's content filter: the question was harmless." ],
	'nothing but thinking' => [ 'judge-rules+unclosed+length', {},
		'reachable=t model=f', 'The model thought until its tokens were used up, and answered nothing.'
		  . ' Raise max_tokens of the server, or lower reasoning_effort.' ],
	'thinking in a field of its own, and nothing else' => [ 'judge-rules+reasoning+empty', {},
		'reachable=t model=f', 'The model thought until its tokens were used up, and answered nothing.'
		  . ' Raise max_tokens of the server, or lower reasoning_effort.' ],
	'an empty answer' => [ 'judge-rules+empty', {},
		'reachable=t model=f', 'The model answered nothing.'
		  . ' Check its chat template, and what extra_body asks for (tools, stop words).' ]);

# What does not keep the rest from being seen => ..., the item that fails, and what it says.
my %flaws = (
	'an endpoint that ignores the schema' => [ 'judge-rules+noschema', {}, 'json_schema',
		qr/^The answer does not keep to the schema: Label: \w+\. Try another structured_output, or another model\.$/ ],
	'too few tokens allowed' => [ 'judge-rules+length', {}, 'json_schema',
		'The answer was cut off by the limit on output tokens.'
		  . ' Raise max_tokens of the server; a model that thinks needs room for it.' ],
	'log-probabilities that are not given' => [ 'judge-rules+nologprobs', {}, 'logprobs',
		'The endpoint gives no usable log-probabilities, though logprobs is on; scores will be 0 or 1.'
		  . ' Serve the model where they are given, or set logprobs of the server to false.' ],
	'log-probabilities that make no sense' => [ 'judge-rules+badlogprobs', {}, 'logprobs',
		'The endpoint gives no usable log-probabilities, though logprobs is on; scores will be 0 or 1.'
		  . ' Serve the model where they are given, or set logprobs of the server to false.' ],
	'log-probabilities that were not asked for' => [ 'judge-rules', { logprobs => 'false' }, 'logprobs',
		'Not asked for. Set logprobs of the server to true to get probabilities as scores.' ],
	'no usage' => [ 'judge-rules+nousage', {}, 'usage',
		'The endpoint does not say how many tokens it used; tokens and costs will read 0.'
		  . ' Have it report usage, or watch costs at the provider.' ],
	'a slow endpoint' => [ 'judge-rules+slow-1500', { request_timeout => 5 }, 'latency',
		qr/^This small request took \d+ ms, more than a quarter of request_timeout; documents take longer\. Raise request_timeout, lower max_concurrency, or give the endpoint a faster model\.$/ ],
);

my @all = qw(reachable key model json_schema logprobs usage latency);
my $role = value($node, 'SELECT quote_ident(current_user)');

for my $what (sort keys %failures)
{
	my ($model, $options, $expected, $text) = @{ $failures{$what} };
	my ($items, $detail) = check($model, %$options);

	is($items, $expected, $what);
	is($detail->{ ($expected =~ /(\w+)=f$/)[0] }, $text =~ s/ROLE/$role/gr =~ s/lmN/lm$lms/gr,
		'... and what to do');
	unlike(join(' ', values %$detail), qr/sk-test-1234/, '... without the key') if $options->{key};
}

for my $what (sort keys %flaws)
{
	my ($model, $options, $item, $text) = @{ $flaws{$what} };
	my ($items, $detail) = check($model, logprobs => 'true', %$options);

	is($items, join(' ', map { "$_=" . ($_ eq $item ? 'f' : 't') } @all), $what);
	(ref $text ? \&like : \&is)->($detail->{$item}, $text, '... and what to do');
}

$mock->reset;
my ($items, $detail) = check('judge-rules', logprobs => 'true', key => 'sk-test-1234');
is($items, join(' ', map { "$_=t" } @all), 'an endpoint that can do everything');
is($detail->{reachable}, "http://$here/v1 answered HTTP 200.", '... is where it was said to be');
is($detail->{key}, 'A key is set, and the endpoint did not refuse it.', '... takes the key');
like($detail->{usage}, qr/^\d+ input and \d+ output tokens\.$/, '... says what it used');
like($detail->{latency}, qr/^\d+ ms\.$/, '... and how fast it is');
is($mock->journal->{by_model}{'judge-rules'}{requests}, 1, '... with one request');
is((check('judge-rules'))[1]{key}, 'No key is set, and the endpoint asked for none.', 'no key, and none is wanted');
check('judge-rules+500');
is($mock->journal->{by_model}{'judge-rules+500'}{requests}, 1, 'what fails is not tried again');

$hello->kill_kill;
done_testing();
