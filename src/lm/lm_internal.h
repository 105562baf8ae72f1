/*-------------------------------------------------------------------------
 *
 * lm_internal.h
 *	  What the files of src/lm share: providers, retries, transport.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_INTERNAL_H
#define GEPA_LM_LM_INTERNAL_H

#include "lib/stringinfo.h"

#include "base/json.h"
#include "lm/lm.h"
#include "lm/lm_cause.h"

/*
 * Providers: the seam for other dialects.  A provider either answers at once
 * (answer) or tells how a request looks on the wire and how to read what
 * comes back.
 */
typedef struct LmProvider
{
	/* Immediate reply, no network; NULL for those that have a wire format. */
	void		(*answer) (const LmServer *server, const LmRequest *request,
						   LmReply *reply);

	/* Path below base_url, and the body as UTF-8 JSON. */
	const char *path;
	void		(*build) (const LmServer *server, const LmRequest *request,
						  StringInfo body);

	/*
	 * A body that came with HTTP 200, and one that came with another code.
	 * Both end with a NUL byte beyond their length.
	 */
	void		(*parse) (const char *body, size_t length, LmReply *reply);
	void		(*parse_error) (int http_status, const char *body, size_t length,
								LmReply *reply);
} LmProvider;

extern const LmProvider gepa_lm_openai;
extern const LmProvider gepa_lm_canned;

/* server.c */

struct ForeignServer;
extern bool gepa_lm_is_lm(const struct ForeignServer *server);

/* log.c, mask.c, moved.c: shared memory and hooks, at load */

extern void gepa_lm_log_init(void);
extern void gepa_lm_mask_init(void);
extern void gepa_lm_moved_init(void);

/* The client's statement sets these options of a user mapping: show none of them. */
extern void gepa_lm_mask(struct List *options);

/* openai.c: pieces worth testing apart */

/* Take <think> blocks out of an answer; *reasoning NULL when there are none. */
extern char *gepa_lm_split_thinking(const char *answer, char **reasoning);

/* body.c */

/*
 * A sentence about a body that is no JSON (error: why), and the words of one that
 * came with an error; NULL if it has none.  The body ends with a NUL byte.
 */
extern char *gepa_lm_describe_body(const char *body, size_t length, const char *error);
extern char *gepa_lm_error_text(const char *body, size_t length);

/* address.c */

/*
 * True for addresses that an LM must be allowed to have: loopback, private,
 * link-local (cloud metadata), carrier-grade NAT, unique-local, multicast,
 * unspecified, and IPv4 in any of its IPv6 disguises.
 */
struct sockaddr;
extern bool gepa_lm_address_is_private(const struct sockaddr *address);

/* retry.c: no clock, no random source of its own */

#define LM_MAX_ATTEMPTS 5

/* A server that wants a longer pause gets it: the call fails at once. */
#define LM_MAX_RETRY_AFTER_MS 60000

typedef enum LmFailure
{
	LM_FAILURE_NONE,
	LM_FAILURE_CONNECT,			/* nothing was sent */
	LM_FAILURE_BROKEN,			/* connection lost, or a body cut off */
	LM_FAILURE_TIMEOUT,
	LM_FAILURE_HTTP,			/* an HTTP status other than 200 */
	LM_FAILURE_REFUSED_ADDRESS, /* private, and not allowed */
	LM_FAILURE_TOO_BIG,			/* response over the cap */
	LM_FAILURE_FOREIGN,			/* what answers does not speak HTTP */
	LM_FAILURE_TLS				/* certificate or handshake */
} LmFailure;

/* May this failure pass if tried again? */
extern bool gepa_lm_may_retry(LmFailure failure, int http_status);

/*
 * Milliseconds to wait before the next attempt (attempts made so far, from
 * 1): full jitter with uniform in [0,1), or what Retry-After said (< 0 =
 * nothing), capped.
 */
extern int	gepa_lm_retry_delay_ms(int attempts, double uniform, int64 retry_after_ms);

/*
 * Retry-After as seconds or HTTP date, in milliseconds from now (a time_t);
 * -1 when it is neither.
 */
extern int64 gepa_lm_parse_retry_after(const char *value, int64 now);

/* transport.c: HTTP over one curl multi handle per process */

typedef struct LmTransfer LmTransfer;

/* How a transfer ended.  Strings live as long as the transfer. */
typedef struct LmOutcome
{
	LmFailure	failure;
	int			sends;			/* requests that went out; more than one when
								 * kept connections died under them */
	int			http_status;
	const char *body;
	size_t		length;
	int64		retry_after_ms;
	double		latency_ms;
	const char *error;			/* for LM_FAILURE_*; never a secret */
	LmTrouble	trouble;
} LmOutcome;

/*
 * What is sent.  libcurl may send it max_sends times in all, when kept
 * connections die under it.
 */
typedef struct LmPost
{
	const char *path;			/* below base_url */
	const char *body;			/* copied */
	size_t		length;
	int			max_sends;
} LmPost;

/*
 * Start a POST.  Returns NULL with *error set if it cannot be started.  done
 * is called from gepa_lm_transport_wait(), never from inside libcurl; it may
 * start and free transfers, but must not raise.
 */
typedef void (*LmTransferDone) (LmTransfer *transfer, const LmOutcome *outcome, void *arg);
extern LmTransfer *gepa_lm_transfer_start(const LmServer *server, const LmPost *post,
										  LmTransferDone done, void *arg,
										  const char **error);

/* Abort if under way, and free.  Never raises; fit for reset callbacks. */
extern void gepa_lm_transfer_free(LmTransfer *transfer);

/* Transfers under way in this process. */
extern int	gepa_lm_transport_running(void);

/*
 * Let transfers make progress until something ends, the timeout passes or an
 * interrupt comes (raises).  timeout_ms 0 polls, < 0 waits without limit.
 */
extern void gepa_lm_transport_wait(int timeout_ms);

/* log.c */

/*
 * Enter a call that has ended, if it was ever sent and is to be kept.  prompt is
 * what gepa_lm_log_prompt() said.  Never raises.
 */
extern void gepa_lm_log_call(const LmServer *server, const LmOrigin *origin,
							 const LmReply *reply, const char *prompt);

/* What the log may want of a prompt; NULL = nothing. */
extern char *gepa_lm_log_prompt(const LmRequest *request);

/* outcome.c: into the current memory context, texts in server encoding */

extern void gepa_lm_read_outcome(const LmServer *server, const LmProvider *provider,
								 const LmOutcome *outcome, LmReply *reply);
extern void gepa_lm_set_failure(LmReply *reply, GepaStatus status, int sqlerrcode,
								const char *detail, const char *hint);

/* What failed, without what it cost; the texts are copied.  Returns to. */
extern LmReply *gepa_lm_copy_failure(LmReply *to, const LmReply *from);

#endif							/* GEPA_LM_LM_INTERNAL_H */
