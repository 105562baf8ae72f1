/*-------------------------------------------------------------------------
 *
 * mock_lm.c
 *	  A mock LM that takes no time of its own: chat completions by one epoll loop.
 *
 * The mock of the tests knows faults and dialects and needs some 0.4 ms for a
 * request, which hides what a client costs.  This one knows one thing: it
 * answers after a given latency, with one label when a word stands in the
 * last message of the user, with another when it does not.
 *
 *	  mock_lm [--port N] [--latency-ms X] [--word keep] [--cert FILE --key FILE]
 *
 * prints its port and serves 127.0.0.1, HTTP/1.1 with kept connections, over
 * TLS when it is given a certificate, until its standard input is closed.
 *
 *	  GET /stats			counts, as JSON; see send_stats()
 *	  POST /reset			forgets them
 *	  POST /latency/X		answers requests that come from now on after X ms
 *
 * Labels are the first two of the enum in the request's schema: the first means
 * that the word is there.  The answer has the schema's first property; of a schema
 * without an enum it is a text.  Without a schema the answer is the text True or False.
 * With "logprobs" it has five tokens with twenty alternatives each.
 *
 * A connection carries one request at a time.  The latency is the same for all,
 * so those that wait are a queue in the order of their time.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define MAX_LABEL 100
#define NTOKENS 5
#define NALTERNATIVES 20

typedef struct Buffer
{
	char	   *data;
	size_t		length;
	size_t		room;
} Buffer;

typedef struct Connection
{
	int			fd;
	SSL		   *ssl;			/* NULL = plain */
	Buffer		in;
	Buffer		out;
	size_t		sent;
	bool		handshaking;
	bool		wants_write;	/* as epoll was told */
	bool		waiting;		/* its answer is in the queue */
	bool		dead;			/* ... and nobody will read it */
	int64_t		due;
	struct Connection *next;	/* in the queue */
} Connection;

static struct
{
	int			epoll_fd;
	int			listener;
	SSL_CTX    *tls;
	const char *word;
	int64_t		latency_us;
	Connection *first;			/* the queue of answers */
	Connection *last;
}			mock;

static struct
{
	long		requests;
	long		answered;
	long		aborted;		/* connections closed before their answer */
	long		in_flight;
	long		max_in_flight;
	long		connections;	/* that were opened */
	size_t		bytes_in;		/* of bodies */
	int64_t    *times;			/* of the answers */
	size_t		room;
}			stats;

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

/*
 * Buffers
 */

static void
make_room(Buffer *buffer, size_t more)
{
	size_t		room = buffer->room ? buffer->room : 4096;

	while (room < buffer->length + more + 1)
		room *= 2;
	if (room == buffer->room)
		return;
	buffer->data = realloc(buffer->data, room);
	if (buffer->data == NULL)
		die("realloc");
	buffer->room = room;
}

static void
			put(Buffer *buffer, const char *format,...) __attribute__((format(printf, 2, 3)));

static void
put(Buffer *buffer, const char *format,...)
{
	va_list		args;
	int			length;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	make_room(buffer, length);
	va_start(args, format);
	vsnprintf(buffer->data + buffer->length, length + 1, format, args);
	va_end(args);
	buffer->length += length;
}

/*
 * Connections
 */

static void
watch(Connection *connection, bool wants_write)
{
	struct epoll_event event = {.events = EPOLLIN,.data.ptr = connection};

	if (wants_write == connection->wants_write)
		return;
	if (wants_write)
		event.events |= EPOLLOUT;
	connection->wants_write = wants_write;
	epoll_ctl(mock.epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

static void
free_connection(Connection *connection)
{
	free(connection->in.data);
	free(connection->out.data);
	free(connection);
}

/* One in the queue stays there until its turn has come. */
static void
hang_up(Connection *connection)
{
	if (connection->ssl != NULL)
		SSL_free(connection->ssl);
	close(connection->fd);
	if (!connection->waiting)
	{
		free_connection(connection);
		return;
	}
	stats.aborted++;
	stats.in_flight--;
	connection->dead = true;
}

static void
accept_all(void)
{
	int			fd;
	int			on = 1;

	while ((fd = accept4(mock.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
	{
		Connection *connection = calloc(1, sizeof(Connection));
		struct epoll_event event = {.events = EPOLLIN,.data.ptr = connection};

		if (connection == NULL)
			die("calloc");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		connection->fd = fd;
		if (mock.tls != NULL)
		{
			connection->ssl = SSL_new(mock.tls);
			SSL_set_fd(connection->ssl, fd);
			SSL_set_accept_state(connection->ssl);
			connection->handshaking = true;
		}
		stats.connections++;
		epoll_ctl(mock.epoll_fd, EPOLL_CTL_ADD, fd, &event);
	}
}

/* Bytes moved; 0 = not now, -1 = the connection is at its end. */
static int
tls_result(Connection *connection, int rc)
{
	int			error;

	if (rc > 0)
		return rc;
	error = SSL_get_error(connection->ssl, rc);
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static int
plain_result(ssize_t rc)
{
	if (rc > 0)
		return (int) rc;
	return rc < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static int
read_some(Connection *connection, char *to, size_t room)
{
	if (connection->ssl != NULL)
		return tls_result(connection, SSL_read(connection->ssl, to, (int) room));
	return plain_result(read(connection->fd, to, room));
}

static int
write_some(Connection *connection, const char *from, size_t length)
{
	if (connection->ssl != NULL)
		return tls_result(connection, SSL_write(connection->ssl, from, (int) length));
	return plain_result(send(connection->fd, from, length, MSG_NOSIGNAL));
}

/* Returns false when the connection is gone. */
static bool
flush(Connection *connection)
{
	while (connection->sent < connection->out.length)
	{
		int			n = write_some(connection, connection->out.data + connection->sent,
								   connection->out.length - connection->sent);

		if (n < 0)
		{
			hang_up(connection);
			return false;
		}
		if (n == 0)
		{
			watch(connection, true);
			return true;
		}
		connection->sent += n;
	}
	connection->sent = connection->out.length = 0;
	watch(connection, false);
	return true;
}

static void
put_response(Buffer *out, const Buffer *body)
{
	put(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		body->length, body->data);
}

/*
 * What is answered
 */

static const char *
last_occurrence(const char *text, const char *what)
{
	const char *found = NULL;

	for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
		found = p;
	return found;
}

/* The strings of an enum; where there is none, the labels stay as they are. */
static void
read_labels(const char *body, char labels[2][MAX_LABEL])
{
	const char *p = strstr(body, "\"enum\":");

	for (int i = 0; p != NULL && i < 2; i++)
	{
		p = strchr(i == 0 ? p + 7 : p, '"');
		if (p != NULL && sscanf(p, "\"%99[^\"]\"", labels[i]) == 1)
			p += strlen(labels[i]) + 2;
	}
}

/* The name of what the answer has. */
static void
read_property(const char *body, char property[MAX_LABEL])
{
	const char *p = strstr(body, "\"properties\":{\"");

	strcpy(property, "label");
	if (p != NULL && sscanf(p + 15, "%99[^\"]\"", property) == 1 && strcmp(property, "reasoning") == 0)
		strcpy(property, "label");
}

static void
put_alternatives(Buffer *body, const char *token)
{
	put(body, "\"top_logprobs\":[{\"token\":\"%s\",\"logprob\":-0.05,\"bytes\":[34]}", token);
	for (int i = 1; i < NALTERNATIVES; i++)
		put(body, ",{\"token\":\" other%d\",\"logprob\":-%d.5,\"bytes\":[32,111,116,104,101,114,%d]}",
			i, 2 + i, 48 + i);
	put(body, "]");
}

/* As a server writes them: bytes as well as text, of each alternative. */
static void
make_logprobs(Buffer *body, const char *label)
{
	const char *tokens[NTOKENS] = {"{\\\"", "label", "\\\": \\\"", label, "\\\"}"};

	put(body, ",\"logprobs\":{\"content\":[");
	for (int i = 0; i < NTOKENS; i++)
	{
		put(body, "%s{\"token\":\"%s\",\"logprob\":-0.05,", i > 0 ? "," : "", tokens[i]);
		put_alternatives(body, tokens[i]);
		put(body, "}");
	}
	put(body, "]}");
}

/* Made once for each of the two labels: they are long. */
static const char *
logprobs_of(int which, const char *label)
{
	static char made_for[2][MAX_LABEL];
	static Buffer made[2];

	if (made[which].length == 0 || strcmp(made_for[which], label) != 0)
	{
		made[which].length = 0;
		make_logprobs(&made[which], label);
		strcpy(made_for[which], label);
	}
	return made[which].data;
}

static void
put_answer(Buffer *out, const char *request)
{
	char		labels[2][MAX_LABEL] = {"True", "False"};
	char		property[MAX_LABEL];
	bool		has_schema = strstr(request, "\"json_schema\"") != NULL;
	const char *text = last_occurrence(request, "\"user\"");
	int			which = strstr(text ? text : request, mock.word) == NULL;
	const char *label = labels[which];
	Buffer		body = {0};

	if (has_schema)
		read_labels(request, labels);
	put(&body, "{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"mock\","
		"\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
	read_property(request, property);
	if (has_schema)
		put(&body, "\"{\\\"%s\\\": \\\"%s\\\"}\"", property, label);
	else
		put(&body, "\"%s\"", label);
	put(&body, "},\"finish_reason\":\"stop\"");
	if (has_schema && strstr(request, "\"logprobs\":true") != NULL)
		put(&body, "%s", logprobs_of(which, label));
	put(&body, "}],\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":5,\"total_tokens\":%zu}}",
		strlen(request) / 4, strlen(request) / 4 + 5);
	put_response(out, &body);
	free(body.data);
}

/*
 * Counts
 */

static void
note_answer(void)
{
	if ((size_t) stats.answered == stats.room)
	{
		stats.room = stats.room ? 2 * stats.room : 4096;
		stats.times = realloc(stats.times, stats.room * sizeof(*stats.times));
		if (stats.times == NULL)
			die("realloc");
	}
	stats.times[stats.answered++] = now_us();
}

/* Answers per second between two shares of all answers. */
static double
rate(double from, double to)
{
	size_t		a = (size_t) (from * stats.answered);
	size_t		b = (size_t) (to * stats.answered);

	if (b <= a + 1)
		return 0;
	return 1e6 * (b - 1 - a) / (stats.times[b - 1] - stats.times[a] + 1);
}

/*
 * "rate" is from the first answer to the last, "steady_rate" leaves out the first
 * and the last fifth of them, when the client starts and has nothing left to send.
 */
static void
send_stats(Buffer *out)
{
	Buffer		body = {0};
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	put(&body, "{\"requests\": %ld, \"answered\": %ld, \"aborted\": %ld, \"in_flight\": %ld, "
		"\"max_in_flight\": %ld, \"connections\": %ld, \"bytes_in\": %zu, "
		"\"rate\": %.1f, \"steady_rate\": %.1f, \"cpu_seconds\": %.6f}\n",
		stats.requests, stats.answered, stats.aborted, stats.in_flight,
		stats.max_in_flight, stats.connections, stats.bytes_in,
		rate(0, 1), rate(0.2, 0.8),
		usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
		(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	put_response(out, &body);
	free(body.data);
}

static void
reset_stats(void)
{
	long		in_flight = stats.in_flight;

	free(stats.times);
	memset(&stats, 0, sizeof(stats));
	stats.in_flight = stats.max_in_flight = in_flight;
}

/*
 * Requests
 */

static void
enqueue(Connection *connection)
{
	stats.requests++;
	if (++stats.in_flight > stats.max_in_flight)
		stats.max_in_flight = stats.in_flight;
	connection->waiting = true;
	connection->due = now_us() + mock.latency_us;
	connection->next = NULL;
	if (mock.first == NULL)
		mock.first = connection;
	else
		mock.last->next = connection;
	mock.last = connection;
}

/* What is asked of the mock itself; returns false when it is no such thing. */
static bool
serve_control(Connection *connection)
{
	const char *request = connection->in.data;
	Buffer		body = {0};

	if (strncmp(request, "GET /stats", 10) == 0)
	{
		send_stats(&connection->out);
		return true;
	}
	if (strncmp(request, "POST /reset", 11) == 0)
		reset_stats();
	else if (strncmp(request, "POST /latency/", 14) == 0)
		mock.latency_us = (int64_t) (atof(request + 14) * 1000);
	else
		return false;
	put(&body, "{}\n");
	put_response(&connection->out, &body);
	free(body.data);
	return true;
}

/* Whole, or 0: the length of the request, with *body set to where that begins. */
static size_t
request_length(Buffer *in, size_t *body)
{
	const char *blank;
	const char *length;

	if (in->length == 0)
		return 0;
	in->data[in->length] = '\0';
	blank = strstr(in->data, "\r\n\r\n");
	if (blank == NULL)
		return 0;
	*body = blank + 4 - in->data;
	length = strcasestr(in->data, "content-length:");
	if (length == NULL || length > blank)
		return *body;
	return *body + strtoul(length + 15, NULL, 10);
}

/* Returns false when the connection is gone. */
static bool
take_request(Connection *connection)
{
	size_t		body;
	size_t		length = request_length(&connection->in, &body);

	if (length == 0 || connection->waiting || connection->in.length < length)
		return true;
	if (serve_control(connection))
	{
		connection->in.length = 0;
		return flush(connection);
	}
	stats.bytes_in += length - body;
	put_answer(&connection->out, connection->in.data + body);
	connection->in.length = 0;
	enqueue(connection);
	return true;
}

static void
serve(Connection *connection, uint32_t events)
{
	int			n;

	if (connection->handshaking)
	{
		n = tls_result(connection, SSL_do_handshake(connection->ssl));
		if (n < 0)
			hang_up(connection);
		if (n <= 0)
			return;
		connection->handshaking = false;
	}
	if ((events & EPOLLOUT) && !connection->waiting && !flush(connection))
		return;
	do
	{
		make_room(&connection->in, 16384);
		n = read_some(connection, connection->in.data + connection->in.length, 16384);
		if (n < 0)
		{
			hang_up(connection);
			return;
		}
		connection->in.length += n;
	} while (n > 0 && (n == 16384 || connection->ssl != NULL));
	(void) take_request(connection);
}

/* Send what is due. */
static void
answer_all(void)
{
	int64_t		now = now_us();

	while (mock.first != NULL && mock.first->due <= now)
	{
		Connection *connection = mock.first;

		mock.first = connection->next;
		connection->waiting = false;
		if (connection->dead)
		{
			free_connection(connection);
			continue;
		}
		stats.in_flight--;
		note_answer();
		(void) flush(connection);
	}
}

/*
 * The whole
 */

static int
listen_at(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_port = htons(port)};
	socklen_t	length = sizeof(address);
	int			on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	mock.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(mock.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(mock.listener, (struct sockaddr *) &address, sizeof(address)) < 0 ||
		listen(mock.listener, 4096) < 0 ||
		getsockname(mock.listener, (struct sockaddr *) &address, &length) < 0)
		die("listen");
	return ntohs(address.sin_port);
}

static void
set_tls(const char *cert, const char *key)
{
	mock.tls = SSL_CTX_new(TLS_server_method());
	if (mock.tls == NULL || SSL_CTX_use_certificate_chain_file(mock.tls, cert) != 1 ||
		SSL_CTX_use_PrivateKey_file(mock.tls, key ? key : cert, SSL_FILETYPE_PEM) != 1)
	{
		fprintf(stderr, "the certificate cannot be used\n");
		exit(1);
	}
	SSL_CTX_set_mode(mock.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static int
read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"port", required_argument, NULL, 'p'}, {"latency-ms", required_argument, NULL, 'l'},
		{"word", required_argument, NULL, 'w'}, {"cert", required_argument, NULL, 'c'},
		{"key", required_argument, NULL, 'k'}, {NULL, 0, NULL, 0}
	};
	const char *cert = NULL;
	const char *key = NULL;
	int			port = 0;
	int			option;

	mock.word = "keep";
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		if (option == 'p')
			port = atoi(optarg);
		else if (option == 'l')
			mock.latency_us = (int64_t) (atof(optarg) * 1000);
		else if (option == 'w')
			mock.word = optarg;
		else if (option == 'c')
			cert = optarg;
		else if (option == 'k')
			key = optarg;
		else
			exit(2);
	}
	if (cert != NULL)
		set_tls(cert, key);
	return port;
}

/* Until standard input ends. */
static void
loop(void)
{
	struct epoll_event events[256];

	for (;;)
	{
		int64_t		left = mock.first ? mock.first->due - now_us() : 0;
		struct timespec wait = {left > 0 ? left / 1000000 : 0, left > 0 ? left % 1000000 * 1000 : 0};
		int			n = epoll_pwait2(mock.epoll_fd, events, 256, mock.first ? &wait : NULL, NULL);

		for (int i = 0; i < n; i++)
		{
			char		byte;

			if (events[i].data.ptr == &mock.listener)
				accept_all();
			else if (events[i].data.ptr != NULL)
				serve(events[i].data.ptr, events[i].events);
			else if (read(STDIN_FILENO, &byte, 1) <= 0)
				return;
		}
		answer_all();
	}
}

int
main(int argc, char **argv)
{
	struct epoll_event input = {.events = EPOLLIN,.data.ptr = NULL};
	struct epoll_event listener = {.events = EPOLLIN,.data.ptr = &mock.listener};
	int			port = listen_at(read_options(argc, argv));

	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1L);	/* nanosecond: answers are not to be late */
	mock.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(mock.epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &input) < 0)
		die("standard input must be a pipe or a terminal");
	epoll_ctl(mock.epoll_fd, EPOLL_CTL_ADD, mock.listener, &listener);
	printf("%d\n", port);
	fflush(stdout);
	loop();
	return 0;
}
