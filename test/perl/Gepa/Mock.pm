# The mock LM server (test/mock) as an object of a TAP test.
#
#   my $mock = Gepa::Mock->new;
#   my $mock = Gepa::Mock->new(tls => $pem);    a port with TLS beside: $mock->tls_port
#   Gepa::Mock->new(tls => $pem, client_ca => $ca, unix => $path)    wants a client's certificate; a socket beside
#   $mock->url                      base_url for CREATE SERVER
#   $mock->journal                  what arrived: see test/mock/README.md
#   $mock->requests                 the same as a list of single requests
#   $mock->texts                    { model => { document => how often it came } }
#   $mock->meet(2)                  answers wait until two requests are in flight at a time, once
#   $mock->bear(8), $mock->bear     429 for what is more than eight in flight, no longer
#   $mock->reset, $mock->gate(open => 1), $mock->gate(pass => 3)
#   $mock->wait_for(sub { $_->{waiting} == 3 }, 'three at the gate')
#   $mock->stop, $mock->kill        it also ends with the test
#   $mock->restart                  killed, and back at its port without memory
package Gepa::Mock;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use HTTP::Tiny;
use IO::Handle;
use IPC::Open2;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(usleep);

my $server = abs_path(dirname(__FILE__) . '/../../mock/server.py');

sub new
{
	my ($class, %options) = @_;
	my $self = bless {}, $class;

	my %flags = (tls => '--tls', client_ca => '--client-ca', unix => '--unix');
	$self->_start(map { ($flags{$_}, $options{$_}) } grep { $options{$_} } sort keys %flags);
	return $self;
}

sub _start
{
	my ($self, @arguments) = @_;
	my ($out, $in);
	my $pid = open2($out, $in, 'python3', $server, @arguments);
	my $ports = <$out>;

	die "the mock server did not start" unless defined $ports && $ports =~ /^(\d+)(?: (\d+))?$/;
	%$self = (pid => $pid, in => $in, out => $out, port => 0 + $1, tls_port => $2);
	return;
}

sub port { return $_[0]->{port}; }

sub tls_port { return $_[0]->{tls_port}; }

sub url
{
	my $self = shift;
	return "http://127.0.0.1:$self->{port}/v1";
}

sub _call
{
	my ($self, $method, $path, $body) = @_;
	my %content = defined $body ? (content => JSON::PP::encode_json($body)) : ();
	my $response =
	  HTTP::Tiny->new->request($method, "http://127.0.0.1:$self->{port}$path", \%content);

	die "$method $path: $response->{status} $response->{content}" unless $response->{success};
	return JSON::PP::decode_json($response->{content});
}

sub journal { return $_[0]->_call('GET', '/_journal'); }

sub requests { return @{ $_[0]->_call('GET', '/_journal?full=1')->{list} }; }

sub texts { return $_[0]->_call('GET', '/_journal?texts=1')->{texts}; }

# Who is alone for so many seconds is answered.
sub meet
{
	my ($self, $count, $patience) = @_;

	$self->_call('POST', '/_meet', { count => $count, patience => $patience // 1 });
	return;
}

# How many requests it can do with at a time: more get 429, with so many seconds as
# Retry-After; without arguments all are answered.
sub bear
{
	my ($self, $limit, $retry_after) = @_;
	my %bears = (defined $limit ? (limit => $limit) : (), defined $retry_after ? (retry_after => $retry_after) : ());

	$self->_call('POST', '/_bear', \%bears);
	return;
}

sub reset { $_[0]->_call('POST', '/_reset', {}); return; }

# gate(open => 1), gate(open => 0), gate(pass => 3)
sub gate
{
	my ($self, $what, $value) = @_;

	$value = $value ? JSON::PP::true : JSON::PP::false if $what eq 'open';
	$self->_call('POST', '/_gate', { $what => $value });
	return;
}

# Poll the journal, as $_, until the condition holds.
sub wait_for
{
	my ($self, $condition, $what) = @_;

	for (1 .. 1200)
	{
		local $_ = $self->journal;
		return 1 if $condition->();
		usleep(50_000);
	}
	diag("waited in vain for $what: " . JSON::PP::encode_json($self->journal));
	return 0;
}

sub _end
{
	my ($self, $signal) = @_;

	return unless $self->{pid};
	local $?;
	CORE::kill($signal, $self->{pid});
	waitpid($self->{pid}, 0);
	$self->{pid} = 0;
	return;
}

sub stop { $_[0]->_end('TERM'); return; }

sub kill { $_[0]->_end('KILL'); return; }

sub restart
{
	my ($self) = @_;

	$self->kill;
	$self->_start('--port', $self->{port});
	return;
}

sub DESTROY { $_[0]->_end('TERM'); return; }

1;
