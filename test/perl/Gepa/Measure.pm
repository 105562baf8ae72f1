# docs/metrics.md once more, for tests: what gepa.report() should say.
#
#   my %expected = measures($rows);         $rows = [[positive, expected, score], ...]
#   @{ $expected{accuracy} }                value, low, high; the value alone where the interval is a bootstrap
#   mcnemar($one, $two)                     exact p of two versions on the same rows
package Gepa::Measure;

use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(min max sum0);

our @EXPORT = qw(measures mcnemar);

sub ratio { my ($part, $whole) = @_; return $whole ? $part / $whole : undef; }

sub wilson
{
	my ($k, $n) = @_;
	my ($z, $p) = (1.959963984540054, $n ? $k / $n : 0);

	return (undef, undef, undef) unless $n;
	my $centre = ($p + $z**2 / (2 * $n)) / (1 + $z**2 / $n);
	my $half = $z * sqrt($p * (1 - $p) / $n + $z**2 / (4 * $n**2)) / (1 + $z**2 / $n);
	return ($p, max(0, $centre - $half), min(1, $centre + $half));
}

sub measures
{
	my ($rows) = @_;
	my $n = @$rows;
	my ($tp, $fp, $fn, $tn) = map { my ($p, $e) = @$_; scalar grep { $_->[0] == $p && $_->[1] == $e } @$rows }
	  [ 1, 1 ], [ 1, 0 ], [ 0, 1 ], [ 0, 0 ];
	my ($yes, $no) = ($tp + $fn, $tn + $fp);
	my $margins = ($tp + $fp) * $yes * ($tn + $fn) * $no;
	my $chance = (($tp + $fp) * $yes + ($tn + $fn) * $no) / $n**2;
	my @up = map { $_->[2] } grep { $_->[1] } @$rows;
	my @down = map { $_->[2] } grep { !$_->[1] } @$rows;
	my $wins = sum0(map { my $u = $_; map { $u > $_ ? 1 : $u == $_ ? 0.5 : 0 } @down } @up);

	return (
		tp => [$tp], fp => [$fp], fn => [$fn], tn => [$tn], undecided => [0],
		accuracy => [ wilson($tp + $tn, $n) ],
		precision => [ wilson($tp, $tp + $fp) ],
		recall => [ wilson($tp, $yes) ],
		specificity => [ wilson($tn, $no) ],
		balanced_accuracy => [ ($tp / $yes + $tn / $no) / 2 ],
		f1 => [ ratio(2 * $tp, 2 * $tp + $fp + $fn) ],
		mcc => [ $margins ? ($tp * $tn - $fp * $fn) / sqrt($margins) : 0 ],
		kappa => [ (($tp + $tn) / $n - $chance) / (1 - $chance) ],
		auroc => [ $wins / (@up * @down) ]);
}

# Exact McNemar: twice the smaller tail of a fair coin, at most 1.
sub mcnemar
{
	my ($one, $two) = @_;
	my @right = map { [ map { $_->[0] == $_->[1] } @$_ ] } $one, $two;
	my @only = map { my $i = $_; scalar grep { $right[$i][$_] && !$right[ 1 - $i ][$_] } 0 .. $#$one } 0, 1;
	my ($n, $k) = ($only[0] + $only[1], min(@only));
	my ($ways, $tail) = (1, 0);

	for my $i (0 .. $k)
	{
		$tail += $ways;
		$ways = $ways * ($n - $i) / ($i + 1);
	}
	return min(1, 2 * $tail / 2**$n);
}

1;
