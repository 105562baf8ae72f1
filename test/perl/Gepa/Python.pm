# Python with the packages gepa and dspy, at the versions of
# test/exchange/requirements.txt.
#
#   python('results.py', 'compare', $a, $b)      a script of test/exchange; what it says, without the
#                                                last newline; dies where it fails
#
# script/test installs them and names them in GEPA_EXCHANGE_PYTHON; without that they are
# installed here, once in a run of all tests.  What cannot be had is a failure.
package Gepa::Python;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use IPC::Run;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(python);

my $scripts = abs_path(dirname(__FILE__) . '/../../exchange');
my $interpreter;

sub _run
{
	my (@command) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err) or die "@command[0 .. 1]: $out$err";
	chomp $out;
	return $out;
}

sub _install
{
	my $folder = "$PostgreSQL::Test::Utils::tmp_check/exchange";

	open my $lock, '>', "$folder.lock" or die "$folder.lock: $!";
	flock $lock, LOCK_EX or die "$folder.lock: $!";
	if (!-e "$folder/ready")
	{
		_run('python3', '-m', 'venv', '--clear', $folder);
		_run("$folder/bin/pip", 'install', '-q', '--disable-pip-version-check', '--no-cache-dir', '--only-binary', ':all:',
			'--no-deps', '-r', "$scripts/requirements.txt");
		open my $ready, '>', "$folder/ready" or die "$folder/ready: $!";
	}
	return "$folder/bin/python";
}

sub python
{
	my ($script, @arguments) = @_;

	$interpreter //= $ENV{GEPA_EXCHANGE_PYTHON} // _install();
	# what the packages leave behind goes with the test
	local $ENV{HOME} = PostgreSQL::Test::Utils::tempdir();
	return _run($interpreter, "$scripts/$script", @arguments);
}

1;
