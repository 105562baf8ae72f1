# EXPLAIN ANALYZE of the judge node against what the endpoint counted; and every
# format is well formed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "jit = off\n");

# Judges on LMs of their own: x => a modifier of the model.
sub judge
{
	my ($name, $modifier, %options) = @_;

	create_lm($node, $name, $mock, "judge-rules+bias-false$modifier", max_concurrency => 8, input_price => 1000, output_price => 2000, %options);
	value($node, "SELECT gepa.create_judge('$name', '$name', 'RULE: documents that mention \"keep\" are true')");
	return;
}

judge('plain', '');
judge('late', '+slow-50');
judge('again', '+500-once');
judge('busy', '+429-once');
judge('refusing', '+reject-30');
value($node, "CREATE TABLE docs AS SELECT i AS id, CASE WHEN i % 4 = 0 THEN 'keep ' ELSE 'drop ' END || i AS body FROM generate_series(1, 200) i; ANALYZE docs");

# The node of a plan, and what it says of its judges by name.
sub analyze
{
	my ($query, $options) = @_;
	my $json = value($node, "EXPLAIN (ANALYZE, FORMAT JSON" . ($options // '') . ") $query");
	my @plans = JSON::PP::decode_json($json)->[0]{Plan};
	my %judges;

	while (my $plan = shift @plans)
	{
		$judges{ $_->{Name} } = $_ for @{ $plan->{Judges} // [] };
		push @plans, @{ $plan->{Plans} // [] };
	}
	return \%judges;
}

sub counts
{
	my ($judge) = @_;
	return { map { $_ => $judge->{$_} } qw(Requests Coalesced Stored Retries Throttled Wasted) };
}

sub is_counts
{
	my ($judge, $what, %expected) = @_;

	%expected = (Requests => 0, Coalesced => 0, Stored => 0, Retries => 0, Throttled => 0, Wasted => 0, %expected);
	return is_deeply(counts($judge), \%expected, $what);
}

# -- against the endpoint

my $plain = analyze("SELECT gepa_judge('plain', body) FROM docs")->{plain};
my $journal = $mock->journal;
is_counts($plain, 'each document is a request', Requests => 200);
is($journal->{requests}, 200, '... as the endpoint counted');
is($plain->{'Input Tokens'} + $plain->{'Output Tokens'}, $journal->{input_tokens} + $journal->{output_tokens}, '... and tokens')
  if defined $journal->{input_tokens};
cmp_ok(abs($plain->{Cost} - ($plain->{'Input Tokens'} * 1000 + $plain->{'Output Tokens'} * 2000) / 1e6), '<', 0.001, '... and cost by the prices');
cmp_ok($plain->{'Latency P95'}, '>=', $plain->{'Latency P50'}, '... the slowest are not faster than the middle');
stored($node, 'plain', 200, 'verdicts are stored');

$mock->reset;
my $again = analyze("SELECT gepa_judge('plain', body), gepa_score('plain', CASE WHEN id > 100 THEN 'new' ELSE 'other' END) FROM docs")->{plain};
is_counts($again, 'stored ones are none, equal ones are one', Requests => 2, Stored => 200, Coalesced => 198);
is($mock->journal->{requests}, 2, '... as the endpoint counted');

$mock->reset;
my $late = analyze("SELECT gepa_judge('late', body) FROM docs WHERE id <= 40")->{late};
cmp_ok($late->{'Latency P50'}, '>=', 45, 'latency is that of the endpoint');
is($late->{'Peak In Flight'}, $mock->journal->{peak}, '... which saw as many at a time');

$mock->reset;
my $retried = analyze("SELECT gepa_judge('again', body) FROM docs WHERE id <= 10")->{again};
is_counts($retried, 'what failed at first is tried again', Requests => 10, Retries => 10);
is($mock->journal->{requests}, 20, '... as the endpoint counted');
my $throttled = analyze("SELECT gepa_judge('busy', body) FROM docs WHERE id <= 3")->{busy};
is_counts($throttled, 'so is what was turned away', Requests => 3, Retries => 3, Throttled => 3);

my $refused = analyze("SELECT gepa_judge('refusing', body) FROM docs")->{refusing};
my $failed = value($node, "SELECT count(*) FROM docs WHERE gepa_judge('refusing', body) IS NULL");
is_deeply($refused->{Failures}, { http_error => 0 + $failed }, "failures by their status: $failed");

# -- several judges, and an early stop

my $both = analyze("SELECT FROM docs WHERE gepa_judge('plain', 'two ' || body) AND gepa_judge('late', 'two ' || body)");
is_counts($both->{plain}, 'of two judges the first is asked of all', Requests => 200);
is_counts($both->{late}, '... the second where the first says yes', Requests => 50);

$mock->reset;
my $few = analyze("SELECT FROM docs WHERE gepa_judge('late', 'few ' || body) LIMIT 3")->{late};
is($few->{Requests} - $few->{Wasted}, 12, 'below a LIMIT what was not wanted is told apart');
cmp_ok($mock->journal->{requests}, '<=', $few->{Requests}, '... with what was called back before it got there');

# -- formats

# What is left of a document when each element that is closed has been taken out.
sub unbalanced
{
	my ($xml) = @_;

	1 while $xml =~ s{<([\w-]+)(?: [^<>]*)?>[^<>]*</\1>|<[\w-]+ ?/>}{}g;
	return $xml;
}

my $query = "SELECT gepa_judge('plain', 'format ' || body) FROM docs WHERE id <= 5";
for my $options ('', ', ANALYZE', ', ANALYZE, TIMING OFF', ', COSTS OFF')
{
	like(value($node, "EXPLAIN (FORMAT TEXT$options) $query"), qr/^  Judge: plain, version 1, on LM plain, model judge-rules\+bias-false$/m, "text$options");
	is(unbalanced(value($node, "EXPLAIN (FORMAT XML$options) $query")), '', "xml$options");
	my $yaml = value($node, "EXPLAIN (FORMAT YAML$options) $query");
	like($yaml, qr/^( +)Judges: *\n\1  - Name: "plain"\n\1    Version: 1\n/m, "yaml$options");
	is(scalar(() = $yaml =~ /^(?! *(- )?[\w" ]+:( |$))/mg), 0, '... lines of which are all names and values');
	ok(JSON::PP::decode_json(value($node, "EXPLAIN (FORMAT JSON$options) $query")), "json$options");
}
my ($text) = value($node, "EXPLAIN (ANALYZE) $query") =~ /^( +Calls:.*?)\n +Rows Ahead/ms;
like($text, qr/^    Calls: stored=\d+$|^    Calls: requests=0 stored=5$/m, 'in text, what is 0 is left out');

done_testing();
