# A session by PostgreSQL's own protocol, for single statements: to start a psql takes more
# than the server needs for most of what the tests ask.
#
#   my $wire = Gepa::Wire->new($node, 'postgres');     dies where the server does not take it
#   my ($out, $error) = $wire->ask('SELECT 1, NULL');   "1|", as psql -At writes it; no error: ''
#   $wire->end;                                         returns when the backend has gone
#   Gepa::Wire::can_ask($node, $sql)                    is it one statement that needs no psql?
package Gepa::Wire;

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;

sub can_ask
{
	my ($node, $sql) = @_;
	return $node->host =~ m{^/} && $sql !~ /;\s*\S|\\|^\s*COPY\b/i;
}

sub new
{
	my ($class, $node, $db) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port)
	  or die "could not connect: $!";
	my $self = bless { socket => $socket }, $class;
	my %about = (user => scalar getpwuid($>), database => $db, application_name => $ENV{PGAPPNAME} // $0);

	$about{options} = $ENV{PGOPTIONS} if defined $ENV{PGOPTIONS};

	$self->_send('', pack('N', 196608) . join("\0", %about, '', ''));
	my (undef, $error) = $self->_read;
	die "could not connect: $error" if $error;
	return $self;
}

sub _send
{
	my ($self, $type, $content) = @_;
	my $message = $type . pack('N', 4 + length $content) . $content;

	utf8::downgrade($message, 1) or utf8::encode($message);
	local $SIG{PIPE} = 'IGNORE';
	$self->{socket}->syswrite($message);
	return;
}

sub _bytes
{
	my ($self, $n) = @_;
	my $bytes = '';

	while (length $bytes < $n)
	{
		IO::Select->new($self->{socket})->can_read($PostgreSQL::Test::Utils::timeout_default)
		  or die 'timed out waiting for the server';
		$self->{socket}->sysread($bytes, $n - length $bytes, length $bytes) or die 'the server has closed the connection';
	}
	return $bytes;
}

# A DataRow as a line.
sub _line
{
	my ($row) = @_;
	my $at = 2;
	my @columns;

	for (1 .. unpack 'n', $row)
	{
		my $length = unpack 'l>', substr $row, $at, 4;
		push @columns, $length < 0 ? '' : substr $row, $at + 4, $length;
		$at += 4 + ($length < 0 ? 0 : $length);
	}
	return join '|', @columns;
}

# Until the server is ready, or has said why it will not be.
sub _read
{
	my ($self) = @_;
	my ($error, @lines) = '';

	while (1)
	{
		my ($type, $length) = unpack 'aN', $self->_bytes(5);
		my $content = $self->_bytes($length - 4);

		push @lines, _line($content) if $type eq 'D';
		my %fields = $type eq 'E' ? map { /^(.)(.*)$/s } split /\0/, $content : ();
		$error = "$fields{S}:  $fields{M}" if %fields;
		return (join("\n", @lines), $error) if $type eq 'Z' || ($fields{V} // '') eq 'FATAL';
	}
	return;
}

sub ask
{
	my ($self, $sql) = @_;

	$self->_send('Q', "$sql\0");
	return $self->_read;
}

sub end
{
	my ($self) = @_;

	$self->_send('X', '');
	eval { $self->_bytes(1) };
	close $self->{socket};
	return;
}

1;
