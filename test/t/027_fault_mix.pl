# Three hundred documents and an endpoint that does everything at once, by a
# seed: each document ends with the verdict of the undisturbed endpoint, or with
# a status and a row; what gepa counts is what the endpoint's journal says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use List::Util qw(max sum0);
use PostgreSQL::Test::Cluster;
use Test::More;

# What passes by itself, and what does not.
my $passing = join '+', qw(503-bare-rate-10-n2 429-bare-rate-5-once 529-rate-4-once reset-rate-6-once
  reset-body-rate-4-once drop-rate-4-once drop-body-rate-4-once badchunk-rate-4-once cutchunk-rate-3-once
  stale-each-10 closing-each-10 http10-each-5 chunked-each-20 slow-15-each-10 hints-each-10 bom-each-5);
my $lasting = join '+', qw(garbage-4 reject-4 refusal-rate-3 length-rate-3 html-rate-2 truncated-json-rate-2
  empty-rate-2 gzip-rate-2 nulbody-rate-2 http09-rate-1 500-rate-1);
my $seed = $ENV{GEPA_FAULT_SEED} // 20;
my $sessions = 10;
my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my %prices = (input_price => '1', output_price => '10');

note("GEPA_FAULT_SEED=$seed");
load_world($node, 'documents', rows => 300, seed => 11);
my $calm = judge_on($node, $mock, 'judge-rules', %prices);
my %expected = map { split /\|/ } split /\n/,
  value($node, "SELECT id, label FROM documents, gepa_verdict('$calm', body) v WHERE id <= 300");
is(scalar(keys %expected), 300, 'the endpoint undisturbed has a verdict for each');

# All documents, in several sessions, each of which meets what it meets.
sub ask_all
{
	my ($judge) = @_;
	my @running = map {
		background($node, "SELECT id, status, label, cached, input_tokens, output_tokens, cost"
			  . " FROM documents, LATERAL gepa_verdict('$judge', body) WHERE id % $sessions = $_;")
	} 0 .. $sessions - 1;
	my @rows;

	for my $session (@running)
	{
		my ($out, $err) = finish($session);
		is($err, '', 'a session ends without an error');
		push @rows, map { [ split /\|/, $_, -1 ] } split /\n/, $out;
	}
	return @rows;
}

# Text of a request's document -> how many requests it took.
sub requests_by_document
{
	my ($model) = @_;
	my %requests;

	$requests{ $_->{messages}[-1]{content} }++ for grep { $_->{model} eq $model } $mock->requests;
	return \%requests;
}

my $model = "judge-rules+seed-$seed+$passing+$lasting";
my $judge = judge_on($node, $mock, $model, %prices);
my $errors = "FROM gepa.verdict_errors WHERE judge = '$judge'";

$mock->reset;
my @rows = ask_all($judge);
my %status = map { $_->[0] => $_->[1] } @rows;
my @failed = grep { $status{$_} ne 'ok' } keys %status;
my $journal = $mock->journal->{by_model}{$model};
my $requests = requests_by_document($model);

is(scalar(keys %status), 300, 'every document has come to an end');
is_deeply([ grep { $_->[1] eq 'ok' && $_->[2] ne $expected{ $_->[0] } } @rows ], [], 'a verdict is the undisturbed one');
is_deeply([ grep { $_->[1] ne 'ok' && $_->[2] ne '' } @rows ], [], '... or there is none');
cmp_ok(scalar(@failed), '>=', 20, 'the faults that last were met');
cmp_ok(scalar(@failed), '<=', 100, '... and the others passed');
cmp_ok($journal->{requests}, '>=', 380, 'the faults that pass were met');
cmp_ok(max(values %$requests), '<=', 5, 'no document took more than five requests');
is(sum0(map { $_->[4] } @rows), $journal->{input_tokens}, 'input tokens are those of the journal');
is(sum0(map { $_->[5] } @rows), $journal->{output_tokens}, '... and output tokens');
is( sprintf('%.6f', sum0(map { $_->[6] } @rows)),
	sprintf('%.6f', ($journal->{input_tokens} + 10 * $journal->{output_tokens}) / 1e6), '... and the cost');
wait_sql($node, 'SELECT count(*) = ' . @failed . " $errors", 'a row for each');
is(value($node, "SELECT count(*) $errors AND coalesce(detail, '') = ''"), 0, 'each row says why');
is(value($node, "SELECT count(*) $errors AND attempts > 5"), 0, '... after five attempts at most');

# Once more: what is known is not asked for again.
$mock->reset;
my @again = ask_all($judge);
is_deeply([ grep { $status{ $_->[0] } eq 'ok' && $_->[3] ne 't' } @again ], [], 'a verdict is kept');
cmp_ok($mock->journal->{by_model}{$model}{documents}, '<=', scalar(@failed), '... and not paid for again');
is_deeply([ grep { $_->[1] eq 'ok' && $_->[2] ne $expected{ $_->[0] } } @again ], [], 'what passed since is right, too');

# Attempts of gepa and requests of the journal, where each call leaves a row.
my $refusing = 'judge-rules+stale-each-40+503-bare-rate-20-once+422';
my $counted = judge_on($node, $mock, $refusing);
$mock->reset;
ask_all($counted);
wait_sql($node, "SELECT count(*) = 300 FROM gepa.verdict_errors WHERE judge = '$counted'", 'a row for each');
$journal = $mock->journal->{by_model}{$refusing};
is(value($node, "SELECT sum(attempts) FROM gepa.verdict_errors WHERE judge = '$counted'"),
	$journal->{requests}, "every request is counted, also those that libcurl sent again ($journal->{status}{0})");
cmp_ok($journal->{status}{0}, '>=', 30, '... of which there are some');
cmp_ok(max(values %{ requests_by_document($refusing) }), '<=', 5, '... and never more than five of a document');

# The same of calls that are answered, as the log of calls has them.
my $stale = 'judge-rules+stale-each-30+500-rate-10-once';
$judge = judge_on($node, $mock, $stale);
ask_all($judge);
is(value($node, "SELECT count(*) || ' ' || sum(attempts) FROM gepa.lm_calls WHERE lm = '$judge'"),
	'300 ' . $mock->journal->{by_model}{$stale}{requests}, 'the log of calls counts the same');

# A run, which has many calls in flight at a time.
my $worker = "judge-rules+seed-$seed+$passing+garbage-4+reject-4+refusal-rate-3+length-rate-3";
prepare_tuning($node, $mock, model => $worker, judge => '{}', world => { rows => 300, seed => 11 },
	lm => { max_concurrency => 16, %prices });
$mock->reset;
my $run = start_run($node, reflection_lm => undef, budget => 300, options => reference_mode('{"max_proposals": 1}'));
is(wait_run($node, $run), 'finished', 'a run ends well') or diag(run_value($node, $run, 'reason'));
my $rollouts = "FROM gepa.rollouts WHERE run = $run AND candidate = 0";
$journal = $mock->journal->{by_model}{$worker};
is(value($node, "SELECT count(*) $rollouts AND (status IS NULL OR (status = 'ok') <> (label IS NOT NULL))"),
	0, 'each rollout has a label or a status');
my %label = map { split /\|/ } split /\n/,
  value($node, "SELECT sample, label FROM gepa.rollouts WHERE run = $run AND candidate = 0 AND status = 'ok' AND split = 'val'");
cmp_ok(scalar(keys %label), '>=', 20, 'many have one');
is(value($node, "SELECT sum(input_tokens) || ' ' || sum(output_tokens) FROM gepa.rollouts WHERE run = $run"),
	"$journal->{input_tokens} $journal->{output_tokens}", 'tokens of the run are those of the journal');
cmp_ok(max(values %{ requests_by_document($worker) }), '<=', 10, 'no document took more than five requests at a time');
is(value($node, "SELECT cost = (input_tokens + 10 * output_tokens) / 1000000.0 FROM gepa.runs WHERE run = $run"),
	't', '... and the cost of the run');

done_testing();
