# What the TAP tests share: servers with gepa, LMs on the mock, labelled worlds.
#
#   my $node = gepa_node('main');                 a running server, preloaded, gepa created
#   my $node = gepa_node('main', preload => 0, conf => "...", encoding => 'LATIN1',
#     streaming => 1);                          ... that a standby can follow
#   create_lm($node, 'judge', $mock, 'judge-rules', max_concurrency => 8);
#   my $judge = judge_on($node, $mock, 'judge-rules', temperature => 0);   on an LM of its name
#   may_call($node, 'alice', 'bob');              EXECUTE on what costs money, as the README grants it
#   load_world($node, 'labels', rows => 200, seed => 1);
#   world_rule(seed => 1)                         its rule, as [word, label] pairs
#   is(value($node, $sql), 'x');                  one value; dies on an ERROR
#   stored($node, 'j', 3, 'all of them')           as many verdicts of a judge, once the writer has come to it
#   my ($out, $err) = outcome($node, $sql);       SQLSTATE and all: never dies
#   my $session = background($node, $sql);        a psql that runs meanwhile
#   $session->{pid}; finish($session)             backend's pid; ($stdout, $stderr)
#   wait_sql($node, $sql, 'what')                 until the query says t
#   ok(session_waits($node, $session, 'GepaLease'), 'it waits')   by the name of the wait event
#   kill_server($node); $node->start              the postmaster, by SIGKILL
#   kill_process($node, $sql)                     the process whose pid the query says, which is noticed then
package Gepa::Test;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use Gepa::Wire;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(gepa_node create_lm judge_on may_call load_world world_rule value outcome background finish wait_sql
  session_waits kill_server kill_process stored);

my $world = abs_path(dirname(__FILE__) . '/../../mock/world.py');
my $readme = abs_path(dirname(__FILE__) . '/../../../README.md');

# What initdb makes, which takes a second, once in a run of all tests; a copy takes none.
sub _template
{
	my ($init) = @_;
	my $folder = join '', "$PostgreSQL::Test::Utils::tmp_check/template", @$init;

	open my $lock, '>', "$folder.lock" or die "$folder.lock: $!";
	flock $lock, LOCK_EX or die "$folder.lock: $!";
	return $folder if -d $folder;
	system_or_bail('initdb', '-D', "$folder.new", '-A', 'trust', '-N', @$init);
	rename "$folder.new", $folder or die "$folder: $!";
	return $folder;
}

# The node's own init, with a copy in place of initdb.
sub _init
{
	my ($node, $init, %options) = @_;
	my $template = _template($init);
	my $run = \&PostgreSQL::Test::Utils::system_or_bail;

	no warnings 'redefine';
	local *PostgreSQL::Test::Utils::system_or_bail = sub {
		return $run->($_[0] eq 'initdb' ? ('cp', '-a', $template, $node->data_dir) : @_);
	};
	$node->init(extra => $init, %options);
	return;
}

sub gepa_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my @init = $options{encoding} ? ('-E', $options{encoding}, '--locale=C') : ('-E', 'UTF8', '--locale=C.UTF-8');

	_init($node, \@init, allows_streaming => $options{streaming} // 0);
	$node->append_conf('postgresql.conf', "max_worker_processes = 16\nlog_min_messages = info\n");
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'gepa'\n")
	  if $options{preload} // 1;
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	$node->start;
	value($node, 'CREATE EXTENSION gepa');
	return $node;
}

# A foreign server for a model of the mock; undef as value leaves an option out.
sub create_lm
{
	my ($node, $name, $mock, $model, %options) = @_;

	%options = (
		base_url => $mock->url,
		model => $model,
		allow_private_address => 'true',
		%options);
	my $list = join ', ', map { "$_ '" . $options{$_} =~ s/'/''/gr . "'" }
	  grep { defined $options{$_} } sort keys %options;
	value($node, "CREATE SERVER \"$name\" FOREIGN DATA WRAPPER gepa_lm OPTIONS ($list)");
	return;
}

# A judge and its LM, which have one new name; judge_options are those of create_judge.
my $judges = 0;

sub judge_on
{
	my ($node, $mock, $model, %options) = @_;
	my $judge = 'judge' . ++$judges;
	my $about = delete $options{judge_options} // '{}';

	create_lm($node, $judge, $mock, $model, %options);
	value($node, "SELECT gepa.create_judge('$judge', '$judge', 'Is it good?', options => '$about')");
	return $judge;
}

sub may_call
{
	my ($node, @roles) = @_;
	my ($grants) = slurp_file($readme) =~ /<!-- start: may_call.*? -->\n```sql\n(.*?)```\n<!-- end -->/s;

	$node->safe_psql('postgres', $grants =~ s/\bcurator\b/"$_"/gr) for @roles;
	return;
}

# A table of world.py's documents: id, body, keep, note, site, part.
sub load_world
{
	my ($node, $table, %options) = @_;
	my @arguments = map { ("--$_", $options{$_}) } sort keys %options;
	my ($script, $errors) = ('', '');

	IPC::Run::run([ 'python3', $world, '--sql', $table, @arguments ], '>', \$script, '2>', \$errors)
	  or die "world.py: $errors";
	$node->safe_psql('postgres', $script);
	return;
}

# The hidden rule of such a table: [word, label], ...
sub world_rule
{
	my (%options) = @_;
	my @arguments = map { ("--$_", $options{$_}) } sort keys %options;
	my ($rules, $errors) = ('', '');

	IPC::Run::run([ 'python3', $world, '--rule', @arguments ], '>', \$rules, '2>', \$errors)
	  or die "world.py: $errors";
	return map { /mention "(\w+)" are (\w+)/ ? [ $1, $2 ] : () } split /\n/, $rules;
}

sub value
{
	my ($node, $sql, %options) = @_;
	my $db = delete $options{db} // 'postgres';

	return $node->safe_psql($db, $sql, %options) if %options || !Gepa::Wire::can_ask($node, $sql);
	my $wire = Gepa::Wire->new($node, $db);
	my ($out, $error) = $wire->ask($sql);
	$wire->end;
	die "error running SQL: '$error'\nwhile running '$sql'\n" if $error;
	return $out;
}

# (standard output, error messages with SQLSTATE)
sub outcome
{
	my ($node, $sql, %options) = @_;
	my ($out, $err);

	$node->psql($options{db} // 'postgres', "\\set VERBOSITY verbose\n$sql",
		stdout => \$out, stderr => \$err, on_error_stop => 0, %options);
	return ($out, $err);
}

sub background
{
	my ($node, $sql, %options) = @_;
	my %session = (in => "SELECT 'pid=' || pg_backend_pid();\n$sql\n", out => '', err => '');
	my @psql = (
		'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-h', $node->host, '-p', $node->port,
		'-U', $options{user} // getpwuid($>), '-d', $options{db} // 'postgres');

	$session{run} = IPC::Run::start(\@psql, '<', \$session{in}, '>', \$session{out},
		'2>', \$session{err}, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$session{run}->pump until $session{out} =~ s/^pid=(\d+)\n//;
	$session{pid} = $1;
	return \%session;
}

sub finish
{
	my ($session) = @_;

	# psql's own status is part of what it says
	eval { $session->{run}->finish; 1 } or diag($@);
	return ($session->{out}, $session->{err});
}

sub wait_sql
{
	my ($node, $sql, $what, %options) = @_;
	my $db = $options{db} // 'postgres';
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my $last = '';

	return $node->poll_query_until($db, $sql) || diag("waited in vain for $what") if !Gepa::Wire::can_ask($node, $sql);
	until (_answers_t($node, $db, $sql, $deadline, \$last))
	{
		return diag("waited in vain for $what: $last") if time > $deadline;
		usleep(20_000);
	}
	return 1;
}

# Asks in one session, which may end with the server; then false.
sub _answers_t
{
	my ($node, $db, $sql, $deadline, $last) = @_;
	my $wire = eval { Gepa::Wire->new($node, $db) };
	my $yes = 0;

	$$last = $@;
	while ($wire && !$yes && time <= $deadline)
	{
		my ($out, $error) = eval { $wire->ask($sql) } or last;
		$$last = "$out$error";
		$yes = $$last eq 't' or usleep(20_000);
	}
	$$last = $@ if $@;
	$wire->end if $wire;
	return $yes;
}

# The writer commits apart from everything else, so this may have to wait.
sub stored
{
	my ($node, $judge, $n, $what) = @_;
	my $count = "SELECT count(*) FROM gepa.verdicts WHERE judge = '$judge'";

	wait_sql($node, "SELECT ($count) >= $n", $what);
	is(value($node, $count), $n, $what);
	return;
}

# Before PostgreSQL 17 all names are "Extension".
sub session_waits
{
	my ($node, $session, $event) = @_;

	$event = 'Extension' if $node->pg_version < 17;
	return wait_sql($node, "SELECT wait_event = '$event' FROM pg_stat_activity WHERE pid = $session->{pid}", $event);
}

# Its children end by themselves; until they have, no other can start.
sub kill_server
{
	my ($node) = @_;
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my @pids = ($postmaster);

	for my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $file, '<', $stat or next;
		my $line = <$file> // '';
		push @pids, $1 if $line =~ /^(\d+) \(.*\) \S $postmaster /s;
	}
	$node->kill9;
	for my $pid (@pids)
	{
		usleep(10_000) while kill 0, $pid;
	}
	return;
}

# The crash has been noticed when the process that was killed is gone.
sub kill_process
{
	my ($node, $sql) = @_;
	my $pid = value($node, $sql);

	kill(KILL => $pid) or die "nothing to kill: $sql";
	usleep(10_000) while kill(0, $pid);
	return;
}

1;
