# The current version is resolved once per query, however long that takes, and
# anew for the next; a version that differs in its threshold pays nothing.

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
create_lm($node, 'gated', $mock, 'judge-rules+gate');
create_lm($node, 'scored', $mock, 'judge-rules', logprobs => 'true');
create_lm($node, 'unscored', $mock, 'judge-rules+nologprobs', logprobs => 'true');

# Rules that say opposite things of the same documents.
my %rule = map { $_ => qq{Is it good?\nRULE: documents that mention "zorvex" are $_} } qw(true false);

value($node, qq{SELECT gepa.create_judge('g', 'gated', '$rule{true}'), gepa.create_judge('j', 'plain', '$rule{true}')});
value($node, "CREATE TABLE docs AS SELECT i AS id, 'zorvex ' || i AS body FROM generate_series(1, 4) i");

# -- a long query, while another session makes new versions

my $query = <<~'SQL';
	SELECT string_agg((v).version || (v).label || gepa_judge('g', 'long ' || body), ' ' ORDER BY id)
	FROM (SELECT id, body, gepa_verdict('g', 'long ' || body) v FROM docs OFFSET 0) s;
	SQL
my $session = background($node, $query . $query);
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'the first document at the gate'), 'a query has begun');
$mock->gate(pass => 1);
ok($mock->wait_for(sub { $_->{answered} == 1 && $_->{waiting} > 0 }, 'the next'), '... and goes on');
is(value($node, qq{SELECT gepa.alter_judge('g', prompt => '$rule{false}')}), 2, 'meanwhile there is a new version');
$mock->gate(open => 1);
my ($out) = finish($session);
is((split /\n/, $out)[0], join(' ', ('1truetrue') x 4), 'it ends with the version that it began with');
is((split /\n/, $out)[1], join(' ', ('2falsefalse') x 4), '... and the next one takes the new version');

# -- cursors and prepared statements

is( value($node, qq{
	BEGIN;
	DECLARE c CURSOR FOR SELECT gepa_judge('j', body) FROM docs ORDER BY id;
	FETCH 1 FROM c;
	SELECT gepa.alter_judge('j', prompt => '$rule{false}');
	FETCH 2 FROM c;
	SELECT gepa_judge('j', body) FROM docs WHERE id = 1;
	COMMIT}), "t\n2\nt\nt\nf", 'a cursor keeps its version, the statement beside it has the new one');

is( value($node, qq{
	SET plan_cache_mode = force_generic_plan;
	PREPARE p(text) AS SELECT version, label FROM gepa_verdict('j', \$1);
	EXECUTE p('zorvex again');
	SELECT gepa.alter_judge('j', prompt => '$rule{true}');
	EXECUTE p('zorvex again')}), "2|false\n1\n1|true", 'a generic plan takes the current version at each execution');

# PL/pgSQL keeps the state of an expression for a whole transaction, in which
# another session's version can become visible at any statement.  Here the
# snapshots before and after differ in nothing but that session's xid.
sub say
{
	my ($to, $sql) = @_;

	$to->{in} .= "$sql;\nSELECT 'said';\n";
	$to->{run}->pump until $to->{out} =~ s/said\n//;
	return;
}

my $lock = background($node, '');
my $other = background($node, '');
say($lock, 'SELECT pg_advisory_lock(1)');
say($other, qq{BEGIN; SELECT gepa.alter_judge('j', prompt => '$rule{false}')});
value($node, 'SELECT txid_current()');
my $loop = background($node, <<~'SQL');
	DO $$
	DECLARE
		said bool;
	BEGIN
		FOR i IN 1 .. 2 LOOP
			said := gepa_judge('j', 'zorvex again');
			RAISE NOTICE 'said %', said;
			PERFORM pg_advisory_lock_shared(1);
		END LOOP;
	END $$;
	SQL
wait_sql($node, "SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = $loop->{pid}", 'the loop in its middle');
say($other, 'COMMIT');
say($lock, 'SELECT pg_advisory_unlock(1)');
is(join(' ', (finish($loop))[1] =~ /said (\w)/g), 't f', 'PL/pgSQL takes the version that its statement sees');
finish($_) for $lock, $other;

# What was resolved before is given up: a loop that writes sees a new snapshot
# each time, here 200 times a prompt of 100 kB.
value($node, "SELECT gepa.create_judge('wordy', 'plain', repeat('Is it good? ', 10000))");
is( (outcome($node, q{
	CREATE TEMP TABLE seen (n int);
	DO $$
	DECLARE
		said bool;
		before bigint;
	BEGIN
		FOR i IN 1 .. 200 LOOP
			said := gepa_judge('wordy', 'zorvex');
			INSERT INTO seen VALUES (i);
			IF i = 20 THEN
				before := sum(total_bytes) FROM pg_backend_memory_contexts;
			END IF;
		END LOOP;
		IF (SELECT sum(total_bytes) FROM pg_backend_memory_contexts) - before > 5000000 THEN
			RAISE EXCEPTION 'the loop leaks';
		END IF;
	END $$}))[1], '', 'a loop needs no more memory the longer it runs');

# -- thresholds

value($node, q{SELECT gepa.create_judge('s', 'scored', E'Is it good?\nRULE: documents that mention "zorvex" are true')});
is(value($node, "SELECT gepa_score('s', 'zorvex') > 0.9, gepa_score('s', 'the quiet river') BETWEEN 0.2 AND 0.8"),
	't|t', 'scores are probabilities');
is(value($node, "SELECT gepa_judge('s', 'zorvex')"), 't', 'positive above the threshold');
$mock->reset;
is(value($node, q{SELECT gepa.alter_judge('s', options => '{"threshold": 0.99}')}), 2, 'another threshold is a new version');
is(value($node, "SELECT gepa_judge('s', 'zorvex'), (gepa_verdict('s', 'zorvex')).label, gepa_score('s', 'zorvex') > 0.9"),
	'f|true|t', '... under which it is not positive, with the same label and score');
is($mock->journal->{requests}, 0, '... without a call');
is(value($node, "SELECT version, cached FROM gepa_verdict('s', 'zorvex')"), '2|t', 'the verdict names the version that decides');

# Without log-probabilities the score is 0 or 1, and the threshold means nothing.
for my $lm ('plain', 'unscored')
{
	value($node, qq{SELECT gepa.create_judge('$lm', '$lm', '$rule{true}', options => '{"threshold": 1.0}')});
	is(value($node, "SELECT gepa_score('$lm', 'zorvex'), gepa_judge('$lm', 'zorvex')"), '1|t', "LM $lm: score 1");
}
value($node, qq{SELECT gepa.create_judge('n', 'plain', '$rule{false}')});
is(value($node, "SELECT gepa_score('n', 'zorvex'), gepa_judge('n', 'zorvex')"), '0|f', 'score 0');

done_testing();
