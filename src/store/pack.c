/*-------------------------------------------------------------------------
 *
 * pack.c
 *	  A verdict as flat bytes: for the ring, its spool, and this session's memory.
 *
 * The spool outlives the server process, and so the library that wrote it: a
 * later one must read it.  So the bytes are a struct of their own, with its
 * size in front, and then the texts.  Fields are added at its end only, and texts
 * at theirs; one that the writer did not know yet is zero.  The byte order is that of the data
 * directory it lies in.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/store_internal.h"

typedef struct Packed
{
	uint32		size;			/* of this struct, where it was written */
	int32		judge;
	int32		version;
	int32		status;
	Oid			payer;
	uint8		verdict_digest[JUDGE_DIGEST_LENGTH];
	uint8		account[JUDGE_DIGEST_LENGTH];
	uint8		digest[JUDGE_DIGEST_LENGTH];
	TimestampTz paid_at;
	double		score;
	double		cost;
	double		latency_ms;
	int32		positive;
	int32		from_logprobs;
	int32		fatal;
	int32		rejected;
	int32		sqlerrcode;
	int32		input_tokens;
	int32		output_tokens;
	int32		attempts;
	int32		chars_seen;
	int32		chars_total;
	Oid			caller;
	int32		purpose;
	int32		calls;
} Packed;

static void
put_text(StringInfo buf, const char *text)
{
	int32		length = text ? (int32) strlen(text) : -1;

	appendBinaryStringInfo(buf, (const char *) &length, sizeof(length));
	if (text)
		appendBinaryStringInfo(buf, text, length);
}

static char *
get_text(const char **data)
{
	int32		length;
	char	   *text;

	memcpy(&length, *data, sizeof(length));
	*data += sizeof(length);
	if (length < 0)
		return NULL;
	text = pnstrdup(*data, length);
	*data += length;
	return text;
}

void
gepa_store_pack(StringInfo buf, const StoreVerdict *stored)
{
	const JudgeVerdict *verdict = &stored->verdict;
	Packed		packed;

	memset(&packed, 0, sizeof(packed));
	packed.size = sizeof(packed);
	packed.judge = stored->judge;
	packed.version = stored->version;
	packed.status = verdict->status;
	packed.payer = stored->account.payer;
	memcpy(packed.verdict_digest, stored->account.verdict_digest, JUDGE_DIGEST_LENGTH);
	memcpy(packed.account, stored->account.key, JUDGE_DIGEST_LENGTH);
	memcpy(packed.digest, stored->digest, JUDGE_DIGEST_LENGTH);
	packed.paid_at = stored->paid_at;
	packed.score = verdict->score;
	packed.cost = verdict->cost;
	packed.latency_ms = verdict->latency_ms;
	packed.positive = verdict->positive;
	packed.from_logprobs = verdict->from_logprobs;
	packed.fatal = verdict->fatal;
	packed.rejected = verdict->rejected;
	packed.sqlerrcode = verdict->sqlerrcode;
	packed.input_tokens = verdict->input_tokens;
	packed.output_tokens = verdict->output_tokens;
	packed.attempts = verdict->attempts;
	packed.chars_seen = verdict->chars_seen;
	packed.chars_total = verdict->chars_total;
	packed.caller = stored->caller;
	packed.purpose = stored->purpose;
	packed.calls = verdict->calls;
	appendBinaryStringInfo(buf, (const char *) &packed, sizeof(packed));
	put_text(buf, verdict->label);
	put_text(buf, verdict->reasoning);
	put_text(buf, verdict->detail);
	put_text(buf, verdict->hint);
	put_text(buf, stored->lm);
	put_text(buf, verdict->thinking);
	put_text(buf, verdict->votes);
}

/* Returns what follows. */
static const char *
unpack_head(const char *data, StoreVerdict *stored)
{
	JudgeVerdict *verdict = &stored->verdict;
	Packed		packed;
	uint32		size;

	memcpy(&size, data, sizeof(size));
	memset(&packed, 0, sizeof(packed));
	memcpy(&packed, data, Min(size, sizeof(packed)));
	memset(stored, 0, sizeof(*stored));
	stored->judge = packed.judge;
	stored->version = packed.version;
	stored->account.payer = packed.payer;
	memcpy(stored->account.verdict_digest, packed.verdict_digest, JUDGE_DIGEST_LENGTH);
	memcpy(stored->account.key, packed.account, JUDGE_DIGEST_LENGTH);
	memcpy(stored->digest, packed.digest, JUDGE_DIGEST_LENGTH);
	stored->paid_at = packed.paid_at;
	verdict->status = packed.status;
	verdict->score = packed.score;
	verdict->cost = packed.cost;
	verdict->latency_ms = packed.latency_ms;
	verdict->positive = packed.positive != 0;
	verdict->from_logprobs = packed.from_logprobs != 0;
	verdict->fatal = packed.fatal != 0;
	verdict->rejected = packed.rejected != 0;
	verdict->sqlerrcode = packed.sqlerrcode;
	verdict->input_tokens = packed.input_tokens;
	verdict->output_tokens = packed.output_tokens;
	verdict->attempts = packed.attempts;
	verdict->chars_seen = packed.chars_seen;
	verdict->chars_total = packed.chars_total;
	stored->caller = packed.caller;
	stored->purpose = (LmPurpose) packed.purpose;
	verdict->calls = packed.calls;
	return data + size;
}

void
gepa_store_unpack_head(const char *data, StoreVerdict *stored)
{
	(void) unpack_head(data, stored);
}

void
gepa_store_unpack(const char *data, int length, StoreVerdict *stored)
{
	const char *end = data + length;

	data = unpack_head(data, stored);
	stored->verdict.label = get_text(&data);
	stored->verdict.reasoning = get_text(&data);
	stored->verdict.detail = get_text(&data);
	stored->verdict.hint = get_text(&data);
	if (data < end)
		stored->lm = get_text(&data);
	if (data < end)
		stored->verdict.thinking = get_text(&data);
	if (data < end)
		stored->verdict.votes = get_text(&data);
	Assert(data <= end);
}
