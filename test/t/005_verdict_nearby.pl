# Verdicts that lie beside one that was found are taken if they are wanted, and the
# account's own, and no others.

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
value($node, q{CREATE ROLE other;
	SELECT gepa.create_judge('j', 'plain', 'Is it good?');
	CREATE TABLE docs AS SELECT i, 'text ' || i AS body FROM generate_series(1, 2000) i});

# Of each document three verdicts side by side: the owner's says false, but for each
# tenth; another payer's and another version's say the contrary.
value($node, q{INSERT INTO gepa.verdict (verdict_digest, payer, digest, judge, version, label, score, from_logprobs,
		input_tokens, output_tokens, cost, latency_ms, chars_seen, chars_total)
	SELECT CASE WHEN a = 1 THEN sha256('other') ELSE v.verdict_digest END, CASE WHEN a = 2 THEN 'other'::regrole ELSE j.owner END,
		sha256(convert_to(length(body) || ':' || body || ';', 'UTF8')), 1, 1,
		((a = 3) = (i % 10 = 0))::text, 1, false, 1, 1, 0, 1, 1, 1
	FROM docs, gepa.judge_version v JOIN gepa.judge j USING (judge), generate_series(1, 3) a
	ORDER BY i, a});

my $passing = q{SELECT count(*), count(*) FILTER (WHERE i % 10 = 0) FROM %s d WHERE gepa_judge('j', body)};

for my $order ('docs', '(SELECT * FROM docs ORDER BY i DESC)', '(SELECT * FROM docs ORDER BY md5(body))')
{
	for my $level ('READ COMMITTED', 'SERIALIZABLE')
	{
		is(value($node, "BEGIN ISOLATION LEVEL $level; " . sprintf($passing, $order) . '; COMMIT'),
			'200|200', "the account's own verdicts, $level, from $order");
	}
}
is($mock->journal->{requests}, 0, '... and no call');

# What has no row is asked, although those beside it are there.
value($node, q{DELETE FROM gepa.verdict v USING docs WHERE i % 100 = 7 AND v.digest = sha256(convert_to(length(body) || ':' || body || ';', 'UTF8'))
	AND v.payer = (SELECT owner FROM gepa.judge) AND v.verdict_digest = (SELECT verdict_digest FROM gepa.judge_version)});
value($node, sprintf($passing, 'docs'));
is($mock->journal->{requests}, 20, 'what was deleted is asked');

done_testing;
