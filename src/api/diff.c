/*-------------------------------------------------------------------------
 *
 * diff.c
 *	  gepa.diff() and gepa.flips(): what two versions of a judge make of the same
 *	  documents.
 *
 * Nothing is judged: the verdicts are those that the caller's own queries would find.
 * Without a source they are all documents that both versions have judged; with one
 * they are its rows, which are read with the caller's rights, digested, and looked
 * up.  Either way pairs come one after the other: diff() counts them and keeps the
 * few examples that moved furthest, flips() puts those that flip into the result, so
 * memory does not grow with the documents.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "api/api_internal.h"

#define MOST_EXAMPLES 100

/* In the order in which they are shown. */
typedef enum Direction
{
	DIFF_GAINED,				/* was negative, is positive */
	DIFF_LOST,
	DIFF_RELABELLED,			/* another label of the same side */
	DIFF_SAME
} Direction;

static const char *const direction_names[] = {"gained", "lost", "relabelled", "same"};

typedef struct Pair
{
	const uint8 *digest;
	const char *key;			/* NULL = the source has none */
	const JudgeVerdict *a;
	const JudgeVerdict *b;
} Pair;

typedef struct Diff Diff;

struct Diff
{
	StoreSide	a;
	StoreSide	b;
	StoreScan	scan;
	void		(*take) (Diff *diff, const Pair *pair);
	ReturnSetInfo *rsinfo;		/* of flips() */
	HTAB	   *groups;			/* of diff() */
	int			nexamples;
	MemoryContext context;		/* of the examples */
};

static Direction
direction_of(const JudgeVerdict *a, const JudgeVerdict *b)
{
	if (a->positive != b->positive)
		return b->positive ? DIFF_GAINED : DIFF_LOST;
	return gepa_store_flips(a, b) ? DIFF_RELABELLED : DIFF_SAME;
}

/*
 * Pairs
 */

static void
take_stored(const uint8 *digest, const JudgeVerdict *a, const JudgeVerdict *b, void *arg)
{
	Diff	   *diff = arg;
	Pair		pair = {digest, NULL, a, b};

	diff->take(diff, &pair);
}

static void
take_rows(const StoreScanRow *rows, int n, void *arg)
{
	Diff	   *diff = arg;
	ApiRow	   *a = gepa_api_look_up_rows(diff->a.spec, &diff->a.account, &diff->scan, rows, n);
	ApiRow	   *b = gepa_api_look_up_rows(diff->b.spec, &diff->b.account, &diff->scan, rows, n);

	for (int i = 0; i < n; i++)
	{
		Pair		pair = {a[i].digest, rows[i].key, a[i].verdict, b[i].verdict};

		if (pair.a != NULL && pair.b != NULL)
			diff->take(diff, &pair);
	}
}

static void
walk(Diff *diff)
{
	if (diff->scan.relation != NULL)
		gepa_store_read_scan(&diff->scan, take_rows, diff);
	else
		gepa_store_read_pairs(&diff->a, &diff->b, take_stored, diff);
}

static char *
digest_text(const uint8 *digest)
{
	char	   *text = palloc(2 * JUDGE_DIGEST_LENGTH + 1);

	hex_encode((const char *) digest, JUDGE_DIGEST_LENGTH, text);
	text[2 * JUDGE_DIGEST_LENGTH] = '\0';
	return text;
}

/*
 * Arguments
 */

static void
open_side(StoreSide *side, const char *judge, int number)
{
	StoreVersion *version;

	if (number < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%d is not a version of a judge", number),
				 errhint("See gepa.judge_versions.")));
	version = gepa_store_get_version(judge, number);
	side->spec = version->spec;
	gepa_store_account(&side->account, version->verdict_digest, version->owner, GetUserId());
}

static void
open_diff(Diff *diff, FunctionCallInfo fcinfo)
{
	char	   *judge = gepa_api_text_arg(fcinfo, 0, "judge");

	memset(diff, 0, sizeof(*diff));
	open_side(&diff->a, judge, gepa_api_int_arg(fcinfo, 1, "version_a"));
	open_side(&diff->b, judge, gepa_api_int_arg(fcinfo, 2, "version_b"));
	diff->scan.relation = gepa_api_text_arg_or_null(fcinfo, 3);
	diff->scan.key = gepa_api_text_arg_or_null(fcinfo, 4);
	diff->scan.document = gepa_api_text_arg_or_null(fcinfo, 5);
	diff->scan.filter = gepa_api_text_arg_or_null(fcinfo, 6);
	InitMaterializedSRF(fcinfo, 0);
	diff->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	if ((diff->scan.relation == NULL) != (diff->scan.document == NULL) ||
		(diff->scan.relation == NULL && (diff->scan.key != NULL || diff->scan.filter != NULL)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"source\" and \"document\" go together"),
				 errhint("Give both, and \"key\" and \"filter\" with them, or none for all documents that both versions have judged.")));
	if (diff->scan.relation != NULL)
		gepa_store_open_scan(&diff->scan);
}

/*
 * gepa.flips()
 */

static void
put_flip(Diff *diff, const Pair *pair)
{
	Direction	direction = direction_of(pair->a, pair->b);
	Datum		values[11];
	bool		nulls[11] = {0};

	if (direction == DIFF_SAME)
		return;
	gepa_api_put_text(values, nulls, 0, pair->key);
	values[1] = CStringGetTextDatum(digest_text(pair->digest));
	values[2] = CStringGetTextDatum(direction_names[direction]);
	values[3] = CStringGetTextDatum(pair->a->label);
	values[4] = CStringGetTextDatum(pair->b->label);
	values[5] = BoolGetDatum(pair->a->positive);
	values[6] = BoolGetDatum(pair->b->positive);
	values[7] = Float8GetDatum(pair->a->score);
	values[8] = Float8GetDatum(pair->b->score);
	gepa_api_put_text(values, nulls, 9, pair->a->reasoning);
	gepa_api_put_text(values, nulls, 10, pair->b->reasoning);
	tuplestore_putvalues(diff->rsinfo->setResult, diff->rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(gepa_flips);
Datum
gepa_flips(PG_FUNCTION_ARGS)
{
	Diff		diff;

	open_diff(&diff, fcinfo);
	diff.take = put_flip;
	walk(&diff);
	return (Datum) 0;
}

/*
 * gepa.diff()
 */

/* Labels by their place in the version's list; what was written by hand is -1. */
typedef struct DiffKey
{
	int			direction;
	int			label_a;
	int			label_b;
} DiffKey;

typedef struct Example
{
	double		moved;
	char	   *name;
} Example;

typedef struct DiffGroup
{
	DiffKey		key;
	int64		n;
	int			nexamples;
	Example    *examples;		/* those that moved furthest come first */
} DiffGroup;

static int
compare_example(const DiffGroup *group, int i, double moved, const char *name)
{
	if (group->examples[i].moved != moved)
		return group->examples[i].moved > moved ? -1 : 1;
	return strcmp(group->examples[i].name, name);
}

static void
add_example(const Diff *diff, DiffGroup *group, const Pair *pair)
{
	double		moved = fabs(pair->b->score - pair->a->score);
	const char *name = pair->key ? pair->key : digest_text(pair->digest);
	int			place = group->nexamples;

	while (place > 0 && compare_example(group, place - 1, moved, name) > 0)
		place--;
	if (place >= diff->nexamples)
		return;
	if (group->nexamples == diff->nexamples)
		pfree(group->examples[--group->nexamples].name);
	memmove(&group->examples[place + 1], &group->examples[place],
			sizeof(Example) * (group->nexamples - place));
	group->examples[place].moved = moved;
	group->examples[place].name = MemoryContextStrdup(diff->context, name);
	group->nexamples++;
}

static void
count_pair(Diff *diff, const Pair *pair)
{
	DiffKey		key;
	DiffGroup  *group;
	bool		found;

	memset(&key, 0, sizeof(key));
	key.direction = direction_of(pair->a, pair->b);
	key.label_a = gepa_judge_label_index(diff->a.spec, pair->a->label);
	key.label_b = gepa_judge_label_index(diff->b.spec, pair->b->label);
	group = hash_search(diff->groups, &key, HASH_ENTER, &found);
	if (!found)
	{
		group->n = 0;
		group->nexamples = 0;
		group->examples = MemoryContextAlloc(diff->context,
											 sizeof(Example) * Max(diff->nexamples, 1));
	}
	group->n++;
	if (key.direction != DIFF_SAME)
		add_example(diff, group, pair);
}

static int
compare_groups(const void *a, const void *b)
{
	const DiffGroup *left = *(DiffGroup *const *) a;
	const DiffGroup *right = *(DiffGroup *const *) b;

	if (left->key.direction != right->key.direction)
		return left->key.direction - right->key.direction;
	if (left->n != right->n)
		return left->n > right->n ? -1 : 1;
	if (left->key.label_a != right->key.label_a)
		return left->key.label_a - right->key.label_a;
	return left->key.label_b - right->key.label_b;
}

static Datum
examples_datum(const DiffGroup *group)
{
	Datum	   *names = palloc(sizeof(Datum) * Max(group->nexamples, 1));

	for (int i = 0; i < group->nexamples; i++)
		names[i] = CStringGetTextDatum(group->examples[i].name);
	return PointerGetDatum(construct_array(names, group->nexamples, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

static const char *
label_name(const JudgeSpec *spec, int label)
{
	return label >= 0 ? spec->labels[label] : NULL;
}

static void
put_group(const Diff *diff, const DiffGroup *group, int64 total)
{
	Datum		values[6];
	bool		nulls[6] = {0};

	values[0] = CStringGetTextDatum(direction_names[group->key.direction]);
	gepa_api_put_text(values, nulls, 1, label_name(diff->a.spec, group->key.label_a));
	gepa_api_put_text(values, nulls, 2, label_name(diff->b.spec, group->key.label_b));
	values[3] = Int64GetDatum(group->n);
	values[4] = Float8GetDatum((double) group->n / total);
	values[5] = examples_datum(group);
	tuplestore_putvalues(diff->rsinfo->setResult, diff->rsinfo->setDesc, values, nulls);
}

static void
put_groups(const Diff *diff)
{
	long		ngroups = hash_get_num_entries(diff->groups);
	DiffGroup **groups = palloc(sizeof(DiffGroup *) * Max(ngroups, 1));
	HASH_SEQ_STATUS scan;
	int64		total = 0;

	hash_seq_init(&scan, diff->groups);
	for (int i = 0; i < ngroups; i++)
	{
		groups[i] = hash_seq_search(&scan);
		total += groups[i]->n;
	}
	hash_seq_term(&scan);
	qsort(groups, ngroups, sizeof(DiffGroup *), compare_groups);
	for (int i = 0; i < ngroups; i++)
		put_group(diff, groups[i], total);
}

static void
make_groups(Diff *diff, int nexamples)
{
	HASHCTL		control = {0};

	if (nexamples < 0 || nexamples > MOST_EXAMPLES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"examples\" must be between 0 and %d", MOST_EXAMPLES),
				 errhint("gepa.flips() has all of them.")));
	diff->nexamples = nexamples;
	diff->context = CurrentMemoryContext;
	control.keysize = sizeof(DiffKey);
	control.entrysize = sizeof(DiffGroup);
	control.hcxt = CurrentMemoryContext;
	diff->groups = hash_create("gepa diff", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

PG_FUNCTION_INFO_V1(gepa_diff);
Datum
gepa_diff(PG_FUNCTION_ARGS)
{
	Diff		diff;

	open_diff(&diff, fcinfo);
	make_groups(&diff, gepa_api_int_arg(fcinfo, 7, "examples"));
	diff.take = count_pair;
	walk(&diff);
	put_groups(&diff);
	return (Datum) 0;
}
