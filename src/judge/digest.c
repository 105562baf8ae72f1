/*-------------------------------------------------------------------------
 *
 * digest.c
 *	  Digests of versions and of documents.
 *
 * SHA-256 over length-prefixed parts, so that no two different inputs have
 * one serialisation.  The first part names the format; a change of the prompt
 * layout changes JUDGE_LAYOUT, and with it every digest.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "common/cryptohash.h"
#include "common/sha2.h"

#include "judge/judge_internal.h"

static void
put_part(StringInfo buf, const char *part)
{
	appendStringInfo(buf, "%zu:%s;", strlen(part), part);
}

/* Frees what is hashed; good: so far. */
static void
finish(pg_cryptohash_ctx *ctx, bool good, uint8 *digest)
{
	if (!good || pg_cryptohash_final(ctx, digest, JUDGE_DIGEST_LENGTH) < 0)
	{
#ifndef FRONTEND
		elog(ERROR, "could not compute a SHA-256 digest");
#else
		abort();
#endif
	}
	pg_cryptohash_free(ctx);
}

static void
hash(const StringInfo buf, uint8 *digest)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);

	finish(ctx, ctx != NULL && pg_cryptohash_init(ctx) >= 0 &&
		   pg_cryptohash_update(ctx, (const uint8 *) buf->data, buf->len) >= 0, digest);
}

void
gepa_judge_digest(const JudgeSpec *spec, bool with_threshold, uint8 *digest)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "gepa judge %d;%d;%d;%d;", JUDGE_LAYOUT, spec->reasoning,
					 (int) spec->window, spec->max_chars);
	put_part(&buf, spec->lm_identity);
	for (int i = 0; i < spec->ncomponents; i++)
	{
		appendStringInfo(&buf, "component %d;", (int) spec->components[i].kind);
		put_part(&buf, spec->components[i].name);
		put_part(&buf, spec->components[i].text);
	}
	for (int i = 0; i < spec->ninputs; i++)
	{
		appendStringInfoString(&buf, "input;");
		put_part(&buf, spec->inputs[i]);
	}
	for (int i = 0; i < spec->nlabels; i++)
	{
		appendStringInfo(&buf, "label %d;", spec->positive[i]);
		put_part(&buf, spec->labels[i]);
	}
	if (with_threshold)
		appendStringInfo(&buf, "threshold %.17g;", spec->threshold);
	hash(&buf, digest);
	pfree(buf.data);
}

/* As put_part() has it; documents are long, and not copied for it. */
static int
update_part(pg_cryptohash_ctx *ctx, const char *part)
{
	size_t		length = strlen(part);
	char		prefix[32];
	int			n = snprintf(prefix, sizeof(prefix), "%zu:", length);

	if (pg_cryptohash_update(ctx, (const uint8 *) prefix, n) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) part, length) < 0)
		return -1;
	return pg_cryptohash_update(ctx, (const uint8 *) ";", 1);
}

void
gepa_judge_content_digest(const JudgeDocument *document, uint8 *digest)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);
	bool		good = ctx != NULL && pg_cryptohash_init(ctx) >= 0;

	for (int i = 0; good && i < document->nfields; i++)
		good = update_part(ctx, document->fields[i]) >= 0;
	finish(ctx, good, digest);
}
