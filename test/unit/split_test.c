/*-------------------------------------------------------------------------
 *
 * split_test.c
 *	  Which sample goes to train, val or test.
 *
 * Beside fixed cases, random sets of samples are split and the promises are
 * checked on each; the seed is printed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/pg_prng.h"

#include "worker/worker_internal.h"
#include "tap.h"

#define TRAIN 0
#define VAL 1
#define TEST 2

#define MAX_ITEMS 400

static const double default_shares[WORKER_NSPLITS] = {0.4, 0.3, 0.3};

static WorkerSplitItem items[MAX_ITEMS];
static char keys[MAX_ITEMS][16];
static char groups[MAX_ITEMS][16];
static uint8 digests[MAX_ITEMS][WORKER_DIGEST_LENGTH];

/* n samples with labels a and b in turn, each its own document and group. */
static void
make_items(int n)
{
	memset(items, 0, sizeof(items));
	memset(digests, 0, sizeof(digests));
	for (int i = 0; i < n; i++)
	{
		snprintf(keys[i], sizeof(keys[i]), "key %04d", i);
		memcpy(digests[i], &i, sizeof(i));
		items[i].key = keys[i];
		items[i].label = i % 2 ? "b" : "a";
		items[i].digest = digests[i];
		items[i].given = -1;
		items[i].split = items[i].number = -1;
	}
}

static void
set_document(int i, int document)
{
	memset(digests[i], 0, WORKER_DIGEST_LENGTH);
	memcpy(digests[i], &document, sizeof(document));
}

static int
count(int n, int split, const char *label)
{
	int			result = 0;

	for (int i = 0; i < n; i++)
		result += items[i].split == split &&
			(label == NULL || strcmp(items[i].label, label) == 0);
	return result;
}

static WorkerSplitReport
split(int n, const double *shares, int64 seed)
{
	WorkerSplitReport report;

	tap_ok(gepa_worker_split(items, n, shares, seed, &report), "split %d samples", n);
	return report;
}

static void
test_shares(void)
{
	static const double no_test[WORKER_NSPLITS] = {0.5, 0.5, 0};
	WorkerSplitReport report;
	int			first[40];
	int			same = 0;

	make_items(40);
	report = split(40, default_shares, 0);
	tap_is_int(count(40, TRAIN, "a"), 8, "train has its share of a");
	tap_is_int(count(40, TRAIN, "b"), 8, "train has its share of b");
	tap_is_int(count(40, VAL, "a"), 6, "val has its share of a");
	tap_is_int(count(40, TEST, "b"), 6, "test has its share of b");
	tap_is_int(report.copies + report.moved + report.conflicting, 0, "nothing to report");

	for (int i = 0; i < 40; i++)
		first[i] = items[i].split;
	split(40, default_shares, 0);
	for (int i = 0; i < 40; i++)
		same += items[i].split == first[i];
	tap_is_int(same, 40, "the same again");
	split(40, default_shares, 1);
	same = 0;
	for (int i = 0; i < 40; i++)
		same += items[i].split == first[i];
	tap_ok(same < 40, "another seed draws another split");

	split(40, no_test, 0);
	tap_is_int(count(40, TEST, NULL), 0, "no share, no samples");
	tap_is_int(count(40, VAL, "a"), 10, "the others get all");
}

/* A rare label is in every split as long as there are enough of it. */
static void
test_rare_label(void)
{
	for (int rare = 1; rare <= 5; rare++)
	{
		int			splits = 0;

		make_items(40);
		for (int i = 0; i < 40; i++)
			items[i].label = i < rare ? "rare" : "common";
		split(40, default_shares, 7);
		for (int s = 0; s < WORKER_NSPLITS; s++)
			splits += count(40, s, "rare") > 0;
		tap_is_int(splits, Min(rare, WORKER_NSPLITS), "splits that have the rare label");
		tap_ok(count(40, TRAIN, "rare") > 0, "train has it first");
	}
}

static void
test_pinned(void)
{
	make_items(12);
	for (int i = 0; i < 6; i++)
		items[i * 2].pinned = true;
	split(12, default_shares, 3);
	tap_is_int(count(12, TRAIN, "a"), 6, "pinned samples are in train");

	make_items(8);
	for (int i = 0; i < 8; i++)
		items[i].given = TEST;
	items[5].pinned = true;
	tap_is_int(split(8, default_shares, 0).moved, 1, "one was moved");
	tap_is_int(items[5].split, TRAIN, "a pinned sample leaves the split it was given");
	tap_is_int(count(8, TEST, NULL), 7, "the others stay");
}

static void
test_given(void)
{
	WorkerSplitReport report;

	make_items(9);
	for (int i = 0; i < 9; i++)
		items[i].given = i / 3;
	set_document(4, 100);
	set_document(7, 100);
	set_document(5, 200);
	set_document(0, 200);
	set_document(8, 200);
	report = split(9, default_shares, 0);
	tap_is_int(items[7].split, VAL, "val wins over test");
	tap_is_int(items[5].split, TRAIN, "train wins over val");
	tap_is_int(items[8].split, TRAIN, "train wins over test");
	tap_is_int(items[6].split, TEST, "a document of its own stays");
	tap_is_int(report.copies, 3, "copies");
	tap_is_int(report.moved, 3, "moved");
	tap_is_int(report.conflicting, 2, "documents with two labels");
	tap_is_int(items[0].number, 0, "numbers start at 0");
	tap_is_int(items[8].number, 4, "and follow the order of the samples");
	tap_is_int(items[6].number, 0, "in every split");
}

static int
random_int(pg_prng_state *random, int n)
{
	return (int) pg_prng_uint64_range(random, 0, n - 1);
}

/* Samples that may not be parted: same group or same document. */
static bool
belong_together(int i, int k)
{
	return (items[i].group && items[k].group && strcmp(items[i].group, items[k].group) == 0) ||
		memcmp(items[i].digest, items[k].digest, WORKER_DIGEST_LENGTH) == 0;
}

static bool
check_together(int n)
{
	for (int i = 0; i < n; i++)
		for (int k = 0; k < i; k++)
			if (belong_together(i, k) && items[i].split != items[k].split)
				return false;
	return true;
}

static bool
check_numbers(int n)
{
	int			next[WORKER_NSPLITS] = {0};

	for (int i = 0; i < n; i++)
	{
		if (items[i].split < TRAIN || items[i].split > TEST ||
			items[i].number != next[items[i].split]++)
			return false;
	}
	return true;
}

static void
make_random_items(pg_prng_state *random, int n, bool given)
{
	int			ngroups = 1 + random_int(random, n);
	int			ndocuments = 1 + random_int(random, 2 * n);

	make_items(n);
	for (int i = 0; i < n; i++)
	{
		set_document(i, random_int(random, ndocuments));
		items[i].label = random_int(random, 3) ? "a" : "b";
		items[i].pinned = random_int(random, 20) == 0;
		items[i].given = given ? random_int(random, WORKER_NSPLITS) : -1;
		snprintf(groups[i], sizeof(groups[i]), "g%d", random_int(random, ngroups));
		if (!given && random_int(random, 3))
			items[i].group = groups[i];
	}
}

static void
test_random(void)
{
	const uint64 seed = 20261124;
	pg_prng_state random;
	WorkerSplitReport report;
	int			bad_together = 0;
	int			bad_numbers = 0;
	int			bad_pinned = 0;

	printf("# seed %llu\n", (unsigned long long) seed);
	pg_prng_seed(&random, seed);
	for (int round = 0; round < 300; round++)
	{
		int			n = 1 + random_int(&random, MAX_ITEMS);

		make_random_items(&random, n, round % 2);
		if (!gepa_worker_split(items, n, default_shares, round, &report))
			break;
		bad_together += !check_together(n);
		bad_numbers += !check_numbers(n);
		for (int i = 0; i < n; i++)
			bad_pinned += items[i].pinned && items[i].split != TRAIN;
	}
	tap_is_int(bad_together, 0, "groups and copies are never parted");
	tap_is_int(bad_numbers, 0, "numbers are dense and in order");
	tap_is_int(bad_pinned, 0, "pinned samples are always in train");
}

int
main(void)
{
	test_shares();
	test_rare_label();
	test_pinned();
	test_given();
	test_random();
	return tap_done();
}
