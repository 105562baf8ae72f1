# Tuning the judges of a router, each on its slice of the labels, and reporting on them
# together and one by one.

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

create_lm($node, 'judging', $mock, 'judge-rules', max_concurrency => 8);
create_lm($node, 'asking', $mock, 'judge-rules+bias-false', max_concurrency => 8);
create_lm($node, 'reflecting', $mock, 'reflector');
load_world($node, 'labels', rows => 220, seed => 4);
value($node, <<'SQL');
ALTER TABLE labels ADD lang text;
UPDATE labels SET lang = CASE WHEN id % 10 < 5 THEN 'en' WHEN id % 10 < 9 THEN 'de' ELSE 'fr' END;
SELECT gepa.create_judge('english', 'judging', 'Is it good?'), gepa.create_judge('german', 'judging', 'Is it worth reading?'),
	gepa.create_judge('rest', 'judging', 'Is it nice?'), gepa.create_judge('lone', 'judging', 'Is it so?');
SELECT gepa.create_judge('topic', 'asking', E'Is it so?\nRULE: documents that mention "water" are true');
SELECT gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep', feedback => 'note');
SELECT gepa.create_router('r', ARRAY['{"when": "lang = ''en''", "judge": "english"}', '{"when": "lang = ''de''", "judge": "german"}']::jsonb[], 'rest');
SELECT gepa.create_router('leaks', ARRAY['{"when": "keep = ''true''", "judge": "english"}', '{"when": "note IS NOT NULL", "judge": "english"}']::jsonb[], 'german');
SELECT gepa.create_router('asks', ARRAY['{"when": {"judge": "topic", "label": "true"}, "judge": "english"}', '{"when": "false", "judge": "rest"}']::jsonb[], 'german@1');
SELECT gepa.create_router('lopsided', ARRAY['{"when": "id % 2 = 0 AND (label_is = ''true'')", "judge": "lone"}', '{"when": "id % 2 = 0", "judge": "english"}']::jsonb[], 'german',
	'{"fields": {"id": "int4", "label_is": "text"}}');
SELECT gepa.create_dataset('told', 'SELECT *, keep AS label_is FROM labels', 'id', '{body}', 'keep');
SQL

sub start { my ($router, %options) = @_; return outcome($node, "SELECT * FROM gepa.start_branches('$router', '" . ($options{dataset} // 'd') . "', 'reflecting', " . ($options{budget} // 150) . ", options => '" . ($options{options} // '{}') . "')"); }

# What is refused; nothing is left behind.
like((outcome($node, "SELECT gepa.optimize('r', 'd', 'reflecting', 100)"))[1], qr/42809: "r" is a router.*HINT.*gepa.start_branches\(\)/s, 'a router is not tuned as a judge is');
like((start('english'))[1], qr/42809: "english" is a judge, not a router/, 'nor a judge as a router is');
like((start('missing'))[1], qr/42704: judge "missing" does not exist/, 'nor what is not there');
like((start('r', dataset => 'missing'))[1], qr/42704: dataset "missing" does not exist/, 'the dataset has to be there');
like((start('r', options => '{"nosuch": 1}'))[1], qr/22023: .*nosuch/, 'options are those of gepa.start()');
like((outcome($node, "SELECT * FROM gepa.report('r')"))[1], qr/55000: the judges of router "r" have no ended run.*HINT/s, 'there is nothing to report yet');
is(value($node, 'SELECT count(*) FROM gepa.runs'), 0, 'none of it has started a run');

# Each on its slice.
my ($out, $err) = start('r');
my @branches = map { [ split /\|/, $_, -1 ] } split /\n/, $out;
is(join(' ', map { "$_->[0]=$_->[2]" } @branches), 'english=110 german=88 rest=22', 'samples go where documents would') or diag($err);
my %run = map { $_->[0] => $_->[1] } @branches;
is($run{rest}, '', 'a slice that is too small is left out');
like($branches[2][3], qr/22 samples are too few, at least 30 are needed/, '... with the reason');
is($branches[0][3] . $branches[1][3], '', 'the others have none');
for my $judge ('english', 'german')
{
	is(value($node, "SELECT gepa.wait($run{$judge})"), 'finished', "the run of judge $judge");
	is(value($node, "SELECT string_agg(DISTINCT l.lang, ' ') || ' ' || count(*) || ' ' || count(DISTINCT l.id) FROM gepa.samples s JOIN labels l ON l.id::text = s.sample WHERE run = $run{$judge}"),
		$judge eq 'english' ? 'en 110 110' : 'de 88 88', '... has the samples of its slice, all of them and no other');
	is(value($node, "SELECT judge FROM gepa.runs WHERE run = $run{$judge}"), $judge, '... and is its own');
	value($node, "SELECT gepa.deploy($run{$judge}, force => true)");
}

# The report is that of the test rows of both, as their judges judge them.
my ($all) = outcome($node, "SELECT metric, n, baseline, tuned FROM gepa.report('r')");
my ($slices) = outcome($node, "SELECT judge, metric, n, baseline, tuned FROM gepa.report_slices('r', 'd')");
my %all = map { my ($metric, @rest) = split /\|/, $_, -1; ($metric => \@rest) } split /\n/, $all;
my %slices = map { my ($judge, $metric, @rest) = split /\|/, $_, -1; ("$judge $metric" => \@rest) } split /\n/, $slices;
for my $metric ('tp', 'fp', 'fn', 'tn')
{
	is($all{$metric}[$_], $slices{"english $metric"}[$_] + $slices{"german $metric"}[$_], "$metric, " . ($_ == 1 ? 'baseline' : 'tuned')) for 1, 2;
}
is($all{accuracy}[0], $slices{'english accuracy'}[0] + $slices{'german accuracy'}[0], 'rows of both');
is(scalar(grep { !/search_score|winners_curse/ } keys %slices), 2 * keys %all, 'slices have all measures, and what each search was chosen by');
for my $judge ('english', 'german')
{
	my ($own) = outcome($node, "SELECT metric, n, baseline, tuned FROM gepa.report('$judge')");
	is(join("\n", map { s/^$judge\|//r } grep { /^$judge\|/ } split /\n/, $slices), $own =~ s/\n$//r, "the slice of judge $judge is its own report");
}
is(value($node, "SELECT count(*) FROM gepa.report('r', 'd')"), scalar(keys %all), 'of the dataset that is named');
like((outcome($node, "SELECT * FROM gepa.report('r', 'told')"))[1], qr/55000/, '... and no other');

# Label and feedback are not fields of a document, in tuning as little as in use.
($out) = outcome($node, "BEGIN; SELECT judge, samples FROM gepa.start_branches('leaks', 'd', 'reflecting', 150); ROLLBACK");
is($out, "english|0\ngerman|220\n" =~ s/\n$//r, 'rules do not see what only samples have');

# A slice that cannot be tuned is told of, and does not keep the others.
($out) = outcome($node, "BEGIN; SELECT judge, run IS NULL, samples, reason FROM gepa.start_branches('lopsided', 'told', 'reflecting', 150); ROLLBACK");
like($out, qr/^lone\|t\|\d+\|dataset "told" has no negative sample.*\nenglish\|t\|\d+\|.*no positive.*\ngerman\|f\|110\|$/, 'one-sided slices are left out, with the reason');
is(value($node, 'SELECT count(*) FROM gepa.runs'), 2, '... and what was rolled back has started nothing');

# A judge that rules ask is asked once for each sample, and only it.
$mock->reset;
($out) = outcome($node, "BEGIN; SELECT judge, samples, reason FROM gepa.start_branches('asks', 'd', 'reflecting', 150); ROLLBACK");
my $water = value($node, "SELECT count(*) FROM labels WHERE body ~* '\\mwater\\M'");
like($out, qr/^english\|$water\|.*\nrest\|0\|0 samples.*\ngerman\@1\|\d+\|version 1 is what the router names/, 'a rule that asks a judge makes slices, too') or diag($out);
my $journal = $mock->journal->{by_model};
is($journal->{'judge-rules+bias-false'}{requests}, 220, '... for one request a sample');
is($journal->{'judge-rules'}{requests} // 0, 0, '... and none of the judges that are to be tuned');

# Rights: those of the owner of router, judges and dataset.
value($node, 'CREATE ROLE alice; GRANT USAGE ON FOREIGN SERVER judging, reflecting TO alice');
may_call($node, 'alice');
like((outcome($node, "SET ROLE alice; SELECT * FROM gepa.start_branches('r', 'd', 'reflecting', 150)"))[1], qr/42501: must be owner of router "r"/, 'a router of another\'s is not tuned');
like((outcome($node, "SET ROLE alice; SELECT * FROM gepa.report_slices('r')"))[1], qr/42501/, '... nor reported on');
like((outcome($node, "SET ROLE alice; SELECT * FROM gepa.report('r')"))[1], qr/42501/, '... in either way');
value($node, q{SET ROLE alice; SELECT gepa.create_router('hers', ARRAY['{"when": "lang = ''en''", "judge": "english"}']::jsonb[], 'german')});
like((outcome($node, "SET ROLE alice; SELECT * FROM gepa.start_branches('hers', 'd', 'reflecting', 150)"))[1], qr/42501: must be owner of dataset "d"/, 'a dataset of another\'s is not read');
value($node, "GRANT SELECT ON labels TO alice; SET ROLE alice; SELECT gepa.create_dataset('hers', 'SELECT * FROM public.labels', 'id', '{body}', 'keep')");
like((outcome($node, "SET ROLE alice; SELECT * FROM gepa.start_branches('hers', 'hers', 'reflecting', 150)"))[1], qr/42501: must be owner of judge "english"/, 'nor a judge of another\'s tuned');

done_testing();
