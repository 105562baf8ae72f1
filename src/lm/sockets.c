/*-------------------------------------------------------------------------
 *
 * sockets.c
 *	  libcurl's sockets, and what they are watched for.
 *
 * They are in an epoll descriptor.  libcurl says with each request that a socket is
 * to be watched, and no longer when the response is there; told to the kernel
 * that is two system calls for each call of an LM.  So a socket stays where it is
 * when its connection is kept, and is watched for the same with the next request.
 * If something happens to it meanwhile (the endpoint closes it), it is taken
 * out then.
 *
 * Life cycle: that is right only as long as it is known when a socket has
 * another connection.  Those that are made here are: libcurl has them opened and
 * closed by the callbacks below.  The others, of its resolver, are taken out
 * as soon as it says so.
 *
 * Errors: these are callbacks of libcurl.  Nothing here raises, and the memory is
 * malloc'd; without memory a socket is one of the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lm/lm_transport.h"

typedef struct Socket
{
	bool		ours;			/* opened here, and not closed yet */
	bool		wanted;			/* libcurl waits for it */
	uint32		events;			/* that the kernel watches it for; 0 = not in
								 * the set */
} Socket;

static struct
{
	int			epoll_fd;		/* -1 = not made yet */
	Socket	   *by_fd;
	int			n;
}			sockets = {.epoll_fd = -1};

int
gepa_lm_sockets_open(void)
{
	if (sockets.epoll_fd < 0)
		sockets.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return sockets.epoll_fd;
}

/* NULL = not known. */
static Socket *
find(curl_socket_t fd)
{
	return fd >= 0 && fd < sockets.n && sockets.by_fd[fd].ours ? &sockets.by_fd[fd] : NULL;
}

static bool
make_room(curl_socket_t fd)
{
	int			n = Max(sockets.n, 64);
	Socket	   *grown;

	if (fd < sockets.n)
		return true;
	while (n <= fd)
		n *= 2;
	grown = realloc(sockets.by_fd, sizeof(Socket) * n);
	if (grown == NULL)
		return false;
	memset(grown + sockets.n, 0, sizeof(Socket) * (n - sockets.n));
	sockets.by_fd = grown;
	sockets.n = n;
	return true;
}

curl_socket_t
gepa_lm_socket_make(const struct curl_sockaddr *address)
{
	curl_socket_t fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
							  address->protocol);

	if (fd >= 0 && make_room(fd))
		sockets.by_fd[fd] = (Socket)
	{
		.ours = true
	};
	return fd;
}

/* The kernel takes it out of the set by itself. */
int
gepa_lm_socket_close(void *arg, curl_socket_t fd)
{
	Socket	   *known = find(fd);

	if (known != NULL)
		known->ours = false;
	return close(fd);
}

static void
take_out(curl_socket_t fd)
{
	(void) epoll_ctl(sockets.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* Whether or not it is in the set already. */
static void
watch(curl_socket_t fd, uint32 events)
{
	struct epoll_event event = {.events = events,.data.fd = fd};

	if (epoll_ctl(sockets.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 && errno == EEXIST)
		(void) epoll_ctl(sockets.epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

/* What could be sent at any time would wake us at once. */
static void
no_longer(curl_socket_t fd)
{
	Socket	   *known = find(fd);

	if (known != NULL)
		known->wanted = false;
	if (known != NULL && known->events == EPOLLIN)
		return;
	if (known != NULL)
		known->events = 0;
	take_out(fd);
}

int
gepa_lm_socket_want(CURL *easy, curl_socket_t fd, int what, void *arg, void *per_socket)
{
	Socket	   *known = find(fd);
	uint32		events = 0;

	if (what == CURL_POLL_REMOVE)
	{
		no_longer(fd);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (known == NULL || known->events != events)
		watch(fd, events);
	if (known != NULL)
	{
		known->wanted = true;
		known->events = events;
	}
	return 0;
}

bool
gepa_lm_socket_is_wanted(curl_socket_t fd)
{
	Socket	   *known = find(fd);

	if (known == NULL || known->wanted)
		return true;
	known->events = 0;
	take_out(fd);
	return false;
}
