/*-------------------------------------------------------------------------
 *
 * apply_stream.h
 *	  Documents through a judge as they come: a part of the door of src/apply,
 *	  which includes it.
 *
 * A stream is one judge in one statement.  Documents are asked one by one, sent
 * together, and their answers become known in any order.  Equal documents are
 * one answer, as long as somebody refers to it or the stream has room to keep it.
 *
 *				send				 its verdict, or failure
 *	 ASKED ----------> UNDER WAY --------------------------> KNOWN
 *		|										 ^
 *		+---- send, and it was stored -----------+
 *
 * What was paid is handed over as soon as it is noticed, whoever it is for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_APPLY_APPLY_STREAM_H
#define GEPA_APPLY_APPLY_STREAM_H

#include "judge/judge.h"

struct ApplyJudge;

typedef struct ApplyVerdict
{
	JudgeVerdict verdict;
	bool		cached;
} ApplyVerdict;

typedef struct ApplyStream ApplyStream;

typedef enum ApplyAnswerState
{
	APPLY_ASKED,
	APPLY_UNDER_WAY,
	APPLY_KNOWN
} ApplyAnswerState;

/* How a known answer came about. */
typedef enum ApplyAnswerOrigin
{
	APPLY_STORED,				/* looked up */
	APPLY_CALLED,				/* by this stream */
	APPLY_ELSEWHERE				/* by another process meanwhile */
} ApplyAnswerOrigin;

/* Read only for all but stream.c; whoever was given it refers to it. */
typedef struct ApplyAnswer
{
	uint8		digest[JUDGE_DIGEST_LENGTH];	/* of the content */
	ApplyAnswerState state;
	ApplyAnswerOrigin origin;	/* once KNOWN */
	int			refs;
	ApplyVerdict verdict;		/* once KNOWN; a failure is an answer, too,
								 * one that no further call can escape (fatal)
								 * included */
} ApplyAnswer;

/*
 * The stream, in a new child of the current context, whose reset calls back what
 * is on the wire and gives leases back.  The judge must outlive it.
 */
extern ApplyStream *gepa_apply_stream_open(struct ApplyJudge *judge);
extern void gepa_apply_stream_close(ApplyStream *stream);

/*
 * Ask for a document, of which the caller has the digest of its content; it is copied
 * as far as it is needed; nothing is looked up or sent.  The caller refers to the
 * answer until it releases it.  *fresh says whether nobody had asked for it before.
 */
extern ApplyAnswer *gepa_apply_stream_ask(ApplyStream *stream, const uint8 *digest,
										  const JudgeDocument *document, bool *fresh);
extern void gepa_apply_stream_release(ApplyStream *stream, ApplyAnswer *answer);

/* The answer of a content, with a reference; NULL if there is none. */
extern ApplyAnswer *gepa_apply_stream_find(ApplyStream *stream, const uint8 *digest);

/* Look up all that was asked, at once, and call what is not known. */
extern void gepa_apply_stream_send(ApplyStream *stream);

/* Calls of this stream that have not ended; what others call does not count. */
extern int	gepa_apply_stream_calls(const ApplyStream *stream);

/* Those of them that are on the wire. */
extern int	gepa_apply_stream_sent(const ApplyStream *stream);

/* Take what has come in, without waiting; returns how many answers became known. */
extern int	gepa_apply_stream_poll(ApplyStream *stream);

/*
 * Sent all, wait until this answer is known.  others are streams that must not
 * stand still meanwhile.  As interruptible as everything in src/lm.
 */
extern void gepa_apply_stream_wait(ApplyStream *stream, ApplyAnswer *answer,
								   ApplyStream *const *others, int nothers);

/*
 * Sent all, wait until something more is known to any of several streams; returns
 * how many answers.  At once when nothing is under way.
 */
extern int	gepa_apply_streams_turn(ApplyStream *const *streams, int nstreams);

/*
 * Sleep until something may have happened to the stream, no longer than that, or
 * until the latch is set.  Then poll it.
 */
extern void gepa_apply_stream_rest(ApplyStream *stream, int longest_ms);

/*
 * Nothing further is sent until the stream is drained or rescued; what has come in
 * is handed over.  Returns how many calls are still on the wire.
 */
extern int	gepa_apply_stream_stop(ApplyStream *stream);

/* The same, and what is on the wire is waited for. */
extern void gepa_apply_stream_drain(ApplyStream *stream);

/*
 * After an error: hand over what has come in, call back the rest, give leases back.
 * Never raises.  The stream can be asked again.
 */
extern void gepa_apply_stream_rescue(ApplyStream *stream);

/*
 * Called before each sleep in any of the above, when what there is to send is sent: for
 * whoever shows what is on the wire.  Must neither raise nor use a stream otherwise.
 */
typedef void (*ApplyRestHook) (void);
extern PGDLLIMPORT ApplyRestHook gepa_apply_rest_hook;

/* Most calls that were on the wire at a time. */
extern int	gepa_apply_stream_peak(const ApplyStream *stream);

#endif							/* GEPA_APPLY_APPLY_STREAM_H */
