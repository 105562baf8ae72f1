# Many documents in one batch: gepa.report() asks for all test rows of a run at once.
#
#   my $report = prepare_report($node, $mock, rows => 200);   SQL that judges "row 1" ... "row 200"
#   point_at($node, $mock, 'judge-rules+gate', 2);   another model and max_concurrency; the journal begins anew
#   $report                        is of judge 'j' on LM "lm", which have to be as point_at says by then
package Gepa::Report;

use strict;
use warnings;

use Exporter qw(import);
use Gepa::Run;
use Gepa::Test;

our @EXPORT = qw(prepare_report point_at);

# The verdicts of a mismatched LM are stored apart; so are those of gepa_judge() in the same session.
our $allow = 'SET gepa.allow_lm_mismatch = on;';

# An ended run whose candidate 0, the judge itself, is all that there is to report.
sub prepare_report
{
	my ($node, $mock, %options) = @_;

	create_lm($node, 'lm', $mock, 'judge-rules', max_concurrency => 16);
	value($node, qq{
		CREATE TABLE labels AS SELECT i AS id, 'row ' || i AS body, (i % 2 = 0)::text AS keep,
			CASE WHEN i <= $options{rows} THEN 'test' WHEN i % 3 = 0 THEN 'train' ELSE 'val' END AS part
		FROM generate_series(1, $options{rows} + 30) i;
		SELECT gepa.create_judge('j', 'lm', 'Is it good?'),
			gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep', split => 'part')});
	value($node, "SELECT gepa.optimize('j', 'd', NULL, 60, options => '" . reference_mode('{"max_proposals": 1}') . "')");
	return "$allow SELECT count(*) > 0 FROM gepa.report('j');";
}

sub point_at
{
	my ($node, $mock, $model, $concurrency) = @_;

	value($node, "ALTER SERVER lm OPTIONS (SET model '$model', SET max_concurrency '$concurrency')");
	$mock->gate(open => 0);
	$mock->reset;
	return;
}

1;
