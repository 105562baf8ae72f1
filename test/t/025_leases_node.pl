# A statement that waits for another session's call goes on with its own, and counts what it did.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# One LM, two places to reach it: at the first one calls wait, at the second they do not.
my $held = Gepa::Mock->new;
my $open = Gepa::Mock->new;
my $node = gepa_node('main');
my $judge = judge_on($node, $held, 'judge-rules+gate', max_concurrency => 2);
my $rows = 20;

sub reach
{
	my ($mock, $open) = @_;

	value($node, "ALTER SERVER $judge OPTIONS (SET base_url '@{[$mock->url]}')");
	$mock->gate(open => $open);
	return;
}

# A session that calls a text and waits, and one whose first row has that text.
sub two_sessions
{
	my ($text, $row) = @_;

	reach($held, 0);
	$held->reset;
	$open->reset;
	my $first = background($node, "SELECT status, cached FROM gepa_verdict('$judge', '$text');");
	ok($held->wait_for(sub { $_->{waiting} == 1 }, 'its call'), 'a session calls');
	reach($open, 1);
	my $second = background($node, <<~SQL);
		SET gepa.on_error = 'null';
		SELECT count(gepa_judge('$judge', body)) FROM (SELECT CASE i WHEN 0 THEN '$text' ELSE '$row ' || i END AS body
			FROM generate_series(0, $rows) i OFFSET 0) d;
		SQL
	ok($open->wait_for(sub { $_->{answered} == $rows }, 'all other rows'), '... another, at its first row, goes on with the others');
	ok(session_waits($node, $second, 'GepaLease'), '... and waits for the first');
	is($open->journal->{documents}, $rows, '... whose text it has not sent');
	return ($first, $second);
}

my ($first, $second) = two_sessions('held', 'row');
$held->gate(pass => 1);
is((finish($first))[0], "ok|f\n", 'the one has its verdict');
is((finish($second))[0], 1 + $rows . "\n", '... and the other finds it');
is($open->journal->{requests}, $rows, '... without a call');

($first, $second) = two_sessions('given up', 'another row');
value($node, "SELECT pg_cancel_backend($first->{pid})");
is((finish($second))[0], 1 + $rows . "\n", 'of one who gives up the other takes over the text');
is($open->journal->{requests}, 1 + $rows, '... with a call of its own');
finish($first);

# Rows before the one that another calls are given out.
reach($held, 0);
$held->reset;
$first = background($node, "SELECT status FROM gepa_verdict('$judge', 'held back');");
ok($held->wait_for(sub { $_->{waiting} == 1 }, 'its call'), 'a session calls');
reach($open, 1);
is(value($node, <<~SQL), 't', 'a row is not kept back for a later one that another session calls');
	SELECT coalesce((gepa_verdict('$judge', body)).label, 'none') IN ('true', 'false') FROM (VALUES ('before'), ('held back')) v (body) LIMIT 1
	SQL
$held->gate(pass => 1);
finish($first);

# -- what the calls of a statement met

my $limited = judge_on($node, $open, 'judge-rules+429-ms250-once', max_concurrency => 3);
my $plan = value($node, "EXPLAIN (ANALYZE, FORMAT json) SELECT count(*) FROM generate_series(1, 6) i WHERE gepa_judge('$limited', 'limited ' || i)");
my ($found) = find_keys(decode_json($plan), 'Throttled', 'Peak In Flight');

is($found->{Throttled}, 6, 'answers with status 429 are counted');
my $peak = $open->journal->{by_model}{'judge-rules+429-ms250-once'}{peak};
ok($found->{'Peak In Flight'} >= $peak && $found->{'Peak In Flight'} <= 3, '... and calls in flight at their most');

sub find_keys
{
	my ($thing, @keys) = @_;

	return map { find_keys($_, @keys) } @$thing if ref $thing eq 'ARRAY';
	return () if ref $thing ne 'HASH';
	return $thing if !grep { !exists $thing->{$_} } @keys;
	return map { find_keys($_, @keys) } values %$thing;
}

done_testing();
