# Whatever a session waits for, it ends with termination, and with its client: which is
# noticed though client_connection_check_interval is not set.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use Gepa::Waits;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $waits = Gepa::Waits->new($mock);
my $node = gepa_node('main', conf => "gepa.verdict_ring_size = '256kB'\n");
my @last_first = reverse sort { ($a =~ /commit/) <=> ($b =~ /commit/) } $waits->names;

$waits->prepare($node);

# One after another, so that each has its own time.
sub end
{
	my ($cause, $sessions, $end) = @_;

	for my $name (@last_first)
	{
		my $pid = $sessions->{$name}{pid};

		$waits->timed($cause, $name, sub { $end->($sessions->{$name}); until_true(sub { !-e "/proc/$pid" }, 'a process that ends', 1000); });
	}
	return;
}

# The process is gone, and with it descriptors, threads and handles.
sub afterwards
{
	my ($sessions, $message) = @_;

	for my $name ($waits->names)
	{
		my $pid = $sessions->{$name}{pid};

		ok(!-e "/proc/$pid", "the process that waited for $name is gone");
		like(slurp_file($node->logfile), qr/\[$pid\] .*FATAL:  $message/, '... for that reason');
		is($waits->left($name, $sessions->{$name}), '', '... and nothing is left of its wait');
	}
	$waits->release;
	return;
}

my $sessions = $waits->begin($node);
end('terminate', $sessions, sub { kill 'TERM', $_[0]{pid}; });
like((finish($sessions->{$_}))[1], qr/FATAL:  57P01: terminating connection due to administrator command/, "termination ends waiting for $_")
  for $waits->names;
afterwards($sessions, 'terminating connection due to administrator command');

is(value($node, 'SHOW client_connection_check_interval'), '0', 'PostgreSQL does not look for clients that are gone');
$sessions = $waits->begin($node);
end('client gone', $sessions, sub { $_[0]{run}->signal('KILL'); });
afterwards($sessions, 'connection to client lost');
finish($_) for values %$sessions;

is(value($node, $waits->good), 't', 'and the server is as good as new');

$waits->say_slowest;
done_testing();
