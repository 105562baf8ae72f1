# What the verdict writer cannot write now does not hold up the rest: rows that
# an open transaction has locked, and verdicts that the table refuses.

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
my $node = gepa_node('main');

create_lm($node, 'plain', $mock, 'judge-rules');
create_lm($node, 'broken', $mock, 'judge-rules+400');
value($node, "SELECT gepa.create_judge('j', 'plain', 'Is it good?'), gepa.create_judge('b', 'broken', 'Is it good?')");

my $stored = "SELECT count(*) FROM gepa.verdicts WHERE judge = 'j'";
my $log = -s $node->logfile;

sub logged { return scalar(() = slurp_file($node->logfile, $log) =~ /$_[0]/g); }

# -- a transaction that has dropped a judge and stays open

value($node, "SELECT gepa_judge('b', 'text ' || i) FROM generate_series(1, 600) i");
my $open = background($node, "BEGIN; SELECT gepa.drop_judge('b'); SELECT 'dropped';");
$open->{run}->pump until $open->{out} =~ /dropped/;

value($node, "SELECT gepa_judge('b', 'text ' || i) FROM generate_series(1, 600) i");
my (undef, $err) = outcome($node, "SELECT gepa_judge('j', 'text 0')");
is($err, '', 'another transaction does not wait in vain');
is(value($node, $stored), 1, '... its verdict is in the table');
$node->wait_for_log(qr/LOG:  (?:\w{5}: )?gepa verdict writer is held up: canceling statement due to lock timeout/, $log);
for my $n (1 .. 3)
{
	value($node, "SELECT gepa_judge('b', 'text $n'), gepa_judge('j', 'text $n')");
	is(value($node, $stored), 1 + $n, 'the verdicts of others are in the table when their transactions end');
}
$open->{in} .= "ROLLBACK;\n";
finish($open);
wait_sql($node, "SELECT sum(attempts) = 1203 FROM gepa.verdict_errors WHERE judge = 'b'", 'all attempts');
is(value($node, "SELECT count(*), sum(attempts) FROM gepa.verdict_errors WHERE judge = 'b'"), '600|1203',
	'what was held up is written when the transaction has ended, nothing lost and nothing twice');

# -- verdicts that raise an error, here those on texts of six characters

value($node, <<'SQL');
CREATE SEQUENCE tries;
CREATE FUNCTION is_good(chars int) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	IF chars = 6 THEN
		PERFORM pg_catalog.nextval('public.tries');
	END IF;
	RETURN chars <> 6;
END $$;
ALTER TABLE gepa.verdict ADD CONSTRAINT good CHECK (is_good(chars_total)) NOT VALID;
SQL
is(value($node, "SELECT count(gepa_judge('j', d)) FROM unnest('{before,a poison,poison,behind it}'::text[]) d"), 4,
	'four verdicts, two of which the table refuses');
is(value($node, $stored), 6, '... the two others are stored');
my $calls = $mock->journal->{requests};
is(value($node, "SELECT cached FROM gepa_verdict('j', 'poison')"), 't', '... those that are not are known');
is($mock->journal->{requests}, $calls, '... and not paid for again');
wait_sql($node, 'SELECT last_value >= 8 FROM tries', 'more than one round of tries');
is(value($node, "SELECT gepa_judge('j', 'more') IS NULL"), 'f', 'the writer goes on meanwhile');
is(value($node, $stored), 7, '... and writes');

is(value($node, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'"), 't',
	'a writer ends');
is(logged('cannot write a verdict of judge'), 2, 'each is told of once');
value($node, 'ALTER TABLE gepa.verdict DROP CONSTRAINT good');
wait_sql($node, "SELECT ($stored) = 9", 'the rest');
is(value($node, $stored), 9, 'they are stored when they can be');
is(logged('cannot write a verdict of judge'), 2, '... without another word');

done_testing();
