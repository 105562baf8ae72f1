# Ways to an endpoint that options choose: who vouches for it, what we show of
# ourselves, a socket in place of an address.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir_short();

sub openssl
{
	system_or_bail('openssl', @_);
	return;
}

# An authority, and what it signs: NAME.crt with the key NAME.key.
sub authority
{
	my ($name) = @_;
	openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', "/CN=$name",
		'-keyout', "$folder/$name.key", '-out', "$folder/$name.crt");
	return;
}

sub certificate
{
	my ($name, $authority) = @_;
	openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', "/CN=$name", '-keyout', "$folder/$name.key", '-out', "$folder/$name.csr");
	append_to_file("$folder/$name.ext", "subjectAltName=DNS:localhost\n");
	openssl('x509', '-req', '-in', "$folder/$name.csr", '-CA', "$folder/$authority.crt", '-CAkey', "$folder/$authority.key",
		'-CAcreateserial', '-days', '2', '-extfile', "$folder/$name.ext", '-out', "$folder/$name.crt");
	append_to_file("$folder/$name.pem", slurp_file("$folder/$name.key") . slurp_file("$folder/$name.crt"));
	return;
}

authority($_) for qw(ours theirs);
certificate('server', 'ours');
certificate('client', 'ours');
certificate('stranger', 'theirs');
openssl('rsa', '-aes128', '-passout', 'pass:x', '-in', "$folder/client.key", '-out', "$folder/locked.key");

my $mock = Gepa::Mock->new(tls => "$folder/server.pem", unix => "$folder/lm.sock");
my $strict = Gepa::Mock->new(tls => "$folder/server.pem", client_ca => "$folder/ours.crt");
my $node = gepa_node('main');

# Ends a handshake as endpoints do that want a certificate: with an alert.
my $alert_port = PostgreSQL::Test::Cluster::get_free_port();
my $alert = IPC::Run::start([ 'openssl', 's_server', '-accept', $alert_port, '-quiet', '-cert', "$folder/server.crt",
		'-key', "$folder/server.key", '-CAfile', "$folder/ours.crt", '-Verify', '1', '-verify_return_error' ],
	'<', \undef, '>', '/dev/null', '2>', '/dev/null');
END { local $?; $alert->kill_kill if $alert; }

sub judge_at
{
	my ($endpoint, %options) = @_;
	return judge_on($node, $endpoint, 'judge-fixed-true', base_url => 'https://localhost:' . $endpoint->tls_port . '/v1', %options);
}

sub answer
{
	my ($judge, $text) = @_;
	my ($out, $err) = outcome($node, "SELECT gepa_judge('$judge', '" . ($text // 'text') . "')");
	return $out || $err;
}

# Who vouches for the endpoint.
my %ours = (ca_file => "$folder/ours.crt");
my $no_ca = qr/ERROR:  08006: .*DETAIL:  The endpoint's certificate was not accepted: .*HINT:  .*ca_file/s;
my $no_file = qr/ERROR:  F0000: .*DETAIL:  A certificate or key file cannot be used: .*HINT:  Check ca_file, client_cert and client_key/s;
like(answer(judge_at($mock)), $no_ca, 'an issuer that the system does not know');
is(answer(judge_at($mock, %ours)), 't', '... is known with ca_file');
like(answer(judge_at($mock, ca_file => "$folder/theirs.crt")), $no_ca, 'another issuer is not enough');
like(answer(judge_at($mock, ca_file => "$folder/nothing.crt")), $no_file, 'a ca_file that is not there');
like(answer(judge_at($mock, ca_file => "$folder/ours.key")), $no_file, '... or is no certificate');
like(answer(judge_on($node, $mock, 'judge-fixed-true', base_url => 'https://127.0.0.1:' . $mock->tls_port . '/v1', %ours)),
	$no_ca, 'the name still has to be the one in the certificate');

# What we show of ourselves.
my %client = (client_cert => "$folder/client.crt", client_key => "$folder/client.key");
my $refused = qr/ERROR:  28000: .*DETAIL:  The endpoint wants another client certificate: .*HINT:  Set client_cert/s;
my %alert = (%ours, base_url => "https://localhost:$alert_port/v1");
like(answer(judge_at($strict, %alert)), $refused, 'an endpoint that wants a certificate');
like(answer(judge_at($strict, %alert, client_cert => "$folder/stranger.pem")), $refused, '... not that of another issuer');
my $with = judge_at($strict, %ours, %client);
is(answer($with), 't', '... takes ours');
is(answer(judge_at($strict, %ours, client_cert => "$folder/client.pem")), 't', '... also with the key in the same file');
like(answer(judge_at($strict, %ours, %client, client_key => "$folder/nothing.key")), $no_file, 'a key that is not there');
like(answer(judge_at($strict, %ours, %client, client_key => "$folder/stranger.key")), $no_file, '... or belongs to another certificate');
like(answer(judge_at($strict, %ours, %client, client_key => "$folder/locked.key")), $no_file, '... or has a passphrase: nobody is asked for it');
is(value($node, "SELECT string_agg(item, ' ') FILTER (WHERE ok) FROM gepa.check_lm('$with')"),
	'reachable key model usage latency', 'check_lm likes it');

# One session: a connection with a certificate is not used for those without.
my $without = judge_at($strict, %ours);
$strict->reset;
like((outcome($node, "SELECT gepa_judge('$with', 'one'); SELECT gepa_judge('$without', 'two');"))[0],
	qr/^t\n?$/, 'the judge with the certificate is answered, that without it is not, in the same session');
is($strict->journal->{requests}, 1, '... nor heard');

# A socket in the file system: no address that could be refused, the URL's host is a name only.
my %socket = (base_url => 'http://lm.invalid/v1', unix_socket => "$folder/lm.sock", allow_private_address => undef);
my $local = judge_on($node, $mock, 'judge-fixed-true', %socket);
is(answer($local), 't', 'an endpoint at a socket');
is(($mock->requests)[-1]{headers}{host}, 'lm.invalid', '... is told the host of base_url');
my $nowhere = judge_on($node, $mock, 'judge-fixed-true', %socket, unix_socket => "$folder/no.sock");
is(answer($nowhere), '', 'a socket that is not there is no verdict');
like(value($node, "SELECT status, detail FROM gepa.verdict_errors WHERE judge = '$nowhere'"),
	qr/^http_error\|The endpoint cannot be reached/, '... and says so');
like((outcome($node, "SELECT gepa_judge('$local', 'three'); SELECT gepa_judge('$nowhere', 'four');"))[0],
	qr/^t\n?$/, 'a connection to one socket is not used for another');

# All of them make the server reach for what the user may not.
value($node, 'CREATE ROLE owner; GRANT USAGE ON FOREIGN DATA WRAPPER gepa_lm TO owner');
my %values = (allow_private_address => 'true', proxy => 'http://h:3128');
for my $option (qw(ca_file client_cert client_key unix_socket api_key_file api_key_env allow_private_address proxy))
{
	my $value = $values{$option} // '/tmp/x';

	like((outcome($node, qq{SET ROLE owner; CREATE SERVER own FOREIGN DATA WRAPPER gepa_lm
			OPTIONS (base_url 'https://h/v1', model 'm', $option '$value')}))[1],
		qr/ERROR:  42501: permission denied to set option "$option"/, "$option is privileged");
}
value($node, qq{ALTER SERVER "$local" OWNER TO owner; ALTER SERVER "$with" OWNER TO owner});
for my $server ($local, $with)
{
	like((outcome($node, qq{SET ROLE owner; ALTER SERVER "$server" OPTIONS (SET base_url 'http://elsewhere/v1')}))[1],
		qr/ERROR:  42501: permission denied/, '... and so is to alter a server that has it');
}

done_testing();
