# Schedules in TAP tests.
#
#   is(schedule($node, 'weekly', 'outcome, last_run'), 'started|3');
#   fall_due($node, 'weekly');                          its time has come
#   wait_schedule($node, 'weekly', "outcome = 'kept'")  until its row says so
#
# Times are brought about, not waited for: next_at is put into the past, and
# gepa.enable_schedule() of a schedule that is enabled has it looked at.
package Gepa::Schedule;

use strict;
use warnings;

use Exporter qw(import);
use Gepa::Test;

our @EXPORT = qw(schedule fall_due wait_schedule);

sub schedule
{
	my ($node, $name, $columns) = @_;
	return value($node, "SELECT $columns FROM gepa.schedules WHERE schedule = '$name'");
}

sub fall_due
{
	my ($node, $name) = @_;

	value($node, "UPDATE gepa.schedule SET next_at = now() - interval '3 days' WHERE name = '$name'");
	value($node, "SELECT gepa.enable_schedule('$name')");
	return;
}

sub wait_schedule
{
	my ($node, $name, $condition) = @_;
	return wait_sql($node, "SELECT $condition FROM gepa.schedules WHERE schedule = '$name'", "$name: $condition");
}

1;
