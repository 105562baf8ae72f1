# Corpus jobs in TAP tests.
#
#   use_jobs($node);                                    the server that the others mean
#   my $job = start_job($judge, "'pages', 'id', 'body', 'keep'");    arguments after the judge
#   is(wait_job($job), 'finished');
#   job_value($job, 'status, reason')                   columns of gepa.jobs
#   wait_jobs("status = 'paused'", $job, 'pauses')      until the job is so
#   wrong($judge, 'pages')                              rows whose column keep is not what the judge says
package Gepa::Job;

use strict;
use warnings;

use Exporter qw(import);
use Gepa::Test;

our @EXPORT = qw(use_jobs start_job wait_job job_value wait_jobs wrong);

my $node;

sub use_jobs { $node = $_[0]; return; }

sub start_job
{
	my ($judge, $arguments) = @_;
	return value($node, "SELECT gepa.judge_table('$judge', $arguments)");
}

sub wait_job
{
	my ($job) = @_;
	return value($node, "SELECT gepa.wait_job($job, '2 minutes')");
}

sub job_value
{
	my ($job, $columns) = @_;
	return value($node, "SELECT $columns FROM gepa.jobs WHERE job = $job");
}

sub wait_jobs
{
	my ($condition, $job, $what) = @_;
	return wait_sql($node, "SELECT $condition FROM gepa.jobs WHERE job = $job", $what);
}

sub wrong
{
	my ($judge, $table) = @_;
	return value($node, "SELECT count(*) FROM $table WHERE keep IS DISTINCT FROM gepa_judge('$judge', body)");
}

1;
