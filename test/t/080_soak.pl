# A soak: a table is judged by a job and watched by another, while its rows come, change
# and go, others query it, the LM fails now and then, and processes are cancelled,
# terminated and killed, the server included.
#
# What holds in the end: every row that is left has the verdict of its text, or the
# status that its text always gets; nothing is known of others; no answer was paid for
# again but what was in flight at a kill; and no process has grown.
#
#   GEPA_SOAK_SEED=7 GEPA_SOAK_ROWS=100000 script/test ...
#
# script/test --long has 100,000 rows.  The seed draws what is done; when, is up to the
# machine.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Job;
use Gepa::Mock;
use Gepa::Soak;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rows = $ENV{GEPA_SOAK_ROWS} || 2000;
my $seed = $ENV{GEPA_SOAK_SEED} // int(rand(1_000_000));
diag("GEPA_SOAK_SEED=$seed GEPA_SOAK_ROWS=$rows");
srand($seed);

my $concurrency = 16;
my $long = $rows >= 50_000;
my $steps = $long ? 500 : 30;
my $readers = 2;
my $most_rss = 64 * 1024;    # kB of any process
my $growth = 8 * 1024;

# One call in a hundred fails; of few rows more, so that all kinds are met.  What
# is drawn for each text anew by "each" passes; by "rate" it stays.
my $share = $long ? 1 : 3;
my %fault = (
	'500' => [ each => 0.2 ], '429-ms50' => [ each => 0.2 ], hang => [ each => 0.05 ], 'drop-body' => [ each => 0.1 ],
	'truncated-json' => [ each => 0.1 ], badlabel => [ each => 0.1 ], refusal => [ rate => 0.15 ], 'garbage-100' => [ rate => 0.1 ]);
my $model = join '+', 'judge-rules', $long ? 'slow-5' : 'slow-20',
  map { "$_-$fault{$_}[0]-" . $share * $fault{$_}[1] } sort keys %fault;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => <<~CONF);
	restart_after_crash = on
	max_worker_processes = 24
	CONF
use_jobs($node, $mock);
create_lm($node, 'lm', $mock, $model, max_concurrency => $concurrency, request_timeout => 2);
value($node, "SELECT gepa.create_judge('j', 'lm', 'Is it good?')");

# What the mock says to a text (models.py, wire.py), in SQL.
value($node, <<~SQL);
	CREATE FUNCTION drawn(VARIADIC parts text[]) RETURNS bigint STRICT IMMUTABLE LANGUAGE plpgsql AS \$\$
		DECLARE
			bytes bytea := '';
		BEGIN
			FOR i IN 1 .. cardinality(parts) LOOP
				bytes := bytes || CASE WHEN i > 1 THEN '\\x00'::bytea ELSE '' END || convert_to(parts[i], 'UTF8');
			END LOOP;
			bytes := sha256(bytes);
			RETURN ((get_byte(bytes, 0)::bigint * 256 + get_byte(bytes, 1)) * 256 + get_byte(bytes, 2)) * 256 + get_byte(bytes, 3);
		END \$\$;
	CREATE FUNCTION fails(share float8, VARIADIC parts text[]) RETURNS bool STRICT IMMUTABLE LANGUAGE plpgsql AS \$\$
		DECLARE
			n bigint := drawn(VARIADIC parts);
		BEGIN
			RETURN n % 100 + n / 100 % 100 / 100.0 < share;
		END \$\$;
	CREATE FUNCTION status_of(body text) RETURNS text STRICT IMMUTABLE LANGUAGE plpgsql AS \$\$
		BEGIN
			RETURN CASE WHEN fails(@{[ $share * $fault{refusal}[1] ]}, '0', 'refusal', 'True', body) THEN 'refused'
				WHEN fails(@{[ $share * $fault{'garbage-100'}[1] ]}, '0', 'garbage', '100', body) THEN 'unparseable' ELSE 'ok' END;
		END \$\$;
	CREATE FUNCTION keep_of(body text) RETURNS bool STRICT IMMUTABLE LANGUAGE plpgsql AS \$\$
		BEGIN
			RETURN CASE WHEN status_of(body) = 'ok' THEN drawn('chance', body) % 100 < 50 END;
		END \$\$;
	CREATE TABLE pages (id int PRIMARY KEY, body text, note text, keep bool);
	INSERT INTO pages SELECT i, 'document ' || i || repeat(' x', i % 300) FROM generate_series(1, @{[ int($rows * 0.6) ]}) i;
	SQL

my $soak = Gepa::Soak->new($node, $mock, rows => $rows, steps => $steps);
my $watch = value($node, q{SELECT gepa.watch_table('j', 'pages', 'id', 'body', 'page_verdict', options => '{"workers": 2}')});
my $arguments = q{'pages', 'id', 'body', 'keep, page_verdict', options => '{"workers": 2, "batch": 200}'};

# -- the storm

my @plan = $soak->draw_plan($long
	? (cancel => 20, terminate => 12, 'cancel worker' => 8, 'terminate worker' => 10, kill => 4, 'kill worker' => 6, 'kill writer' => 2, 'kill launcher' => 2, pause => 6, crash => 2, lock => 20)
	: (cancel => 3, terminate => 2, 'cancel worker' => 1, 'terminate worker' => 2, kill => 1, 'kill worker' => 1, pause => 1, crash => 2, lock => 2));
for my $step (1 .. $steps)
{
	$soak->wait_for_progress($step);
	$soak->start_job($arguments);
	$soak->keep_readers($readers);
	$soak->change_rows;
	$soak->measure($step);
	while (@plan && $plan[0][0] <= $step)
	{
		$soak->disturb((shift @plan)->[1]);
	}
}
$soak->end_readers; note($soak->tell);

# -- the rest of the work, and what failed by chance

my $by_chance = 'SELECT count(*) FROM gepa.job_errors e LEFT JOIN pages p ON p.id = e.key::int WHERE e.job = %d AND e.status IS DISTINCT FROM nullif(status_of(p.body), $$ok$$)';

sub try_again
{
	my ($job, $done) = @_;

	for my $round (1 .. 12)
	{
		$done->();
		return $round if value($node, sprintf $by_chance, $job) == 0;
		value($node, "SELECT gepa.retry_errors($job)");
	}
	return 0;
}

ok(try_again($watch, sub { $soak->wait_long(idle_sql($watch), 'the watching job') }), 'the watching job comes to the end of its work');
is(job_value($watch, 'status'), 'running', '... and stands ready');
$soak->wait_long(q{SELECT count(*) = 0 FROM gepa.jobs WHERE kind = 'table' AND status NOT IN ('finished', 'cancelled')}, 'the jobs of the storm');
my $job = start_job('j', $arguments);
ok(try_again($job, sub { $soak->wait_long("SELECT status <> 'running' AND status <> 'queued' FROM gepa.jobs WHERE job = $job", 'the last job') }),
	'a last job comes to the end of its work');
is(job_value($job, 'status'), 'finished', '... and ends');
$soak->measure($steps + 1);

# -- what is right

sub none
{
	my ($sql, $what) = @_;
	my $found = value($node, "SELECT count(*), left(string_agg(s::text, E'\\n'), 2000) FROM ($sql) s");

	return is($found, '0|', $what);
}

value($node, 'CREATE TABLE expected AS SELECT id, left(body, 40) AS text, status_of(body), keep_of(body) AS positive FROM pages');
none('SELECT id, text, keep FROM expected JOIN pages USING (id) WHERE keep IS DISTINCT FROM positive', 'every row has the verdict of its text');
none('SELECT id, text, v.status, v.positive FROM expected e FULL JOIN page_verdict v USING (id)'
	  . ' WHERE (v.status, v.positive, v.label) IS DISTINCT FROM (e.status_of, e.positive, e.positive::text)',
	'... or its status in the table, which has no others');
for ($watch, $job)
{
	none("SELECT id, text, key, e.status, detail, attempts FROM (SELECT * FROM expected WHERE status_of <> 'ok') p"
		  . " FULL JOIN (SELECT * FROM gepa.job_errors WHERE job = $_) e ON e.key::int = p.id WHERE e.status IS DISTINCT FROM status_of",
		"... and in the errors of job $_");
}
cmp_ok(value($node, "SELECT count(*) FROM expected WHERE status_of <> 'ok'"), '>', 0, 'some texts have no verdict');
none(q{SELECT job, reason FROM gepa.jobs WHERE status NOT IN ('running', 'finished')}, 'no job failed');
is($soak->failures, '', '... or had to be resumed');
none('SELECT * FROM gepa.job_claim', 'nothing is left to do');

# -- what was paid

my $journal = $mock->journal;
my $bound = $soak->losses * $concurrency;
cmp_ok($journal->{again}, '<=', $bound, "of $journal->{answered} answers $journal->{again} were paid for again, after " . $soak->losses . ' kills');
is($journal->{peak} <= $concurrency + $soak->losses * $concurrency ? 'yes' : $journal->{peak}, 'yes', 'the limit held');

# -- memory

for my $type ($soak->types)
{
	my ($early, $late, $most) = $soak->rss($type);

	diag(sprintf '%-24s %6d kB at a tenth, %6d kB at the end, %6d kB at most', $type, $early, $late, $most);
	cmp_ok($most, '<', $most_rss, "$type: memory is bounded");
	cmp_ok($late - $early, '<', $growth, '... and flat') if $early && $late;
}
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|terminated by signal (?!9:)/, 'nothing died that was not killed');

done_testing();
