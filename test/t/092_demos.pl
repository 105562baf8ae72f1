# The examples in demo/ as a user runs them, with the mock in place of the LMs: what they tune
# is good on held-out pages, the tuned prompt says what was planted, the filter keeps the
# right pages, and each can be run again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my %lms = (
	base_url => $mock->url, model => 'judge-demo', private => 'true',
	map { ("${_}_base_url" => $mock->url, "${_}_model" => "$_-demo" =~ s/reflection/reflector/r, "${_}_private" => 'true') } qw(reflection grader));
my $rubbish = qr/minified code|generated scaffolding|licence texts|lists of links|lock files/;
my $ill_formatted = qr/formulas that appear twice|menus and cookie notices|lost line breaks/;
my $ill_reasoned = qr/claims without reasons|circular arguments|numbers put into an unexplained formula/;
delete $ENV{$_} for qw(GEPA_API_KEY GEPA_REFLECTION_API_KEY GEPA_GRADER_API_KEY);

# Run a script; (whether it came to its end, what it said).
sub demo
{
	my ($name, %variables) = @_;
	my ($out, $err) = ('', '');
	my $ended = IPC::Run::run([ 'psql', '-X', '-d', $node->connstr('postgres'),
			(map { ('-v', "$_=$variables{$_}") } sort keys %variables),
			'-f', "$FindBin::RealBin/../../demo/$name.sql" ],
		'>', \$out, '2>', \$err);

	diag("$out$err") if $variables{model} && !$ended;
	return ($ended, "$out$err");
}

sub runs
{
	my ($name) = @_;
	my ($ended, $said) = demo($name, %lms);

	ok($ended, "$name: it runs");
	unlike($said, qr/ERROR|wants to be forced/, '... without an error, to a gain');
	return $said;
}

# (seed, tuned) of a measure of the report.
sub reported
{
	my ($judge, $metric) = @_;
	return split /\|/, value($node, "SELECT baseline, tuned FROM gepa.report('$judge') WHERE metric = '$metric'");
}

sub is_accurate
{
	my ($judge) = @_;
	my ($seed, $tuned) = reported($judge, 'accuracy');

	cmp_ok($tuned, '>=', 0.9, "... held-out accuracy of $judge is $tuned");
	cmp_ok($seed, '<', 0.75, "... and was $seed");
	return;
}

# What the winner's prompt has that the seed's has not.
sub come
{
	my ($judge) = @_;
	return join ' ', value($node, "SELECT diff FROM gepa.runs r, gepa.prompt_diff(r.run, 0, r.best_candidate)"
		  . " WHERE judge = '$judge' AND component = 'instruction'") =~ /\{\+(.*?)\+\}/gs;
}

# How many of some cues of test/mock/demos.py it says to drop.
sub rules
{
	my ($judge, $cues) = @_;
	my $count = () = come($judge) =~ /with (?:$cues): drop/g;
	return $count;
}

# Whether the filter keeps what it should, which it knows by now.
sub filters
{
	my ($from, $kept, $right, $n) = @_;
	my $calls = $mock->journal->{requests};

	is(value($node, "SELECT count(*) FROM $from WHERE $kept"), $n, "... of $n pages that should be kept");
	is(value($node, "SELECT count(*) FROM $from WHERE ($kept) IS DISTINCT FROM ($right)"), 0, '... it keeps all, and no other');
	is($mock->journal->{requests}, $calls, '... which takes no call');
	return;
}

sub runs_again
{
	my ($name, $judges) = @_;
	my ($ended) = demo($name, %lms, budget => 100);

	ok($ended, '... and it can be run again');
	is(value($node, "SELECT count(*) FROM gepa.runs WHERE judge = ANY ('$judges')"), value($node, "SELECT cardinality('$judges'::text[])"), '... in place of the first time');
	return;
}

like((demo('code'))[1], qr/no LM.*HINT: .*-v base_url=/s, 'without an LM a script says what it needs');

# Code pages by human labels.
runs('code');
is_accurate('code_page');
like(come('code_page'), qr/an explanation beside the code: keep/, '... the prompt says what is wanted');
cmp_ok(rules('code_page', $rubbish), '>=', 2, '... and what is not');
filters('demo_code.code_pages', "corpus AND gepa_judge('code_page', body)", "corpus AND label = 'keep'", 20);
cmp_ok(value($node, "SELECT count(*) FROM gepa.rollouts WHERE graders -> 0 ->> 'grader' = 'code_match' AND score = 0.5"), '>', 0, '... a lost page costs half of what rubbish does');
runs_again('code', '{code_page}');

# A preference, from 100 labels without a word.
like(runs('preference'), qr/bad +\| +50 .*good +\| +50 /s, '... on 100 labels');
is_accurate('editor');
like(come('editor'), qr/a check of the result: good/, '... the prompt names the preference');
like(come('editor'), qr/results without a unit: bad/, '... both parts of it');
unlike(come('editor'), qr/friendly|consolation/, '... and nothing that plays no part');
filters('demo_preference.answers', "editor IS NULL AND gepa_judge('editor', jsonb_build_object('question', question, 'answer', answer))",
	"editor IS NULL AND truth = 'good'", 30);
runs_again('preference', '{editor}');

# STEM pages by a rubric, without a label.
runs('stem');
my ($winner, $seed) = split /\|/, value($node, "SELECT w.held_out, s.held_out FROM gepa.runs r JOIN gepa.candidates w ON w.run = r.run AND w.candidate = best_candidate"
	  . " JOIN gepa.candidates s ON s.run = r.run AND s.candidate = 0 WHERE judge = 'stem_page'");
cmp_ok($winner, '>=', 0.9, "... the winner's score by the rubric is $winner on held-out pages");
cmp_ok($seed, '<', 0.75, "... and the seed's was $seed");
cmp_ok(value($node, "SELECT gain_low FROM gepa.runs WHERE judge = 'stem_page'"), '>', 0, '... with an interval above zero');
cmp_ok(rules('stem_page', $ill_reasoned), '>=', 2, '... the prompt has what the rubric says of reasoning');
cmp_ok(rules('stem_page', $ill_formatted), '>=', 2, '... and of formatting');
is(value($node, "SELECT value > 0.9 FROM gepa.grader_agreement('stem_rubric', 'stem_checked') WHERE measure = 'auroc'"), 't', '... the rubric agrees with the editor');
filters('demo_stem.stem_pages', "corpus AND gepa_judge('stem_page', body)", 'corpus AND formatting IS NULL AND reasoning IS NULL', 16);
runs_again('stem', '{stem_page}');

# Both at once.
runs('both');
is_accurate('page_science');
is_accurate('page_code');
cmp_ok(rules('page_code', $rubbish), '>=', 2, '... the prompt for code is about code');
cmp_ok(rules('page_science', $ill_reasoned) + rules('page_science', $ill_formatted), '>=', 4, '... that for science about science');
is(rules('page_code', qr/$ill_reasoned|$ill_formatted/) + rules('page_science', $rubbish), 0, '... and neither about the other');
is(value($node, "SELECT count(*) FROM gepa.rollouts JOIN gepa.runs USING (run) WHERE judge LIKE 'page%' AND (graders -> 0 ->> 'grader' = 'page_match' AND graders -> 1 ->> 'grader' = 'page_rubric') IS NOT TRUE"), 0,
	'... all that was graded was graded twice');
filters('demo_both.pages', "corpus AND gepa_judge('page', jsonb_build_object('document', body, 'kind', kind))", "corpus AND label = 'keep'", 36);
runs_again('both', '{page_science,page_code}');

done_testing();
