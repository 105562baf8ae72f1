# Keys: which one is sent where, and that none is ever shown.

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
my $folder = PostgreSQL::Test::Utils::tempdir();

# The log says all that it can, short of statements: those are the user's own words.
$ENV{GEPA_TEST_KEY} = 'sk-secret-env';
my $node = gepa_node('main',
	conf => "log_statement = none\nlog_min_messages = debug1\nlog_error_verbosity = verbose\n");

# A test that fails need not print all that it looked at.
sub no_key
{
	my ($text, $what) = @_;
	my ($first) = $text =~ /^(.*sk-secret.*)$/m;

	is($first, undef, $what);
	return;
}

# The Authorization headers that a statement made the mock see.
sub keys_sent
{
	my ($sql) = @_;

	$mock->reset;
	value($node, $sql);
	return join ' ', map { $_->{headers}{authorization} // 'none' } $mock->requests;
}

# Whose key: own mapping, PUBLIC's, file, environment, none.
create_lm($node, 'lm', $mock, 'judge-rules');
my $check = q{SELECT count(*) FROM gepa.check_lm('lm')};
is(keys_sent($check), 'none', 'no key, no header');
value($node, q{ALTER SERVER lm OPTIONS (ADD api_key_env 'GEPA_TEST_KEY')});
is(keys_sent($check), 'Bearer sk-secret-env', 'a key in the environment');

append_to_file("$folder/key", "sk-secret-file\n");
value($node, "ALTER SERVER lm OPTIONS (ADD api_key_file '$folder/key')");
is(keys_sent($check), 'Bearer sk-secret-file', '... comes after one in a file');
value($node, q{CREATE USER MAPPING FOR PUBLIC SERVER lm OPTIONS (api_key 'sk-secret-public')});
is(keys_sent($check), 'Bearer sk-secret-public', '... after that of PUBLIC');
value($node, q{CREATE USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS (api_key 'sk-secret-own')});
is(keys_sent($check), 'Bearer sk-secret-own', '... after that of the user');

# USAGE is the right to cause a call, with the key of who causes it.
value($node, 'CREATE ROLE curator LOGIN');
may_call($node, 'curator');
$mock->reset;
like((outcome($node, "SET ROLE curator; $check;"))[1], qr/ERROR:  42501: permission denied for LM "lm"/, 'no USAGE');
is($mock->journal->{requests}, 0, '... no call');
value($node, 'GRANT USAGE ON FOREIGN SERVER lm TO curator');
is(keys_sent("SET ROLE curator; $check"), 'Bearer sk-secret-public', 'with USAGE a call, and not with my key');

# Each key goes to its own endpoint, though one session uses both.
create_lm($node, 'other', $other, 'judge-rules');
value($node, q{CREATE USER MAPPING FOR CURRENT_USER SERVER other OPTIONS (api_key 'sk-secret-other')});
is(keys_sent("$check; SELECT count(*) FROM gepa.check_lm('other'); $check"),
	'Bearer sk-secret-own Bearer sk-secret-own', 'one endpoint sees its own key');
is(join(' ', map { $_->{headers}{authorization} } $other->requests), 'Bearer sk-secret-other', '... the other its');

# Keys that cannot be had are errors that do not quote.
my $use_broken = q{SELECT gepa.create_judge('broken', 'broken', 'Is it good?'); SELECT * FROM gepa.check_lm('broken')};
create_lm($node, 'broken', $mock, 'judge-rules', api_key_file => "$folder/none");
like((outcome($node, $use_broken))[1],
	qr/ERROR:  58P01: could not open api_key_file of LM "broken".*HINT/s, 'no such file');
append_to_file("$folder/bad", "sk-secret-b\x{e9}\n");
value($node, "ALTER SERVER broken OPTIONS (SET api_key_file '$folder/bad')");
like((outcome($node, $use_broken))[1],
	qr/ERROR:  F0000: api_key_file of LM "broken" holds no usable key.*HINT/s, 'no key in the file');
value($node, q{ALTER SERVER broken OPTIONS (DROP api_key_file, ADD api_key_env 'GEPA_NO_SUCH_KEY')});
like((outcome($node, $use_broken))[1],
	qr/ERROR:  F0000: environment variable .* is not set.*HINT/s, 'no such variable');

# Whatever happens to a call, what is said of it has no key in it.
my $said = '';
my $texts = 0;
for my $modifier (qw(rules rules+key-another rules+400 rules+leak rules+404 rules+html rules+refusal rules+drop-once))
{
	my $judge = judge_on($node, $mock, "judge-$modifier");

	value($node, qq{CREATE USER MAPPING FOR CURRENT_USER SERVER "$judge" OPTIONS (api_key 'sk-secret-$judge')});
	for my $statement ("SELECT gepa_verdict('$judge', 'text @{[ ++$texts ]}');",
		"EXPLAIN (ANALYZE, VERBOSE) SELECT gepa_judge('$judge', 'text @{[ ++$texts ]}');",
		"SET gepa.on_error = error; SELECT gepa_judge('$judge', 'text @{[ ++$texts ]}');",
		"SELECT * FROM gepa.check_lm('$judge');")
	{
		$said .= join "\n", outcome($node, $statement);
	}
}
ok($said =~ /HTTP 401.*HTTP 400.*I was sent Bearer \*+ and do not like it.*HTTP 404/s, 'much was said');
no_key($said, '... in answers, errors and EXPLAIN, and no key');

# What others see meanwhile.
my $hanging = judge_on($node, $mock, 'judge-rules+hang');
value($node, qq{CREATE USER MAPPING FOR CURRENT_USER SERVER "$hanging" OPTIONS (api_key 'sk-secret-hanging')});
$mock->reset;
my $session = background($node, "SELECT gepa_judge('$hanging', 'text');");
$mock->wait_for(sub { $_->{in_flight} == 1 }, 'a call');
my $activity = value($node, 'SELECT a::text FROM pg_stat_activity a');
like($activity, qr/gepa_judge\('$hanging'/, 'a call is in pg_stat_activity');
no_key($activity, '... its key is not');
value($node, "SELECT pg_cancel_backend($session->{pid})");
finish($session);

# What is stored and shown.
wait_sql($node, 'SELECT count(*) > 0 FROM gepa.verdict_errors', 'errors');
my @relations = split /\n/,
  value($node, q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'gepa'::regnamespace AND relkind IN ('r', 'v')});
my $stored = join "\n", map { value($node, "SELECT t::text FROM $_ t") } @relations;
like($stored, qr/I was sent/, 'the tables and views of gepa say what happened');
no_key($stored, '... without a key');

# A dump has the keys that the role who makes it may read.
value($node, 'CREATE ROLE reader LOGIN IN ROLE pg_read_all_data');
my ($dump, $errors);
IPC::Run::run([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-U', 'reader', 'postgres' ], '>', \$dump, '2>', \$errors)
  or fail("pg_dump: $errors");
like($dump, qr/CREATE SERVER lm .*api_key_file/s, 'a dump by who may read everything but keys');
no_key($dump, '... has no key');
IPC::Run::run([ 'pg_dump', '-h', $node->host, '-p', $node->port, 'postgres' ], '>', \$dump)
  or fail('pg_dump');
like($dump, qr/sk-secret-own/, 'a superuser gets them');

# At last the log, of all that happened here.
my $log = slurp_file($node->logfile);
ok($log =~ /DEBUG:/, 'the log is at its most talkative');
ok($log =~ /I was sent/, '... and has the errors');
no_key($log, '... and no key');

done_testing();
