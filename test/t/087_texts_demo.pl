# demo/texts.sql, which tunes a text-search query, against the mock.

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
my $script = slurp_file("$FindBin::RealBin/../../demo/texts.sql");
my ($out, $err);

is($node->psql('postgres', "\\set base_url '" . $mock->url . "'\n\\set model text-words\n\\set private true\n$script", stdout => \$out, stderr => \$err), 0,
	'demo/texts.sql runs') or diag($err);
unlike($err, qr/ERROR|WARNING/, '... without complaints');
my ($before, $after) = split /\|/, value($node, "SELECT avg((words @@ to_tsquery('simple', 'money') = about_money)::int),
	avg((words @@ to_tsquery('simple', gepa.best_text(1) ->> 'query') = about_money)::int)
	FROM shop.tickets JOIN gepa.samples s ON s.run = 1 AND s.sample = id::text AND s.split = 'test'");
cmp_ok($after, '>=', 0.9, '... the query that it finds is right on held-out tickets');
cmp_ok($after, '>', $before, '... and the one it began with was not');
my $used = value($node, "SELECT count(*) FROM shop.tickets WHERE words @@ to_tsquery('simple', gepa.best_text(1) ->> 'query')");
cmp_ok($used, '>', 0, '... it finds tickets');
like($out, qr/The query that was found: \w+( \| \w+)+/, '... and says what it is');

done_testing();
