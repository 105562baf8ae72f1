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
#ifndef FRONTEND
#include "utils/resowner.h"
#endif

#include "judge/judge_internal.h"

static void
put_part(StringInfo buf, const char *part)
{
	appendStringInfo(buf, "%zu:%s;", strlen(part), part);
}

/*
 * One for all: making it takes as long as a short document.  An error elsewhere may
 * have left something in it.
 */
static pg_cryptohash_ctx *context = NULL;

static void
make_context(void)
{
#ifndef FRONTEND
	ResourceOwner current = CurrentResourceOwner;

	/* Nobody's, or it would go with the query. */
	CurrentResourceOwner = ResourceOwnerCreate(NULL, "gepa digests");
	context = pg_cryptohash_create(PG_SHA256);
	CurrentResourceOwner = current;
#else
	context = pg_cryptohash_create(PG_SHA256);
#endif
}

static bool
begin(void)
{
	if (context == NULL)
		make_context();
	return context != NULL && pg_cryptohash_init(context) >= 0;
}

/* good: so far. */
static void
finish(bool good, uint8 *digest)
{
	if (!good || pg_cryptohash_final(context, digest, JUDGE_DIGEST_LENGTH) < 0)
	{
#ifndef FRONTEND
		elog(ERROR, "could not compute a SHA-256 digest");
#else
		abort();
#endif
	}
}

static void
hash(const StringInfo buf, uint8 *digest)
{
	finish(begin() && pg_cryptohash_update(context, (const uint8 *) buf->data, buf->len) >= 0,
		   digest);
}

static void
put_parts(StringInfo buf, const char *what, int n, char *const *parts)
{
	for (int i = 0; i < n; i++)
	{
		appendStringInfo(buf, "%s;", what);
		put_part(buf, parts[i]);
	}
}

/* The name of its LM as well: the judge's own is in the digest of verdicts. */
static void
put_step(StringInfo buf, const JudgeStep *step)
{
	appendStringInfoString(buf, "step;");
	put_part(buf, step->name);
	put_parts(buf, "shown", step->ninputs, step->inputs);
	put_parts(buf, "output", step->noutputs, step->outputs);
	put_parts(buf, "schema", step->noutputs, step->schemas);
	if (step->lm != NULL)
	{
		put_part(buf, step->lm);
		put_part(buf, step->lm_identity ? step->lm_identity : "");
	}
}

/* Nothing where nothing is said. */
static void
put_sampling(StringInfo buf, const JudgeSpec *spec)
{
	if (spec->votes > 1)
		appendStringInfo(buf, "votes %d;", spec->votes);
	if (spec->effort != NULL)
	{
		appendStringInfoString(buf, "effort;");
		put_part(buf, spec->effort);
	}
	if (spec->limits_thinking)
		appendStringInfo(buf, "thinking budget %d;", spec->thinking_budget);
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
	put_parts(&buf, "image", spec->nimages, spec->images);
	for (int i = 0; i < spec->nsteps; i++)
		put_step(&buf, &spec->steps[i]);
	put_parts(&buf, "verdict shown", spec->nverdict_inputs, spec->verdict_inputs);
	for (int i = 0; i < spec->nlabels; i++)
	{
		appendStringInfo(&buf, "label %d;", spec->positive[i]);
		put_part(&buf, spec->labels[i]);
	}
	put_sampling(&buf, spec);
	if (with_threshold)
		appendStringInfo(&buf, "threshold %.17g;", spec->threshold);
	hash(&buf, digest);
	pfree(buf.data);
}

/* A length as put_part() prints it, which many documents would notice; returns where. */
static const char *
print_length(size_t length, char *end)
{
	*--end = ':';
	do
		*--end = '0' + length % 10;
	while ((length /= 10) > 0);
	return end;
}

/* As put_part() has it; documents are long, and not copied for it. */
static int
update_part(const char *part)
{
	size_t		length = strlen(part);
	char		buffer[32];
	char	   *end = buffer + sizeof(buffer);
	const char *prefix = print_length(length, end);

	if (pg_cryptohash_update(context, (const uint8 *) prefix, end - prefix) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) part, length) < 0)
		return -1;
	return pg_cryptohash_update(context, (const uint8 *) ";", 1);
}

void
gepa_judge_content_digest(const JudgeDocument *document, uint8 *digest)
{
	bool		good = begin();

	for (int i = 0; good && i < document->nfields; i++)
		good = update_part(document->fields[i]) >= 0;
	finish(good, digest);
}
