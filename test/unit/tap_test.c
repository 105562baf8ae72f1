/*-------------------------------------------------------------------------
 *
 * tap_test.c
 *	  The reporting of the unit programs: a failure must be seen.
 *
 * The failing checks run in a child process whose exit status is looked at,
 * so that this program itself can pass.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

/* Exit status of a child that makes one check (or none). */
static int
status_of_child(bool check, bool passes)
{
	int			status;
	pid_t		pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		if (freopen("/dev/null", "w", stdout) == NULL)
			_exit(99);
		tap_count = tap_failures = 0;
		if (check)
			tap_is_int(passes ? 1 : 2, 1, "child");
		_exit(tap_done());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int
main(void)
{
	tap_is_int(status_of_child(true, true), 0, "a passed check gives status 0");
	tap_is_int(status_of_child(true, false), 1, "a failed check gives status 1");
	tap_is_int(status_of_child(false, true), 1, "no check at all is a failure");
	tap_is_string("a", "a", "equal strings");
	tap_is_double(0.1 + 0.2, 0.3, 1e-12, "doubles within a tolerance");
	return tap_done();
}
