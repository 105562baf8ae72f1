/*-------------------------------------------------------------------------
 *
 * diff.c
 *	  Documents that two versions of a judge have judged.
 *
 * The verdicts of both accounts lie in the order of their digests in the indexes of
 * their keys; the planner may merge or hash, and what it needs room for it spills.
 * Rows come by a cursor, a portion at a time.
 *
 * Known hole.  Verdicts on their way (in the ring, or of a transaction at work) are
 * not counted, as in the view gepa.verdicts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/store_read.h"

#define PORTION 1000

/* By half: where its columns begin. */
#define COLUMNS_A 2
#define COLUMNS_B 6

static const char *const pairs_sql =
	"SELECT a.digest, a.label, a.score, a.from_logprobs, a.reasoning,"
	" b.label, b.score, b.from_logprobs, b.reasoning"
	" FROM gepa.verdict a JOIN gepa.verdict b ON b.digest = a.digest"
	" WHERE a.verdict_digest = $1 AND a.payer = $2 AND b.verdict_digest = $3 AND b.payer = $4"
	" ORDER BY a.digest";

static void
read_half(uint64 row, int column, const JudgeSpec *spec, JudgeVerdict *verdict)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	HeapTuple	tuple = SPI_tuptable->vals[row];
	bool		isnull;

	memset(verdict, 0, sizeof(*verdict));
	verdict->status = GEPA_STATUS_OK;
	verdict->label = TextDatumGetCString(SPI_getbinval(tuple, desc, column, &isnull));
	verdict->score = DatumGetFloat8(SPI_getbinval(tuple, desc, column + 1, &isnull));
	verdict->from_logprobs = DatumGetBool(SPI_getbinval(tuple, desc, column + 2, &isnull));
	verdict->positive = gepa_judge_positive(spec, verdict->label, verdict->score,
											verdict->from_logprobs);
}

/* It may be long, and lie elsewhere. */
static void
read_reasoning(uint64 row, int column, JudgeVerdict *verdict)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 3,
									  &isnull);

	if (!isnull)
		verdict->reasoning = TextDatumGetCString(value);
}

/* What pairs are handed out to. */
typedef struct Pairing
{
	const StoreSide *a;
	const StoreSide *b;
	StorePairTaker taker;
	void	   *arg;
} Pairing;

static void
hand_out_pair(const Pairing *pairing, uint64 row)
{
	uint8		digest[JUDGE_DIGEST_LENGTH];
	JudgeVerdict verdict_a;
	JudgeVerdict verdict_b;

	gepa_store_digest(row, 1, digest, JUDGE_DIGEST_LENGTH);
	read_half(row, COLUMNS_A, pairing->a->spec, &verdict_a);
	read_half(row, COLUMNS_B, pairing->b->spec, &verdict_b);
	if (gepa_store_flips(&verdict_a, &verdict_b))
	{
		read_reasoning(row, COLUMNS_A, &verdict_a);
		read_reasoning(row, COLUMNS_B, &verdict_b);
	}
	pairing->taker(digest, &verdict_a, &verdict_b, pairing->arg);
}

static void
hand_out(void *arg)
{
	for (uint64 i = 0; i < SPI_processed; i++)
		hand_out_pair(arg, i);
}

static Portal
open_pairs(const StoreSide *a, const StoreSide *b)
{
	StoreArgs	args = {0};

	gepa_store_arg_bytes(&args, a->account.verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_oid(&args, a->account.payer);
	gepa_store_arg_bytes(&args, b->account.verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_oid(&args, b->account.payer);
	return SPI_cursor_open(NULL, gepa_store_plan(pairs_sql, args.n, args.types), args.values,
						   NULL, true);
}

void
gepa_store_read_pairs(const StoreSide *a, const StoreSide *b, StorePairTaker taker, void *arg)
{
	Pairing		pairing = {a, b, taker, arg};
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_read_portal(open_pairs(a, b), PORTION, hand_out, &pairing);
	gepa_store_leave(&scope);
}
