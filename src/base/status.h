/*-------------------------------------------------------------------------
 *
 * status.h
 *	  Why a document has, or has not, a verdict.
 *
 * One word per outcome, the same in SQL, in C and in the documents.  A call
 * to a language model either yields GEPA_STATUS_OK or one of the others; a
 * failure is data, never "keep the row".
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_STATUS_H
#define GEPA_BASE_STATUS_H

typedef enum GepaStatus
{
	GEPA_STATUS_OK,				/* an answer that could be used */
	GEPA_STATUS_UNPARSEABLE,	/* an answer that is not what was asked for */
	GEPA_STATUS_REFUSED,		/* the model or its content filter declined */
	GEPA_STATUS_TRUNCATED,		/* cut off by the output token limit */
	GEPA_STATUS_TOO_LONG,		/* the prompt does not fit the model */
	GEPA_STATUS_TIMEOUT,		/* no answer within request_timeout */
	GEPA_STATUS_HTTP_ERROR,		/* no answer: connection or HTTP failure */
	GEPA_STATUS_BUDGET,			/* a limit forbade the call */
	GEPA_STATUS_CANCELLED,		/* given up before an answer came */
	GEPA_STATUS_FUNCTION_ERROR, /* a function of the user's own failed */
	GEPA_STATUS_BAD_IMAGE		/* an input that is no image, of a judge of
								 * images */
} GepaStatus;

/* status.c */

/* The SQL word for a status; a static string. */
extern const char *gepa_status_name(GepaStatus status);

/* The reverse; false when the word is unknown. */
extern bool gepa_status_parse(const char *name, GepaStatus *status);

/*
 * Has the model said nothing about the document?  Then the failure is that of
 * the endpoint or of a limit, unless it rejects this very document for good.
 */
extern bool gepa_status_no_answer(GepaStatus status);

#endif							/* GEPA_BASE_STATUS_H */
