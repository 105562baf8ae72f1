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
	const char *name;			/* value of the option api */

	/* Immediate reply, no network; NULL for those that have a wire format. */
	void		(*answer) (const LmServer *server, const LmRequest *request,
						   LmReply *reply);

	/* Path below base_url; the header that the key follows; one more header. */
	char	   *(*path) (const LmServer *server);
	const char *key_header;
	const char *header;			/* or NULL */

	/* The body as JSON, in the database's encoding. */
	void		(*build) (const LmServer *server, const LmRequest *request,
						  StringInfo body);

	/*
	 * A body that came with HTTP 200, and one that came with another code.
	 * Both end with a NUL byte beyond their length.
	 */
	void		(*parse) (const char *body, size_t length, LmReply *reply);
	void		(*parse_error) (int http_status, const char *body, size_t length,
								LmReply *reply);

	/*
	 * For those who say in an error's body when to come back: milliseconds,
	 * or -1.  NULL when it stands in headers only.
	 */
	int64		(*retry_after) (const char *body, size_t length);
} LmProvider;

extern const LmProvider gepa_lm_openai;
extern const LmProvider gepa_lm_anthropic;
extern const LmProvider gepa_lm_gemini;
extern const LmProvider gepa_lm_canned;
extern const LmProvider gepa_lm_classify;
extern const LmProvider gepa_lm_score;
extern const LmProvider gepa_lm_pooling;

/* server.c */

struct ForeignServer;
extern bool gepa_lm_is_lm(const struct ForeignServer *server);

/* log.c, mask.c, moved.c, secret.c: shared memory and hooks, at load */

extern void gepa_lm_log_init(void);
extern void gepa_lm_mask_init(void);
extern void gepa_lm_moved_init(void);
extern void gepa_lm_secret_init(void);

/* mask.c: a user mapping gets these options; of the statement the validator knows no more. */
extern void gepa_lm_key_given(struct List *options);

/* moved.c: until the transaction ends the server, or any, cannot be moved; ERROR if it just was */
extern void gepa_lm_share_server(const char *name);
extern void gepa_lm_share_servers(void);

/* options.c: ERROR if one of these options of a server is privileged and the user is not. */
extern void gepa_lm_check_privileges(struct List *options);

/* secret.c: blanked in what is logged until the transaction ends. */
extern void gepa_lm_remember(const char *secret, size_t length);

/*
 * Between the two all messages pass through the log's hook, also those that
 * only the client gets.  The level is what the log had before.
 */
extern int	gepa_lm_watch_messages(void);
extern void gepa_lm_unwatch_messages(int level);

/* True if the log has messages of this kind, at this level of log_min_messages. */
extern bool gepa_lm_is_logged(int elevel, int level);

/* gemini.c: stays below /models/ when it is made a part of the path */
extern bool gepa_lm_gemini_is_model(const char *name);

/* provider.c: which there are, and what their wire formats have in common */

extern const LmProvider *gepa_lm_provider(LmApi api);

/* LM_API_OPENAI, which is the default, for a name that means nothing. */
extern LmApi gepa_lm_api_by_name(const char *name);

/* By LmStructured: the values of the option structured_output. */
#define LM_NSTRUCTURED 4
extern const char *const gepa_lm_structured_names[LM_NSTRUCTURED];

/*
 * A member and its comma, unless extra (the server's extra_body, or an object
 * in it) has it, or json is NULL.
 */
extern void gepa_lm_put_member(StringInfo body, const GepaJson *extra, const char *name,
							   const char *json);

/* The members of extra, each with its comma, but that named skip (or NULL). */
extern void gepa_lm_put_extra(StringInfo body, const GepaJson *extra, const char *skip);

/* The server's extra_body, parsed; NULL without one. */
extern GepaJson *gepa_lm_extra_body(const LmServer *server);

/* A text as a JSON string; NULL for NULL. */
extern char *gepa_lm_quoted(const char *text);

/* The effort, and the seed as a number, that a request is sent with; NULL = none. */
extern const char *gepa_lm_effort(const LmServer *server, const LmRequest *request);
extern char *gepa_lm_seed(const LmServer *server, const LmRequest *request);

/* Take <think> blocks out of an answer; *reasoning NULL when there are none. */
extern char *gepa_lm_split_thinking(const char *answer, char **reasoning);

/* A count of tokens; 0 when there is none, or a senseless one. */
extern int	gepa_lm_token_count(const GepaJson *usage, const char *name);

/* parts.c: content with images in it */

/* A stretch of text that is not empty, or an image (source; text is NULL). */
typedef struct LmPart
{
	const char *text;			/* not terminated */
	int			length;
	const char *source;
} LmPart;

/* A walk over a message. */
typedef struct LmWalk
{
	const LmMessage *message;
	const LmImage *images;		/* that are left of it */
	int			nimages;
	int			at;
} LmWalk;

extern LmWalk gepa_lm_walk(const LmRequest *request, int message);

/* The next part; false = there is none, and *part is an empty text. */
extern bool gepa_lm_next_part(LmWalk *walk, LmPart *part);

/* A stretch of text as a JSON string. */
extern void gepa_lm_put_text(StringInfo body, const LmPart *part);

/* An image's source as a JSON string. */
extern void gepa_lm_put_source(StringInfo body, const char *source);

/* The type and the base64 of a data: URL, as JSON strings; false for another one. */
extern bool gepa_lm_put_data(StringInfo body, const char *source, const char *type_name,
							 const char *data_name);

/*
 * How many bytes of text a request counts for, where tokens are expected by its bytes:
 * those of the body without its images, and for each of these what it may take.
 */
extern size_t gepa_lm_weigh(const LmRequest *request, size_t length);

/* How an answer ended; refusal: the model's own words, or NULL. */
typedef enum LmEnd
{
	LM_END_GOOD,
	LM_END_LENGTH,
	LM_END_FILTERED,
	LM_END_OTHER
} LmEnd;

/* Content and finish_reason are set. */
extern void gepa_lm_set_end(LmReply *reply, LmEnd end, const char *refusal,
							bool called_tool);

/*
 * HTTP went well, but whoever answered does not speak our dialect; endpoint
 * says what base_url should name.
 */
extern void gepa_lm_set_foreign(LmReply *reply, const char *detail, const char *endpoint);

/*
 * What an error means: its HTTP status, the endpoint's word for it (code) and
 * its sentence (message), or what else came (text, only to be shown); each may be NULL.
 */
extern void gepa_lm_explain_error(int http_status, const char *code, const char *message,
								  const char *text, LmReply *reply);

/* tokens.c */

/* How a dialect writes a token. */
typedef struct LmTokenFormat
{
	const char *(*text) (const GepaJson *item); /* NULL = it has none */
	const char *logprob;		/* name of the number */
} LmTokenFormat;

/*
 * Read a token and a list of what the model weighed there.  One without text or
 * probability has a NULL text, which matches nothing.
 */
extern void gepa_lm_read_token(const LmTokenFormat *format, const GepaJson *item,
							   const GepaJson *alternatives, LmToken *token);

/*
 * Keep of the tokens those that make up the whole answer from byte skip on
 * (what comes before is thinking); none when they do not fit it exactly.
 */
extern void gepa_lm_take_tokens(LmToken *tokens, int ntokens, const char *whole, int skip,
								LmReply *reply);

/* pace.c: what headers say of when to call again */

typedef struct LmPace
{
	int64		retry_after_ms; /* -1 = not said */
	bool		in_ms;			/* retry-after-ms was seen; it is the finer
								 * one */
	bool		used_up[4];		/* limits with nothing remaining */
	int64		reset_ms[4];	/* ... and when they are full again; -1 = not
								 * said */
} LmPace;

extern void gepa_lm_pace_start(LmPace *pace);

/* Read one header line; now is a time_t. */
extern void gepa_lm_pace_read(LmPace *pace, const char *line, size_t length, int64 now);

/*
 * The least to wait in milliseconds, -1 = nothing was said.  Where a 429 has
 * no Retry-After: until the limits that are used up are full again, but
 * never so long that calls would be given up for it.
 */
extern int64 gepa_lm_pace_wait(const LmPace *pace, int http_status);

/* A duration such as 1m30.5s, 120ms or 7 (seconds) in milliseconds; -1 if none. */
extern int64 gepa_lm_parse_duration(const char *text);

/* options.c */

/* The value of an option in a list of DefElem, NULL = it is not there. */
extern char *gepa_lm_option(struct List *options, const char *name);

/* Can this be a key?  It has to fit into an HTTP header. */
extern bool gepa_lm_is_key(const char *text);

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
	LM_FAILURE_TLS,				/* the endpoint's certificate */
	LM_FAILURE_TLS_FILE,		/* ca_file, client_cert or client_key */
	LM_FAILURE_TLS_CLIENT		/* our certificate, or that there is none */
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

/* connection.c: on a libcurl easy handle; false if libcurl refuses an option */

extern bool gepa_lm_set_connection(void *easy, const LmServer *server);

/* Does this error of libcurl say that the endpoint did not take our certificate? */
extern bool gepa_lm_is_client_refused(const char *error);

/* transfer.c: POSTs over HTTP */

/*
 * What all POSTs to a server have in common.  In the current context, which must
 * not go before it is closed; the server and the provider must outlive it.
 */
typedef struct LmLine LmLine;

extern LmLine *gepa_lm_line_open(const LmServer *server, const LmProvider *provider);

/* All its transfers have been freed.  Never raises; fit for reset callbacks. */
extern void gepa_lm_line_close(LmLine *line);

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
	double		latency_ms;		/* without the time in which nobody looked */
	const char *error;			/* for LM_FAILURE_*; never a secret */
	LmTrouble	trouble;
} LmOutcome;

/*
 * What is sent.  libcurl may send it max_sends times in all, when kept
 * connections die under it.
 */
typedef struct LmPost
{
	const char *body;			/* must outlive the transfer */
	size_t		length;
	int			max_sends;
} LmPost;

/*
 * Start a POST.  Returns NULL with *error set if it cannot be started.  done
 * is called from gepa_lm_transport_wait(), never from inside libcurl; it may
 * start and free transfers, but must not raise.
 */
typedef void (*LmTransferDone) (LmTransfer *transfer, const LmOutcome *outcome, void *arg);
extern LmTransfer *gepa_lm_transfer_start(LmLine *line, const LmPost *post,
										  LmTransferDone done, void *arg,
										  const char **error);

/* Abort if under way, and free.  Never raises; fit for reset callbacks. */
extern void gepa_lm_transfer_free(LmTransfer *transfer);

/* transport.c: one curl multi handle per process carries them */

/* Transfers under way in this process. */
extern int	gepa_lm_transport_running(void);

/*
 * Let transfers make progress until something ends, the timeout passes or an
 * interrupt comes (raises).  timeout_ms 0 polls, < 0 waits without limit.
 */
extern void gepa_lm_transport_wait(int timeout_ms);

/* Poll if that was not done a moment ago. */
extern void gepa_lm_transport_look(void);

/* budget.c: what an attempt at a call holds of its batch's budget; NULL = there is none */

typedef struct LmReservation
{
	bool		held;
	bool		exact;			/* calls are limited: nobody else may send it
								 * once more */
	LmExpected	expected;
	LmAmounts	take[LM_NBUDGETS];	/* 0 on accounts that were not there */
} LmReservation;

/*
 * For an attempt at a request of so many bytes, to an LM that has shown so much; hold
 * as in LmRequest.
 */
extern LmGrant gepa_lm_budget_reserve(LmBudget *budget, const LmServer *server,
									  const LmShown *shown, size_t bytes, LmHold *hold,
									  LmReservation *reservation);

/* It has taken so much, or was not sent.  Never raise; fit for reset callbacks. */
extern void gepa_lm_budget_settle(LmBudget *budget, LmReservation *reservation, LmHold *hold,
								  const LmAmounts *spent);
extern void gepa_lm_budget_release(LmBudget *budget, LmReservation *reservation);

/* Make the reply that of a call which was just denied; into the current context. */
extern void gepa_lm_budget_explain(const LmBudget *budget, LmReply *reply);

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
extern int64 gepa_lm_retry_after(const LmProvider *provider, const LmOutcome *outcome);
extern void gepa_lm_set_failure(LmReply *reply, GepaStatus status, int sqlerrcode,
								const char *detail, const char *hint);

/* What failed, without what it cost; the texts are copied.  Returns to. */
extern LmReply *gepa_lm_copy_failure(LmReply *to, const LmReply *from);

#endif							/* GEPA_LM_LM_INTERNAL_H */
