# The README's ten lines, literally: only addresses and keys are the test's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = slurp_file("$FindBin::RealBin/../../README.md");
my ($block) = $readme =~ /<!-- start: test\/t\/010_readme.pl .*? -->\n```sql\n(.*?)```\n<!-- end -->/s;
my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

ok($block, 'the README has its ten lines');
is(scalar(split /\n/, $block), 10, '... which are ten');

# What the reader has already: labelled pages, and pages to filter.
load_world($node, 'curation.labels', rows => 160, seed => 3);
load_world($node, 'unlabelled', rows => 60, seed => 3);
value($node, 'DROP EXTENSION gepa CASCADE');
value($node, "CREATE TABLE pages AS SELECT 'https://' || id AS url, body, keep FROM unlabelled");

# Where the LMs are and what they are called is the reader's, not the README's.
my $url = $mock->url;
my $private = "allow_private_address 'true', ";
(my $script = $block) =~ s{base_url 'http://gpu1:8000/v1', model '[^']*'}{${private}base_url '$url', model 'judge-rules'};
$script =~ s{base_url 'https://api.example.com/v1', model '[^']*'}{${private}base_url '$url', model 'reflector+key-sk-...'};

my ($out, $err) = outcome($node, $script);
unlike($err, qr/ERROR/, 'the ten lines run');
like($err, qr/run 1 finished: \d+ rollouts/, 'optimize shows how it went');
is(value($node, 'SELECT status FROM gepa.runs'), 'finished', 'the run has finished');
cmp_ok(value($node, 'SELECT rollouts FROM gepa.runs'), '<=', 600, 'within its budget');

my ($baseline, $tuned) = split /\|/,
  value($node, "SELECT baseline, tuned FROM gepa.report('code_quality') WHERE metric = 'accuracy'");
cmp_ok($tuned, '>', $baseline, "held-out accuracy rises: $baseline to $tuned");

my $calls = $mock->journal->{requests};
is( value($node, "SELECT count(*) FROM pages WHERE gepa_judge('code_quality', body)"),
	scalar(grep { /^https:/ } split /\n/, $out), 'the filter says the same again');
is($mock->journal->{requests}, $calls, '... without a call');

# The recipes, here and in their own page, run as they stand there.
value($node, 'ALTER TABLE pages ADD id serial, ADD score float8, ADD tokens int, ADD lang text, ADD topic text, ADD positive bool');
value($node, "UPDATE pages SET positive = keep::text::bool, topic = (ARRAY['code', 'maths', 'prose'])[1 + id % 3]");
my $recipes = slurp_file("$FindBin::RealBin/../../docs/filtering.md");
my ($short) = $readme =~ /^## Filtering recipes\n.*?```sql\n(.*?)```/ms;
my ($add) = $recipes =~ s/^ALTER TABLE pages ADD score float8, ADD tokens int;\n//m;
ok($short && $add, 'the recipes are there');
is((outcome($node, join "\n", $short, $recipes =~ /```sql\n(.*?)```/gs))[1], '', 'they run');
is(value($node, 'SELECT count(*) FROM pages'), 6, 'the last one has deleted all but the best tenth');

done_testing();
