# Corpus jobs in TAP tests.
#
#   use_jobs($node, $mock);                             the server that the others mean, and its LM
#   fresh_pages(60, 20)                                 as many rows in table pages that nobody has judged; the
#                                                       mock's gate lets 20 calls pass
#   my $job = start_job($judge, "'pages', 'id', 'body', 'keep'");    arguments after the judge
#   is(wait_job($job), 'finished');
#   job_value($job, 'status, reason')                   columns of gepa.jobs
#   wait_jobs("status = 'paused'", $job, 'pauses')      until the job is so
#   wait_idle($job, 'what was inserted')                until nothing is left to do for it
#   idle_sql($job), idle_sql()                          the query that says t then; for no job at all
#   versions('page_verdict')                            "1:1 2:3": of each row of a verdict table its version
#   wrong($judge, 'pages')                              rows whose column keep is not what the judge says
package Gepa::Job;

use strict;
use warnings;

use Exporter qw(import);
use Gepa::Test;

our @EXPORT = qw(use_jobs fresh_pages start_job wait_job job_value wait_jobs wait_idle idle_sql versions wrong);

my ($node, $mock);
my $round = 0;

sub use_jobs { ($node, $mock) = @_; return; }

sub fresh_pages
{
	my ($rows, $pass) = @_;

	$round++;
	value($node, "TRUNCATE pages; INSERT INTO pages SELECT i, 'document ' || i || ' of $round' FROM generate_series(1, $rows) i");
	$mock->gate(open => 0);
	$mock->reset;
	$mock->gate(pass => $pass) if $pass;
	return;
}

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

sub idle_sql
{
	my ($job) = @_;
	my $of = defined $job ? " WHERE job = $job" : '';

	return "SELECT NOT EXISTS (SELECT FROM gepa.job_queue$of) AND NOT EXISTS (SELECT FROM gepa.job_claim$of)";
}

sub wait_idle
{
	my ($job, $what) = @_;
	return wait_sql($node, idle_sql($job), $what);
}

sub versions
{
	my ($table) = @_;
	return value($node, "SELECT string_agg(id || ':' || version, ' ' ORDER BY id) FROM $table");
}

sub wrong
{
	my ($judge, $table) = @_;
	return value($node, "SELECT count(*) FROM $table WHERE keep IS DISTINCT FROM gepa_judge('$judge', body)");
}

1;
