# The statement that sets a key: its text in pg_stat_statements, pg_stat_activity and
# the log, however it is written, whether it succeeds or not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Test;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $all = "log_statement = none\nlog_min_messages = debug5\nlog_error_verbosity = verbose\n"
  . "log_min_duration_statement = 0\nlog_min_error_statement = debug5\npg_stat_statements.track = all\n"
  . "wal_level = replica\nmax_wal_senders = 2\n";
my $create = q{CREATE USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS};

# Every key has this word in it.
sub no_key
{
	my ($text, $what) = @_;
	my ($first) = $text =~ /^(.*xyzzy.*)$/m;

	is($first, undef, $what);
	return;
}

# The log: without, and only, the statements that come with the first debug messages
# of their transaction (newer servers have some for each library that is loaded),
# before anybody has looked at them.
sub log_parts
{
	my ($node) = @_;
	my $log = slurp_file($node->logfile);
	my $first = '';

	$log =~ s/^(\S+ \S+ \S+ \[\d+\] \S+ )DEBUG:  00000: (?:StartTransaction|find_in_path).*\n(?:\g1CONTEXT:.*\n(?:\t.*\n)*)?\g1LOCATION:.*\n(?:\g1(STATEMENT:.*\n(?:\t.*\n)*))?/$first .= $2 \/\/ ''; ''/gem;
	return ($log, $first);
}

# One string, as the simple protocol has it, in a session of its own.
sub send_string
{
	my ($node, $sql, $options) = @_;
	my ($out, $err);

	IPC::Run::run([ 'psql', '-XAtq', '-v', 'SHOW_CONTEXT=always', '-h', $node->host, '-p', $node->port,
			'-d', 'dbname=postgres ' . ($options // ''), '-c', $sql ],
		'>', \$out, '2>', \$err);
	return "$out$err";
}

sub texts { return value($_[0], q{SELECT string_agg(query, E'\n') FROM pg_stat_statements}); }

sub server
{
	my ($name, $libraries) = @_;
	my $node = gepa_node($name, preload => 0, conf => "shared_preload_libraries = '$libraries'\n$all");

	value($node, q{CREATE EXTENSION pg_stat_statements;
		CREATE SERVER lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://h/v1', model 'm');
		CREATE ROLE curator LOGIN});
	return $node;
}

my %plain = (
	'a plain string' => qq{$create (api_key 'sk-xyzzy')},
	'ALTER' => qq{$create (api_key 'old'); ALTER USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS (SET api_key 'sk-xyzzy')},
	'one of several statements' => qq{SELECT 'before'; $create (api_key 'sk-xyzzy'); SELECT 'after'},
	'an escape string' => qq{$create (api_key E'sk\\x2dxyzzy')},
	'doubled quotes' => qq{$create (api_key 'sk-''xyzzy''')},
	'dollar quotes' => qq{$create (api_key \$k\$sk-xyzzy\$k\$)},
	'a Unicode string' => qq{$create (api_key U&'sk!002Dxyzzy' UESCAPE '!')},
	'a continued string' => qq{$create (api_key 'sk-xyzzy'\n'-xyzzy')},
	'quotes in comments' => qq{/* don't */ $create -- isn't \$\n(api_key 'sk-xyzzy')});

my %nested = (
	'a DO block' => qq{DO \$\$ BEGIN $create (api_key 'sk-xyzzy'); END \$\$},
	'EXECUTE' => qq{DO \$\$ BEGIN EXECUTE '$create (api_key ''sk-xyzzy'')'; END \$\$},
	'concatenation' => qq{DO \$\$ BEGIN EXECUTE format('$create (api_key %L)', 'sk-' || 'xyzzy' || 1); END \$\$},
	'a function' => q{SELECT set_key('sk-xyzzy')},
	'a function that others follow' => q{SELECT set_key(E'sk\\x2dxyzzy'); SELECT 'after'},
	'SQL' => q{SELECT set_key_sql()});

my %failing = (
	'it is there already' => [ qq{$create (api_key 'old'); $create (api_key 'sk-xyzzy')}, qr/already exists/ ],
	'no such server' => [ $create =~ s/lm/lmm/r . q{ (api_key 'sk-xyzzy')}, qr/"lmm" does not exist/ ],
	'no right' => [ qq{SET ROLE curator; $create (api_key 'sk-xyzzy')}, qr/permission denied/ ],
	'no key' => [ qq{$create (api_key 'sk- xyzzy')}, qr/invalid value for option "api_key"/ ],
	'no such option' => [ qq{$create (apikey 'sk-xyzzy')}, qr/invalid option "apikey"/ ],
	'a key for the server' => [ q{ALTER SERVER lm OPTIONS (ADD api_key 'sk-xyzzy')}, qr/invalid option "api_key"/ ],
	'a server with a key' => [
		q{CREATE SERVER s FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://h', model 'm', api_key 'sk-xyzzy')},
		qr/invalid option "api_key"/ ]);
my %failing_nested = (
	'a DO block fails' => [ qq{DO \$\$ BEGIN $create (api_key 'sk-xyzzy'); $create (api_key 'sk-xyzzy'); END \$\$}, qr/already exists/ ],
	'a later statement of the string' => [ qq{DO \$\$ BEGIN EXECUTE '$create (api_key ''sk-xyzzy''); SELECT 1/0'; END \$\$}, qr/division by zero/ ],
	'... written as an escape string' => [ qq{DO \$\$ BEGIN EXECUTE '$create (api_key E''sk\\x2dxyzzy''); SELECT 1/0'; END \$\$}, qr/division by zero/ ],
	'... another key' => [
		qq{DO \$\$ BEGIN EXECUTE '$create (api_key ''sk-xyzzy1''); ALTER USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS (ADD api_key ''sk-xyzzy2'')'; END \$\$},
		qr/provided more than once/ ],
	'a notice' => [ "$create (api_key 'old'); DO \$\$ BEGIN EXECUTE '" . $create =~ s/MAPPING/MAPPING IF NOT EXISTS/r . " (api_key ''sk-xyzzy'')'; END \$\$",
		qr/NOTICE:  user mapping .* already exists/ ],
	'EXECUTE fails' => [ q{SELECT set_key('xyzzy key')}, qr/invalid value for option "api_key"/ ]);

# -- preloaded, in both orders

for my $order ('pg_stat_statements, gepa', 'gepa, pg_stat_statements')
{
	my $last = $order =~ /gepa$/;
	my $node = server($last ? 'last' : 'first', $order);
	my %cases = (%plain, $last ? %nested : ());
	my %failures = (%failing, $last ? %failing_nested : ());

	value($node, q{SET log_min_duration_statement = -1; SET log_min_error_statement = panic});
	# a function's own text is in the catalog: no place for a key
	send_string($node, qq{CREATE FUNCTION set_key(k text) RETURNS void LANGUAGE plpgsql AS
			\$f\$ BEGIN EXECUTE format('$create (api_key %L)', k); END \$f\$;
		CREATE FUNCTION set_key_sql() RETURNS void LANGUAGE sql AS \$f\$ SELECT set_key('sk-' || 'xyz' || 'zy') \$f\$});
	for my $case (sort keys %cases)
	{
		value($node, 'SELECT pg_stat_statements_reset(); DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER lm');
		is(send_string($node, $cases{$case}) =~ s/\s|before//gr, $case =~ /several|follow/ ? 'after' : '', "$order: $case");
		like(value($node, 'SELECT umoptions::text FROM pg_user_mappings'), qr/sk-'?xyzzy/, '... gives the key');
		no_key(texts($node), '... which pg_stat_statements does not have');
		like(texts($node), $case =~ /function|SQL/ ? qr/set_key/ : $case eq 'quotes in comments' ? qr/\*{20}/ : qr/USER MAPPING|DO/,
			'... though it has the statement');
	}
	like(texts($node), qr/\*{8}/, '... with asterisks in its place');
	for my $case (sort keys %failures)
	{
		my ($sql, $message) = @{ $failures{$case} };

		value($node, 'DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER lm');
		my $said = send_string($node, $sql);
		like($said, $message, "$order: $case");
		# psql repeats the line of what it was given itself; there is no such error here
		no_key($said, '... and the error does not quote the key');
	}

	# What the log does not have is masked as well, and stays out of it.
	value($node, 'DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER lm');
	no_key(send_string($node, $failing_nested{'a notice'}[0], q{options='-c log_min_messages=panic'}), "$order: what goes to the client only");
	my $fails = qq{DO \$\$ BEGIN RAISE LOG 'mark'; $create (api_key 'sk-xyzzy'); END \$\$};
	no_key(send_string($node, $fails, q{options='-c log_min_messages=panic -c log_min_duration_statement=-1'}), '... an error');
	unlike(slurp_file($node->logfile), qr/LOG:.*mark/, '... and the log has not got it');

	# A walsender runs statements, too.
	value($node, 'DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER lm; SELECT pg_stat_statements_reset()');
	is(send_string($node, "$create (api_key 'sk-xyzzy')", 'replication=database'), '', "$order: a walsender");
	no_key(texts($node), '... hides the key as well');
	like(send_string($node, "$create (api_key 'sk-xyzzy')", 'replication=database'), qr/already exists/, '... in an error, too');

	# one of several is not mangled with the one that is masked
	value($node, 'SELECT pg_stat_statements_reset()');
	send_string($node, $plain{'one of several statements'});
	like(texts($node), qr/^SELECT \$1$/m, 'statements beside it stay as they are');

	# The extended protocol.
	my $script = PostgreSQL::Test::Utils::tempdir() . '/script';
	append_to_file($script, "$create (api_key 'sk-xyzzy');\n");
	value($node, 'DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER lm; SELECT pg_stat_statements_reset()');
	{
		# the text of Parse is logged with its duration, and at debug2
		local $ENV{PGOPTIONS} = '-c log_min_duration_statement=-1 -c log_min_messages=info';
		$node->command_ok([ 'pgbench', '-n', '-t', '1', '-M', 'extended', '-f', $script, 'postgres' ], 'the extended protocol');
	}
	no_key(texts($node), '... hides it as well');

	# A session that has done it, and does nothing since.
	value($node, 'DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER lm');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-h', $node->host, '-p', $node->port, '-d', 'postgres', '-c',
			"$create (api_key 'sk-xyzzy'); SELECT pg_advisory_lock(7), pg_sleep(600)" ], '>', \my $out, '2>', \my $err);
	wait_sql($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted}, 'the lock');
	my $activity = value($node, 'SELECT a::text FROM pg_stat_activity a');
	like($activity, qr/USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS \(api_key '\*{8}'\)/, 'the activity shows asterisks');
	no_key($activity, '... and nothing else');
	value($node, q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'});
	eval { $session->finish; };

	my ($log, $first) = log_parts($node);
	ok($log =~ /STATEMENT:  .*USER MAPPING/ && $log =~ /duration: .*USER MAPPING/ && $log =~ /DEBUG:  00000/,
		'the log has failed statements, slow ones and much besides');
	no_key($log, '... and no key');
	unlike($first, qr/api_key.*xyzzy/, '... nor, where it is called api_key, before the statement is executed');
	like($first, qr/STATEMENT:  SELECT pg_stat_statements_reset/, '... when others are shown');
	$node->stop;
}

# -- not preloaded: the first statement of a session loads the library

{
	my $node = server('bare', 'pg_stat_statements');

	for my $case (sort keys %plain)
	{
		value($node, 'SELECT pg_stat_statements_reset(); DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER lm');
		send_string($node, $plain{$case});
		no_key(texts($node), "not preloaded: $case");
	}
	value($node, 'DROP USER MAPPING FOR CURRENT_USER SERVER lm');
	my $said = send_string($node, $failing{'no key'}[0]);
	like($said, $failing{'no key'}[1], 'not preloaded: no key');
	value($node, 'DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER lm');
	like(send_string($node, $failing_nested{'a later statement of the string'}[0]), qr/division by zero.*USER MAPPING.*\*{8}/s,
		'... a later statement of the string');
	no_key((log_parts($node))[0], '... nor in the log');
}

# -- what PostgreSQL shows to whom

my $node = server('views', 'gepa');
value($node, "$create (api_key 'sk-xyzzy'); CREATE USER MAPPING FOR PUBLIC SERVER lm OPTIONS (api_key 'sk-xyzzy-public');
	GRANT USAGE ON FOREIGN SERVER lm TO curator; CREATE ROLE stranger LOGIN");
for my $role ('curator', 'stranger')
{
	my $shown = value($node, qq{SET SESSION AUTHORIZATION $role;
		SELECT m::text FROM pg_user_mappings m; SELECT m::text FROM information_schema.user_mapping_options m;
		SELECT s::text FROM pg_foreign_server s; SELECT l::text FROM gepa.lms l});
	like($shown, qr/lm,/, "$role sees the mappings");
	no_key($shown, '... without the keys');
	like((outcome($node, "SET SESSION AUTHORIZATION $role; SELECT * FROM pg_user_mapping"))[1], qr/42501/, '... whose table is shut');
}
like(value($node, "SELECT m::text FROM pg_user_mappings m"), qr/xyzzy/, 'a superuser sees them');

done_testing();
