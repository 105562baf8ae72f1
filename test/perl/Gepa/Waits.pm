# The waits of a session, made to last: the test, and nothing else, ends them.
#
#   my $waits = Gepa::Waits->new($mock);         before the server: it inherits the environment
#   Gepa::Waits->new($mock, rows => 20)          those of judging, and of so many rows where it can be
#   $waits->prepare($node);                      LMs, judges and a run, for each wait what it needs
#   $waits->names, $waits->network               all; those for an LM
#   $waits->statement($name)                     SQL that waits so
#   $waits->judge($name)                         the judge that is asked in it
#   $waits->another_lm($node, $name)             an LM like that in it
#   $waits->good                                 SQL that answers t
#   my $sessions = $waits->begin($node, sub { "SET x = ..;" });    name -> session that waits so,
#                                                SQL before the statement by name
#   $waits->session($node)                       one that does not wait
#   $waits->left($name, $session)                what is left of it on the other side: '' = nothing;
#                                                all => 1 when all sessions were ended
#   $waits->release                              writer and resolver go on, who holds something up ends
#   $waits->works($session)                      what is wrong with a session afterwards: '' = nothing
#   $waits->timed($cause, $name, sub { ... })    runs what ends a wait and sees its end
#   $waits->took($cause, $name, $seconds)        ... or where that was measured in another way
#   $waits->say_slowest                          for the log of the test; nothing depends on it
#   until_true(sub { ... }, 'what', $pause_us); threads($pid)
#   ended($session)                              what it says until it prints "ended", as begin()'s do
#
# A resolver that hangs: HOSTALIASES names a pipe that nobody writes to, which
# getaddrinfo() reads before it asks a name server.  That needs no privilege, and
# ends when the test wants it to.  A black hole: a port whose queue is full, where
# the kernel drops whoever asks for a connection.  A deaf port: nobody reads.
package Gepa::Waits;

use strict;
use warnings;

use Exporter qw(import);
use Fcntl;
use Gepa::Run;
use Gepa::Test;
use IO::Select;
use IO::Socket::INET;
use POSIX qw(mkfifo);
use PostgreSQL::Test::Utils;
use Socket qw(SOL_SOCKET SO_RCVBUF MSG_PEEK MSG_DONTWAIT INADDR_LOOPBACK pack_sockaddr_in);
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(until_true threads ended);

my $long_text = 10_000_000;    # more than the buffers of a connection hold
my %patient = (connect_timeout => 600, request_timeout => 600);
my $kept = 16;                 # connections to an LM: as many as its max_concurrency
my $texts = 0;

sub until_true
{
	my ($condition, $what, $pause) = @_;

	$pause //= 20_000;
	for (1 .. 60_000_000 / $pause)
	{
		return 1 if $condition->();
		usleep($pause);
	}
	diag("waited in vain for $what");
	return 0;
}

sub threads { return scalar(my @tasks = glob "/proc/$_[0]/task/*"); }

# What a process has open, by kind.  Files are left out: fd.c opens and closes
# those of tables as it likes.
sub descriptors
{
	my %kinds;

	$kinds{ s/:\[\d+\]$//r }++ for grep { !m{^/} } map { readlink // () } glob "/proc/$_[0]/fd/*";
	return join ', ', map { "$kinds{$_} $_" } sort keys %kinds;
}

# -- the other sides

sub deaf_port
{
	my ($queue, $buffer) = @_;
	my $port = IO::Socket::INET->new(Proto => 'tcp') or die $!;

	setsockopt($port, SOL_SOCKET, SO_RCVBUF, pack('i', $buffer)) if $buffer;
	bind($port, pack_sockaddr_in(0, INADDR_LOOPBACK)) or die $!;
	listen($port, $queue) or die $!;
	return $port;
}

# As many connections as find room in the queue.
sub black_hole
{
	my $port = deaf_port(0);
	my @full;

	for (1 .. 64)
	{
		my $one = IO::Socket::INET->new(Proto => 'tcp', Blocking => 0) or die $!;
		connect($one, getsockname($port));
		return ($port, @full) unless IO::Select->new($one)->can_write(0.5);
		push @full, $one;
	}
	die 'a port without a queue takes any number of connections';
}

# Connections to a port that are asked for and not answered.
sub asking
{
	my ($port) = @_;
	my $row = sprintf ':%04X 02 ', $port->sockport;

	open my $file, '<', '/proc/net/tcp' or die $!;
	return scalar grep { /$row/ } <$file>;
}

sub peek
{
	my ($port, $session) = @_;
	my $data = '';

	$session->{caller} //= IO::Select->new($port)->can_read(0) && $port->accept or return '';
	recv($session->{caller}, $data, 16, MSG_PEEK | MSG_DONTWAIT);
	return $data;
}

# Read what was sent to the end, which comes when the call is given up.
sub rest
{
	my ($session) = @_;
	my ($bytes, $n, $data) = (0);

	do
	{
		return 'a connection that stays open' unless IO::Select->new($session->{caller})->can_read(60);
		$n = sysread($session->{caller}, $data, 1 << 20);
		$bytes += $n // 0;
	} while ($n);
	return $bytes < $long_text ? '' : 'a whole request';
}

sub _counts { my ($self, $model) = @_; return $self->{mock}->journal->{by_model}{$model} // {}; }

sub new
{
	my ($class, $mock, %options) = @_;
	my $self = bless { mock => $mock, rows => $options{rows} // 1, pipe => PostgreSQL::Test::Utils::tempdir() . '/aliases', stopped => 0, holders => [] }, $class;

	mkfifo($self->{pipe}, 0600) or die $!;
	$ENV{HOSTALIASES} = $self->{pipe};
	$self->{tls} = deaf_port(64);
	$self->{unread} = deaf_port(64, 4096);
	($self->{hole}, @{ $self->{full} }) = black_hole();
	until_true(sub { !asking($self->{hole}) }, 'a black hole at rest');
	$self->{waits} = { $self->_network, $self->_local };
	delete @{ $self->{waits} }{ grep { $self->{waits}{$_}{sql} } keys %{ $self->{waits} } } if $options{rows};
	return $self;
}

# -- the table.  seen: it waits so.  left: what is left of it when it has been ended.

sub _on_mock
{
	my ($self, $modifier, $count, %more) = @_;
	my $model = ($more{base} // 'judge-fixed-true') . "+$modifier";

	return {
		model => $model,
		seen => sub { ($self->_counts($model)->{$count} // 0) >= ($more{least} // 1) },
		left => sub {
			until_true(sub { !$self->_counts($model)->{in_flight} }, 'none in flight');
			my $counts = $self->_counts($model);
			return join ', ', map { "$counts->{$_} $_" } grep { $counts->{$_} } qw(in_flight answered);
		},
		%more };
}

sub _network
{
	my ($self) = @_;
	my $url = sub { return 'http://127.0.0.1:' . $self->{ $_[0] }->sockport . '/v1'; };

	return (
		'the resolver' => {
			url => 'http://nonesuch:80/v1',
			seen => sub { threads($_[0]{pid}) > 1 },
			left => sub { '' } },
		'a connection' => {
			url => $url->('hole'),
			seen => sub { asking($self->{hole}) },
			left => sub { until_true(sub { !asking($self->{hole}) }, 'nobody asking') ? '' : 'an open call' } },
		'the handshake' => {
			url => $url->('tls') =~ s/http/https/r,
			seen => sub { peek($self->{tls}, $_[0]) =~ /^\x16/ },
			left => \&rest },
		'its request to be read' => {
			url => $url->('unread'), many => 1, text => "repeat('long ', $long_text / 5)", judge => "{\"max_chars\": $long_text}",
			seen => sub { peek($self->{unread}, $_[0]) =~ /^POST/ },
			left => \&rest },
		'the first byte' => $self->_on_mock('hang', 'in_flight', least => $self->{rows}),
		'the body' => $self->_on_mock('drip-200', 'in_flight', least => $self->{rows}),
		'the next attempt' => $self->_on_mock('500', 'completed', many => 1000),
		'Retry-After' => { %{ $self->_on_mock('429-s60', 'completed') }, seen => sub { $self->_held('Retry-After') } });
}

# What one session was told holds for all, so not each of them is told.
sub _held
{
	my ($self, $name) = @_;
	return value($self->{node}, "SELECT count(*) FROM gepa.lm_stats WHERE lm = '$self->{waits}{$name}{name}' AND held_until > now()");
}

# Another session's call, which does not end, has what is waited for: a place, or the
# lease of the text.  It is the only one that is ever sent.
sub _behind
{
	my ($self, $modifier, $event) = @_;
	my $wait = $self->_on_mock("hang+$modifier", 'in_flight');
	my $count = sub { my $counts = $self->_counts($wait->{model}); return $counts->{requests} // 0; };

	return { %$wait, event => $event, behind => 1, left_by_all => $wait->{left},
		left => sub { my $n = $count->(); return $n == 1 ? '' : "$n calls"; } };
}

# Waits inside of the server; what they have been answered stays theirs.
sub _local
{
	my ($self) = @_;

	# two fit, the third is in hand, and the others have been answered meanwhile
	my $ring = $self->_on_mock('long-100000', 'answered', base => 'judge-rules', least => 9);

	return (
		'room in the ring' => { %$ring, event => 'GepaRingSpace', judge => '{"reasoning": true}', many => 9, turn => 2,
			left => sub { my $n = $self->_counts($ring->{model})->{answered}; $n == 9 ? '' : "$n answers" } },
		'the writer, at commit' => { %{ $self->_on_mock('think', 'answered') },
			event => 'GepaVerdictsWritten', left => sub { '' }, turn => 1 },
		'a place' => { %{ $self->_behind('nousage', 'GepaLmSlot') }, limit => 1 },
		'another\'s answer' => { %{ $self->_behind('choices', 'GepaLease') }, text => "'the same'", many => 1 },
		'a run' => { sql => 'SELECT gepa.wait(1)', event => 'GepaRunChange', seen => sub { 1 }, left => sub { '' } },
		'a run of its own' => { sql => "SELECT gepa.optimize('j', 'labels', NULL, 100)", event => 'GepaRunChange',
			seen => sub { $_[0]{err} =~ /run \d+ started/ }, left => sub { '' } });
}

sub names { return sort keys %{ $_[0]->{waits} }; }

sub network { my $self = shift; return grep { !$self->{waits}{$_}{event} } $self->names; }

sub _judge
{
	my ($self, $node, $wait) = @_;

	return judge_on($node, $self->{mock}, $wait->{model} // 'judge-fixed-true', %patient,
		$wait->{limit} ? (max_concurrency => $wait->{limit}) : (), $wait->{url} ? (base_url => $wait->{url}) : (),
		judge_options => $wait->{judge} // '{}');
}

sub prepare
{
	my ($self, $node) = @_;

	$self->{node} = $node;
	$self->{good} = judge_on($node, $self->{mock}, 'judge-fixed-true');
	$_->{name} = $self->_judge($node, $_) for grep { !$_->{sql} } values %{ $self->{waits} };
	prepare_tuning($node, $self->{mock}, model => 'judge-rules+gate');
	start_run($node, reflection_lm => undef, budget => 100);
	return;
}

sub statement
{
	my ($self, $name) = @_;
	my $wait = $self->{waits}{$name};
	my $text = $wait->{text} // "'text @{[ ++$texts ]}'";

	return "$wait->{sql};" if $wait->{sql};
	return "SELECT count(gepa_judge('$wait->{name}', $text || i)) FROM generate_series(1, @{[ $wait->{many} // $self->{rows} ]}) i;";
}

sub judge { my ($self, $name) = @_; return $self->{waits}{$name}{name}; }

sub another_lm { my ($self, $node, $name) = @_; return $self->_judge($node, $self->{waits}{$name}); }

sub good { my ($self) = @_; return "SELECT gepa_judge('$self->{good}', 'text @{[ ++$texts ]}');"; }

# -- sessions

sub say_and_pump
{
	my ($session, $sql) = @_;

	$session->{in} .= "$sql\n\\echo done\n";
	$session->{run}->pump until $session->{out} =~ s/done\n$//;
	return;
}

sub ended
{
	my ($session) = @_;

	$session->{run}->pump until $session->{out} =~ s/ended\n$//;
	return "$session->{out}$session->{err}" =~ s/^psql:\S+ //mgr =~ s/^(?:NOTICE|DETAIL|HINT|LOCATION).*\n//mgr;
}

# The writer, stopped between two verdicts.
sub _stop_writer
{
	my ($self, $node) = @_;

	until_true(sub {
			$self->{stopped} = value($node, $self->good
				. "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'") =~ /^(\d+)$/m ? $1 : 0;
			return $self->{stopped} && kill 'STOP', $self->{stopped};
	}, 'a writer');
	return;
}

sub _waiting
{
	my ($self, $node, $name, $session) = @_;
	my $event = $node->pg_version < 17 ? 'Extension' : $self->{waits}{$name}{event} // 'GepaLm';

	$session->{run}->pump_nb;
	return $self->{waits}{$name}{seen}->($session)
	  && value($node, "SELECT wait_event = '$event' FROM pg_stat_activity WHERE pid = $session->{pid}") eq 't';
}

# A session at rest, after an answer.
sub session
{
	my ($self, $node) = @_;
	my $session = background($node, '');

	say_and_pump($session, $self->good);
	$session->{out} = '';
	wait_sql($node, "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $session->{pid}", 'a session at rest');
	$session->{descriptors} = descriptors($session->{pid});
	return $session;
}

# The writer is waited for for a few seconds only, so that comes last.
sub begin
{
	my ($self, $node, $before) = @_;
	my %sessions = map { $_ => $self->session($node) } $self->names;
	my %turns;

	$self->_stop_writer($node);
	$self->{mock}->reset;
	for my $name (grep { $self->{waits}{$_}{behind} } $self->names)
	{
		push @{ $self->{holders} }, background($node, $self->statement($name));
		until_true(sub { $self->{waits}{$name}{seen}->() }, 'a call that is in the way');
	}
	push @{ $turns{ $self->{waits}{$_}{turn} // 0 } }, $_ for $self->names;
	for my $turn (sort keys %turns)
	{
		for my $name (@{ $turns{$turn} })
		{
			$sessions{$name}{in} .= ($before ? $before->($name) : '') . $self->statement($name) . "\n\\echo ended\n";
			$sessions{$name}{run}->pump_nb;
		}
		for my $name (@{ $turns{$turn} })
		{
			ok(until_true(sub { $self->_waiting($node, $name, $sessions{$name}) }, $name), "a session waits for $name");
		}
	}
	return \%sessions;
}

# Where all sessions end, one that waits behind another may come first for a moment.
sub left
{
	my ($self, $name, $session, %ended) = @_;
	my $wait = $self->{waits}{$name};

	return $ended{all} && $wait->{behind} ? $wait->{left_by_all}->() : $wait->{left}->($session);
}

# A pipe's reader takes 4 kB at a time: each thread that hangs has a line of its own.
sub release
{
	my ($self) = @_;
	my $line = sprintf "%-4095s\n", 'nonesuch ' . 'x' x 70;    # no name server is asked for that

	kill 'CONT', $self->{stopped} if $self->{stopped};
	$self->{stopped} = 0;
	for my $holder (splice @{ $self->{holders} })
	{
		$holder->{run}->signal('KILL');
		finish($holder);
	}
	return unless sysopen(my $pipe, $self->{pipe}, O_WRONLY | O_NONBLOCK);
	syswrite $pipe, $line for 1 .. 16;
	return;
}

sub works
{
	my ($self, $session) = @_;

	$session->{out} = '';
	say_and_pump($session, $self->good);
	until_true(sub { $self->release; threads($session->{pid}) == 1 }, 'a session without threads') or return 'a thread';
	return "answer $session->{out}" if $session->{out} ne "t\n";
	my ($now, $before) = (descriptors($session->{pid}), $session->{descriptors});
	my ($sockets, $fewer) = map { s/(\d+) socket/sockets/ ? $1 : 0 } $now, $before;
	return $now eq $before && $sockets <= $fewer + $kept ? '' : "$now ($sockets) after $before ($fewer)";
}

# -- how long after its cause a wait ends

sub took
{
	my ($self, $cause, $name, $seconds) = @_;

	$self->{slowest} = { cause => $cause, name => $name, ms => $seconds * 1000 }
	  if !$self->{slowest} || $self->{slowest}{ms} < $seconds * 1000;
	$self->{measured}++;
	return;
}

sub timed
{
	my ($self, $cause, $name, $end) = @_;
	my $begin = time;
	my $result = $end->();

	$self->took($cause, $name, time - $begin);
	return $result;
}

sub say_slowest
{
	my ($self) = @_;
	my $slowest = $self->{slowest};

	diag(sprintf 'slowest of %d: %.0f ms (waiting for %s, %s)', $self->{measured}, @$slowest{qw(ms name cause)});
	return;
}

sub DESTROY { local $?; $_[0]->release; return; }

1;
