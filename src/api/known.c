/*-------------------------------------------------------------------------
 *
 * known.c
 *	  What is stored of the rows of a source.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/api_internal.h"
#include "apply/apply.h"

static int
compare_digests(const void *a, const void *b)
{
	const ApiRow *const *left = a;
	const ApiRow *const *right = b;

	return memcmp((*left)->digest, (*right)->digest, JUDGE_DIGEST_LENGTH);
}

static int
read_documents(const JudgeSpec *spec, const StoreScan *scan, const StoreScanRow *rows, int n,
			   ApiRow *results, ApiRow **present)
{
	int			npresent = 0;

	for (int i = 0; i < n; i++)
	{
		ApiRow	   *result = &results[i];

		if (rows[i].isnull || !gepa_apply_document(spec, rows[i].document, scan->source.is_jsonb,
												   &result->document))
			continue;
		result->present = true;
		gepa_judge_content_digest(&result->document, result->digest);
		present[npresent++] = result;
	}
	return npresent;
}

/* Equal documents, which stand side by side, are looked up once. */
static void
look_up(const JudgeSpec *spec, const StoreAccount *account, ApiRow **rows, int n)
{
	StoreLookup *lookups = palloc0(sizeof(StoreLookup) * Max(n, 1));
	int		   *which = palloc(sizeof(int) * Max(n, 1));
	int			nlookups = 0;

	for (int i = 0; i < n; i++)
	{
		if (i == 0 || compare_digests(&rows[i - 1], &rows[i]) != 0)
			lookups[nlookups++].digest = rows[i]->digest;
		which[i] = nlookups - 1;
	}
	gepa_store_lookup(spec, account, lookups, nlookups, false);
	for (int i = 0; i < n; i++)
	{
		StoreLookup *lookup = &lookups[which[i]];

		if (lookup->found && lookup->verdict.status == GEPA_STATUS_OK)
			rows[i]->verdict = &lookup->verdict;
	}
}

ApiRow *
gepa_api_look_up_rows(const JudgeSpec *spec, const StoreAccount *account,
					  const StoreScan *scan, const StoreScanRow *rows, int n)
{
	ApiRow	   *results = palloc0(sizeof(ApiRow) * Max(n, 1));
	ApiRow	  **present = palloc(sizeof(ApiRow *) * Max(n, 1));
	int			npresent = read_documents(spec, scan, rows, n, results, present);

	qsort(present, npresent, sizeof(ApiRow *), compare_digests);
	look_up(spec, account, present, npresent);
	return results;
}
