# What a session remembers of verdicts, and what it must not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $setup = <<~SQL;
	CREATE SERVER plain FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '@{[$mock->url]}',
		allow_private_address 'true', model 'judge-rules');
	SELECT gepa.create_judge('j', 'plain', 'Is it good?') > 0;
	SQL

value($node, $setup);

# -- found in the table: looked up once for all uses of a row, many at a time

value($node, "SELECT gepa_judge('j', 'row ' || i) FROM generate_series(1, 20) i");
is( value($node, q{
	BEGIN;
	SELECT count(*) FROM (SELECT (gepa_verdict('j', 'row ' || i)).*, gepa_score('j', 'row ' || i)
		FROM generate_series(1, 20) i OFFSET 0) s WHERE cached;
	SELECT sum(seq_scan + idx_scan) BETWEEN 2 AND 21 FROM pg_stat_xact_all_tables JOIN pg_inherits ON inhrelid = relid
		WHERE inhparent = 'gepa.verdict'::regclass;
	COMMIT}), "20\nt", '14 calls with each of 20 documents are 20 look-ups at most, and one of the planner');

# -- what others delete meanwhile

my $session = background($node, '');

sub said
{
	my ($sql) = @_;

	$session->{in} .= "$sql;\nSELECT 'said';\n";
	$session->{run}->pump until $session->{out} =~ s/^said\n//m;
	(my $out = $session->{out}) =~ s/\s+\z//;
	$session->{out} = '';
	return $out;
}

my $cached = "SELECT cached FROM gepa_verdict('j', 'a text')";
my $stored = 'SELECT count(*) FROM gepa.verdicts WHERE chars_total = 6';

is(said("$cached; $cached; BEGIN; $cached; $cached; COMMIT"), "f\nt\nt\nt", 'a session pays once');
value($node, "SELECT gepa.drop_judge('j'); SELECT gepa.create_judge('j', 'plain', 'Is it good?')");
is(said($cached), 'f', 'a verdict that another session has deleted is asked for');
is(said($stored), 1, '... and stored');
said("SELECT gepa.drop_judge('j'); SELECT gepa.create_judge('j', 'plain', 'Is it good?')");
is(said("$cached; $stored"), "f\n1", 'so is one that this session has deleted');
is(said("BEGIN; SELECT gepa.drop_judge('j') \\g /dev/null\nSELECT gepa.create_judge('j', 'plain', 'Is it good?') > 0; $cached; COMMIT"),
	"t\nf", '... or its transaction');
# The writer meets the row that this transaction was about to delete.
wait_sql($node, "SELECT ($stored) = 1", 'the verdict');
is(said("DROP EXTENSION gepa CASCADE; CREATE EXTENSION gepa; $setup $cached; $stored"), "t\nf\n1",
	'nothing is left of an extension that was dropped');
finish($session);

done_testing();
