# A key that is given while another transaction moves the LM, prepared or open, in
# either order, with the library preloaded or not: the new endpoint never sees it.

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
my $node;
my $check = q{SELECT * FROM gepa.check_lm('lm')};
my $keys = q{SELECT count(*) FROM pg_user_mappings WHERE srvname = 'lm' AND umoptions::text LIKE '%k-curator%'};
my %moves = (
	'a new base_url' => "ALTER SERVER lm OPTIONS (SET base_url '@{[$other->url]}')",
	'a server of the same name' => "DROP SERVER lm CASCADE; CREATE SERVER lm FOREIGN DATA WRAPPER gepa_lm OPTIONS
		(base_url '@{[$other->url]}', model 'judge-rules', allow_private_address 'true'); GRANT USAGE ON FOREIGN SERVER lm TO curator");
my $create = q{CREATE USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS (api_key 'k-curator')};
my %gifts = (
	'CREATE' => $create,
	'ALTER' => q{ALTER USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS (ADD api_key 'k-curator')},
	'CREATE in a DO block' => "DO \$\$ BEGIN $create; END \$\$",
	'ALTER in a DO block' => "DO \$\$ BEGIN EXECUTE 'ALTER USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS (ADD api_key ''k-curator'')'; END \$\$");

sub make_lm
{
	my ($gift) = @_;

	value($node, "DROP SERVER IF EXISTS lm CASCADE; SET SESSION AUTHORIZATION keeper;
		CREATE SERVER lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '@{[$mock->url]}', model 'judge-rules',
			allow_private_address 'true');
		GRANT USAGE ON FOREIGN SERVER lm TO curator");
	value($node, 'CREATE USER MAPPING FOR curator SERVER lm') if $gift =~ /ALTER/;
	$_->reset for $mock, $other;
	return;
}

sub waits_for_lock
{
	my ($session, $what) = @_;
	return ok(wait_sql($node, "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $session->{pid}", $what), $what);
}

sub seen { return join ' ', map { $_->{headers}{authorization} // 'none' } $_[0]->requests; }

# The other transaction came first.
sub test_mover_first
{
	my ($way, $gift, $end) = @_;

	make_lm($gift);
	value($node, "SET SESSION AUTHORIZATION keeper; BEGIN; $moves{$way}; PREPARE TRANSACTION 'move'");
	my $session = background($node, "$gifts{$gift};", user => 'curator');
	waits_for_lock($session, "$way, $gift: who gives a key waits");
	value($node, "$end PREPARED 'move'");
	my $said = (finish($session))[1];
	value($node, "SET SESSION AUTHORIZATION curator; $check");
	if ($end eq 'ROLLBACK')
	{
		is($said, '', '... and when nothing came of it, gives it');
		is(seen($mock) . seen($other), 'Bearer k-curator', '... to where it was');
		return;
	}
	like($said, qr/ERROR:  55000: LM "lm" was moved, renamed or dropped .*HINT:  Look at/s, '... and is told');
	is(value($node, $keys), 0, '... the key is not kept');
	is(seen($other), 'none', '... the new endpoint has not seen it');
	return;
}

# The key came first.
sub test_giver_first
{
	my ($gift) = @_;

	make_lm($gift);
	value($node, "SET SESSION AUTHORIZATION curator; BEGIN; $gifts{$gift}; PREPARE TRANSACTION 'gift'");
	my $session = background($node, "$moves{'a new base_url'};", user => 'keeper');
	waits_for_lock($session, "$gift: who moves the LM waits");
	value($node, q{COMMIT PREPARED 'gift'});
	like((finish($session))[1], qr/WARNING:  01000: dropped the key of 1 /, '... and drops the key');
	value($node, "SET SESSION AUTHORIZATION curator; $check");
	is(seen($other), 'none', '... which the new endpoint has not seen');
	return;
}

for my $preload (0, 1)
{
	$node = gepa_node("preload$preload", preload => $preload, conf => "max_prepared_transactions = 2\ndeadlock_timeout = '10ms'\n");
	value($node, q{CREATE ROLE keeper LOGIN; CREATE ROLE curator LOGIN;
		GRANT USAGE ON FOREIGN DATA WRAPPER gepa_lm TO keeper; GRANT pg_read_server_files TO keeper});
	may_call($node, 'curator');
	note("preload: $preload");
	for my $gift (sort keys %gifts)
	{
		test_mover_first('a new base_url', $gift, $_) for 'COMMIT', 'ROLLBACK';
		test_giver_first($gift);
	}
	test_mover_first('a server of the same name', 'CREATE', 'COMMIT');

	# Open transactions; a prepared one holds what they wait for in their middle.
	make_lm('CREATE');
	value($node, q{BEGIN; SELECT pg_advisory_xact_lock(8); PREPARE TRANSACTION 'cue'});
	my $mover = background($node, "BEGIN; $moves{'a new base_url'}; SELECT pg_advisory_xact_lock_shared(8); COMMIT;", user => 'keeper');
	waits_for_lock($mover, 'the LM is moved, the transaction open');
	my $giver = background($node, "$create;", user => 'curator');
	waits_for_lock($giver, '... a key waits');
	value($node, q{COMMIT PREPARED 'cue'});
	finish($mover);
	like((finish($giver))[1], qr/ERROR:  55000: LM "lm" was moved/, '... and is not given');

	# Keys that are given in turn, and the LM moved to and fro.
	make_lm('CREATE');
	value($node, 'CREATE USER MAPPING FOR keeper SERVER lm; CREATE USER MAPPING FOR curator SERVER lm');
	my $give = "ALTER USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS (ADD api_key 'k');
		ALTER USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS (DROP api_key);\n";
	my @sessions = map { background($node, $give x 40, user => $_) } 'keeper', 'curator';
	push @sessions, background($node, ("$moves{'a new base_url'};\n$moves{'a new base_url'};\n" =~ s/\Q@{[$other->url]}\E(?=.*\n\z)/@{[$mock->url]}/sr) x 20, user => 'keeper');
	my $said = join '', map { (finish($_))[1] } @sessions;
	unlike($said, qr/40P01|ERROR:  (?!55000|42704)/, 'nobody deadlocks');
	$node->stop;
}

done_testing();
