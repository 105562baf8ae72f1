# Every fault of an endpoint: what the user reads, and what was paid.  The table
# that docs/lm.md has of it is made here, and compared.
#
#   GEPA_WRITE_DOCS=1    writes the table into docs/lm.md

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Faults;
use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = "$FindBin::RealBin/../../docs/lm.md";
my ($begin, $end) = ("<!-- faults: made by test/t/027_fault_table.pl -->\n", "<!-- end of faults -->\n");
my $at_a_time = 48;    # most of the time is spent between attempts
my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

# A session that meets the fault with gepa.on_error null, then error.
sub start_fault
{
	my ($fault) = @_;
	my $judge = judge_on($node, $mock, "judge-fixed-true+$fault->{model}",
		input_price => '1', output_price => '10', %{ $fault->{options} });
	my $warm = $fault->{warm} ? "SELECT gepa_judge('$judge', 'warm') \\g /dev/null\n" : '';

	$fault->{judge} = $judge;
	$fault->{session} = background($node, $warm . qq{SET gepa.on_error = 'null';
SELECT status, label, input_tokens, output_tokens, cost FROM gepa_verdict('$judge', 'document A');
SET gepa.on_error = 'error';
SELECT gepa_judge('$judge', 'document B');
});
	return;
}

# The requests that came for a document.
sub requests_for
{
	my ($fault, $document) = @_;

	return scalar grep { $_->{messages}[-1]{content} =~ /\b$document\b/ } @{ $fault->{requests} };
}

# What libcurl says is another thing in every version.
sub generalise
{
	my ($words) = @_;

	$words =~ s/^(The connection broke|What answers does not speak HTTP as it should|The endpoint cannot be reached): .*/$1: *what libcurl says*./;
	return $words;
}

sub end_fault
{
	my ($fault, $all) = @_;
	my ($out, $err) = finish($fault->{session});
	my ($status, $label, $in, $output, $cost) = split /[|\n]/, $out;
	my ($sqlstate, $found) = $err =~ /ERROR:  (\w{5}): judge "$fault->{judge}" has no verdict from LM "$fault->{judge}": (\w+)\n/;
	my ($detail) = $err =~ /^DETAIL:  (.*)$/m;
	my ($hint) = $err =~ /^HINT:  (.*)$/m;
	my $fatal = (() = $err =~ /ERROR: /g) == 2;

	$fault->{requests} = [ grep { $_->{model} eq "judge-fixed-true+$fault->{model}" } @$all ];
	my ($first, $second) = map { requests_for($fault, $_) } 'document A', 'document B';

	cmp_ok($second, $fault->{once} ? '<=' : '==', $first, "$fault->{model}: the same every time");
	cmp_ok($first, '<=', 5, '... within five requests');
	if (!$fatal && $status eq 'ok')
	{
		is($err, '', '... no error');
		is($label, 'true', '... the right verdict');
		return [ 'ok', '', $first, "$in + $output", 0 + $cost, 'the verdict' ];
	}
	($status, $in, $output, $cost) = ("ERROR: $found", 0, 0, 0) if $fatal;
	like($status, qr/\b$found$/, '... the same status whatever gepa.on_error is');
	ok($sqlstate && $detail && $hint, '... SQLSTATE, cause and advice') or diag($err);
	unlike("$detail$hint", qr/%|\(null\)|[\x00-\x1f]/, '... which are a text');
	attempts_are($fault, $fatal, $first, $second);
	$_ =~ s/\|/\\|/g for $detail, $hint;
	$hint =~ s/ ?Set gepa.on_error to null.*// unless $fatal;
	return [ $status, $sqlstate, $first, "$in + $output", 0 + $cost, generalise($detail) . " $hint" ];
}

# What gepa says of attempts is what the endpoint saw.
sub attempts_are
{
	my ($fault, $fatal, $first, $second) = @_;
	my $rows = "FROM gepa.verdict_errors WHERE judge = '$fault->{judge}'";

	return if $fault->{once};
	wait_sql($node, "SELECT count(*) = 2 $rows", "errors of $fault->{model}");
	is(value($node, "SELECT sum(attempts) $rows"), $first + $second, '... as many attempts as requests');
	return;
}

my @lines = ('| the endpoint | model of the mock | status | SQLSTATE | requests | tokens | cost | what the user reads |',
	'|---|---|---|---|---|---|---|---|');
my @waiting = faults();
while (my @some = splice @waiting, 0, $at_a_time)
{
	start_fault($_) for grep { $_->{does} } @some;
	$_->{session}{run}->pump_nb for grep { $_->{does} } @some;
	$_->{session}{run}->finish for grep { $_->{does} } @some;
	my @all = $mock->requests;
	for my $fault (@some)
	{
		if (!$fault->{does})
		{
			push @lines, "| **$fault->{model}** | | | | | | | |";
			next;
		}
		my $row = end_fault($fault, \@all);
		push @lines, '| ' . join(' | ', $fault->{does}, "`$fault->{model}`", @$row) . ' |';
	}
	$mock->reset;
}

my $made = join '', map { "$_\n" } @lines;
my $text = slurp_file($page);
my ($before, $written, $after) = $text =~ /^(.*\Q$begin\E)(.*)(\Q$end\E.*)$/s;
ok(defined $written, 'docs/lm.md has a place for the table');
if ($ENV{GEPA_WRITE_DOCS})
{
	open my $file, '>', $page or die "$page: $!";
	print $file $before . $made . $after;
	close $file;
	$written = $made;
}
my $same = ok($made eq ($written // ''), 'the table in docs/lm.md is what happens');
if (!$same)
{
	my %old = map { $_ => 1 } split /\n/, $written // '';
	my %new = map { $_ => 1 } split /\n/, $made;
	diag("- $_") for grep { !$new{$_} } split /\n/, $written // '';
	diag("+ $_") for grep { !$old{$_} } split /\n/, $made;
	diag('GEPA_WRITE_DOCS=1 writes it anew');
}

done_testing();
