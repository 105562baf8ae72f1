# Partitions of the verdict store: made for deployed versions and for nothing
# else, never in the way of a look-up, and emptied as a whole; and
# gepa.prune_verdicts(), which decides what goes.

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
value($node, "CREATE SERVER canned FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned');
	CREATE ROLE alice; GRANT USAGE ON FOREIGN SERVER plain, broken, canned TO alice");
may_call($node, 'alice');

# How many requests a query makes.
sub calls
{
	my ($sql) = @_;
	my $before = $mock->journal->{requests};

	value($node, $sql);
	return $mock->journal->{requests} - $before;
}

sub judge { my ($judge, $n) = @_; return "SELECT count(gepa_judge('$judge', 'text ' || i)) FROM generate_series(1, $n) i;"; }

sub partitions
{
	return value($node, q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_inherits JOIN pg_class ON oid = inhrelid
		WHERE inhparent = 'gepa.verdict'::regclass AND relname <> 'verdict_default'});
}

# Until there are these; the writer is kept at work.
sub wait_partitions
{
	my ($expected, $name) = @_;

	for my $n (1 .. 300)
	{
		last if partitions() eq $expected;
		value($node, "SET ROLE alice; SELECT gepa_judge('keeper', 'round ' || clock_timestamp()), pg_sleep(0.2)");
	}
	return is(partitions(), $expected, $name);
}

sub rows { my ($table) = @_; return value($node, "SELECT count(*) FROM gepa.$table"); }

sub prune { my ($arguments) = @_; return value($node, "SELECT * FROM gepa.prune_verdicts($arguments) ORDER BY version NULLS LAST"); }

# Alice's, so that its rows are not among those counted.
value($node, "SET ROLE alice; SELECT gepa.create_judge('keeper', 'canned', 'Keep the writer?')");
value($node, "SELECT gepa.create_judge('j', 'plain', 'Is it good?')");

# -- partitions are made for what is deployed

value($node, judge('j', 30));
wait_partitions('verdict_1_1 verdict_2_1', 'versions with verdicts get partitions');
is(rows('verdict_2_1'), 30, '... and their verdicts are moved there');
is(rows('verdict_default'), 0, '... all of them');
is(calls(judge('j', 40)), 10, '... where they are found');
is(rows('verdict_2_1'), 40, '... and new ones are written');

value($node, "SELECT gepa.alter_judge('j', options => '{\"threshold\": 0.7}')");
is(calls(judge('j', 40)), 0, 'a version that differs in the threshold shares them');
value($node, "SELECT gepa.alter_judge('j', prompt => 'Is it fine?'); " . judge('j', 20));
value($node, 'BEGIN; SELECT gepa.create_judge(\'gone\', \'plain\', \'Is it gone?\'); ' . judge('gone', 5) . ' ROLLBACK');
wait_partitions('verdict_1_1 verdict_2_1 verdict_2_3', '... and their partition');
is(rows('verdict_2_3'), 20, 'another prompt has one of its own');
is(rows('verdict_default'), 5, 'what was rolled back stays in the default partition');
value($node, 'SELECT gepa.create_judge(\'gone\', \'plain\', \'Is it gone?\')');
is(calls(judge('gone', 5)), 0, '... and is found when it is made again');
wait_partitions('verdict_1_1 verdict_2_1 verdict_2_3 verdict_4_1', '... with a partition now');
is(rows('verdict_default'), 0, '... to which it is moved');

# -- nobody reads them directly, whatever the defaults; a name may be taken

value($node, 'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO alice');
value($node, "CREATE TABLE gepa.verdict_5_1 (); SELECT gepa.create_judge('taken', 'plain', 'Is it taken?'); " . judge('taken', 3));
wait_partitions('verdict_1_1 verdict_2_1 verdict_2_3 verdict_4_1 verdict_5_1_1', 'a name that is taken is no obstacle');
value($node, 'ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC; ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM alice');
like((outcome($node, "SET ROLE alice; SELECT * FROM gepa.$_"))[1], qr/ERROR:  42501: permission denied for table $_/, "$_ cannot be read")
  for 'verdict_default', split / /, partitions();
is( value($node, q{SELECT count(DISTINCT c.relowner) FROM pg_class c JOIN pg_inherits ON c.oid = inhrelid OR c.oid = inhparent
	WHERE inhparent = 'gepa.verdict'::regclass}), 1, 'they have the owner of their parent');

my $locks = "SELECT string_agg(relation::regclass::text, ' ') FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN
	(SELECT unnest(ARRAY[inhrelid, inhparent]) FROM pg_inherits WHERE inhparent = 'gepa.verdict'::regclass)";
is(value($node, "BEGIN; SELECT gepa_judge('j', 'text 1') \\g /dev/null\n$locks; COMMIT"), '', 'a look-up keeps no lock until its transaction ends');

# -- what stands in the way of a partition is in the way of nothing else

my $log = -s $node->logfile;
my $open = background($node, "BEGIN; LOCK TABLE gepa.verdict_default IN ACCESS SHARE MODE; SELECT 'locked';");
$open->{run}->pump until $open->{out} =~ /locked/;
value($node, "DROP TABLE gepa.verdict_5_1; SELECT gepa.create_judge('later', 'plain', 'Is it later?'); " . judge('later', 8));
value($node, 'SET ROLE alice; ' . judge('keeper', $_) . 'SELECT pg_sleep(0.3)') for 1 .. 5;
is(calls(judge('later', 8)), 0, 'verdicts are written and found where the default partition is locked');
unlike(partitions(), qr/verdict_6_1/, '... and a partition is not made');
$open->{in} .= "COMMIT;\n";
finish($open);
wait_partitions('verdict_1_1 verdict_2_1 verdict_2_3 verdict_4_1 verdict_5_1_1 verdict_6_1', '... before it is free');
unlike(slurp_file($node->logfile, $log), qr/ERROR|cannot make or drop a partition/, '... without a word');

value($node, q{CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no tables today''; END';
	CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION refuse()});
value($node, "SELECT gepa.create_judge('refused', 'plain', 'Is it refused?'); " . judge('refused', 4));
$node->wait_for_log(qr/cannot make or drop a partition of gepa.verdict, and will try again: no tables today/, $log);
is(calls(judge('refused', 5)), 1, 'where tables are refused verdicts are stored all the same');
value($node, "DROP EVENT TRIGGER refuse; SELECT gepa.drop_judge('refused'), gepa.drop_judge('later'), gepa.drop_judge('taken')");
is(value($node, 'SELECT count(*) FROM gepa.verdict WHERE verdict_digest NOT IN (SELECT verdict_digest FROM gepa.judge_version)'),
	0, 'dropped judges leave no verdicts');

# -- look-ups while partitions come and go: none fails, none is paid again

# The writer that was refused tries again in a minute: let there be another.
value($node, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'");
value($node, judge('j', 20));
my $before = $mock->journal->{requests};
my @readers = map { background($node, <<~'SQL') } 1 .. 3;
	DO $$ DECLARE n int; BEGIN
		LOOP
			SELECT count(gepa_judge('j', 'text ' || i)) INTO n FROM generate_series(1, 20) i;
			IF n <> 20 THEN RAISE 'found % verdicts', n; END IF;
			COMMIT;
			EXIT WHEN to_regclass('public.enough') IS NOT NULL;
		END LOOP;
	END $$;
	SQL
my $counter = background($node, <<~'SQL');
	DO $$ DECLARE n int; most int := 0; BEGIN
		LOOP
			EXECUTE 'SELECT count(*) FROM gepa.verdicts WHERE judge LIKE ''new%''' INTO n;	-- planned each time
			IF n < most THEN RAISE '% verdicts of %', n, most; END IF;
			most := n;
			COMMIT;
			EXIT WHEN n = 360;
		END LOOP;
	END $$;
	SQL
for my $n (1 .. 6)
{
	# Half of a new judge's texts are judged while the others are moved.
	value($node, "SELECT gepa.create_judge('new$n', 'plain', 'Is it new $n?')");
	value($node, judge("new$n", 10 * $_)) for 1 .. 6;
	wait_sql($node, "SELECT gepa_judge('keeper', clock_timestamp()::text) \\g /dev/null
		SELECT count(*) = 60 FROM gepa.verdicts v JOIN gepa.verdict w ON encode(w.digest, 'hex') = v.digest
		WHERE v.judge = 'new$n' AND w.judge = (SELECT id FROM gepa.judges WHERE judge = 'new$n')
			AND w.tableoid <> 'gepa.verdict_default'::regclass", 'a partition');
}
is((finish($counter))[1], '', 'the view misses no verdict while it is moved');
value($node, "SELECT gepa.drop_judge('new$_')") for 1 .. 5;
value($node, 'CREATE TABLE enough ()');
my @errors = map { (finish($_))[1] } @readers;
is_deeply(\@errors, [ '', '', '' ], 'look-ups do not fail while partitions come and go');
is($mock->journal->{requests} - $before, 6 * 60, '... and nothing is paid twice');
value($node, "SELECT gepa.drop_judge('new6'), gepa.drop_judge('gone')");
wait_partitions('verdict_1_1 verdict_2_1 verdict_2_3', 'empty partitions are dropped');

# -- prune_verdicts(): who may, and what it wants

my %refusals = (
	q{gepa.prune_verdicts('j')} => qr/22023: no rule says which verdicts to delete.*HINT/s,
	q{gepa.prune_verdicts('j', -1)} => qr/22023: "keep_versions" must not be negative.*HINT/s,
	q{gepa.prune_verdicts('j', older_than => '-1 day')} => qr/22023: "older_than" must not be negative.*HINT/s,
	q{gepa.prune_verdicts(NULL, 1)} => qr/22004: argument "judge" must not be null/,
	q{gepa.prune_verdicts('nobody', 1)} => qr/42704: judge "nobody" does not exist/);
like((outcome($node, "SELECT $_"))[1], qr/ERROR:  $refusals{$_}/, $_) for sort keys %refusals;
like((outcome($node, "SET ROLE alice; SELECT gepa.prune_verdicts('j', 0)"))[1], qr/ERROR:  42501: must be owner of judge "j"/, 'the owner only');

# -- by version: 1 and 2 share their verdicts, 3 is current

my $file = "SELECT pg_relation_filenode('gepa.verdict_2_1')";
my $filenode = value($node, $file);
my $verdicts = q{SELECT string_agg(version || ':' || n, ' ' ORDER BY version)
	FROM (SELECT version, count(*) AS n FROM gepa.verdicts WHERE judge = 'j' GROUP BY version) v};
is(value($node, $verdicts), '2:40 3:20', 'verdicts of two prompts');
is(prune("'j', 3"), '', 'three versions are kept: nothing goes');
is(prune("'j', 2"), '', 'two: version 1 shares with 2');
is(value($node, "BEGIN; SELECT gepa.prune_verdicts('j', 0) \\g /dev/null\n$verdicts; ROLLBACK"), '3:20', 'the current version is kept always');
is(value($node, $verdicts), '2:40 3:20', '... and a rollback brings the rest back');
is(calls(judge('j', 20)), 0, '... to be found');
is(value($node, "BEGIN; SELECT gepa_judge('j', 'text 1') \\g /dev/null\nSELECT version, emptied FROM gepa.prune_verdicts('j', 1); $file <> $filenode; COMMIT"),
	"2|t\nt", 'the older prompt goes, by TRUNCATE');
is(value($node, $verdicts), '3:20', '... as a whole');
is(calls(judge('j', 20)), 0, '... and the current version goes on');
wait_partitions('verdict_1_1 verdict_2_3', '... and the empty partition is dropped');
value($node, "SELECT gepa.alter_judge('j', prompt => 'Is it good?', options => '{\"threshold\": 0.5}')");
is(value($node, "SELECT current_version FROM gepa.judges WHERE judge = 'j'"), 1, 'version 1 is current again');
is(calls(judge('j', 6)), 6, '... and pays for what was pruned');
wait_partitions('verdict_1_1 verdict_2_1 verdict_2_3', '... into a partition of the old name');

# Others wait no longer than they have to.
$open = background($node, "BEGIN; SELECT emptied FROM gepa.prune_verdicts('j', 0); SELECT 'pruned';");
$open->{run}->pump until $open->{out} =~ /pruned/;
like($open->{out}, qr/^t$/m, 'a transaction that has pruned and stays open');
is(value($node, 'SET statement_timeout = \'60s\'; ' . judge('j', 8)), 8, '... keeps nobody from the current version');
$open->{in} .= "ROLLBACK;\n";
finish($open);
is(value($node, $verdicts), '2:8 3:20', '... and is rolled back');

# Of a table that is being read rows are deleted.
is(value($node, "SELECT (gepa.prune_verdicts('j', 0)).* FROM gepa.verdicts WHERE judge = 'j' LIMIT 1"), '3|20|0|f',
	'a partition that the query reads is emptied by DELETE');
is(value($node, $verdicts), '2:8', '... all the same');

# -- by age, the current version included; errors as well

value($node, "SELECT gepa.create_judge('b', 'broken', 'Is it good?'); " . judge('b', 4));
value($node, "UPDATE gepa.verdict SET created_at = now() - interval '10 days' WHERE judge = 2 AND chars_total = 6 AND ctid IN
	(SELECT ctid FROM gepa.verdict WHERE judge = 2 LIMIT 3);
	UPDATE gepa.verdict_error SET last_at = now() - interval '10 days' WHERE digest IN (SELECT digest FROM gepa.verdict_error LIMIT 3)");
is(prune("'j', older_than => '11 days'"), '', 'nothing is that old');
is(prune("'j', older_than => '9 days'"), '2|3|0|f', 'three verdicts are older');
is(value($node, $verdicts), '2:5', '... and go');
is(calls(judge('j', 8)), 3, '... and are paid for again');
is(prune("'b', older_than => '9 days'"), '1|0|3|f', 'errors go by age as well');
is(prune("'b', older_than => '0'"), '1|0|1|f', '... or all of them');

# Either rule is enough.
value($node, "SELECT gepa.alter_judge('j', prompt => 'Is it fine?'); " . judge('j', 5));
value($node, "UPDATE gepa.verdict SET created_at = now() - interval '10 days' WHERE digest IN
	(SELECT v.digest FROM gepa.verdict v JOIN gepa.judge_version w USING (judge, verdict_digest) WHERE v.judge = 2 AND w.version = 3 LIMIT 2)");
is(value($node, "SELECT string_agg(version || ' ' || CASE WHEN emptied THEN 'emptied' ELSE verdicts::text END, ', ' ORDER BY version)
	FROM gepa.prune_verdicts('j', 0, '9 days')"), '2 emptied, 4 2', 'both rules: what fails either goes');
is(value($node, $verdicts), '4:3', '... and the rest stays');

# -- what is shared with another judge

value($node, "SELECT gepa.create_judge('twin', 'plain', 'Is it fine?', options => '{\"threshold\": 0.9}')");
is(calls(judge('twin', 5)), 2, 'an equal judge shares what is there');
value($node, "SELECT gepa.alter_judge('j', prompt => 'Is it new?'); " . judge('j', 2));
is(prune("'j', 0"), '', 'what another judge uses is kept by the rule on versions');
is(calls(judge('twin', 5)), 0, '... and found');
is(prune("'j', older_than => '0'") =~ /^4\|3\|/m, 1, '... but not by that on age, as far as the judge paid');
is(calls(judge('twin', 5)), 3, '... and paid for by the other');

# -- candidates that were measured and not deployed have no version

load_world($node, 'labels', rows => 60, seed => 3);
create_lm($node, 'reflecting', $mock, 'reflector');
value($node, "SELECT gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep', feedback => 'note')");
value($node, "SELECT gepa.create_judge('tuned', 'plain', 'Is it tuned?')");
value($node, "SELECT gepa.optimize('tuned', 'd', 'reflecting', 150); SELECT count(*) FROM gepa.report('tuned')");
my $candidates = "SELECT count(*) FROM gepa.verdicts WHERE judge = 'tuned' AND version IS NULL";
my $n = value($node, $candidates);
cmp_ok($n, '>', 0, 'a report measures a candidate');
is(prune("'tuned', 5"), "|$n|0|f", '... which the rule on versions does not keep');
is(value($node, $candidates), 0, '... whatever the number');
cmp_ok(value($node, "SELECT count(*) FROM gepa.verdicts WHERE judge = 'tuned' AND version = 1"), '>', 0, '... as it does the version');

# -- without a writer everything is in the default partition, and goes by rows

my $plain = gepa_node('plain', preload => 0);
create_lm($plain, 'plain', $mock, 'judge-rules');
value($plain, "SELECT gepa.create_judge('j', 'plain', 'Is it good?'); " . judge('j', 12));
value($plain, "SELECT gepa.alter_judge('j', prompt => 'Is it fine?'); " . judge('j', 3));
is(value($plain, "SELECT * FROM gepa.prune_verdicts('j', 0)"), '1|12|0|f', 'without preload verdicts are deleted by rows');
is(value($plain, 'SELECT count(*) FROM gepa.verdict_default'), 3, '... which are in the default partition');

value($node, 'DROP EXTENSION gepa CASCADE');
is(value($node, "SELECT count(*) FROM pg_class WHERE relname LIKE 'verdict%'"), 0, 'DROP EXTENSION takes the partitions along');

done_testing();
