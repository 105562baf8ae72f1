/*-------------------------------------------------------------------------
 *
 * transport.c
 *	  HTTP inside a backend: one curl multi handle per process.
 *
 * Waiting.  libcurl opens and closes sockets as it likes, and a WaitEventSet
 * cannot forget one; so libcurl's sockets live in a private epoll descriptor,
 * and the process waits on its latch and on that one descriptor.  Query
 * cancel, statement_timeout and termination arrive through the latch within
 * milliseconds, whatever libcurl is busy with.  The client's socket is in there
 * too, for its end alone: nobody is left to be answered then.
 *
 * Time is that of a clock that is never set: one that is put back by an hour
 * would make time-outs an hour late.
 *
 * Errors.  No PostgreSQL error is raised from inside a libcurl callback, and
 * none of its memory is palloc'd: callbacks store what they got in malloc'd
 * buffers with a cap and return.  A transfer's end is handled after libcurl
 * has returned.  Interrupts are served between the calls into libcurl only.
 *
 * Threads.  libcurl may resolve names in a thread, which would inherit our
 * signal mask and could then run PostgreSQL's handlers; all signals are
 * blocked around every call that may start one.  QUICK_EXIT keeps clean-up
 * from waiting for a resolver that does not answer; the thread of a call that
 * was given up then ends, with the one descriptor it holds, when the resolver
 * does.
 *
 * Life.  The multi handle is made at first use in the process, never before
 * a fork, and kept for its connections; descriptors are accounted with fd.c.
 *
 * Sends.  When a kept connection dies before the first byte of a response,
 * libcurl sends the request again by itself, up to five times.  Each is paid
 * for like any other, so each is counted, and only as many are let go as the
 * caller allows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <math.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "storage/latch.h"

#include "base/wait.h"
#include "lm/lm_internal.h"
#include "lm/lm_limit.h"

/*
 * A response is a few kB; with reasoning and log-probabilities perhaps a few
 * hundred.  More than this is an accident or an attack.
 */
#define MAX_RESPONSE_BYTES (16 * 1024 * 1024)
#define MAX_HEADER_BYTES (256 * 1024)

/* Connections kept open between calls. */
#define MIN_POOL_SIZE 64

struct LmTransfer
{
	CURL	   *easy;
	struct curl_slist *headers;
	bool		running;		/* in the multi handle */
	bool		has_fd;			/* accounted */
	bool		allow_private;
	int			sends;			/* requests that went out; 0 = not connected
								 * yet */
	int			max_sends;
	bool		refused_address;
	bool		too_big;
	char	   *response;		/* malloc'd */
	size_t		length;
	size_t		room;
	size_t		header_bytes;
	int64		content_length; /* as the header says; -1 = not yet */
	const char *complaint;		/* what is wrong with the header */
	LmPace		pace;			/* what the header says of when to come back */
	LmTransferDone done;
	void	   *arg;
	char		error[CURL_ERROR_SIZE];
};

static struct
{
	CURLM	   *multi;
	int			epoll_fd;
	pgsocket	client;			/* watched, while has_client */
	bool		has_client;
	bool		has_timer;
	double		timer;			/* when libcurl wants to be called; now_ms() */
	int			nrunning;		/* transfers in the multi handle */
	int			pool_size;		/* connections it may have, in use and idle */
}			transport;

static double
now_ms(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return INSTR_TIME_GET_MILLISEC(now);
}

/*
 * Callbacks of libcurl: nothing here may raise
 */

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct epoll_event event = {0};

	event.data.fd = fd;
	if (what == CURL_POLL_REMOVE)
	{
		(void) epoll_ctl(transport.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (epoll_ctl(transport.epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 && errno == ENOENT)
		(void) epoll_ctl(transport.epoll_fd, EPOLL_CTL_ADD, fd, &event);
	return 0;
}

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	transport.has_timer = timeout_ms >= 0;
	if (transport.has_timer)
		transport.timer = now_ms() + timeout_ms;
	return 0;
}

static bool
make_room(LmTransfer *transfer, size_t more)
{
	size_t		wanted = transfer->length + more + 1;
	size_t		room = Max(transfer->room, 4096);
	char	   *grown;

	if (wanted > MAX_RESPONSE_BYTES)
	{
		transfer->too_big = true;
		return false;
	}
	while (room < wanted)
		room *= 2;
	if (room == transfer->room)
		return true;
	grown = realloc(transfer->response, room);
	if (grown == NULL)
		return false;
	transfer->response = grown;
	transfer->room = room;
	return true;
}

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	LmTransfer *transfer = arg;
	size_t		bytes = size * n;

	if (!make_room(transfer, bytes))
		return 0;				/* short: libcurl gives the transfer up */
	memcpy(transfer->response + transfer->length, data, bytes);
	transfer->length += bytes;
	transfer->response[transfer->length] = '\0';
	return bytes;
}

/*
 * The value of a header line if it has that name (with its colon) and is not
 * too long for value.
 */
static bool
read_header(const char *line, size_t bytes, const char *name, char *value, size_t room)
{
	size_t		skip = strlen(name);

	if (bytes < skip || bytes - skip >= room || pg_strncasecmp(line, name, skip) != 0)
		return false;
	memcpy(value, line + skip, bytes - skip);
	value[bytes - skip] = '\0';
	value[strcspn(value, "\r\n")] = '\0';
	memmove(value, value + strspn(value, " \t"), strlen(value + strspn(value, " \t")) + 1);
	return true;
}

/*
 * What newer versions of libcurl refuse by themselves, and older ones take: two
 * lengths, and a compression that nobody asked for.
 */
static const char *
find_complaint(LmTransfer *transfer, const char *line, size_t bytes)
{
	char		value[80];

	if (bytes >= 5 && strncmp(line, "HTTP/", 5) == 0)
		transfer->content_length = -1;	/* another response begins */
	else if (read_header(line, bytes, "transfer-encoding:", value, sizeof(value)))
		return pg_strncasecmp(value, "chunked", 7) == 0 || pg_strcasecmp(value, "identity") == 0 ?
			NULL : "it uses a transfer encoding that was not asked for";
	else if (read_header(line, bytes, "content-length:", value, sizeof(value)))
	{
		int64		length = strtoll(value, NULL, 10);

		if (transfer->content_length >= 0 && transfer->content_length != length)
			return "it says two lengths of one body";
		transfer->content_length = length;
	}
	return NULL;
}

static size_t
on_header(char *data, size_t size, size_t n, void *arg)
{
	LmTransfer *transfer = arg;
	size_t		bytes = size * n;

	transfer->header_bytes += bytes;
	if (transfer->header_bytes > MAX_HEADER_BYTES)
	{
		transfer->too_big = true;
		return 0;
	}
	transfer->complaint = find_complaint(transfer, data, bytes);
	if (transfer->complaint != NULL)
		return 0;
	gepa_lm_pace_read(&transfer->pace, data, bytes, (int64) time(NULL));
	return bytes;
}

/* The address is known and not yet connected to. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	LmTransfer *transfer = arg;

	if (!transfer->allow_private && gepa_lm_address_is_private(&address->addr))
	{
		transfer->refused_address = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/*
 * The request is about to be sent, perhaps again.  The address is checked once
 * more, because another server's call may have opened the connection.
 */
static int
on_request(void *arg, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
	LmTransfer *transfer = arg;
	struct sockaddr_in v4 = {0};
	struct sockaddr_in6 v6 = {0};
	const struct sockaddr *address = NULL;

	v4.sin_family = AF_INET;
	v6.sin6_family = AF_INET6;
	if (inet_pton(AF_INET, peer_ip, &v4.sin_addr) == 1)
		address = (const struct sockaddr *) &v4;
	else if (inet_pton(AF_INET6, peer_ip, &v6.sin6_addr) == 1)
		address = (const struct sockaddr *) &v6;
	if (!transfer->allow_private &&
		(address == NULL || gepa_lm_address_is_private(address)))
	{
		transfer->refused_address = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (transfer->sends >= transfer->max_sends)
		return CURL_PREREQFUNC_ABORT;
	transfer->sends++;
	return CURL_PREREQFUNC_OK;
}

/*
 * Calls into libcurl
 */

static void
block_signals(sigset_t *saved)
{
	sigset_t	all;

	sigfillset(&all);
	(void) pthread_sigmask(SIG_SETMASK, &all, saved);
}

static void
restore_signals(const sigset_t *saved)
{
	(void) pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/*
 * A descriptor of our own.  The last one that fd.c would give is left
 * alone: WaitLatchOrSocket() needs one for the time of each wait.
 */
static bool
acquire_fd(void)
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

static void
socket_action(curl_socket_t fd, int mask)
{
	sigset_t	saved;
	int			running;

	block_signals(&saved);
	(void) curl_multi_socket_action(transport.multi, fd, mask, &running);
	restore_signals(&saved);
}

static void
serve_timer(void)
{
	if (!transport.has_timer || now_ms() < transport.timer)
		return;
	transport.has_timer = false;
	socket_action(CURL_SOCKET_TIMEOUT, 0);
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
 * with that, and shrinks when less than half of it is in use.
 */
static void
fit_pool(void)
{
	int			wanted = Max(transport.nrunning, MIN_POOL_SIZE);

	if (wanted > transport.pool_size || wanted < transport.pool_size / 2)
		set_pool_size(wanted);
}

static void
open_transport(void)
{
	if (transport.multi != NULL)
		return;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not initialize libcurl"),
				 errhint("Check the installation of libcurl and its TLS library.")));
	if (!acquire_fd())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("too many open files to talk to a language model"),
				 errhint("Raise max_files_per_process.")));
	transport.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (transport.epoll_fd >= 0)
		transport.multi = curl_multi_init();
	if (transport.multi == NULL)
	{
		if (transport.epoll_fd >= 0)
			close(transport.epoll_fd);
		ReleaseExternalFD();
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not set up the connection to language models: %m"),
				 errhint("Close other sessions or raise the limit on open files.")));
	}
	curl_multi_setopt(transport.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(transport.multi, CURLMOPT_TIMERFUNCTION, on_timer);
	set_pool_size(MIN_POOL_SIZE);
#if CURL_AT_LEAST_VERSION(8, 20, 0)
	curl_multi_setopt(transport.multi, CURLMOPT_QUICK_EXIT, 1L);
#endif
}

static bool
add_header(LmTransfer *transfer, const char *header)
{
	struct curl_slist *longer = curl_slist_append(transfer->headers, header);

	if (longer == NULL)
		return false;
	transfer->headers = longer;
	return true;
}

static bool
add_headers(LmTransfer *transfer, const LmServer *server, const LmProvider *provider)
{
	bool		good = add_header(transfer, "Content-Type: application/json") &&
		add_header(transfer, "Accept: application/json") &&
		add_header(transfer, "Expect:") &&
		(provider->header == NULL || add_header(transfer, provider->header));

	if (good && server->api_key != NULL)
	{
		char	   *header = psprintf("%s%s", provider->key_header, server->api_key);

		good = add_header(transfer, header);
		explicit_bzero(header, strlen(header));
		pfree(header);
	}
	return good;
}

/* The one macro that hides a return: every option must take. */
#define SET(option, value) \
	do { \
		if (curl_easy_setopt(easy, (option), (value)) != CURLE_OK) \
			return false; \
	} while (0)

static bool
set_options(LmTransfer *transfer, const LmServer *server, const LmPost *post)
{
	CURL	   *easy = transfer->easy;
	char	   *path = post->provider->path(server);
	char	   *url = psprintf("%s%s", server->base_url, path);

	SET(CURLOPT_URL, url);
	pfree(url);
	pfree(path);
	if (!gepa_lm_set_connection(easy, server))
		return false;
	SET(CURLOPT_PRIVATE, transfer);
	SET(CURLOPT_ERRORBUFFER, transfer->error);
	SET(CURLOPT_HTTPHEADER, transfer->headers);
	SET(CURLOPT_USERAGENT, "gepa/" GEPA_VERSION);
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) post->length);
	SET(CURLOPT_COPYPOSTFIELDS, post->body);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, transfer);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, transfer);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(CURLOPT_OPENSOCKETDATA, transfer);
	SET(CURLOPT_PREREQFUNCTION, on_request);
	SET(CURLOPT_PREREQDATA, transfer);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) MAX_RESPONSE_BYTES);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_TIMEOUT_MS, (long) server->request_timeout_ms);
#if CURL_AT_LEAST_VERSION(7, 85, 0)
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
	SET(CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
#if CURL_AT_LEAST_VERSION(7, 87, 0)
	SET(CURLOPT_QUICK_EXIT, 1L);
#endif
	return true;
}

LmTransfer *
gepa_lm_transfer_start(const LmServer *server, const LmPost *post, LmTransferDone done,
					   void *arg, const char **error)
{
	LmTransfer *transfer;
	sigset_t	saved;
	CURLMcode	code;

	*error = NULL;
	open_transport();
	transfer = calloc(1, sizeof(LmTransfer));
	if (transfer == NULL || (transfer->easy = curl_easy_init()) == NULL)
	{
		free(transfer);
		*error = "out of memory";
		return NULL;
	}
	/* A socket in the file system has no address; the option is privileged. */
	transfer->allow_private = server->allow_private_address || server->unix_socket != NULL;
	transfer->max_sends = post->max_sends;
	transfer->content_length = -1;
	gepa_lm_pace_start(&transfer->pace);
	transfer->done = done;
	transfer->arg = arg;
	transfer->has_fd = acquire_fd();
	if (!transfer->has_fd)
		*error = "too many open files";
	else if (!add_headers(transfer, server, post->provider) ||
			 !set_options(transfer, server, post))
		*error = "libcurl refused an option of the request";
	if (*error == NULL)
	{
		block_signals(&saved);
		code = curl_multi_add_handle(transport.multi, transfer->easy);
		restore_signals(&saved);
		transfer->running = code == CURLM_OK;
		if (transfer->running)
			transport.nrunning++;
		else
			*error = curl_multi_strerror(code);
	}
	if (*error != NULL)
	{
		gepa_lm_transfer_free(transfer);
		return NULL;
	}
	serve_timer();				/* on the wire now, not at the next wait */
	return transfer;
}

void
gepa_lm_transfer_free(LmTransfer *transfer)
{
	sigset_t	saved;

	block_signals(&saved);
	if (transfer->running)
	{
		(void) curl_multi_remove_handle(transport.multi, transfer->easy);
		transport.nrunning--;
	}
	curl_easy_cleanup(transfer->easy);
	restore_signals(&saved);
	for (struct curl_slist *h = transfer->headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(transfer->headers);
	if (transfer->has_fd)
		ReleaseExternalFD();
	free(transfer->response);
	free(transfer);
}

/*
 * Ends of transfers
 */

/*
 * Reasons that are no accident of the network.  A header over libcurl's own cap
 * is "out of memory" to old versions, and CURLE_TOO_LARGE (100) to new ones.
 */
static LmFailure
classify_response(const LmTransfer *transfer, CURLcode code)
{
	if (transfer->sends == 0)
		return LM_FAILURE_BROKEN;
	if (code == CURLE_FILESIZE_EXCEEDED || code == CURLE_OUT_OF_MEMORY || (int) code == 100)
		return LM_FAILURE_TOO_BIG;
	if (transfer->complaint != NULL || code == CURLE_UNSUPPORTED_PROTOCOL ||
		code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_BAD_CONTENT_ENCODING)
		return LM_FAILURE_FOREIGN;
	return LM_FAILURE_BROKEN;
}

static LmFailure
classify(const LmTransfer *transfer, CURLcode code, long http_status)
{
	/* A host with several addresses may have been reached by another. */
	if (transfer->refused_address && code != CURLE_OK)
		return LM_FAILURE_REFUSED_ADDRESS;
	if (transfer->too_big)
		return LM_FAILURE_TOO_BIG;
	if (code != CURLE_OK && gepa_lm_is_client_refused(transfer->error))
		return LM_FAILURE_TLS_CLIENT;
	switch (code)
	{
		case CURLE_OK:
			return http_status >= 200 && http_status < 300 ? LM_FAILURE_NONE :
				LM_FAILURE_HTTP;
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_CONNECT:
		case CURLE_SSL_CONNECT_ERROR:
			return LM_FAILURE_CONNECT;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_ISSUER_ERROR:
			return LM_FAILURE_TLS;
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CACERT_BADFILE:
			return LM_FAILURE_TLS_FILE;
		case CURLE_OPERATION_TIMEDOUT:
			return transfer->sends > 0 ? LM_FAILURE_TIMEOUT : LM_FAILURE_CONNECT;
		default:
			return classify_response(transfer, code);
	}
}

static const char *
error_words(const LmTransfer *transfer, CURLcode code)
{
	if (transfer->complaint != NULL)
		return transfer->complaint;
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return "each kept connection was closed before an answer";
	return transfer->error[0] ? transfer->error : curl_easy_strerror(code);
}

static void
finish(LmTransfer *transfer, CURLcode code)
{
	LmOutcome	outcome = {0};
	long		http_status = 0;
	double		seconds = 0;
	sigset_t	saved;

	gepa_lm_note_trouble(transfer->easy, code, &outcome.trouble);
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &http_status);
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME, &seconds);
	outcome.failure = classify(transfer, code, http_status);
	outcome.sends = transfer->sends;
	outcome.http_status = (int) http_status;
	outcome.body = transfer->response ? transfer->response : "";
	outcome.length = transfer->length;
	outcome.retry_after_ms = gepa_lm_pace_wait(&transfer->pace, outcome.http_status);
	outcome.latency_ms = seconds * 1000;
	outcome.error = error_words(transfer, code);

	block_signals(&saved);
	(void) curl_multi_remove_handle(transport.multi, transfer->easy);
	restore_signals(&saved);
	transfer->running = false;
	transport.nrunning--;
	transfer->done(transfer, &outcome, transfer->arg);
}

/* Hand out what has ended; returns whether anything had. */
static bool
finish_all(void)
{
	bool		any = false;
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(transport.multi, &left)) != NULL)
	{
		LmTransfer *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		finish(transfer, message->data.result);
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
serve_sockets(void)
{
	struct epoll_event events[64];
	int			n = epoll_wait(transport.epoll_fd, events, lengthof(events), 0);

	for (int i = 0; i < n; i++)
	{
		int			mask = 0;

		if (transport.has_client && events[i].data.fd == transport.client)
		{
			client_lost();
			continue;
		}
		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			mask |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			mask |= CURL_CSELECT_OUT;
		if (events[i].events & (EPOLLERR | EPOLLHUP))
			mask |= CURL_CSELECT_ERR;
		socket_action(events[i].data.fd, mask);
	}
}

/* Whole milliseconds until the earlier of libcurl's timer and the deadline; -1 = never. */
static long
time_to_wait(int timeout_ms, double deadline)
{
	double		until = deadline;

	if (transport.has_timer && (timeout_ms < 0 || transport.timer < until))
		until = transport.timer;
	else if (timeout_ms < 0)
		return -1;
	return (long) Min(ceil(Max(until - now_ms(), 0)), INT_MAX);
}

int
gepa_lm_transport_running(void)
{
	return transport.nrunning;
}

void
gepa_lm_transport_wait(int timeout_ms)
{
	double		deadline = now_ms() + timeout_ms;

	if (transport.multi == NULL)
		open_transport();
	if (!transport.has_client)
		watch_client();
	fit_pool();					/* now that the caller has started what it may */
	for (;;)
	{
		long		wait;
		int			events = WL_LATCH_SET | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH;
		int			rc;

		CHECK_FOR_INTERRUPTS();
		serve_sockets();
		serve_timer();
		if (finish_all() || gepa_lm_gate_was_granted())
			return;
		if (timeout_ms >= 0 && now_ms() >= deadline)
			return;
		wait = time_to_wait(timeout_ms, deadline);
		if (wait >= 0)
			events |= WL_TIMEOUT;
		rc = WaitLatchOrSocket(MyLatch, events, transport.epoll_fd, wait,
							   gepa_lm_gate_wait_event());
		if (rc & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
}
