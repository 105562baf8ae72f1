# What an LM sends back that is no verdict, and what the user then reads: NULL, a
# status, a row that says why, and an error for who wants one.  Answers are in
# 001_lm_answers.pl, retries and what ends a call for good in 002_lm_faults.pl.

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

# All answers would be "true" if somebody looked for a label inside them.
my $no_hint = qr/Set gepa.on_error to null/;
my @failures = (
	[ 'refusal', 'refused', qr/declined: I cannot help with that/, '38000', $no_hint ],
	[ 'filter', 'refused', qr/content filter/, '38000', $no_hint ],
	[ 'length', 'truncated', qr/cut off by the limit/, '38000', qr/Raise max_tokens/ ],
	[ 'empty', 'unparseable', qr/answer is empty/, '38000', $no_hint ],
	[ 'unclosed', 'unparseable', qr/answer is empty/, '38000', $no_hint ],
	[ 'tool', 'unparseable', qr/called a tool/, '38000', $no_hint ],
	[ 'badlabel', 'unparseable', qr/none of the judge's: \{"label": "perhaps"\}/, '38000', $no_hint ],
	[ 'wrongtype', 'unparseable', qr/none of the judge's: \{"label": 17\}/, '38000', $no_hint ],
	[ 'prose', 'unparseable', qr/I think that it is true/, '38000', $no_hint ],
	[ 'extra', 'unparseable', qr/Here you are/, '38000', $no_hint ],
	[ 'noschema', 'unparseable', qr/Label: true/, '38000', $no_hint ],
	[ 'nul', 'unparseable', qr/tr\\u0000ue/, '38000', $no_hint ],
	[ 'toolong', 'too_long', qr/HTTP 400: This model's maximum context/, '38000', qr/Lower max_chars/ ],
	[ '413', 'too_long', qr/HTTP 413/, '38000', qr/Lower max_chars/ ],
	[ '400', 'http_error', qr/HTTP 400: The request is not valid/, '38000', $no_hint ],
	[ '422', 'http_error', qr/HTTP 422/, '38000', $no_hint ],
	[ 'html', 'http_error', qr/response is not JSON/, '38000', qr/base_url/ ],
	[ 'truncated-json', 'http_error', qr/response is not JSON/, '38000', qr/base_url/ ],
	[ 'nan', 'http_error', qr/response is not JSON/, '38000', qr/base_url/ ],
	[ 'badutf8', 'http_error', qr/response is not JSON/, '38000', qr/base_url/ ],
	[ 'huge', 'http_error', qr/larger than gepa accepts/, '54000', qr/base_url/ ]);

for my $failure (@failures)
{
	my ($modifier, $status, $detail, $sqlstate, $hint) = @$failure;
	my $judge = judge_on($node, $mock, "judge-fixed-true+$modifier");

	$mock->reset;
	is( value($node, qq{
			SELECT v.status, v.label IS NULL AND v.positive IS NULL AND v.score IS NULL, v.cached,
				gepa_judge('$judge', 'a text') IS NULL, gepa_score('$judge', 'a text') IS NULL
			FROM (SELECT (gepa_verdict('$judge', 'a text')).*) v }),
		"$status|t|f|t|t", "$modifier: $status, and no answer");
	is($mock->journal->{requests}, 1, '... after one request');
	$failure->[5] = $judge;

	my (undef, $err) = outcome($node, "SET gepa.on_error = error; SELECT gepa_judge('$judge', 'a text');");
	like($err, qr/ERROR:  $sqlstate: judge "$judge" has no verdict from LM "$judge": $status\n/,
		'... an error on demand');
	like($err, qr/^DETAIL:  .*$detail/m, '... with the cause');
	like($err, qr/^HINT:  .*$hint/m, '... and advice');
}

# An error raised by a query is recorded like a NULL.
wait_sql($node, 'SELECT sum(attempts) = ' . 2 * @failures . ' FROM gepa.verdict_errors', 'all errors');
for my $failure (@failures)
{
	my ($modifier, $status, $detail, undef, undef, $judge) = @$failure;
	my $row = value($node, qq{
		SELECT status, version, attempts, detail FROM gepa.verdict_errors WHERE judge = '$judge' });

	like($row, qr/^$status\|1\|2\|.*$detail/, "$modifier: a row says why");
}
is(value($node, 'SELECT count(*) FROM gepa.verdicts'), 0, 'a failure is no verdict');

# The row goes when the verdict comes.
my $mended = judge_on($node, $mock, 'judge-fixed-true+400-once');
my $judged = "SELECT gepa_judge('$mended', 'a text')";
is(value($node, $judged), '', 'no verdict at first');
wait_sql($node, "SELECT count(*) = 1 FROM gepa.verdict_errors WHERE judge = '$mended'", 'the row');
is(value($node, $judged), 't', 'a document without a verdict is tried again by the next query');
ok(wait_sql($node, "SELECT count(*) = 0 FROM gepa.verdict_errors WHERE judge = '$mended'", 'no row'),
	'... and has no error any more');

done_testing();
