/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  One POST: a curl easy handle, its options, and how it ended.
 *
 * Actors: a batch starts and frees transfers, the transport (transport.c)
 * carries them and tells of their end; both in one process.
 *
 * Life cycle: started, which puts it on the wire; finished by the transport
 * once libcurl has returned, which calls the caller's "done"; freed by the
 * caller, at any moment, and then called back.  It holds one descriptor of
 * fd.c's account from start to free.
 *
 * Lines.  The calls of a batch differ in their body only.  A line has what they
 * share, and keeps the handles of those that ended well for the next ones: to
 * make one anew costs more than all else that is done for a call.
 *
 * Errors.  No PostgreSQL error is raised from inside a libcurl callback, and
 * none of its memory is palloc'd: callbacks store what they got and return.
 *
 * Sends.  When a kept connection dies before the first byte of a response,
 * libcurl sends the request again by itself, up to five times.  Each is paid
 * for like any other, so each is counted, and only as many are let go as the
 * caller allows.
 *
 * Known hole: libcurl has a copy of the key, in the header of its own request,
 * which it does not wipe.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "storage/fd.h"

#include "lm/lm_transport.h"

struct LmLine
{
	const LmServer *server;
	const LmProvider *provider;
	struct curl_slist *headers; /* of all requests; NULL = not made yet */
	bool		allow_private;
	LmTransfer *spare;			/* ended well, and may be used again */
};

struct LmTransfer
{
	LmLine	   *line;
	LmTransfer *next_spare;
	CURL	   *easy;
	LmDeadline	deadline;		/* while it is running */
	bool		running;		/* in the multi handle */
	bool		reusable;
	bool		has_fd;			/* accounted */
	int			sends;			/* requests that went out; 0 = not connected
								 * yet */
	int			max_sends;
	bool		refused_address;
	LmReceived	received;
	LmTransferDone done;
	void	   *arg;
	char		error[CURL_ERROR_SIZE];
};

/*
 * Callbacks of libcurl: nothing here may raise
 */

/* The address is known and not yet connected to. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	LmTransfer *transfer = arg;

	if (!transfer->line->allow_private && gepa_lm_address_is_private(&address->addr))
	{
		transfer->refused_address = true;
		return CURL_SOCKET_BAD;
	}
	return gepa_lm_socket_make(address);
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
	if (!transfer->line->allow_private &&
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
 * Starting and freeing
 */

static bool
add_header(struct curl_slist **headers, const char *header)
{
	struct curl_slist *longer = curl_slist_append(*headers, header);

	if (longer == NULL)
		return false;
	*headers = longer;
	return true;
}

static void
free_headers(LmLine *line)
{
	for (struct curl_slist *h = line->headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(line->headers);
	line->headers = NULL;
}

static bool
add_key(LmLine *line)
{
	char	   *header = psprintf("%s%s", line->provider->key_header, line->server->api_key);
	bool		good = add_header(&line->headers, header);

	explicit_bzero(header, strlen(header));
	pfree(header);
	return good;
}

/* All of them or none. */
static bool
make_headers(LmLine *line)
{
	const LmProvider *provider = line->provider;
	bool		good;

	if (line->headers != NULL)
		return true;
	good = add_header(&line->headers, "Content-Type: application/json") &&
		add_header(&line->headers, "Accept: application/json") &&
		add_header(&line->headers, "Expect:") &&
		(provider->header == NULL || add_header(&line->headers, provider->header)) &&
		(line->server->api_key == NULL || add_key(line));
	if (!good)
		free_headers(line);
	return good;
}

static bool
set_url(CURL *easy, const LmLine *line)
{
	char	   *path = line->provider->path(line->server);
	char	   *url = psprintf("%s%s", line->server->base_url, path);

	LM_SET(CURLOPT_URL, url);
	pfree(url);
	pfree(path);
	return true;
}

/* What is the same for all requests of the line. */
static bool
set_options(LmTransfer *transfer)
{
	CURL	   *easy = transfer->easy;
	LmLine	   *line = transfer->line;

	if (!make_headers(line) || !set_url(easy, line) ||
		!gepa_lm_set_connection(easy, line->server))
		return false;
	LM_SET(CURLOPT_PRIVATE, transfer);
	LM_SET(CURLOPT_ERRORBUFFER, transfer->error);
	LM_SET(CURLOPT_HTTPHEADER, line->headers);
	LM_SET(CURLOPT_USERAGENT, "gepa/" GEPA_VERSION);
	LM_SET(CURLOPT_POST, 1L);
	LM_SET(CURLOPT_WRITEFUNCTION, gepa_lm_receive_body);
	LM_SET(CURLOPT_WRITEDATA, &transfer->received);
	LM_SET(CURLOPT_HEADERFUNCTION, gepa_lm_receive_header);
	LM_SET(CURLOPT_HEADERDATA, &transfer->received);
	LM_SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	LM_SET(CURLOPT_OPENSOCKETDATA, transfer);
	LM_SET(CURLOPT_CLOSESOCKETFUNCTION, gepa_lm_socket_close);
	LM_SET(CURLOPT_PREREQFUNCTION, on_request);
	LM_SET(CURLOPT_PREREQDATA, transfer);
	LM_SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) LM_MAX_RESPONSE_BYTES);
	LM_SET(CURLOPT_NOSIGNAL, 1L);
	LM_SET(CURLOPT_FOLLOWLOCATION, 0L);
#if CURL_AT_LEAST_VERSION(7, 85, 0)
	LM_SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
	LM_SET(CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
#if CURL_AT_LEAST_VERSION(7, 87, 0)
	LM_SET(CURLOPT_QUICK_EXIT, 1L);
#endif
	return true;
}

static bool
set_body(CURL *easy, const LmPost *post)
{
	LM_SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) post->length);
	LM_SET(CURLOPT_POSTFIELDS, post->body);
	return true;
}

static void
destroy(LmTransfer *transfer)
{
	sigset_t	saved;

	gepa_lm_block_signals(&saved);
	curl_easy_cleanup(transfer->easy);
	gepa_lm_restore_signals(&saved);
	free(transfer->received.body);
	free(transfer);
}

/* A spare one, or a new one; NULL with *error set. */
static LmTransfer *
take_transfer(LmLine *line, const char **error)
{
	LmTransfer *transfer = line->spare;

	if (transfer != NULL)
	{
		line->spare = transfer->next_spare;
		return transfer;
	}
	transfer = calloc(1, sizeof(LmTransfer));
	if (transfer == NULL || (transfer->easy = curl_easy_init()) == NULL)
	{
		free(transfer);
		*error = "out of memory";
		return NULL;
	}
	transfer->line = line;
	if (set_options(transfer))
		return transfer;
	destroy(transfer);
	*error = "libcurl refused an option of the request";
	return NULL;
}

/* Returns why it cannot; NULL if it is on the wire. */
static const char *
send_off(LmTransfer *transfer, const LmPost *post)
{
	CURLMcode	code;

	transfer->has_fd = gepa_lm_transport_acquire_fd();
	if (!transfer->has_fd)
		return "too many open files";
	if (!set_body(transfer->easy, post))
		return "libcurl refused the body of the request";

	/* A near endpoint may have answered before this returns. */
	gepa_lm_deadline_start(&transfer->deadline, transfer,
						   transfer->line->server->request_timeout_ms);
	code = gepa_lm_transport_add(transfer->easy);
	if (code != CURLM_OK)
	{
		gepa_lm_deadline_end(&transfer->deadline);
		return curl_multi_strerror(code);
	}
	transfer->running = true;
	return NULL;
}

LmTransfer *
gepa_lm_transfer_start(LmLine *line, const LmPost *post, LmTransferDone done, void *arg,
					   const char **error)
{
	LmTransfer *transfer;

	*error = NULL;
	gepa_lm_transport_open();
	transfer = take_transfer(line, error);
	if (transfer == NULL)
		return NULL;
	transfer->reusable = false;
	transfer->sends = 0;
	transfer->max_sends = post->max_sends;
	transfer->refused_address = false;
	transfer->error[0] = '\0';
	gepa_lm_receive_start(&transfer->received);
	transfer->done = done;
	transfer->arg = arg;
	*error = send_off(transfer, post);
	if (*error != NULL)
	{
		gepa_lm_transfer_free(transfer);
		return NULL;
	}
	return transfer;
}

static void
take_off(LmTransfer *transfer)
{
	gepa_lm_transport_remove(transfer->easy);
	gepa_lm_deadline_end(&transfer->deadline);
	transfer->running = false;
}

void
gepa_lm_transfer_free(LmTransfer *transfer)
{
	LmLine	   *line = transfer->line;

	if (transfer->running)
		take_off(transfer);
	if (transfer->has_fd)
		ReleaseExternalFD();
	transfer->has_fd = false;
	if (!transfer->reusable)
	{
		destroy(transfer);
		return;
	}
	transfer->next_spare = line->spare;
	line->spare = transfer;
}

LmLine *
gepa_lm_line_open(const LmServer *server, const LmProvider *provider)
{
	LmLine	   *line = palloc0(sizeof(LmLine));

	line->server = server;
	line->provider = provider;

	/* A socket in the file system has no address; the option is privileged. */
	line->allow_private = server->allow_private_address || server->unix_socket != NULL;
	return line;
}

void
gepa_lm_line_close(LmLine *line)
{
	LmTransfer *transfer;

	while ((transfer = line->spare) != NULL)
	{
		line->spare = transfer->next_spare;
		destroy(transfer);
	}
	free_headers(line);
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
	if (transfer->received.complaint != NULL || code == CURLE_UNSUPPORTED_PROTOCOL ||
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
	if (transfer->received.too_big)
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
		case CURLE_BAD_FUNCTION_ARGUMENT:	/* newer libcurl: a key file */
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
	if (transfer->received.complaint != NULL)
		return transfer->received.complaint;
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return "each kept connection was closed before an answer";
	return transfer->error[0] ? transfer->error : curl_easy_strerror(code);
}

void
gepa_lm_transfer_finish(LmTransfer *transfer, CURLcode code)
{
	const LmReceived *received = &transfer->received;
	LmOutcome	outcome = {0};
	long		http_status = 0;

	gepa_lm_note_trouble(transfer->easy, code, &outcome.trouble);
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &http_status);
	outcome.failure = classify(transfer, code, http_status);
	outcome.sends = transfer->sends;
	outcome.http_status = (int) http_status;
	outcome.body = received->length > 0 ? received->body : "";
	outcome.length = received->length;
	outcome.retry_after_ms = gepa_lm_pace_wait(&received->pace, outcome.http_status);
	outcome.latency_ms = gepa_lm_deadline_elapsed_ms(&transfer->deadline);
	outcome.error = error_words(transfer, code);

	take_off(transfer);
	transfer->reusable = code == CURLE_OK;
	transfer->done(transfer, &outcome, transfer->arg);
}
