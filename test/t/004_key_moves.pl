# A key goes to the endpoint that it was given for: an LM whose endpoint is changed,
# by whomever, loses the keys of its mappings until they are given again.  One
# with privileged options is altered by administrators only.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $other = Gepa::Mock->new;
my $node = gepa_node('main', preload => 0);

value($node, q{CREATE ROLE keeper LOGIN; CREATE ROLE curator LOGIN;
	GRANT USAGE ON FOREIGN DATA WRAPPER gepa_lm TO keeper; GRANT pg_read_server_files TO keeper});

may_call($node, 'curator');

my $mappings = q{SELECT coalesce(string_agg(usename || coalesce(array_to_string(umoptions, ''), ''), ' ' ORDER BY usename), '-')
	FROM pg_user_mappings WHERE srvname = 'lm'};
my $all = 'curatorapi_key=k-curator keeperapi_key=k-keeper publicapi_key=k-public';
my $none = 'curator keeper public';

sub as { my ($role, $sql) = @_; return outcome($node, "SET SESSION AUTHORIZATION $role;\n$sql"); }

# An LM of keeper's, on which three have keys.
sub make_lm
{
	value($node, 'DROP SERVER IF EXISTS lm, moved CASCADE');
	value($node, "SET SESSION AUTHORIZATION keeper;
		CREATE SERVER lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '@{[$mock->url]}', model 'judge-rules',
			allow_private_address 'true');
		GRANT USAGE ON FOREIGN SERVER lm TO curator;
		RESET SESSION AUTHORIZATION;
		CREATE USER MAPPING FOR curator SERVER lm OPTIONS (api_key 'k-curator');
		CREATE USER MAPPING FOR keeper SERVER lm OPTIONS (api_key 'k-keeper');
		CREATE USER MAPPING FOR PUBLIC SERVER lm OPTIONS (api_key 'k-public')");
	is(value($node, $mappings), $all, 'three mappings with keys');
	return;
}

# Each statement in a session that has loaded nothing before.
make_lm();
my $move = "ALTER SERVER lm OPTIONS (SET base_url '@{[$other->url]}')";
unlike((as('keeper', q{SELECT umoptions FROM pg_user_mappings WHERE usename = 'curator'}))[0], qr/k-curator/,
	'the owner of an LM cannot read the key of another');
like((as('keeper', $move))[1],
	qr/WARNING:  01000: dropped the keys of 3 user mappings of LM "lm"\nDETAIL:  Its base_url .*\nHINT:  Give each again with ALTER USER MAPPING/,
	'nor take it elsewhere: a new base_url drops the keys, and says so');
is(value($node, $mappings), $none, '... of all mappings, which stay');
as('curator', q{SELECT * FROM gepa.check_lm('lm')});
is(join(' ', map { $_->{headers}{authorization} // 'none' } $other->requests), 'none', '... and a call has none');
value($node, q{ALTER USER MAPPING FOR curator SERVER lm OPTIONS (ADD api_key 'k-new')});
$other->reset;
as('curator', q{SELECT * FROM gepa.check_lm('lm')});
is(join(' ', map { $_->{headers}{authorization} // 'none' } $other->requests), 'Bearer k-new', '... until it is given again');

my %moves = (
	'a superuser' => [ 'postgres', $move ],
	'another path' => [ 'keeper', "ALTER SERVER lm OPTIONS (SET base_url '@{[$mock->url]}/more')" ],
	'no base_url any more' => [ 'postgres', q{ALTER SERVER lm OPTIONS (DROP base_url, ADD api 'canned')} ],
	'an HTTP proxy' => [ 'keeper', q{ALTER SERVER lm OPTIONS (ADD proxy 'http://h:3128')} ],
	'a socket' => [ 'keeper', q{ALTER SERVER lm OPTIONS (ADD unix_socket '/s')} ],
	'an issuer to believe' => [ 'postgres', q{ALTER SERVER lm OPTIONS (ADD ca_file '/ca.pem')} ],
	'several options' => [ 'keeper', qq{ALTER SERVER lm VERSION '2' OPTIONS (SET model 'm', SET base_url 'http://h', ADD temperature '0')} ]);
for my $way (sort keys %moves)
{
	my ($role, $sql) = @{ $moves{$way} };

	make_lm();
	$role = getpwuid($>) if $role eq 'postgres';
	like((as("\"$role\"", $sql))[1], qr/WARNING:  01000: dropped the keys of 3/, "$way: the keys go");
	is(value($node, $mappings), $none, '... all of them');
}

# What was added goes again, or is changed.
for my $option (['proxy', 'http://a:1', 'http://b:1'], ['unix_socket', '/a', '/b'], ['ca_file', '/a', '/b'])
{
	my ($name, $a, $b) = @$option;

	for my $change ("SET $name '$b'", "DROP $name")
	{
		make_lm();
		value($node, qq{ALTER SERVER lm OPTIONS (ADD $name '$a'); ALTER USER MAPPING FOR curator SERVER lm OPTIONS (ADD api_key 'k')});
		like((as('keeper', "ALTER SERVER lm OPTIONS ($change)"))[1], qr/dropped the key of 1 .*\nDETAIL:  Its $name was changed/, "$change: the key goes");
	}
}

# An owner who is no administrator, and an LM with each of the privileged options.
value($node, 'CREATE ROLE plain LOGIN; GRANT USAGE ON FOREIGN DATA WRAPPER gepa_lm TO plain');
my $state = q{SELECT srvoptions::text || (SELECT string_agg(umoptions::text, '') FROM pg_user_mappings WHERE srvid = s.oid) FROM pg_foreign_server s};
my %privileged = (
	api_key_file => '/key', api_key_env => 'KEY', allow_private_address => 'true', proxy => 'http://h:1',
	unix_socket => '/s', ca_file => '/ca', client_cert => '/c', client_key => '/k');
for my $option (sort keys %privileged)
{
	my $cert = $option eq 'client_key' ? ", client_cert '/c'" : '';
	my $drop = $cert ? "DROP $option, DROP client_cert" : "DROP $option";

	value($node, qq{DROP SERVER IF EXISTS lm, own CASCADE;
		CREATE SERVER own FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://h/v1', model 'm', $option '$privileged{$option}'$cert);
		CREATE USER MAPPING FOR curator SERVER own OPTIONS (api_key 'k-curator'); ALTER SERVER own OWNER TO plain});
	my $before = value($node, $state);
	for my $change ($drop, "$drop, SET base_url 'http://evil/v1'", q{SET model 'n'}, q{SET base_url 'http://evil/v1'})
	{
		like((as('plain', "ALTER SERVER own OPTIONS ($change)"))[1],
			qr/ERROR:  42501: permission denied to set option "(?:$option|client_cert)".*HINT:  Ask an administrator/s,
			"$option: a plain owner may not $change");
	}
	is(value($node, $state), $before, '... and nothing has changed');
	is((as('plain', q{ALTER SERVER own VERSION '2'; ALTER SERVER own RENAME TO own2; ALTER SERVER own2 RENAME TO own}))[1], '',
		'... but may rename it');
	unlike((outcome($node, "ALTER SERVER own OPTIONS ($drop)"))[1], qr/ERROR/, '... and an administrator may all of it');
}

# There and back, in steps.
make_lm();
value($node, q{ALTER SERVER lm OPTIONS (DROP base_url, ADD api 'canned')});
unlike((outcome($node, "ALTER SERVER lm OPTIONS (DROP api, ADD base_url '@{[$other->url]}')"))[1], qr/WARNING/,
	'a base_url that is added later finds no key');
is(value($node, $mappings), $none, '... to take along');

# In a transaction.
make_lm();
my ($out, $err) = outcome($node, "BEGIN; $move; $mappings; ROLLBACK; $mappings;");
is($out, "$none\n$all", 'within a transaction the keys are gone, after ROLLBACK they are there');
($out) = outcome($node, "BEGIN; SAVEPOINT s; $move; ROLLBACK TO s; COMMIT; $mappings;");
is($out, $all, '... as after ROLLBACK TO a savepoint');
($out) = outcome($node, "BEGIN; $move; ALTER USER MAPPING FOR curator SERVER lm OPTIONS (ADD api_key 'k-curator'); COMMIT; $mappings;");
is($out, 'curatorapi_key=k-curator keeper public', 'one may be given again in the same transaction');

# What moves nothing.
make_lm();
unlike((outcome($node, $_))[1], qr/WARNING|ERROR/, "no effect: $_")
  for "ALTER SERVER lm OPTIONS (SET base_url '@{[$mock->url]}')", q{ALTER SERVER lm OPTIONS (SET model 'judge-fixed-true')},
	q{ALTER SERVER lm OPTIONS (ADD temperature '0')}, q{ALTER SERVER lm VERSION '3'}, 'ALTER SERVER lm OWNER TO curator',
	q{COMMENT ON SERVER lm IS 'x'}, 'REVOKE USAGE ON FOREIGN SERVER lm FROM keeper';
is(value($node, $mappings), $all, '... on the keys');
value($node, 'ALTER SERVER lm RENAME TO moved');
is(value($node, $mappings =~ s/'lm'/'moved'/r), $all, '... nor has another name');
value($node, 'ALTER SERVER moved RENAME TO lm');

# Servers of others are none of ours.
value($node, q{CREATE EXTENSION postgres_fdw; LOAD 'gepa';
	CREATE SERVER pg FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'a');
	CREATE USER MAPPING FOR CURRENT_USER SERVER pg OPTIONS (password 'p'); ALTER SERVER pg OPTIONS (SET host 'b')});
is(value($node, q{SELECT umoptions FROM pg_user_mappings WHERE srvname = 'pg'}), '{password=p}', 'servers of another wrapper keep theirs');

# Two at a time: one of them fails, none is lost.
my $session = background($node, "BEGIN; ALTER USER MAPPING FOR curator SERVER lm OPTIONS (SET api_key 'k-2'); SELECT pg_advisory_lock(7), pg_sleep(600);");
wait_sql($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted}, 'an open transaction');
my $second = background($node, "$move;");
wait_sql($node, qq{SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $second->{pid}}, 'the second waits');
value($node, "SELECT pg_terminate_backend($session->{pid})");
like((finish($second))[1], qr/WARNING:  01000: dropped the keys of 3/, 'a mapping that another transaction had locked is waited for');
finish($session);
is(value($node, $mappings), $none, '... and loses its key');

# A dump has mappings and base_url as they are.
make_lm();
IPC::Run::run([ 'pg_dump', '-h', $node->host, '-p', $node->port, 'postgres' ], '>', \my $dump) or fail('pg_dump');
value($node, 'CREATE DATABASE restored');
($out, $err) = outcome($node, $dump, db => 'restored');
unlike($err, qr/WARNING|ERROR/, 'a dump restores without a word');
is(value($node, $mappings, db => 'restored'), $all, '... and with the keys');
is(value($node, q{SELECT string_agg(has_function_privilege(r, f, 'EXECUTE')::text, ' ' ORDER BY r, f)
	FROM unnest(ARRAY['curator', 'keeper']) r, unnest(ARRAY['gepa_judge(text, text)', 'gepa.start(text, text, name, int, bigint, jsonb)']) f},
	db => 'restored'), 'true true false false', 'a dump restores who may call');

done_testing();
