/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  How the connection to an endpoint is made: TLS, HTTP version, proxy,
 *	  socket.
 *
 * libcurl shares a connection between calls whose settings here are the same,
 * and only between those; so one server's certificate or socket is never used
 * by another.
 *
 * HTTP/2 is taken where it is agreed upon in the TLS handshake: many calls are
 * then streams of one connection, and a cancelled call ends its own stream
 * only.  Descriptors are still accounted one per call, as a call cannot know
 * beforehand whether it will share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "lm/lm_transport.h"

/* How long an idle connection is kept (seconds). */
#define MAX_IDLE_AGE 60L

static bool
has_http2(void)
{
	return (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2) != 0;
}

/*
 * The system's certificates by their bundle alone.  libcurl then reads them once
 * in the life of the multi handle; with a directory beside the bundle it would
 * parse all of them for each connection, some 100 ms in which no cancel is seen.
 */
static bool
trust_bundle(CURL *easy)
{
#if CURL_AT_LEAST_VERSION(7, 87, 0)
	char	   *bundle = NULL;

	if (curl_easy_getinfo(easy, CURLINFO_CAINFO, &bundle) == CURLE_OK &&
		bundle != NULL && access(bundle, R_OK) == 0)
		LM_SET(CURLOPT_CAPATH, (char *) NULL);
#endif
	return true;
}

/* The password is empty, lest OpenSSL asks the terminal for one. */
static bool
set_tls(CURL *easy, const LmServer *server)
{
	LM_SET(CURLOPT_SSL_VERIFYPEER, 1L);
	LM_SET(CURLOPT_SSL_VERIFYHOST, 2L);
	if (server->ca_file != NULL)
	{
		LM_SET(CURLOPT_CAINFO, server->ca_file);
		LM_SET(CURLOPT_CAPATH, (char *) NULL);	/* else the system's count as
												 * well */
	}
	else if (!trust_bundle(easy))
		return false;
	if (server->client_cert != NULL)
	{
		LM_SET(CURLOPT_SSLCERT, server->client_cert);
		LM_SET(CURLOPT_SSLKEY, server->client_key ? server->client_key : server->client_cert);
		LM_SET(CURLOPT_KEYPASSWD, "");
	}
	return true;
}

/*
 * With PIPEWAIT a call waits for the handshake of a connection that is being
 * made, which tells whether it may share it.  Without TLS there is HTTP/1.1
 * only: nothing agrees on more before the end of the first answer, which is
 * too long to wait, and libcurls that are told to speak HTTP/2 unasked have
 * been seen to send one call at a time and then to break.
 */
static bool
set_http_version(CURL *easy, const LmServer *server)
{
	bool		tls = pg_strncasecmp(server->base_url, "https:", 6) == 0;
	bool		wanted = server->http_version == LM_HTTP_2 ||
		(server->http_version == LM_HTTP_AUTOMATIC && has_http2());

	if (!tls || !wanted)
	{
		LM_SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
		return true;
	}
	LM_SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	LM_SET(CURLOPT_PIPEWAIT, 1L);
	return true;
}

bool
gepa_lm_set_connection(void *easy, const LmServer *server)
{
	if (!set_tls(easy, server) || !set_http_version(easy, server))
		return false;
	if (server->unix_socket != NULL)
		LM_SET(CURLOPT_UNIX_SOCKET_PATH, server->unix_socket);
	LM_SET(CURLOPT_PROXY, server->proxy ? server->proxy : "");
	LM_SET(CURLOPT_NOPROXY, "");

	/* By the wall clock: until there is a connection nothing was sent. */
	LM_SET(CURLOPT_CONNECTTIMEOUT_MS,
		   (long) Min(server->connect_timeout_ms, server->request_timeout_ms));
	LM_SET(CURLOPT_MAXAGE_CONN, MAX_IDLE_AGE);
	return true;
}

/*
 * With TLS 1.3 the endpoint's alert comes where the response is read, as an
 * error like any other; its text is the only sign.
 */
bool
gepa_lm_is_client_refused(const char *error)
{
	static const char *const alerts[] = {
		"certificate required", "bad certificate", "unknown ca", "certificate unknown",
		"certificate expired", "certificate revoked", "unsupported certificate"
	};

	if (strstr(error, "alert") == NULL)
		return false;
	for (int i = 0; i < lengthof(alerts); i++)
		if (strstr(error, alerts[i]) != NULL)
			return true;
	return false;
}
