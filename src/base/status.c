/*-------------------------------------------------------------------------
 *
 * status.c
 *	  Names of the statuses.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "base/status.h"

static const char *const names[] = {
	[GEPA_STATUS_OK] = "ok",
	[GEPA_STATUS_UNPARSEABLE] = "unparseable",
	[GEPA_STATUS_REFUSED] = "refused",
	[GEPA_STATUS_TRUNCATED] = "truncated",
	[GEPA_STATUS_TOO_LONG] = "too_long",
	[GEPA_STATUS_TIMEOUT] = "timeout",
	[GEPA_STATUS_HTTP_ERROR] = "http_error",
	[GEPA_STATUS_BUDGET] = "budget",
	[GEPA_STATUS_CANCELLED] = "cancelled",
	[GEPA_STATUS_FUNCTION_ERROR] = "function_error",
	[GEPA_STATUS_BAD_IMAGE] = "bad_image"
};

const char *
gepa_status_name(GepaStatus status)
{
	Assert((int) status >= 0 && status < lengthof(names));
	return names[status];
}

bool
gepa_status_parse(const char *name, GepaStatus *status)
{
	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
		{
			*status = (GepaStatus) i;
			return true;
		}
	}
	return false;
}

bool
gepa_status_no_answer(GepaStatus status)
{
	switch (status)
	{
		case GEPA_STATUS_TIMEOUT:
		case GEPA_STATUS_HTTP_ERROR:
		case GEPA_STATUS_BUDGET:
		case GEPA_STATUS_CANCELLED:
			return true;
		case GEPA_STATUS_OK:
		case GEPA_STATUS_UNPARSEABLE:
		case GEPA_STATUS_REFUSED:
		case GEPA_STATUS_TRUNCATED:
		case GEPA_STATUS_TOO_LONG:
		case GEPA_STATUS_FUNCTION_ERROR:
		case GEPA_STATUS_BAD_IMAGE:
			break;
	}
	return false;
}
