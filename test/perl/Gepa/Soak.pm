# What goes on in the soak test while a table is judged.
#
#   my $soak = Gepa::Soak->new($node, $mock, rows => 2000, steps => 60);
#   my @plan = $soak->draw_plan(cancel => 3, crash => 2);    [step, what], drawn, in order
#   $soak->wait_for_progress($step)      until the LM has answered its share, or all work is done
#   $soak->start_job($arguments)         a job that goes through the table, unless one does
#   $soak->keep_readers(2)               psqls that query the table; end_readers ends them
#   $soak->change_rows                   inserts, updates and deletes
#   $soak->disturb('crash')              see %disturbances
#   $soak->measure($step)                memory of all processes
#   $soak->wait_long($sql, 'what')       as wait_sql does, as long as something changes
#   $soak->losses, $soak->failures       how often calls in flight were lost; jobs that failed
package Gepa::Soak;

use strict;
use warnings;

use Gepa::Job qw(idle_sql);
use Gepa::Test;
use List::Util qw(max shuffle);
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

sub new
{
	my ($class, $node, $mock, %options) = @_;

	return bless {
		%options, node => $node, mock => $mock, readers => {}, next_id => $options{rows}, round => 0, gone => [],
		losses => 0, count => {}, rss => {}, failed => [], changes => 0
	}, $class;
}

# Asks until the server is there; undef where the answer was lost with it.
sub try_value
{
	my ($self, $sql) = @_;
	my $answer = eval { value($self->{node}, $sql) };

	return $answer unless $@;
	die $@ if $@ =~ /^error running SQL: 'ERROR/;
	$self->{node}->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	return;
}

sub draw_plan
{
	my ($self, %counts) = @_;
	my @kinds = shuffle(map { ($_) x $counts{$_} } sort keys %counts);
	my ($from, $to) = map { $self->{steps} * $_ } 0.15, 0.75;

	return sort { $a->[0] <=> $b->[0] } map { [ $from + rand($to - $from), $_ ] } @kinds;
}

sub answered { return $_[0]{mock}->journal->{answered}; }

# -- progress

sub wait_for_progress
{
	my ($self, $step) = @_;
	my $target = $self->{rows} * $step / $self->{steps};
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	for (my $i = 1; $self->answered < $target; $i++)
	{
		return if $i % 3 == 0 && ($self->try_value(idle_sql()) // '') eq 't';
		die "no progress at step $step" if time > $deadline;
		usleep(20_000);
	}
	return;
}

# As long as jobs do something there is hope.
sub wait_long
{
	my ($self, $sql, $what) = @_;
	my ($last, $since) = ('', time);

	until ((my $answer = $self->try_value($sql) // '') eq 't')
	{
		my $state = $self->try_value('SELECT (SELECT sum(rows) FROM gepa.job), (SELECT count(*) FROM gepa.job_queue)') . $self->answered;

		($last, $since) = ($state, time) if $state ne $last;
		if (time - $since > $PostgreSQL::Test::Utils::timeout_default)
		{
			my $jobs = value($self->{node}, 'SELECT job, status, reason, rows FROM gepa.jobs');
			my $claims = value($self->{node}, 'SELECT * FROM gepa.job_claim LIMIT 20');
			die "waited in vain for $what:\n$jobs\n$claims\n";
		}
		usleep(100_000);
	}
	return 1;
}

# -- jobs

sub start_job
{
	my ($self, $arguments) = @_;
	my $live = $self->try_value(q{SELECT string_agg(job || ' ' || status || ' ' || coalesce(reason, ''), E'\n') FROM gepa.jobs
		WHERE status NOT IN ('finished', 'cancelled') AND (kind = 'table' OR status = 'failed')}) // return;

	for my $failed ($live =~ /^(\d+ failed.*)/mg)
	{
		push @{ $self->{failed} }, $failed;
		$self->try_value('SELECT gepa.resume_job(' . ($failed =~ /(\d+)/)[0] . ')');
	}
	$self->try_value("SELECT gepa.judge_table('j', $arguments)") unless $live =~ /\S/;
	return;
}

sub failures { return join "\n", @{ $_[0]{failed} }; }

# -- those who query

my @queries = (
	sub { "SELECT count(*) FROM (SELECT * FROM pages WHERE id BETWEEN $_[0] AND $_[0] + 60 OFFSET 0) p WHERE gepa_judge('j', body);"; },
	sub { "SELECT id FROM pages WHERE id > $_[0] AND gepa_judge('j', body) ORDER BY id LIMIT 10;"; },
	sub { "SELECT count((gepa_verdict('j', body)).label) FROM (SELECT * FROM pages WHERE id BETWEEN $_[0] AND $_[0] + 40 OFFSET 0) p;"; },
	sub { "BEGIN; SELECT cardinality(gepa_judge('j', array_agg(body))) FROM pages WHERE id BETWEEN $_[0] AND $_[0] + 40; ROLLBACK;"; },
	sub { "BEGIN; DECLARE c CURSOR FOR SELECT id FROM pages WHERE id > $_[0] AND gepa_judge('j', body); FETCH 15 c; COMMIT;"; });

sub script
{
	my ($self) = @_;
	return join "\n", map { $queries[ rand @queries ]->(int rand $self->{rows}) } 1 .. 400;
}

sub psql
{
	my ($self, $name, $sql) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/soak.$name.sql";

	append_to_file($file, '') unless -e $file;
	open my $script, '>', $file or die "$file: $!";
	print $script $sql;
	close $script;
	my $pid = fork // die "fork: $!";
	return $pid if $pid;
	open STDOUT, '>', '/dev/null';
	open STDERR, '>>', "$PostgreSQL::Test::Utils::log_path/soak.psql.log";
	open STDIN, '<', '/dev/null';
	$ENV{PGAPPNAME} = "soak $name";
	exec('psql', '-XAtq', '-h', $self->{node}->host, '-p', $self->{node}->port, '-d', 'postgres', '-f', $file) or POSIX::_exit(1);
}

sub reap
{
	my ($self) = @_;

	for my $pid (keys %{ $self->{readers} })
	{
		delete $self->{readers}{$pid} if waitpid($pid, WNOHANG) != 0;
	}
	return;
}

sub keep_readers
{
	my ($self, $n) = @_;

	$self->reap;
	for (keys(%{ $self->{readers} }) + 1 .. $n)
	{
		$self->{readers}{ $self->psql('reader' . $self->{round}++, $self->script) } = 1;
	}
	return;
}

sub end_readers
{
	my ($self) = @_;

	# psql first, so that the backend ends with the query that it is at
	kill TERM => keys %{ $self->{readers} };
	waitpid($_, 0) for keys %{ $self->{readers} };
	$self->{readers} = {};
	return wait_sql($self->{node}, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'soak%'}, 'readers to end');
}

# -- changes

sub ids
{
	my ($self, $n) = @_;
	return join ',', map { 1 + int rand $self->{next_id} } 1 .. $n;
}

my @changes = (
	[ 4, sub { my ($self, $n) = @_; my $from = $self->{next_id} + 1; $self->{next_id} += $n;
			"INSERT INTO pages SELECT i, 'document ' || i || repeat(' y', i % 200) FROM generate_series($from, $from + $n - 1) i"; } ],
	[ 2, sub { my ($self, $n) = @_; my $from = $self->{next_id} + 1; $self->{next_id} += $n;
			"INSERT INTO pages SELECT i, 'common ' || i % 97 FROM generate_series($from, $from + $n - 1) i ORDER BY (i * 7919) % 1009"; } ],
	[ 4, sub { my ($self, $n) = @_; "UPDATE pages SET body = 'changed ' || id || ' in $self->{changes}' WHERE id IN (@{[ $self->ids($n) ]})"; } ],
	[ 1, sub { my ($self, $n) = @_; "UPDATE pages SET body = 'common ' || id % 97 WHERE id IN (@{[ $self->ids($n) ]})"; } ],
	[ 2, sub { my ($self, $n) = @_; "UPDATE pages SET note = 'seen in $self->{changes}' WHERE id IN (@{[ $self->ids($n) ]})"; } ],
	[ 1, sub { my ($self, $n) = @_; "UPDATE pages SET body = NULL WHERE id IN (@{[ $self->ids($n / 2) ]})"; } ],
	[ 1, sub { my ($self, $n) = @_; "UPDATE pages SET body = 'back ' || id WHERE body IS NULL"; } ],
	[ 3, sub { my ($self, $n) = @_; my $ids = $self->ids($n / 2); push @{ $self->{gone} }, split /,/, $ids;
			"DELETE FROM pages WHERE id IN ($ids)"; } ],
	[ 3, sub { my ($self, $n) = @_; my $ids = join '),(', splice(@{ $self->{gone} }, 0, $n), 1;
			"INSERT INTO pages SELECT id, 'returned ' || id FROM (VALUES ($ids)) v(id) ON CONFLICT DO NOTHING"; } ],
	# there and back at once: what a job is at may be neither the row of before nor that of after
	[ 3, sub { my ($self, $n) = @_; my $ids = $self->ids($n / 2);
			("DELETE FROM pages WHERE id IN ($ids)", "INSERT INTO pages SELECT DISTINCT id, 'document ' || id || repeat(' x', id % 300) FROM unnest('{$ids}'::int[]) id ON CONFLICT DO NOTHING"); } ],
	[ 2, sub { my ($self, $n) = @_; my $ids = $self->ids($n / 2);
			map { "UPDATE pages SET body = $_ WHERE id IN ($ids)" } 'NULL', "'found ' || id", "'lost ' || id", "'found ' || id"; } ],
	[ 1, sub { my ($self, $n) = @_; my $id = ++$self->{next_id}; "UPDATE pages SET id = $id WHERE id = @{[ $self->ids(1) ]}"; } ],
	[ 1, sub { my ($self, $n) = @_; my $id = $self->{next_id} + 1;
			"BEGIN; INSERT INTO pages VALUES ($id, 'never'); UPDATE pages SET body = 'never' WHERE id IN (@{[ $self->ids($n) ]}); DELETE FROM pages WHERE id IN (@{[ $self->ids($n) ]}); ROLLBACK"; } ],
	[ 1, sub { my ($self, $n) = @_; my ($a, $b) = map { $self->ids($n) } 1, 2;
			"BEGIN; SAVEPOINT s; DELETE FROM pages WHERE id IN ($a); ROLLBACK TO s; UPDATE pages SET body = 'kept ' || id WHERE id IN ($b); COMMIT"; } ]);
my @drawn = map { ($_->[1]) x $_->[0] } @changes;

# One message is one transaction; a server that is gone comes back without it.
sub change
{
	my ($self, $sql) = @_;
	my (undef, $error) = eval {
		my $wire = Gepa::Wire->new($self->{node}, 'postgres');
		my @said = $wire->ask($sql);
		$wire->end;
		@said;
	};

	die "$error: $sql" if ($error // '') =~ /^ERROR/;
	$self->try_value('SELECT true') if $@ || $error;
	return;
}

sub change_rows
{
	my ($self) = @_;
	my $n = max(2, int($self->{rows} / $self->{steps} * (0.5 + rand)));

	$self->{changes}++;
	for (1 .. 2)
	{
		for my $sql ($drawn[ rand @drawn ]->($self, $n))
		{
			$self->change($sql);
			usleep(rand 30_000);
		}
	}
	return;
}

# -- disturbances

sub pick
{
	my ($self, $condition) = @_;
	my @pids = split /\n/, $self->try_value("SELECT pid FROM pg_stat_activity WHERE $condition ORDER BY pid") // '';

	return @pids ? $pids[ rand @pids ] : undef;
}

my $reader = "application_name LIKE 'soak reader%' AND state = 'active'";
my $worker = "backend_type = 'gepa job worker'";

sub signal
{
	my ($self, $function, $condition) = @_;
	my $pid = $self->pick($condition) or return 0;

	return ($self->try_value("SELECT $function($pid)") // '') eq 't';
}

# SIGKILL, and the server up again.
sub kill_9
{
	my ($self, $condition) = @_;
	my $pid = $self->pick($condition) or return 0;

	kill(KILL => $pid) or return 0;
	usleep(1000) while kill(0, $pid);
	return $self->{node}->poll_query_until('postgres', 'SELECT true');
}

sub pause
{
	my ($self) = @_;
	my $job = $self->try_value(q{SELECT job FROM gepa.jobs WHERE status = 'running' ORDER BY random() LIMIT 1}) or return 0;

	$self->try_value("SELECT gepa.pause_job($job)");
	$self->try_value("SELECT gepa.wait_job($job, '1 minute')");
	my $status = $self->try_value("SELECT status FROM gepa.jobs WHERE job = $job");
	$self->try_value("SELECT gepa.resume_job($job)") if $status eq 'paused' || $status eq 'pausing';
	return 1;
}

sub crash
{
	my ($self) = @_;

	rand() < 0.5 ? $self->{node}->stop('immediate') : kill_server($self->{node});
	usleep(20_000) until $self->{node}->start(fail_ok => 1);
	return 1;
}

# A lock that is held for longer than a job waits.
sub lock
{
	my ($self) = @_;

	$self->psql('lock' . $self->{round}++, "BEGIN; UPDATE pages SET note = 'held' WHERE id IN (@{[ $self->ids(200) ]}); SELECT pg_sleep(0.5); COMMIT;");
	return 1;
}

# What is done, and whether it may lose the calls that are in flight.
my %disturbances = (
	cancel => [ 1, sub { $_[0]->signal('pg_cancel_backend', $reader) } ],
	terminate => [ 1, sub { $_[0]->signal('pg_terminate_backend', $reader) } ],
	'cancel worker' => [ 1, sub { $_[0]->signal('pg_cancel_backend', $worker) } ],
	'terminate worker' => [ 1, sub { $_[0]->signal('pg_terminate_backend', $worker) } ],
	kill => [ 1, sub { $_[0]->kill_9($reader) } ],
	'kill worker' => [ 1, sub { $_[0]->kill_9($worker) } ],
	'kill writer' => [ 1, sub { $_[0]->kill_9("backend_type = 'gepa verdict writer'") } ],
	'kill launcher' => [ 1, sub { $_[0]->kill_9("backend_type = 'gepa launcher'") } ],
	pause => [ 0, \&pause ],
	crash => [ 1, \&crash ],
	lock => [ 0, \&lock ]);

sub disturb
{
	my ($self, $what) = @_;
	my ($loses, $do) = @{ $disturbances{$what} };

	for (1 .. 50)
	{
		last if $do->($self) and ++$self->{count}{$what};
		usleep(20_000);
		$self->keep_readers(2);
	}
	$self->{losses} += $loses;
	return;
}

sub losses { return $_[0]{losses}; }

sub tell
{
	my ($self) = @_;
	return 'disturbances: ' . join(', ', map { "$_ $self->{count}{$_}" } sort keys %{ $self->{count} }) . "; $self->{changes} changes";
}

# -- memory

sub measure
{
	my ($self, $step) = @_;
	my $when = $step <= $self->{steps} * 0.15 ? 'early' : $step > $self->{steps} * 0.85 ? 'late' : 'between';
	my $processes = $self->try_value(q{SELECT pid, CASE WHEN application_name LIKE 'soak%' THEN 'query' ELSE backend_type END FROM pg_stat_activity
		WHERE backend_type LIKE 'gepa%' OR application_name LIKE 'soak%'}) // return;

	for (split /\n/, $processes)
	{
		my ($pid, $type) = split /\|/;
		open my $file, '<', "/proc/$pid/status" or next;
		my ($kb) = join('', <$file>) =~ /^RssAnon:\s+(\d+) kB$/m or next;

		for my $name ($when, 'most')
		{
			$self->{rss}{$type}{$name} = max($self->{rss}{$type}{$name} // 0, $kb);
		}
	}
	return;
}

sub types { return sort keys %{ $_[0]{rss} }; }

sub rss { my ($self, $type) = @_; return map { $self->{rss}{$type}{$_} // 0 } qw(early late most); }

1;
