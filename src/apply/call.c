/*-------------------------------------------------------------------------
 *
 * call.c
 *	  Documents that are all there through a judge: looked up, then called.
 *
 * The stream does the work.  The caller owns the documents, so they are not
 * copied, and each judge keeps one stream for all its batches, so that its run
 * serves the next document, too.  Answers are not kept from one batch to the next:
 * what is known then is the store's to say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "apply/apply_internal.h"

static ApplyStream *
stream_of(ApplyJudge *judge)
{
	MemoryContext old = MemoryContextSwitchTo(judge->context);

	if (judge->stream == NULL)
	{
		judge->stream = gepa_apply_stream_open(judge);
		judge->stream->keeps = false;
	}
	MemoryContextSwitchTo(old);
	return judge->stream;
}

void
gepa_apply_find(ApplyBatch *batch, ApplyJudge *judge, const JudgeDocument *documents, int n)
{
	ApplyStream *stream = stream_of(judge);

	/* An error may have left some. */
	gepa_apply_stream_clear(stream);
	batch->judge = judge;
	batch->n = n;
	batch->verdicts = NULL;
	batch->others = NULL;
	batch->nothers = 0;
	batch->answers = palloc(sizeof(ApplyAnswer *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		batch->answers[i] = gepa_apply_stream_ask_owned(stream, &documents[i]);
	gepa_apply_stream_look_up(stream);
}

/* No further call can escape it; others in by now are rescued. */
static void
raise_fatal(const ApplyBatch *batch)
{
	const ApplyJudge *judge = batch->judge;

	for (int i = 0; i < batch->n; i++)
		if (batch->answers[i]->state == APPLY_KNOWN && batch->answers[i]->verdict.verdict.fatal)
			gepa_judge_report(judge->spec, judge->servers, &batch->answers[i]->verdict.verdict);
}

static void
call_unknown(const ApplyBatch *batch)
{
	ApplyStream *stream = batch->judge->stream;
	ApplyStream **streams = palloc(sizeof(ApplyStream *) * (batch->nothers + 1));

	streams[0] = stream;
	for (int i = 0; i < batch->nothers; i++)
		streams[i + 1] = batch->others[i];
	for (int i = 0; i < batch->n; i++)
	{
		while (batch->answers[i]->state != APPLY_KNOWN)
		{
			(void) gepa_apply_streams_turn(streams, batch->nothers + 1);
			if (stream->fatal)
				raise_fatal(batch);
		}
	}
	pfree(streams);
}

static void
copy_verdicts(ApplyBatch *batch)
{
	batch->verdicts = palloc(sizeof(ApplyVerdict) * Max(batch->n, 1));
	for (int i = 0; i < batch->n; i++)
	{
		batch->verdicts[i] = batch->answers[i]->verdict;
		gepa_apply_copy_texts(&batch->verdicts[i].verdict);
	}
}

void
gepa_apply_call(ApplyBatch *batch)
{
	MemoryContext context = CurrentMemoryContext;
	ApplyStream *stream = batch->judge->stream;

	/*
	 * A subtransaction may catch an error, a cancel included, and go on for
	 * long; the judge's context would end, and with it the calls, only with
	 * the query.
	 */
	PG_TRY();
	{
		call_unknown(batch);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		gepa_apply_stream_rescue(stream);
		gepa_apply_stream_clear(stream);
		ReThrowError(error);
	}
	PG_END_TRY();
	copy_verdicts(batch);
	for (int i = 0; i < batch->n; i++)
		gepa_apply_stream_release(stream, batch->answers[i]);
	pfree(batch->answers);
}

ApplyVerdict *
gepa_apply_documents(ApplyJudge *judge, const JudgeDocument *documents, int n)
{
	ApplyBatch	batch;

	gepa_apply_find(&batch, judge, documents, n);
	gepa_apply_call(&batch);
	return batch.verdicts;
}
