/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Names of wait events, and sleeping with an eye on the client.
 *
 * A name is registered in shared memory at the first wait of that kind in a
 * process, and found there by the later ones.
 *
 * PostgreSQL looks for a client that is gone only every
 * client_connection_check_interval, which is never unless it is set, and
 * ConditionVariableTimedSleep() cannot watch a socket.  So the sleep itself is a
 * wait on latch and socket; the condition variable then only does the keeping
 * of its list of sleepers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

/*
 * Of a Port only the socket is wanted, its first member.  What comes behind
 * depends on headers of GSSAPI and OpenSSL, which need not be here.
 */
#undef ENABLE_GSS
#undef USE_OPENSSL
#include "libpq/libpq-be.h"

#include "base/compat.h"
#include "base/wait.h"

static const char *const wait_names[] = {
	[GEPA_WAIT_LM] = "GepaLm",
	[GEPA_WAIT_LM_SLOT] = "GepaLmSlot",
	[GEPA_WAIT_LEASE] = "GepaLease",
	[GEPA_WAIT_VERDICTS_WRITTEN] = "GepaVerdictsWritten",
	[GEPA_WAIT_RING_SPACE] = "GepaRingSpace",
	[GEPA_WAIT_RUN_CHANGE] = "GepaRunChange",
	[GEPA_WAIT_LAUNCHER_MAIN] = "GepaLauncherMain",
	[GEPA_WAIT_WRITER_MAIN] = "GepaWriterMain"
};

uint32
gepa_wait_event(GepaWait wait)
{
	static uint32 events[lengthof(wait_names)];

	if (events[wait] == 0)
		events[wait] = gepa_new_wait_event(wait_names[wait]);
	return events[wait];
}

pgsocket
gepa_wait_client(void)
{
	if (MyProcPort == NULL || !INTERRUPTS_CAN_BE_PROCESSED())
		return PGINVALID_SOCKET;
	return MyProcPort->sock;
}

void
gepa_wait_client_lost(void)
{
	ClientConnectionLost = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

void
gepa_wait_sleep(ConditionVariable *variable, int timeout_ms, GepaWait wait)
{
	pgsocket	client = gepa_wait_client();
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
	int			rc;

	if (client != PGINVALID_SOCKET)
		events |= WL_SOCKET_CLOSED;
	rc = WaitLatchOrSocket(MyLatch, events, client, timeout_ms, gepa_wait_event(wait));
	if (rc & WL_SOCKET_CLOSED)
		gepa_wait_client_lost();

	/* Back into the list of sleepers, if a signal has taken this process out. */
	if (variable != NULL)
		(void) ConditionVariableTimedSleep(variable, 0, gepa_wait_event(wait));
	else
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
