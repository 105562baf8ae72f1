/*-------------------------------------------------------------------------
 *
 * answers.c
 *	  The table of answers of a stream: by content, bounded.
 *
 * Whoever refers to an answer finds it where it was; of the others the ones that
 * were left last are kept, so many and so large.  What was dropped and is asked
 * again is found stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "apply/apply_internal.h"

/* Few enough to stay in the cache of a processor. */
#define KEPT_MAX_ENTRIES 4096
#define KEPT_MAX_BYTES (4 * 1024 * 1024)

typedef struct AnswerSlot
{
	const uint8 *digest;		/* in the entry */
	StreamEntry *entry;
	uint32		hash;
	char		status;
} AnswerSlot;

#define SH_PREFIX answer_table
#define SH_ELEMENT_TYPE AnswerSlot
#define SH_KEY_TYPE const uint8 *
#define SH_KEY digest
#define SH_HASH_KEY(tb, key) gepa_judge_hash_digest(key)
#define SH_EQUAL(tb, a, b) (memcmp(a, b, JUDGE_DIGEST_LENGTH) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

void
gepa_apply_answers_open(ApplyStream *stream)
{
	stream->table = answer_table_create(stream->context, 64, NULL);
	for (int i = 0; i < STREAM_NSTEPS; i++)
		dlist_init(&stream->lists[i]);
}

StreamEntry *
gepa_apply_answers_find(const ApplyStream *stream, const uint8 *digest)
{
	AnswerSlot *slot = answer_table_lookup(stream->table, digest);

	return slot == NULL ? NULL : slot->entry;
}

/*
 * Documents
 */

static void
copy_document(StreamEntry *entry, const JudgeDocument *document)
{
	Size		size = sizeof(char *) * document->nfields;
	const char **fields;
	char	   *text;

	for (int i = 0; i < document->nfields; i++)
		size += strlen(document->fields[i]) + 1;
	entry->copy = palloc(size);
	fields = entry->copy;
	text = (char *) (fields + document->nfields);
	for (int i = 0; i < document->nfields; i++)
	{
		Size		length = strlen(document->fields[i]) + 1;

		fields[i] = memcpy(text, document->fields[i], length);
		text += length;
	}
	entry->document.nfields = document->nfields;
	entry->document.fields = fields;
}

static void
free_document(StreamEntry *entry)
{
	if (entry->copy != NULL)
		pfree(entry->copy);
	entry->copy = NULL;
	entry->document.fields = NULL;
}

/*
 * Entries
 */

StreamEntry *
gepa_apply_answers_add(ApplyStream *stream, const uint8 *digest, const JudgeDocument *document,
					   bool copy)
{
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	StreamEntry *entry = palloc0(sizeof(StreamEntry));
	AnswerSlot *slot;
	bool		found;

	memcpy(entry->answer.digest, digest, JUDGE_DIGEST_LENGTH);
	entry->document = *document;
	if (copy)
		copy_document(entry, document);
	slot = answer_table_insert(stream->table, entry->answer.digest, &found);
	Assert(!found);
	slot->entry = entry;
	entry->step = STREAM_ASKED;
	dlist_push_tail(&stream->lists[STREAM_ASKED], &entry->node);
	stream->counts[STREAM_ASKED]++;
	MemoryContextSwitchTo(old);
	return entry;
}

static ApplyAnswerState
state_of(StreamStep step)
{
	switch (step)
	{
		case STREAM_ASKED:
			return APPLY_ASKED;
		case STREAM_WANTED:
		case STREAM_CALLED:
		case STREAM_ELSEWHERE:
			return APPLY_UNDER_WAY;
		case STREAM_USED:
		case STREAM_KEPT:
			break;
	}
	return APPLY_KNOWN;
}

/* What it takes beside those that are referred to. */
static Size
size_of(const StreamEntry *entry)
{
	const JudgeVerdict *verdict = &entry->answer.verdict.verdict;
	Size		size = sizeof(StreamEntry) + 2 * sizeof(AnswerSlot);

	size += verdict->reasoning ? strlen(verdict->reasoning) : 0;
	size += verdict->thinking ? strlen(verdict->thinking) : 0;
	size += verdict->votes ? strlen(verdict->votes) : 0;
	size += verdict->detail ? strlen(verdict->detail) : 0;
	return size + (verdict->hint ? strlen(verdict->hint) : 0);
}

static void
unlink_entry(ApplyStream *stream, StreamEntry *entry)
{
	dlist_delete(&entry->node);
	stream->counts[entry->step]--;
	if (entry->step == STREAM_KEPT)
		stream->kept_bytes -= size_of(entry);
}

void
gepa_apply_answers_move(ApplyStream *stream, StreamEntry *entry, StreamStep step)
{
	unlink_entry(stream, entry);
	entry->step = step;
	entry->answer.state = state_of(step);
	dlist_push_tail(&stream->lists[step], &entry->node);
	stream->counts[step]++;
	if (step == STREAM_KEPT)
		stream->kept_bytes += size_of(entry);
}

static void
free_text(char *text)
{
	if (text != NULL)
		pfree(text);
}

void
gepa_apply_answers_drop(ApplyStream *stream, StreamEntry *entry)
{
	const JudgeVerdict *verdict = &entry->answer.verdict.verdict;

	gepa_store_lease_release(&entry->lease, false);
	unlink_entry(stream, entry);
	answer_table_delete(stream->table, entry->answer.digest);
	free_document(entry);
	free_text(verdict->reasoning);
	free_text(verdict->thinking);
	free_text(verdict->votes);
	free_text(verdict->detail);
	free_text(verdict->hint);
	pfree(entry);
}

static void
drop_surplus(ApplyStream *stream)
{
	int			most = stream->keeps ? KEPT_MAX_ENTRIES : 0;

	while (stream->counts[STREAM_KEPT] > most || stream->kept_bytes > KEPT_MAX_BYTES)
		gepa_apply_answers_drop(stream, gepa_apply_stream_first(stream, STREAM_KEPT));
}

char *
gepa_apply_copy_text(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

void
gepa_apply_copy_texts(JudgeVerdict *verdict)
{
	verdict->reasoning = gepa_apply_copy_text(verdict->reasoning);
	verdict->thinking = gepa_apply_copy_text(verdict->thinking);
	verdict->votes = gepa_apply_copy_text(verdict->votes);
	verdict->detail = gepa_apply_copy_text(verdict->detail);
	verdict->hint = gepa_apply_copy_text(verdict->hint);
	verdict->answer = verdict->trace = NULL;
	verdict->probabilities = NULL;
}

/*
 * Labels are part of the digest under which a verdict is found; one that is none
 * of them was written into the table by hand.
 */
static const char *
find_label(const JudgeSpec *spec, const char *label)
{
	int			index = label == NULL ? -1 : gepa_judge_label_index(spec, label);

	return index < 0 ? gepa_apply_copy_text(label) : spec->labels[index];
}

void
gepa_apply_answers_know(ApplyStream *stream, StreamEntry *entry, const ApplyVerdict *verdict,
						ApplyAnswerOrigin origin)
{
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	JudgeVerdict known = verdict->verdict;

	known.label = find_label(stream->judge->spec, known.label);
	gepa_apply_copy_texts(&known);
	MemoryContextSwitchTo(old);
	entry->answer.verdict.verdict = known;
	entry->answer.verdict.cached = verdict->cached;
	entry->answer.origin = origin;
	free_document(entry);
	stream->nknown++;
	gepa_apply_answers_move(stream, entry,
							entry->answer.refs > 0 ? STREAM_USED : STREAM_KEPT);
	drop_surplus(stream);
}

void
gepa_apply_answers_use(ApplyStream *stream, StreamEntry *entry)
{
	if (entry->step == STREAM_KEPT)
		gepa_apply_answers_move(stream, entry, STREAM_USED);
	entry->answer.refs++;
}

/* A call that is on its way was paid for, or may be. */
void
gepa_apply_answers_leave(ApplyStream *stream, StreamEntry *entry)
{
	Assert(entry->answer.refs > 0);
	if (--entry->answer.refs > 0 || entry->step == STREAM_CALLED)
		return;
	if (entry->step != STREAM_USED)
	{
		gepa_apply_answers_drop(stream, entry);
		return;
	}
	gepa_apply_answers_move(stream, entry, STREAM_KEPT);
	drop_surplus(stream);
}
