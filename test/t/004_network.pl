# Where a call may go: to the base_url of its own LM, directly, at an address that
# is allowed, over TLS that can be trusted; and nowhere else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A certificate that nobody vouches for.
my $pem = PostgreSQL::Test::Utils::tempdir() . '/cert.pem';
system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
	'-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost',
	'-keyout', "$pem.key", '-out', "$pem.crt");
append_to_file($pem, slurp_file("$pem.key") . slurp_file("$pem.crt"));

my $mock = Gepa::Mock->new(tls => $pem);
my $elsewhere = Gepa::Mock->new;
my $port = $mock->port;

# A server whose environment names a proxy for everything.
my $node;
{
	my $proxy = 'http://127.0.0.1:' . $elsewhere->port;
	local %ENV = (%ENV, map { ($_ => $proxy) } qw(http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY));
	delete @ENV{qw(no_proxy NO_PROXY)};
	$node = gepa_node('main');
}
my $judge = judge_on($node, $mock, 'judge-fixed-true');
is(value($node, "SELECT gepa_judge('$judge', 'direct')"), 't', 'a call');
is($mock->journal->{requests}, 1, '... goes to its base_url');
is($elsewhere->journal->{requests}, 0, '... and not to the proxy that the environment names');

# Redirects.
my $moved = judge_on($node, $mock, 'judge-fixed-true+redirect-' . $elsewhere->port);
like((outcome($node, "SELECT gepa_judge('$moved', 'text')"))[1],
	qr/ERROR:  38000: .*\nDETAIL:  The endpoint answered HTTP 307.\nHINT:  Redirects are not followed; set base_url/,
	'a redirect is an error');
is($elsewhere->journal->{requests}, 0, '... and is not followed');

# Addresses, in all the ways they can be written.
my $lms = 0;
$mock->reset;
for my $host (
	qw(127.0.0.1 127.1 2130706433 0x7f000001 0177.0.0.1 localhost 0.0.0.0 [::] [::1] [::ffff:127.0.0.1]
	[::ffff:7f00:1] [::127.0.0.1] [64:ff9b::127.0.0.1] [2002:7f00:1::] 10.1.2.3 100.64.0.1 169.254.169.254
	172.16.0.1 192.168.1.1 [fd00::1] [fe80::1] [::ffff:169.254.169.254]
	[::ffff:0:127.0.0.1] [64:ff9b:1::7f00:1] 168.63.129.16))
{
	my $lm = 'private' . ++$lms;

	create_lm($node, $lm, $mock, 'judge-fixed-true',
		base_url => "http://$host:$port/v1", allow_private_address => undef);
	like(value($node, "SELECT * FROM gepa.check_lm('$lm')"),
		qr/^reachable\|f\|The address of base_url is private.*allow_private_address/, "$host is refused");
}
is($mock->journal->{connections}, 0, 'nothing was sent');

# ... also over a connection that an LM to which it is allowed has opened.
value($node, q{SELECT gepa.create_judge('refused', 'private1', 'Is it good?')});
my ($out, $err) = outcome($node, "SELECT gepa_judge('$judge', 'text 1'); SELECT gepa_judge('refused', 'text 2');");
is($out, 't', 'one LM may');
like($err, qr/ERROR:  42501: .*\nDETAIL:  The address of base_url is private.*\nHINT:  .*allow_private_address/,
	'... the other may not, though the connection is there');
is($mock->journal->{requests}, 1, '... and sends nothing');

# TLS.
my $untrusted = judge_on($node, $mock, 'judge-fixed-true', base_url => 'https://localhost:' . $mock->tls_port . '/v1');
value($node, qq{CREATE USER MAPPING FOR CURRENT_USER SERVER "$untrusted" OPTIONS (api_key 'sk-untrusted')});
$mock->reset;
like((outcome($node, "SELECT gepa_judge('$untrusted', 'text')"))[1],
	qr/ERROR:  08006: .*\nDETAIL:  The endpoint's certificate was not accepted: .*self.signed.*\nHINT:  Install the issuer/,
	'a certificate that cannot be verified is an error');
is($mock->journal->{requests}, 0, '... and no request, with no key, was sent');
like(value($node, "SELECT * FROM gepa.check_lm('$untrusted')"), qr/^reachable\|f\|.*certificate/, 'check_lm says so');

done_testing();
