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
#include <unistd.h>

#include "storage/fd.h"

#include "lm/lm_transport.h"

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
 * Starting and freeing
 */

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

static bool
set_options(LmTransfer *transfer, const LmServer *server, const LmPost *post)
{
	CURL	   *easy = transfer->easy;
	char	   *path = post->provider->path(server);
	char	   *url = psprintf("%s%s", server->base_url, path);

	LM_SET(CURLOPT_URL, url);
	pfree(url);
	pfree(path);
	if (!gepa_lm_set_connection(easy, server))
		return false;
	LM_SET(CURLOPT_PRIVATE, transfer);
	LM_SET(CURLOPT_ERRORBUFFER, transfer->error);
	LM_SET(CURLOPT_HTTPHEADER, transfer->headers);
	LM_SET(CURLOPT_USERAGENT, "gepa/" GEPA_VERSION);
	LM_SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) post->length);
	LM_SET(CURLOPT_COPYPOSTFIELDS, post->body);
	LM_SET(CURLOPT_WRITEFUNCTION, gepa_lm_receive_body);
	LM_SET(CURLOPT_WRITEDATA, &transfer->received);
	LM_SET(CURLOPT_HEADERFUNCTION, gepa_lm_receive_header);
	LM_SET(CURLOPT_HEADERDATA, &transfer->received);
	LM_SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	LM_SET(CURLOPT_OPENSOCKETDATA, transfer);
	LM_SET(CURLOPT_PREREQFUNCTION, on_request);
	LM_SET(CURLOPT_PREREQDATA, transfer);
	LM_SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) LM_MAX_RESPONSE_BYTES);
	LM_SET(CURLOPT_NOSIGNAL, 1L);
	LM_SET(CURLOPT_FOLLOWLOCATION, 0L);
	LM_SET(CURLOPT_TIMEOUT_MS, (long) server->request_timeout_ms);
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

LmTransfer *
gepa_lm_transfer_start(const LmServer *server, const LmPost *post, LmTransferDone done,
					   void *arg, const char **error)
{
	LmTransfer *transfer;
	CURLMcode	code;

	*error = NULL;
	gepa_lm_transport_open();
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
	gepa_lm_receive_start(&transfer->received);
	transfer->done = done;
	transfer->arg = arg;
	transfer->has_fd = gepa_lm_transport_acquire_fd();
	if (!transfer->has_fd)
		*error = "too many open files";
	else if (!add_headers(transfer, server, post->provider) ||
			 !set_options(transfer, server, post))
		*error = "libcurl refused an option of the request";
	if (*error == NULL)
	{
		code = gepa_lm_transport_add(transfer->easy);
		transfer->running = code == CURLM_OK;
		if (!transfer->running)
			*error = curl_multi_strerror(code);
	}
	if (*error != NULL)
	{
		gepa_lm_transfer_free(transfer);
		return NULL;
	}
	gepa_lm_transport_poke();	/* on the wire now, not at the next wait */
	return transfer;
}

void
gepa_lm_transfer_free(LmTransfer *transfer)
{
	sigset_t	saved;

	if (transfer->running)
		gepa_lm_transport_remove(transfer->easy);
	gepa_lm_block_signals(&saved);
	curl_easy_cleanup(transfer->easy);
	gepa_lm_restore_signals(&saved);
	for (struct curl_slist *h = transfer->headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(transfer->headers);
	if (transfer->has_fd)
		ReleaseExternalFD();
	free(transfer->received.body);
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
	double		seconds = 0;

	gepa_lm_note_trouble(transfer->easy, code, &outcome.trouble);
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &http_status);
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME, &seconds);
	outcome.failure = classify(transfer, code, http_status);
	outcome.sends = transfer->sends;
	outcome.http_status = (int) http_status;
	outcome.body = received->body ? received->body : "";
	outcome.length = received->length;
	outcome.retry_after_ms = gepa_lm_pace_wait(&received->pace, outcome.http_status);
	outcome.latency_ms = seconds * 1000;
	outcome.error = error_words(transfer, code);

	gepa_lm_transport_remove(transfer->easy);
	transfer->running = false;
	transfer->done(transfer, &outcome, transfer->arg);
}
