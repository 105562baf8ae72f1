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

static void
hash(const StringInfo buf, uint8 *digest)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);

	if (ctx == NULL ||
		pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) buf->data, buf->len) < 0 ||
		pg_cryptohash_final(ctx, digest, JUDGE_DIGEST_LENGTH) < 0)
	{
#ifndef FRONTEND
		elog(ERROR, "could not compute a SHA-256 digest");
#else
		abort();
#endif
	}
	pg_cryptohash_free(ctx);
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

void
gepa_judge_content_digest(const JudgeDocument *document, uint8 *digest)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < document->nfields; i++)
		put_part(&buf, document->fields[i]);
	hash(&buf, digest);
	pfree(buf.data);
}
