/*-------------------------------------------------------------------------
 *
 * lm.h
 *	  Talking to language models: the door of src/lm.
 *
 * An LM is a foreign server of the wrapper gepa_lm; its key lives in a user
 * mapping (or in a file or environment variable that only a privileged role
 * may name).  A caller resolves it into an LmServer (inside a transaction),
 * opens a batch on it, submits requests and collects replies as they finish;
 * the batch itself touches no catalog, so no transaction need be open while
 * it waits.  A failed call is a reply with a status, not an ERROR; the only
 * errors raised here are query cancel, termination, out of memory, bad
 * options and missing rights.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_H
#define GEPA_LM_LM_H

#include "datatype/timestamp.h"

#include "base/status.h"
#include "lm/lm_budget.h"
#include "lm/lm_figures.h"
#include "lm/lm_image.h"

struct List;

/* Once, at load: hooks, and shared memory where preloaded. */
extern void gepa_lm_init(void);

typedef enum LmApi
{
	LM_API_OPENAI,				/* chat completions over HTTP */
	LM_API_ANTHROPIC,			/* the Messages API */
	LM_API_GEMINI,				/* generateContent */
	LM_API_CANNED,				/* deterministic replies, no network */
	LM_API_CLASSIFY,			/* these by gepa_lm_set_scoring() only */
	LM_API_SCORE,
	LM_API_POOLING
} LmApi;

typedef enum LmStructured
{
	LM_STRUCTURED_JSON_SCHEMA,
	LM_STRUCTURED_JSON_OBJECT,
	LM_STRUCTURED_TEXT,
	LM_STRUCTURED_TOOL			/* a tool whose input has the schema */
} LmStructured;

typedef enum LmHttpVersion
{
	LM_HTTP_AUTOMATIC,			/* over TLS what both sides speak */
	LM_HTTP_1_1,
	LM_HTTP_2					/* the same; a libcurl without it is an error */
} LmHttpVersion;

/*
 * An LM as one user sees it: options with defaults filled in, key resolved.
 * Plain data in one memory context of its own, whose end, by gepa_lm_free or
 * otherwise, wipes the key.  NULL strings and negative numbers mean "not set: do
 * not send".
 */
typedef struct LmServer
{
	Oid			serverid;
	Oid			userid;			/* on whose behalf calls are made */
	char	   *name;
	LmApi		api;
	char	   *base_url;		/* without trailing slash */
	char	   *model;
	char	   *api_key;		/* secret; NULL = sent without a key */
	char	   *keyless_mapping;	/* whose user mapping has no key: a role,
									 * quoted, or PUBLIC; NULL = nobody's */
	int			max_concurrency;	/* default 16 */
	int			requests_per_minute;	/* 0 = no limit */
	int			tokens_per_minute;	/* 0 = no limit */
	int			connect_timeout_ms; /* default 10 s */
	int			request_timeout_ms; /* default 120 s, whole transfer */
	LmStructured structured_output;
	bool		logprobs;
	bool		images;			/* takes them; true unless the option says no */
	char	   *extra_body;		/* JSON object merged into requests */
	char	   *temperature;	/* numbers as given, validated */
	char	   *top_p;
	int			max_tokens;
	char	   *max_tokens_field;	/* what it is called on the wire */
	char	   *seed;
	char	   *reasoning_effort;
	char	   *thinking_budget_field;	/* what a budget is called on the wire */
	double		input_price;	/* per million tokens; 0 = free */
	double		output_price;
	double		cached_input_price; /* of cached tokens; < 0 = input_price */
	bool		allow_private_address;
	char	   *proxy;			/* URL; NULL = none, whatever the environment
								 * says */
	char	   *unix_socket;	/* path of a socket, in place of an address */
	char	   *ca_file;		/* who vouches, in place of the system's */
	char	   *client_cert;
	char	   *client_key;
	LmHttpVersion http_version;
} LmServer;

typedef enum LmRole
{
	LM_ROLE_SYSTEM,
	LM_ROLE_USER,
	LM_ROLE_ASSISTANT
} LmRole;

typedef struct LmMessage
{
	LmRole		role;
	const char *content;		/* server encoding */
} LmMessage;

/*
 * One call.  With schema set, the answer is asked to be JSON of that schema
 * as far as structured_output allows.  choices repeats the labels the schema
 * permits, for providers that want them apart (canned).  Copied by submit.
 */
typedef struct LmRequest
{
	int			nmessages;
	const LmMessage *messages;
	int			nimages;
	const LmImage *images;		/* in the order of their places */
	const char *schema_name;
	const char *schema;			/* JSON text, or NULL for free text */
	int			nchoices;
	const char *const *choices;
	bool		want_logprobs;	/* honoured only if the LM has them on */
	const char *effort;			/* in place of the server's; NULL = as the
								 * server has it */
	bool		limits_thinking;	/* to so many tokens, 0 = none at all: */
	int			thinking_budget;
	int			sample;			/* of several answers to one prompt, from 0: a
								 * seed must not make them one */
	bool		once;			/* do not try again what fails */
	LmHold	   *hold;			/* of the batch's budget, of this call and
								 * others; NULL = of itself; must outlive the
								 * call */
} LmRequest;

/* One token of the answer with the alternatives the model weighed. */
typedef struct LmAlternative
{
	const char *token;
	double		logprob;
} LmAlternative;

typedef struct LmToken
{
	const char *token;
	double		logprob;
	int			nalternatives;
	LmAlternative *alternatives;
} LmToken;

/*
 * What came back.  fatal: no further call to this LM can succeed before
 * somebody acts (401, 403, 404, refused address, unreadable key file); the
 * caller should stop and raise sqlerrcode, detail and hint.
 */
typedef struct LmReply
{
	void	   *tag;			/* as given to submit */
	GepaStatus	status;			/* ok, refused, truncated, too_long, timeout,
								 * http_error, unparseable, budget, cancelled */
	char	   *content;		/* the answer, thinking removed; NULL if none */
	char	   *reasoning;		/* thinking text, or NULL */
	char	   *finish_reason;	/* as sent, or NULL */
	int			ntokens;		/* 0 = no log-probabilities */
	LmToken    *tokens;			/* cover content exactly when ntokens > 0 */
	int			input_tokens;	/* cached ones included */
	int			cached_tokens;	/* read from the endpoint's prompt cache */
	int			output_tokens;	/* thinking included */
	int			attempts;		/* requests sent, by whom ever, and tries to
								 * connect that failed */
	int			calls;			/* requests sent */
	int			throttled;		/* of these, answers with status 429 */
	double		cost;			/* by the server's prices */
	double		latency_ms;		/* of the last attempt */
	int			http_status;	/* 0 = none */
	bool		fatal;
	bool		rejected;		/* this very request will never be taken */
	int			sqlerrcode;		/* for a raised failure */
	int			cause;			/* of a failure: LmCause, for src/lm */
	int64		retry_after_ms; /* with a rate limit; < 0 = not said */
	char	   *detail;			/* what went wrong; no secret, no prompt */
	char	   *hint;			/* what to do, or NULL */
} LmReply;

/* What calls are for. */
typedef enum LmPurpose
{
	LM_PURPOSE_JUDGE,			/* a document, for a predicate */
	LM_PURPOSE_ROLLOUT,			/* a sample, for a run */
	LM_PURPOSE_REFLECTION,
	LM_PURPOSE_REPORT,			/* a held-out sample: report, schedule */
	LM_PURPOSE_CHECK,
	LM_PURPOSE_JOB,				/* a document, for a corpus job */
	LM_PURPOSE_GRADER			/* an output, or a document, for a grader */
} LmPurpose;

#define LM_NPURPOSES (LM_PURPOSE_GRADER + 1)

/* ... and in whose name; 0 = none. */
typedef struct LmOrigin
{
	LmPurpose	purpose;
	int			judge;			/* id */
	int			version;
	int			run;
} LmOrigin;

typedef struct LmBatch LmBatch;

/* options.c */

/* Validator of the wrapper: checks options of servers and user mappings. */
extern void gepa_lm_validate(struct List *options, Oid catalog);

/* server.c */

/*
 * Resolve a server of our wrapper by name for a user: checks that it exists
 * (42704), is ours (42809) and that the user has USAGE (42501), reads options
 * and key.  Needs a transaction.  The result lives in a new child of the
 * current memory context.
 */
extern LmServer *gepa_lm_resolve(const char *name, Oid userid);
extern void gepa_lm_free(LmServer *server);

/*
 * Ask a resolved server of api openai at one of the endpoints of reward models, which stand
 * beside /v1; others are left as they are.
 */
extern void gepa_lm_set_scoring(LmServer *server, LmApi scoring);

/*
 * The options alone, without a key: not to be called, but told of.  NULL where
 * gepa_lm_resolve() would raise.  Plain data in the current memory context.
 */
extern LmServer *gepa_lm_describe(const char *name, Oid userid);

/* Raise what gepa_lm_resolve() would, but for what is wrong with a key. */
extern void gepa_lm_check_usage(const char *name, Oid userid);


/*
 * Everything about the LM that can change an answer (api, model, sampling
 * parameters, structured_output, logprobs, extra_body), as canonical JSON
 * text: the LM identity of a judge version.  Where the endpoint stands
 * (base_url), limits and prices are not part of it.
 */
extern char *gepa_lm_identity(const LmServer *server);

/* What the tokens of a reply cost by the server's prices. */
extern double gepa_lm_cost(const LmServer *server, const LmReply *reply);

/* batch.c */

/*
 * A batch of calls on one LM.  Submitting sends what max_concurrency admits
 * and is as interruptible as collecting; further requests wait inside.  The
 * limit, as the server opened last has it, holds for all batches on this LM
 * together: of all processes when the library is preloaded, else of this one.
 * The batch owns a child of the current memory context; a reset callback of
 * that context aborts transfers, so ERROR and cancel leak nothing.  Whoever
 * may run inside a subtransaction closes the batch on ERROR: the context
 * lives on when the ERROR is caught.  The server must outlive the batch; the
 * origin, which goes into the log of calls, is copied.
 */
extern LmBatch *gepa_lm_batch_open(const LmServer *server, const LmOrigin *origin);
extern void gepa_lm_batch_submit(LmBatch *batch, const LmRequest *request, void *tag);

/*
 * Charge its calls to a budget, which must outlive it; before the first is submitted.
 * One that the budget denies ends with status budget and is not sent.
 */
extern void gepa_lm_batch_charge(LmBatch *batch, LmBudget *budget);

/*
 * Wait for the next finished call, in order of completion; NULL when nothing
 * is outstanding.  The reply lives in the caller's current memory context.
 * Interruptible at any moment.  timeout_ms < 0 waits without limit, 0 polls;
 * on timeout returns NULL with gepa_lm_batch_pending() > 0.
 */
extern LmReply *gepa_lm_batch_collect(LmBatch *batch, int timeout_ms);
extern int	gepa_lm_batch_pending(const LmBatch *batch);

/* What it holds of requests that are not answered, in bytes. */
extern size_t gepa_lm_batch_bytes(const LmBatch *batch);
extern void gepa_lm_batch_close(LmBatch *batch);

/* Calls that are on the wire, and the most there ever were at a time. */
extern int	gepa_lm_batch_sent(const LmBatch *batch);
extern int	gepa_lm_batch_peak(const LmBatch *batch);

/*
 * For gepa_lm_wait(): when there may be something to collect, or to send, without a
 * call ending; 0 = now, -1 = never.
 */
extern int	gepa_lm_batch_due_ms(LmBatch *batch);

/* Send nothing more; polling still hands out what has come, or comes. */
extern void gepa_lm_batch_stop(LmBatch *batch);

/* gate.c */

/*
 * How long the endpoint wants to be left alone from now on (Retry-After, as
 * any process was told), in milliseconds; 0 = it may be called.
 */
extern long gepa_lm_hold_ms(const LmServer *server);

/*
 * For whoever has several batches open: sleep until a call of any of them ends, at
 * most timeout_ms, or until the latch is set.  Then poll each (collect with 0).
 * Serves interrupts.
 */
extern void gepa_lm_wait(int timeout_ms);

/*
 * What was submitted, and has a place, is on the wire when this returns; nothing is taken in.
 * For whoever does something else for a while.  Never raises.
 */
extern void gepa_lm_send(void);

/* batch.c */

/* One request, one reply: submit, collect, close. */
extern LmReply *gepa_lm_call(const LmServer *server, const LmOrigin *origin,
							 const LmRequest *request);

/* outcome.c */

/* Raise a failed reply as an ERROR that names the LM. */
extern void gepa_lm_report(const LmServer *server, const LmReply *reply);

/* retry.c */

/* No call takes longer once it is sent, all its attempts and pauses together. */
extern int64 gepa_lm_longest_call_ms(const LmServer *server);

/* check.c */

typedef struct LmCheck
{
	const char *item;			/* reachable, key, model, json_schema,
								 * logprobs, usage, latency */
	bool		ok;
	char	   *detail;			/* of a failure: a sentence and what to do */
} LmCheck;

/*
 * One small request; returns what works, up to the first thing without which
 * nothing does.  *nchecks rows, palloc'd.  Needs a transaction.
 */
extern LmCheck *gepa_lm_check(const LmServer *server, int *nchecks);

#include "lm/lm_log.h"

#endif							/* GEPA_LM_LM_H */
