/*-------------------------------------------------------------------------
 *
 * transport.c
 *	  HTTP inside a backend: one curl multi handle per process.
 *
 * Actors: batches, which start and free transfers (transfer.c) and then wait;
 * libcurl, which says what it wants to be waited for.
 *
 * Waiting.  libcurl opens and closes sockets as it likes, and a WaitEventSet
 * cannot forget one; so libcurl's sockets live in a private epoll descriptor
 * (sockets.c), and the process waits on its latch and on that one descriptor, by
 * a set that is made once.  Query cancel, statement_timeout and termination arrive
 * through the latch within milliseconds, whatever libcurl is busy with.  The
 * client's socket is in there too, for its end alone: nobody is left to be
 * answered then.
 *
 * Time is that of a clock that is never set (base/clock.h); how long a request may
 * take is counted by deadline.c and not by libcurl, which knows of no pauses.
 *
 * Errors.  No PostgreSQL error is raised from inside a libcurl callback.  A
 * transfer's end is handled after libcurl has returned.  Interrupts are served
 * between the calls into libcurl only.
 *
 * Threads.  libcurl may resolve names in a thread, which would inherit our
 * signal mask and could then run PostgreSQL's handlers; all signals are
 * blocked around every call that may start one.  QUICK_EXIT keeps clean-up
 * from waiting for a resolver that does not answer.
 *
 * Life cycle: the multi handle is made at first use in the process, never before
 * a fork, and kept for its connections; descriptors are accounted with fd.c.
 *
 * Known hole: the resolver's thread of a call that was given up outlives it,
 * with the one descriptor it holds, until the resolver ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/wait.h"
#include "lm/lm_limit.h"
#include "lm/lm_transport.h"

/* Connections kept open between calls. */
#define MIN_POOL_SIZE 64

/* How long more of them must not have been in use before they are closed. */
#define POOL_PERIOD_MS 10000

/* Whoever submits many calls looks for answers so often, and not with each. */
#define LOOK_US 200

static struct
{
	CURLM	   *multi;
	int			epoll_fd;		/* libcurl's sockets; -1 = not made yet */
	WaitEventSet *waits;		/* latch, end of the postmaster, epoll_fd */
	pgsocket	client;			/* watched, while has_client */
	bool		has_client;
	bool		has_timer;
	int64		timer;			/* when libcurl wants to be called */
	int64		looked;			/* for answers; gepa_clock_us() */
	int			nrunning;		/* transfers in the multi handle */
	int			pool_size;		/* connections it may have, in use and idle */
	int			pool_used;		/* most that ran at a time in this period */
	int64		pool_fits_until;	/* the period's end; gepa_clock_us() */
}			transport = {.epoll_fd = -1};

/*
 * Callbacks of libcurl: nothing here may raise
 */

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	transport.has_timer = timeout_ms >= 0;
	if (transport.has_timer)
		transport.timer = gepa_clock_after_ms(timeout_ms);
	return 0;
}

/*
 * Calls into libcurl
 */

void
gepa_lm_block_signals(sigset_t *saved)
{
	sigset_t	all;

	sigfillset(&all);
	(void) pthread_sigmask(SIG_SETMASK, &all, saved);
}

void
gepa_lm_restore_signals(const sigset_t *saved)
{
	(void) pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/*
 * The last one that fd.c would give is left
 * alone: WaitLatchOrSocket() needs one for the time of each wait.
 */
bool
gepa_lm_transport_acquire_fd(void)
{
	if (!AcquireExternalFD())
		return false;
	if (AcquireExternalFD())
	{
		ReleaseExternalFD();
		return true;
	}
	ReleaseExternalFD();
	return false;
}

static bool
is_timer_due(void)
{
	return transport.has_timer && gepa_clock_us() >= transport.timer;
}

/* Let libcurl do what it wants to have done by now; signals are blocked. */
static void
run_timer(void)
{
	int			running;

	if (!is_timer_due())
		return;
	transport.has_timer = false;
	(void) curl_multi_socket_action(transport.multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static void
set_pool_size(int size)
{
	transport.pool_size = size;
	curl_multi_setopt(transport.multi, CURLMOPT_MAXCONNECTS, (long) size);
}

/*
 * libcurl counts connections in use as well: with a pool smaller than what
 * runs at a time, every call would open one and close it.  So the pool grows
 * with that.  What runs goes up and down with the luck of a busy machine, and a new
 * connection costs more than a kept one: the pool shrinks when for some time less
 * than half of it was in use.
 */
static void
fit_pool(void)
{
	int			wanted = Max(transport.nrunning, MIN_POOL_SIZE);
	int64		now;

	transport.pool_used = Max(transport.pool_used, wanted);
	if (wanted > transport.pool_size)
		set_pool_size(wanted);
	if (transport.pool_size == MIN_POOL_SIZE)
		return;
	now = gepa_clock_us();
	if (now < transport.pool_fits_until)
		return;
	if (transport.pool_used < transport.pool_size / 2)
		set_pool_size(transport.pool_used);
	transport.pool_used = wanted;
	transport.pool_fits_until = now + POOL_PERIOD_MS * 1000;
}

/* Each step is kept when a later one fails. */
static void
open_epoll(void)
{
	if (transport.epoll_fd >= 0)
		return;
	if (!gepa_lm_transport_acquire_fd())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("too many open files to talk to a language model"),
				 errhint("Raise max_files_per_process.")));
	transport.epoll_fd = gepa_lm_sockets_open();
	if (transport.epoll_fd < 0)
		ReleaseExternalFD();
}

static void
open_waits(void)
{
	WaitEventSet *waits;

	if (transport.waits != NULL || transport.epoll_fd < 0)
		return;
	waits = gepa_lasting_wait_event_set(3);
	AddWaitEventToSet(waits, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	/* A backend alone has none to watch. */
	if (IsUnderPostmaster)
		AddWaitEventToSet(waits, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(waits, WL_SOCKET_READABLE, transport.epoll_fd, NULL, NULL);
	transport.waits = waits;
}

void
gepa_lm_transport_open(void)
{
	if (transport.multi != NULL)
		return;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not initialize libcurl"),
				 errhint("Check the installation of libcurl and its TLS library.")));
	open_epoll();
	open_waits();
	if (transport.waits != NULL)
		transport.multi = curl_multi_init();
	if (transport.multi == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not set up the connection to language models: %m"),
				 errhint("Close other sessions or raise the limit on open files.")));
	curl_multi_setopt(transport.multi, CURLMOPT_SOCKETFUNCTION, gepa_lm_socket_want);
	curl_multi_setopt(transport.multi, CURLMOPT_TIMERFUNCTION, on_timer);
	set_pool_size(MIN_POOL_SIZE);
#if CURL_AT_LEAST_VERSION(8, 20, 0)
	curl_multi_setopt(transport.multi, CURLMOPT_QUICK_EXIT, 1L);
#endif
}

/*
 * On the wire now, not at the next wait: until then the caller may have given up, and
 * a call that is sent only to be called back is paid for in vain.
 */
CURLMcode
gepa_lm_transport_add(CURL *easy)
{
	sigset_t	saved;
	CURLMcode	code;

	gepa_lm_block_signals(&saved);
	code = curl_multi_add_handle(transport.multi, easy);
	if (code == CURLM_OK)
		run_timer();
	gepa_lm_restore_signals(&saved);
	if (code == CURLM_OK)
		transport.nrunning++;
	return code;
}

/* Starts no thread: it resolves nothing. */
void
gepa_lm_transport_remove(CURL *easy)
{
	(void) curl_multi_remove_handle(transport.multi, easy);
	transport.nrunning--;
}

/*
 * Hand out what has ended, and then what has run out of time; returns whether
 * anything had.
 */
static bool
finish_all(void)
{
	bool		any = false;
	LmTransfer *late;
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(transport.multi, &left)) != NULL)
	{
		LmTransfer *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		gepa_lm_transfer_finish(transfer, message->data.result);
		any = true;
	}
	while ((late = gepa_lm_deadline_passed()) != NULL)
	{
		gepa_lm_transfer_finish(late, CURLE_OPERATION_TIMEDOUT);
		any = true;
	}
	return any;
}

/*
 * Waiting
 */

static void
watch_client(void)
{
	struct epoll_event event = {.events = EPOLLRDHUP};

	transport.client = gepa_wait_client();
	event.data.fd = transport.client;
	transport.has_client = transport.client != PGINVALID_SOCKET &&
		epoll_ctl(transport.epoll_fd, EPOLL_CTL_ADD, transport.client, &event) == 0;
}

/* Once is enough, and what is not acted on at once would wake us for ever. */
static void
client_lost(void)
{
	(void) epoll_ctl(transport.epoll_fd, EPOLL_CTL_DEL, transport.client, NULL);
	transport.has_client = false;
	gepa_wait_client_lost();
}

static void
serve_socket(const struct epoll_event *event)
{
	int			running;
	int			mask = 0;

	if (transport.has_client && event->data.fd == transport.client)
	{
		client_lost();
		return;
	}
	if (!gepa_lm_socket_is_wanted(event->data.fd))
		return;
	if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		mask |= CURL_CSELECT_IN;
	if (event->events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (event->events & (EPOLLERR | EPOLLHUP))
		mask |= CURL_CSELECT_ERR;
	(void) curl_multi_socket_action(transport.multi, event->data.fd, mask, &running);
}

/* Let libcurl have what has come, and do what is due. */
static void
serve_all(void)
{
	struct epoll_event events[64];
	int			n = epoll_wait(transport.epoll_fd, events, lengthof(events), 0);
	sigset_t	saved;

	transport.looked = gepa_clock_us();
	if (n <= 0 && !is_timer_due())
		return;
	gepa_lm_block_signals(&saved);
	for (int i = 0; i < n; i++)
		serve_socket(&events[i]);
	run_timer();
	gepa_lm_restore_signals(&saved);
}

/*
 * Whole milliseconds until the earliest of libcurl's timer, the next deadline of a
 * request and the caller's; -1 = never.
 */
static int
time_to_wait(int timeout_ms, int64 deadline)
{
	int64		next = gepa_lm_deadline_next();
	int64		until = timeout_ms < 0 ? PG_INT64_MAX : deadline;

	if (transport.has_timer)
		until = Min(until, transport.timer);
	if (next != 0)
		until = Min(until, next);
	return until == PG_INT64_MAX ? -1 : gepa_clock_ms_until(until);
}

int
gepa_lm_transport_running(void)
{
	return transport.nrunning;
}

void
gepa_lm_transport_wait(int timeout_ms)
{
	int64		deadline = gepa_clock_after_ms(timeout_ms);

	if (transport.multi == NULL)
		gepa_lm_transport_open();
	if (!transport.has_client)
		watch_client();
	fit_pool();					/* now that the caller has started what it may */
	gepa_lm_deadline_look(0);
	for (;;)
	{
		WaitEvent	event;
		int			wait;
		int			n;

		CHECK_FOR_INTERRUPTS();
		serve_all();
		if (finish_all() || gepa_lm_gate_was_granted())
			return;
		if (timeout_ms >= 0 && gepa_clock_us() >= deadline)
			return;
		wait = time_to_wait(timeout_ms, deadline);
		n = WaitEventSetWait(transport.waits, wait, &event, 1, gepa_lm_gate_wait_event());
		gepa_lm_deadline_look(Max(wait, 0));
		if (n > 0 && (event.events & WL_LATCH_SET))
		{
			/* It may be for the caller. */
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
			return;
		}
	}
}

void
gepa_lm_transport_look(void)
{
	if (gepa_clock_us() - transport.looked >= LOOK_US)
		gepa_lm_transport_wait(0);
}

void
gepa_lm_send(void)
{
	sigset_t	saved;

	if (transport.multi == NULL || !is_timer_due())
		return;
	gepa_lm_block_signals(&saved);
	run_timer();
	gepa_lm_restore_signals(&saved);
}
