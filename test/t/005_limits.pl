# What one document, one answer and one query may take: large documents are cut before
# they are sent, and nothing of a call stays behind when its query has ended.

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
my $judge = judge_on($node, $mock, 'judge-fixed-true', judge_options => '{"max_chars": 1000}');

sub sent { return length((($mock->requests)[-1])->{messages}[-1]{content}); }

# A document of 200 MB, as text and as a field.
is(value($node, "SELECT label, status, chars_seen, chars_total FROM gepa_verdict('$judge', repeat('a text ', 30000000))"),
	'true|ok|1000|210000000', 'a document of 200 MB is judged');
cmp_ok(sent(), '<', 1200, '... by the window that the judge was given');
is(value($node, "SELECT chars_seen FROM gepa_verdict('$judge', jsonb_build_object('document', repeat('one text ', 10000000)))"),
	'1000', '... as is a field of 90 MB');
cmp_ok(sent(), '<', 1200, '... cut likewise');
is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE octet_length(verdicts::text) > 2000"), 0, '... and of neither more than a digest is kept');
my $roomy = judge_on($node, $mock, 'judge-fixed-true', judge_options => '{"max_chars": 5000000}');
is(value($node, "SELECT status FROM gepa_verdict('$roomy', repeat('a text ', 700000))"), 'ok', 'one that is sent whole is sent whole');
cmp_ok(sent(), '>', 4_900_000, '... with all its 4.9 MB');
like((outcome($node, "SELECT gepa.create_judge('x', '$judge', 'p', options => '{\"max_chars\": 10000001}')"))[1],
	qr/ERROR:  22023/, '... but there is an end to what can be asked for');

# jsonb that is more than the judge's fields, or other than text.
my $deep = 'repeat($$[$$, 5000) || repeat($$]$$, 5000)';
is(value($node, "SELECT status FROM gepa_verdict('$judge', ('{\"document\": ' || $deep || '}')::jsonb)"), 'ok',
	'a field that is a tree 5,000 deep is text like any other');

# What a session holds after many queries is what it held after the first.
my $contexts = q{SELECT count(*), max(level) FROM pg_backend_memory_contexts WHERE name LIKE 'gepa%';};
my $query = "SELECT count(gepa_judge('$judge', 'text ' || g)) FROM generate_series(%d, %d) g;";
my $failing = judge_on($node, $mock, 'judge-fixed-true+400');
my ($out) = outcome($node, sprintf($query, 1, 3) . "SELECT gepa_judge('$failing', 'x');" . $contexts
	  . join('', map { sprintf $query, 10 * $_, 10 * $_ + 9 } 1 .. 20)
	  . "SELECT gepa_judge('$failing', 'y'); SET gepa.on_error = error; SELECT gepa_judge('$failing', 'z'); RESET gepa.on_error;"
	  . "SELECT 1 / (gepa_judge('$judge', 'then an error')::int - 1);" . $contexts);
my @held = grep { /\|/ } split /\n/, $out;
is(scalar(@held), 2, 'a session tells what it holds');
is($held[1], $held[0], '... which is the same after 200 calls, and after errors');

done_testing();
