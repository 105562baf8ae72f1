/*-------------------------------------------------------------------------
 *
 * retry.c
 *	  Which failures are tried again, and when.
 *
 * Only what may pass by itself: connect errors, lost connections, timeouts,
 * 408, 409, 425, 429 and 5xx.  A wrong key, model or request stays wrong.
 * The delay doubles and is drawn from the whole interval ("full jitter"), so
 * that many callers do not come back together; Retry-After, when the server
 * sends it, is the least that is waited.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <curl/curl.h>

#include "lm/lm_internal.h"

#define BASE_DELAY_MS 500
#define MAX_DELAY_MS 30000

/* Nobody means more than a day, whatever is said. */
#define LONGEST_HOLD_S 86400LL

bool
gepa_lm_may_retry(LmFailure failure, int http_status)
{
	switch (failure)
	{
		case LM_FAILURE_CONNECT:
		case LM_FAILURE_BROKEN:
		case LM_FAILURE_TIMEOUT:
			return true;
		case LM_FAILURE_HTTP:
			return http_status == 408 || http_status == 409 || http_status == 425 ||
				http_status == 429 || (http_status >= 500 && http_status < 600);
		case LM_FAILURE_NONE:
		case LM_FAILURE_REFUSED_ADDRESS:
		case LM_FAILURE_TOO_BIG:
		case LM_FAILURE_FOREIGN:
		case LM_FAILURE_TLS:
		case LM_FAILURE_TLS_FILE:
		case LM_FAILURE_TLS_CLIENT:
			break;
	}
	return false;
}

int
gepa_lm_retry_delay_ms(int attempts, double uniform, int64 retry_after_ms)
{
	int64		ceiling = BASE_DELAY_MS;

	for (int i = 1; i < attempts && ceiling < MAX_DELAY_MS; i++)
		ceiling *= 2;
	ceiling = Min(ceiling, MAX_DELAY_MS);
	return (int) Max((int64) (uniform * ceiling),
					 Min(retry_after_ms, LM_MAX_RETRY_AFTER_MS));
}

int64
gepa_lm_longest_call_ms(const LmServer *server)
{
	int64		attempt_ms = (int64) server->request_timeout_ms + LM_MAX_RETRY_AFTER_MS;

	return LM_MAX_ATTEMPTS * attempt_ms;
}

int64
gepa_lm_parse_retry_after(const char *value, int64 now)
{
	char	   *end;
	long long	seconds;
	time_t		date;

	value += strspn(value, " \t");
	if (value[0] >= '0' && value[0] <= '9')
	{
		seconds = strtoll(value, &end, 10);
		if (end[strspn(end, " \t\r\n")] != '\0')
			return -1;
		return Min(seconds, LONGEST_HOLD_S) * 1000;
	}
	date = curl_getdate(value, NULL);
	if (value[0] == '-' || date == (time_t) -1)
		return -1;
	return Min(Max((int64) date - now, 0), LONGEST_HOLD_S) * 1000;
}
