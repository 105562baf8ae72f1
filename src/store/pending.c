/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  Writing verdicts in the transaction that paid for them.
 *
 * That transaction does the user's work, which must not fail because of ours.
 * So verdicts are written in a subtransaction.  Where it fails because others
 * have written the same rows meanwhile, which a transaction in REPEATABLE READ
 * or SERIALIZABLE cannot see, they are written one by one, and what is there
 * already is left.  Any other failure (a lock that was not to be had, a full
 * disk) leaves what is not written to the session, and a WARNING tells of it.
 * A cancel is no failure: it ends the transaction, as the user wants.
 *
 * When all goes well this costs one subtransaction per commit.
 *
 * Known hole: a SERIALIZABLE transaction whose subtransaction had a read/write
 * conflict with a reader of gepa's views may still fail at its commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/attempt.h"
#include "store/store_internal.h"

static bool
is_cancel(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}

static bool
is_outrun(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION;
}

typedef struct Writing
{
	const StoreVerdict *verdicts;
	int			n;
	bool		delete_errors;
} Writing;

static void
write_verdicts(void *argument)
{
	const Writing *writing = argument;

	gepa_store_insert_verdicts(writing->verdicts, writing->n, writing->delete_errors);
}

/* Returns why they are not written, NULL when they are. */
static ErrorData *
try_to_write(const StoreVerdict *verdicts, int n, bool delete_errors)
{
	Writing		writing = {verdicts, n, delete_errors};
	ErrorData  *error = gepa_attempt(write_verdicts, &writing);

	if (error != NULL && is_cancel(error))
		ReThrowError(error);
	return error;
}

/*
 * A row of verdict_error that others have changed is not touched: the view does
 * not show it beside a verdict, and where it is the failure itself that was
 * outrun another's row says as much.
 */
static ErrorData *
try_one(const StoreVerdict *verdict)
{
	ErrorData  *error = try_to_write(verdict, 1, false);

	if (error == NULL || !is_outrun(error))
		return error;
	if (verdict->verdict.status != GEPA_STATUS_OK ||
		gepa_store_is_stored(&verdict->account, verdict->digest))
		return NULL;
	return error;
}

static void
tell_kept(int n, const ErrorData *error)
{
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg_plural("could not store %d verdict: %s", "could not store %d verdicts: %s",
						   n, n, error->message),
			 errdetail("The session keeps them, and stores them when it needs them in a later transaction."),
			 errhint("Ask for them again in this session; when it ends they are lost.")));
}

int
gepa_store_write_pending(const StoreVerdict *verdicts, int n, bool *written)
{
	ErrorData  *error = try_to_write(verdicts, n, true);
	ErrorData  *failure = error;
	bool		outrun = error != NULL && is_outrun(error);
	int			nwritten = 0;

	if (outrun)
		failure = NULL;
	for (int i = 0; i < n; i++)
	{
		/* After one that was not outrun the others would fail alike. */
		if (outrun)
			error = try_one(&verdicts[i]);
		written[i] = error == NULL;
		nwritten += written[i];
		if (error != NULL)
			failure = error;
		outrun = outrun && (error == NULL || is_outrun(error));
	}
	if (failure != NULL)
		tell_kept(n - nwritten, failure);
	return nwritten;
}
