# nginx in front of the mock LM: the endpoint that speaks HTTP/2.
#
#   my $front = Gepa::Front->new($mock, streams => 100);    TLS with ALPN, its own certificate
#   $front->url                     base_url, https
#   $front->ca                      the certificate that vouches for it
#   $front->calls                   [ { connection, protocol, status }, ... ] of what it has finished
#   $front->stop                    it also ends with the test
package Gepa::Front;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

sub new
{
	my ($class, $mock, %options) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir_short();
	my $self = bless { folder => $folder, port => PostgreSQL::Test::Cluster::get_free_port() }, $class;

	system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost',
		'-addext', 'subjectAltName=DNS:localhost', '-keyout', "$folder/front.key", '-out', "$folder/front.crt");
	append_to_file("$folder/nginx.conf", $self->_conf($mock->port, $options{streams} // 128));
	system_or_bail(_nginx(), '-p', $folder, '-e', "$folder/error.log", '-c', "$folder/nginx.conf");
	return $self;
}

# Where Debian puts it is not on every user's path.
sub _nginx
{
	my ($nginx) = grep { -x } map { "$_/nginx" } split(/:/, $ENV{PATH}), '/usr/sbin';
	die 'nginx is not installed' unless $nginx;
	return $nginx;
}

sub _conf
{
	my ($self, $mock, $streams) = @_;
	my $folder = $self->{folder};
	my $paths = join '', map { "\t${_}_temp_path $folder/$_;\n" } qw(client_body proxy fastcgi uwsgi scgi);

	return <<"END";
worker_processes 1;
pid $folder/pid;
error_log $folder/error.log;
events { worker_connections 2048; }
http {
$paths	log_format calls '\$connection \$server_protocol \$status';
	access_log $folder/access.log calls;
	http2_max_concurrent_streams $streams;
	keepalive_requests 100000;
	upstream mock { server 127.0.0.1:$mock; keepalive 256; }
	server {
		listen 127.0.0.1:$self->{port} ssl http2;
		ssl_certificate $folder/front.crt;
		ssl_certificate_key $folder/front.key;
		location / {
			proxy_pass http://mock;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_read_timeout 600s;
		}
	}
}
END
}

sub url { return "https://localhost:$_[0]->{port}/v1"; }

sub ca { return "$_[0]->{folder}/front.crt"; }

sub calls
{
	my ($self) = @_;
	my @lines = -e "$self->{folder}/access.log" ? split(/\n/, slurp_file("$self->{folder}/access.log")) : ();

	return [ map { my %call; @call{qw(connection protocol status)} = split / /; \%call } @lines ];
}

sub stop
{
	my ($self) = @_;

	return unless -e "$self->{folder}/pid";
	local $?;
	my $pid = slurp_file("$self->{folder}/pid") + 0;
	kill 'TERM', $pid;
	for (1 .. 200)
	{
		last unless kill 0, $pid;
		usleep(50_000);
	}
	return;
}

sub DESTROY { $_[0]->stop; return; }

1;
