/*-------------------------------------------------------------------------
 *
 * apply_internal.h
 *	  What the files of src/apply share: a stream, and its table of answers.
 *
 * Every entry is in the list of its step:
 *
 *				 look-up			 lease			   verdict
 *	 ASKED ----------------> WANTED ------> CALLED ----------------> USED <--> KEPT
 *	   |					  |	 ^  taken	  |						  ^
 *	   |	 another's lease  |	 | released	  +-- called back: WANTED |
 *	   |					  v	 |									  |
 *	   |				   ELSEWHERE								  |
 *	   +------------ stored, or stored by another meanwhile ----------+
 *
 * USED is referred to; KEPT is not, and goes when there are too many.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_APPLY_APPLY_INTERNAL_H
#define GEPA_APPLY_APPLY_INTERNAL_H

#include "lib/ilist.h"
#include "utils/resowner.h"

#include "apply/apply.h"

typedef enum StreamStep
{
	STREAM_ASKED,
	STREAM_WANTED,				/* not stored: to be called */
	STREAM_CALLED,				/* given to the run */
	STREAM_ELSEWHERE,			/* another process calls it */
	STREAM_USED,
	STREAM_KEPT
} StreamStep;
#define STREAM_NSTEPS (STREAM_KEPT + 1)

typedef struct StreamEntry
{
	ApplyAnswer answer;			/* first: callers have its address */
	dlist_node	node;			/* in the list of its step */
	StreamStep	step;
	StoreLease	lease;
	void	   *copy;			/* of the document; NULL = it is the caller's */
	JudgeDocument document;		/* until the answer is known */
} StreamEntry;

/* A verdict that has come in and is not yet handed over. */
typedef struct StreamTaken
{
	StreamEntry *entry;
	JudgeVerdict verdict;
} StreamTaken;

struct answer_table_hash;

struct ApplyStream
{
	MemoryContext context;		/* of all but the table */
	MemoryContext scratch;
	MemoryContext arrivals;		/* texts of what was taken */
	StreamTaken taken[STORE_HAND_OVER_MAX];
	int			ntaken;
	MemoryContextCallback on_reset;
	ApplyJudge *judge;
	JudgeRun   *run;			/* NULL = none since it was called back */
	struct answer_table_hash *table;	/* entries by digest */
	dlist_head	lists[STREAM_NSTEPS];
	int			counts[STREAM_NSTEPS];
	bool		keeps;			/* answers that nobody refers to; if not, a
								 * failure is called again */
	Size		kept_bytes;
	bool		fatal;			/* a failure that no further call can escape */
	int			nknown;			/* so many became known, ever */
	int			peak;			/* of the runs before this one */
};

/* answers.c */

extern void gepa_apply_answers_open(ApplyStream *stream);
extern StreamEntry *gepa_apply_answers_find(const ApplyStream *stream, const uint8 *digest);
extern StreamEntry *gepa_apply_answers_add(ApplyStream *stream, const uint8 *digest,
										   const JudgeDocument *document, bool copy);
extern void gepa_apply_answers_drop(ApplyStream *stream, StreamEntry *entry);
extern void gepa_apply_answers_move(ApplyStream *stream, StreamEntry *entry, StreamStep step);

/* The texts of the verdict are copied. */
extern void gepa_apply_answers_know(ApplyStream *stream, StreamEntry *entry,
									const ApplyVerdict *verdict, ApplyAnswerOrigin origin);

/* Refer to it, or no longer. */
extern void gepa_apply_answers_use(ApplyStream *stream, StreamEntry *entry);
extern void gepa_apply_answers_leave(ApplyStream *stream, StreamEntry *entry);

extern char *gepa_apply_copy_text(const char *text);

/* What a caller may be told of it, into the current context; its label stays. */
extern void gepa_apply_copy_texts(JudgeVerdict *verdict);

static inline StreamEntry *
gepa_apply_stream_first(const ApplyStream *stream, StreamStep step)
{
	dlist_head *list = (dlist_head *) &stream->lists[step];

	return dlist_is_empty(list) ? NULL : dlist_container(StreamEntry, node, dlist_head_node(list));
}

/* take.c: hand over some of what has come in, without waiting; returns how many. */
extern int	gepa_apply_stream_take(ApplyStream *stream);

/* stream.c: for call.c, whose caller owns the documents, and desk.c */

/* As ..._ask(); the document is not copied. */
extern ApplyAnswer *gepa_apply_stream_ask_owned(ApplyStream *stream, const JudgeDocument *document);

/* The transaction that is open, or a short one where a worker has none. */
typedef struct StreamTransaction
{
	MemoryContext context;		/* before it, and after */
	ResourceOwner owner;
	bool		own;			/* was begun for this */
} StreamTransaction;

extern void gepa_apply_begin(StreamTransaction *transaction);
extern void gepa_apply_end(const StreamTransaction *transaction);

/* Look up what was asked; nothing is called. */
extern void gepa_apply_stream_look_up(ApplyStream *stream);

/* Forget all answers, referred to or not; nothing is under way. */
extern void gepa_apply_stream_clear(ApplyStream *stream);

#endif							/* GEPA_APPLY_APPLY_INTERNAL_H */
