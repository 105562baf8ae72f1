/*-------------------------------------------------------------------------
 *
 * lm_cause.h
 *	  Why a call failed, for people: causes, and their explanations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_CAUSE_H
#define GEPA_LM_LM_CAUSE_H

#include "lm/lm.h"

struct LmOutcome;

/*
 * In groups: no way to an HTTP answer, an HTTP error, no answer of a model, an
 * answer that lacks something (these only gepa_lm_check() finds).
 */
typedef enum LmCause
{
	LM_CAUSE_NONE,				/* it did not, or status and detail say it all */
	LM_CAUSE_NO_NAME,
	LM_CAUSE_NAME_TIMEOUT,
	LM_CAUSE_NO_LISTENER,		/* connection refused */
	LM_CAUSE_NO_ROUTE,
	LM_CAUSE_CONNECT_TIMEOUT,
	LM_CAUSE_NO_TLS,			/* handshake failed */
	LM_CAUSE_TLS_TIMEOUT,
	LM_CAUSE_CERT_UNKNOWN,
	LM_CAUSE_CERT_EXPIRED,
	LM_CAUSE_CERT_HOST,
	LM_CAUSE_ADDRESS,			/* private */
	LM_CAUSE_PROXY,
	LM_CAUSE_NO_PROXY,			/* a proxy wants a password, and none is set */
	LM_CAUSE_TIMEOUT,
	LM_CAUSE_BROKEN,
	LM_CAUSE_NOT_HTTP,
	LM_CAUSE_TOO_BIG,

	LM_CAUSE_KEY_MISSING,
	LM_CAUSE_KEY_DROPPED,		/* a mapping is there, without a key */
	LM_CAUSE_KEY_REFUSED,
	LM_CAUSE_FORBIDDEN,
	LM_CAUSE_NO_PATH,			/* 404 or 405 for the URL */
	LM_CAUSE_NO_MODEL,			/* 404 for the model */
	LM_CAUSE_NO_SCHEMA,
	LM_CAUSE_NO_LOGPROBS,
	LM_CAUSE_TOO_LONG,
	LM_CAUSE_RATE,
	LM_CAUSE_QUOTA,
	LM_CAUSE_REJECTED,
	LM_CAUSE_PASSING,			/* a status that another try may not get */
	LM_CAUSE_SERVER,
	LM_CAUSE_REDIRECT,

	LM_CAUSE_WEB_PAGE,
	LM_CAUSE_NOT_JSON,
	LM_CAUSE_NOT_COMPLETION,
	LM_CAUSE_DECLINED,
	LM_CAUSE_ONLY_THOUGHT,		/* no answer behind the thinking */
	LM_CAUSE_EMPTY,
	LM_CAUSE_CUT_OFF,
	LM_CAUSE_NOT_ENDED,

	LM_CAUSE_NOT_BY_SCHEMA,
	LM_CAUSE_NO_TOKENS,			/* log-probabilities */
	LM_CAUSE_NO_USAGE,
	LM_CAUSE_SLOW
} LmCause;

/* What libcurl knows of a transfer that failed. */
typedef struct LmTrouble
{
	int			code;			/* CURLcode */
	int			error;			/* errno of connecting; 0 = none */
	bool		resolved;
	bool		connected;
	bool		proxy_refused;	/* the proxy did not open a tunnel */
} LmTrouble;

/* cause.c */

/* For the easy handle of a transfer that has ended. */
extern void gepa_lm_note_trouble(void *easy, int code, LmTrouble *trouble);

/* reply is what the outcome was read into. */
extern LmCause gepa_lm_find_cause(const LmServer *server, const struct LmOutcome *outcome,
								  const LmReply *reply);

/* explain.c */

/* Which row of gepa.check_lm() a cause belongs to. */
extern const char *gepa_lm_cause_item(LmCause cause);

/* A sentence that says what is wrong, and one that says what to do. */
extern char *gepa_lm_explain(LmCause cause, const LmServer *server, const LmReply *reply);

#endif							/* GEPA_LM_LM_CAUSE_H */
