/*-------------------------------------------------------------------------
 *
 * log.c
 *	  The log of calls: what gepa.lm_calls shows.
 *
 * Actors: whoever makes calls puts a record when a call ends, or is called
 * back (batch.c); gepa.lm_calls reads.  There is one log per server, in shared
 * memory, so a record survives the transaction that made the call, and goes
 * with a restart.  Without preload there is none.
 *
 * The memory is a circle of bytes.  A record is a fixed part and up to three
 * texts; a new one takes the place of as many of the oldest as it needs.
 * Positions count bytes since the start and never go back.
 *
 * What is kept: a share of the calls (gepa.call_log_sample_rate), and of those that
 * failed all, unless the rate is 0.  A call that was never sent is no call.
 * Prompt and answer are kept only as far as gepa.call_log_text says.  The key
 * is in neither; outcome.c has taken it out of what an endpoint repeats.
 *
 * Locking: one LWLock (tranche "GepaCalls").  Nothing is allocated, and
 * nothing can fail, under it: writers copy one record, readers the whole.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "base/shmem.h"
#include "lm/lm_internal.h"

/* Of an endpoint's words: what fits into an error message. */
#define DETAIL_BYTES 400

/* The largest share of the log that one text may take: one in so many. */
#define TEXT_SHARE 8

typedef enum LogText
{
	LOG_DETAIL,
	LOG_PROMPT,
	LOG_ANSWER
} LogText;

#define LOG_NTEXTS 3

typedef struct LogRecord
{
	int			length;			/* with its texts, aligned */
	int			text_length[LOG_NTEXTS];	/* -1 = none */
	TimestampTz ended_at;
	Oid			role;
	Oid			database;
	NameData	lm;
	LmOrigin	origin;
	GepaStatus	status;
	int			http_status;
	int			attempts;
	int			input_tokens;
	int			output_tokens;
	double		cost;
	double		latency_ms;
	double		sample_rate;
} LogRecord;

typedef struct CallLog
{
	uint64		first;			/* where the oldest record begins */
	uint64		next;			/* where the next one will */
	char		bytes[FLEXIBLE_ARRAY_MEMBER];
} CallLog;

static CallLog *call_log = NULL;
static LWLock *log_lock = NULL;

/*
 * Set-up
 */

static Size
log_bytes(void)
{
	return (Size) gepa_call_log_size * 1024;
}

static Size
shmem_size(void)
{
	return add_size(offsetof(CallLog, bytes), log_bytes());
}

static void
attach(void *memory, LWLock *lock, bool made)
{
	call_log = memory;
	log_lock = lock;
}

void
gepa_lm_log_init(void)
{
	static const GepaShmem area = {
		.name = "gepa call log",
		.tranche = "GepaCalls",
		.size = shmem_size,
		.attach = attach
	};

	gepa_shmem_add(&area);
}

/*
 * The circle of bytes; the lock is held
 */

static void
copy_in(uint64 at, const void *from, Size length)
{
	Size		offset = at % log_bytes();
	Size		head = Min(length, log_bytes() - offset);

	memcpy(call_log->bytes + offset, from, head);
	memcpy(call_log->bytes, (const char *) from + head, length - head);
}

static void
copy_out(uint64 at, void *to, Size length)
{
	Size		offset = at % log_bytes();
	Size		head = Min(length, log_bytes() - offset);

	memcpy(to, call_log->bytes + offset, head);
	memcpy((char *) to + head, call_log->bytes, length - head);
}

static void
make_room(Size length)
{
	while (call_log->next + length - call_log->first > log_bytes())
	{
		int			oldest;

		copy_out(call_log->first + offsetof(LogRecord, length), &oldest, sizeof(oldest));
		call_log->first += oldest;
	}
}

/*
 * Writing
 */

/* In or out by chance. */
static bool
is_sampled(GepaStatus status, double *rate)
{
	*rate = status == GEPA_STATUS_OK ? gepa_call_log_sample_rate : 1;
	return gepa_call_log_sample_rate > 0 &&
		pg_prng_double(&pg_global_prng_state) < *rate;
}

/* How many bytes of a text are kept: whole characters. */
static int
text_bytes(const char *text, int most)
{
	most = Min(most, (int) (log_bytes() / TEXT_SHARE));
	return text == NULL || most == 0 ? -1 : pg_mbcliplen(text, (int) strlen(text), most);
}

static void
put(LogRecord *record, const char *const *texts)
{
	Size		length = sizeof(LogRecord);
	uint64		at;

	for (int i = 0; i < LOG_NTEXTS; i++)
		length += Max(record->text_length[i], 0);
	record->length = (int) MAXALIGN(length);

	LWLockAcquire(log_lock, LW_EXCLUSIVE);
	make_room(record->length);
	at = call_log->next;
	copy_in(at, record, sizeof(LogRecord));
	at += sizeof(LogRecord);
	for (int i = 0; i < LOG_NTEXTS; i++)
	{
		if (record->text_length[i] <= 0)
			continue;
		copy_in(at, texts[i], record->text_length[i]);
		at += record->text_length[i];
	}
	call_log->next += record->length;
	LWLockRelease(log_lock);
}

void
gepa_lm_log_call(const LmServer *server, const LmOrigin *origin, const LmReply *reply,
				 const char *prompt)
{
	LogRecord	record = {0};
	const char *texts[LOG_NTEXTS];

	if (call_log == NULL || reply->attempts == 0 ||
		!is_sampled(reply->status, &record.sample_rate))
		return;
	texts[LOG_DETAIL] = reply->detail;
	texts[LOG_PROMPT] = prompt;
	texts[LOG_ANSWER] = reply->content;
	record.text_length[LOG_DETAIL] = text_bytes(reply->detail, DETAIL_BYTES);
	record.text_length[LOG_PROMPT] = text_bytes(prompt, gepa_call_log_text);
	record.text_length[LOG_ANSWER] = text_bytes(reply->content, gepa_call_log_text);
	record.ended_at = GetCurrentTimestamp();
	record.role = server->userid;
	record.database = MyDatabaseId;
	namestrcpy(&record.lm, server->name);
	record.origin = *origin;
	record.status = reply->status;
	record.http_status = reply->http_status;
	record.attempts = reply->attempts;
	record.input_tokens = reply->input_tokens;
	record.output_tokens = reply->output_tokens;
	record.cost = reply->cost;
	record.latency_ms = reply->latency_ms;
	put(&record, texts);
}

char *
gepa_lm_log_prompt(const LmRequest *request)
{
	static const char *const roles[] = {"system", "user", "assistant"};
	StringInfoData text;

	if (call_log == NULL || gepa_call_log_text == 0 || gepa_call_log_sample_rate == 0)
		return NULL;
	initStringInfo(&text);
	for (int i = 0; i < request->nmessages && text.len < gepa_call_log_text; i++)
		appendStringInfo(&text, "%s%s: %s", i > 0 ? "\n" : "",
						 roles[request->messages[i].role], request->messages[i].content);
	if (request->nimages > 0)
		appendStringInfo(&text, "\n[images: %d]", request->nimages);
	return text.data;
}

/*
 * Reading
 */

const char *
gepa_lm_purpose_name(LmPurpose purpose)
{
	static const char *const names[] = {
		"judge", "rollout", "reflection", "report", "check", "job", "grader"
	};

	StaticAssertStmt(lengthof(names) == LM_NPURPOSES, "a purpose has a name");
	return names[purpose];
}

static void
read_record(const char *bytes, const LogRecord *record, LmLogEntry *entry)
{
	char	  **texts[LOG_NTEXTS];

	entry->ended_at = record->ended_at;
	entry->role = record->role;
	entry->database = record->database;
	entry->lm = pstrdup(NameStr(record->lm));
	entry->origin = record->origin;
	entry->status = record->status;
	entry->http_status = record->http_status;
	entry->attempts = record->attempts;
	entry->input_tokens = record->input_tokens;
	entry->output_tokens = record->output_tokens;
	entry->cost = record->cost;
	entry->latency_ms = record->latency_ms;
	entry->sample_rate = record->sample_rate;
	texts[LOG_DETAIL] = &entry->detail;
	texts[LOG_PROMPT] = &entry->prompt;
	texts[LOG_ANSWER] = &entry->answer;
	bytes += sizeof(LogRecord);
	for (int i = 0; i < LOG_NTEXTS; i++)
	{
		*texts[i] = record->text_length[i] < 0 ? NULL :
			pnstrdup(bytes, record->text_length[i]);
		bytes += Max(record->text_length[i], 0);
	}
}

static LmLogEntry *
read_records(const char *bytes, Size length, int *n)
{
	LmLogEntry *entries = palloc0(sizeof(LmLogEntry) * (length / sizeof(LogRecord) + 1));

	*n = 0;
	for (Size at = 0; at < length;)
	{
		LogRecord	record;

		memcpy(&record, bytes + at, sizeof(record));
		read_record(bytes + at, &record, &entries[(*n)++]);
		at += record.length;
	}
	return entries;
}

LmLogEntry *
gepa_lm_log_read(int *n)
{
	char	   *bytes;
	Size		length;

	if (call_log == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("gepa keeps no log of calls, because it was not preloaded"),
				 errhint("Add gepa to shared_preload_libraries and restart the server.")));
	bytes = palloc(log_bytes());
	LWLockAcquire(log_lock, LW_SHARED);
	length = call_log->next - call_log->first;
	copy_out(call_log->first, bytes, length);
	LWLockRelease(log_lock);
	return read_records(bytes, length, n);
}
