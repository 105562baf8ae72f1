/*-------------------------------------------------------------------------
 *
 * items.c
 *	  Default mode: labelled samples under one number, and their rollouts.
 *
 * Items are the training samples, then the validation samples.  When the two
 * sets are one, the training samples are not used as items.  A held-out item is used
 * for the report alone.
 *
 * A rollout is asked for once per text and item, whatever came of it: a failed one
 * leaves its cell empty and is not repeated.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_search.h"

EngineSampleRef
gepa_engine_item_sample(const Engine *engine, int item)
{
	int			ntrain = engine->config.ntrain;
	EngineSampleRef ref;

	ref.split = item < ntrain ? ENGINE_SPLIT_TRAIN : ENGINE_SPLIT_VAL;
	ref.sample = item < ntrain ? item : item - ntrain;
	return ref;
}

int
gepa_engine_sample_item(const Engine *engine, EngineSplit split, int sample)
{
	Assert(split != ENGINE_SPLIT_TEST);
	return split == ENGINE_SPLIT_TRAIN ? sample : engine->config.ntrain + sample;
}

/* Expected labels by item; NULL when nobody knows any. */
static int *
list_classes(Engine *engine)
{
	const EngineConfig *config = &engine->config;
	int			nitems = config->ntrain + config->nval;
	int		   *classes;
	int			i;

	if (config->nlabels < 1 || (config->train_label == NULL && config->val_label == NULL))
		return NULL;
	classes = gepa_engine_alloc(&engine->arena, nitems * sizeof(int));
	for (i = 0; i < nitems; i++)
	{
		EngineSampleRef ref = gepa_engine_item_sample(engine, i);
		const int  *labels = ref.split == ENGINE_SPLIT_TRAIN ? config->train_label :
			config->val_label;

		classes[i] = labels != NULL ? labels[ref.sample] : -1;
	}
	return classes;
}

void
gepa_engine_items_init(Engine *engine)
{
	const EngineConfig *config = &engine->config;
	EngineItems *items = &engine->search->items;
	int			n = config->ntrain + config->nval;
	int			i;

	items->nitems = n;
	items->used = gepa_engine_alloc(&engine->arena, n * sizeof(bool));
	items->windows = gepa_engine_alloc(&engine->arena, n * sizeof(int));
	items->records = gepa_engine_alloc(&engine->arena, n * sizeof(int));
	items->classes = list_classes(engine);
	items->nclasses = items->classes != NULL ? config->nlabels : 0;
	for (i = 0; i < config->ntrain; i++)
		items->used[i] = !config->shared_sets;
	for (i = 0; i < engine->nvalidate; i++)
		items->used[config->ntrain + engine->validate[i]] = true;
}

static void
mark_examples(const Engine *engine, const char *list, bool *marked)
{
	char	   *end;

	while (*list != '\0')
	{
		long		example = strtol(list, &end, 10);

		if (example < engine->config.ntrain)
			marked[example] = true;
		list = *end == ',' ? end + 1 : end;
	}
}

/* Mark training samples that a seed shows as examples. */
static void
mark_seed_examples(const Engine *engine, bool *marked)
{
	const EngineConfig *config = &engine->config;
	int			i;
	int			s;

	for (i = 0; i < config->ncomponents; i++)
	{
		if (config->components[i].kind != ENGINE_COMPONENT_EXAMPLES)
			continue;
		mark_examples(engine, config->components[i].seed_text, marked);
		for (s = 0; s < config->nseeds; s++)
			mark_examples(engine, config->seeds[s][i], marked);
	}
}

/*
 * Put n items into the order of their labels, keeping the order of equals.  Those
 * without a label come first.
 */
static void
group_by_label(const EngineItems *items, int n, int *list)
{
	int		   *grouped = palloc(Max(n, 1) * sizeof(int));
	int			filled = 0;
	int			label;
	int			i;

	for (label = -1; label < items->nclasses; label++)
		for (i = 0; i < n; i++)
			if (items->classes[list[i]] == label)
				grouped[filled++] = list[i];
	Assert(filled == n);
	memcpy(list, grouped, n * sizeof(int));
	pfree(grouped);
}

/* How many items in use there are of each group; NULL = no two share one. */
static int *
count_groups(const Engine *engine)
{
	const EngineItems *items = &engine->search->items;
	const int  *group = engine->config.sample_group;
	int		   *counts = palloc0(items->nitems * sizeof(int));
	bool		shared = false;
	int			i;

	for (i = 0; i < items->nitems && group != NULL; i++)
		if (items->used[i])
			shared = ++counts[group[i]] > 1 || shared;
	if (shared)
		return counts;
	pfree(counts);
	return NULL;
}

static void
hold_out(EngineSearch *search, int item)
{
	search->held_out[search->nheld_out++] = item;
	search->items.used[item] = false;
}

/*
 * Whole groups in the order of the list, as long as they fit; none with an item that is
 * barred.  A searched sample would teach the answer to its like.
 */
static void
hold_out_groups(Engine *engine, int size, const int *list, int n, int *counts,
				const bool *barred)
{
	EngineSearch *search = engine->search;
	const int  *group = engine->config.sample_group;
	int			i;
	int			k;

	for (i = 0; i < search->items.nitems; i++)
		if (barred[i])
			counts[group[i]] = 0;
	for (i = 0; i < n; i++)
	{
		int			chosen = group[list[i]];

		if (counts[chosen] == 0 || counts[chosen] > size - search->nheld_out)
			continue;
		for (k = i; k < n; k++)
			if (group[list[k]] == chosen)
				hold_out(search, list[k]);
		counts[chosen] = 0;
	}
}

/* Every so many-th of the shuffled items, grouped by label, which gives each label its share. */
static void
hold_out_by_label(EngineSearch *search, int size, int *list, int n)
{
	int			i;

	if (search->items.classes != NULL)
		group_by_label(&search->items, n, list);
	size = Min(size, n);
	for (i = 0; i < size; i++)
		hold_out(search, list[((2 * (int64) i + 1) * n) / (2 * (int64) size)]);
}

static void
hold_out_items(Engine *engine, int size)
{
	EngineSearch *search = engine->search;
	EngineItems *items = &search->items;
	bool	   *barred = palloc0(items->nitems * sizeof(bool));
	int		   *counts;
	int		   *list = palloc(items->nitems * sizeof(int));
	int			n = 0;
	int			i;

	mark_seed_examples(engine, barred);
	for (i = 0; i < items->nitems; i++)
		if (items->used[i] && !barred[i])
			list[n++] = i;
	gepa_engine_random_shuffle(&engine->random, list, n);
	counts = count_groups(engine);
	if (counts != NULL)
		hold_out_groups(engine, size, list, n, counts, barred);
	else
		hold_out_by_label(search, size, list, n);
	if (counts != NULL)
		pfree(counts);
	pfree(list);
	pfree(barred);
}

void
gepa_engine_hold_out(Engine *engine)
{
	EngineSearch *search = engine->search;
	int			size = search->plan.held_out;
	int			ntest = engine->config.ntest;
	int		   *samples;
	int			i;

	search->held_out = gepa_engine_alloc(&engine->arena, Max(size, 1) * sizeof(int));
	if (ntest <= 0)
	{
		hold_out_items(engine, size);

		/*
		 * groups may be too large for as many; the search has what these
		 * would cost
		 */
		search->plan.report = 2 * (int64) search->nheld_out;
		return;
	}
	samples = palloc(ntest * sizeof(int));
	for (i = 0; i < ntest; i++)
		samples[i] = i;
	gepa_engine_random_sample(&engine->random, samples, ntest, size, search->held_out);
	search->nheld_out = size;
	pfree(samples);
}

int
gepa_engine_ask_items(Engine *engine, int proposal, EngineStepRole role, int n,
					  const int *items)
{
	static const EngineSplit splits[] = {ENGINE_SPLIT_TRAIN, ENGINE_SPLIT_VAL};
	bool	   *asked = engine->proposals[proposal].asked;
	int			total = 0;
	int			s;
	int			i;

	if (asked == NULL)
		asked = engine->proposals[proposal].asked =
			gepa_engine_alloc(&engine->arena, engine->search->items.nitems * sizeof(bool));
	for (s = 0; s < lengthof(splits); s++)
	{
		int		   *samples = gepa_engine_alloc(&engine->arena, Max(n, 1) * sizeof(int));
		int			nsamples = 0;

		for (i = 0; i < n; i++)
		{
			EngineSampleRef ref = gepa_engine_item_sample(engine, items[i]);

			if (ref.split != splits[s] || asked[items[i]])
				continue;
			asked[items[i]] = true;
			samples[nsamples++] = ref.sample;
		}
		if (nsamples == 0)
			continue;
		gepa_engine_add_evaluation(engine, role, -1, proposal, splits[s], nsamples, samples);
		engine->search->awaited++;
		total += nsamples;
	}
	return total;
}

EngineRecord
gepa_engine_find_record(const Engine *engine, int candidate, int item)
{
	EngineSampleRef ref = gepa_engine_item_sample(engine, item);
	EngineRecord found = {-1, -1};
	int			i;
	int			k;

	for (i = 0; i < engine->nsteps && found.step < 0; i++)
	{
		const EngineStep *step = &engine->steps[i].step;

		if (step->kind != ENGINE_STEP_EVALUATE || step->split != ref.split ||
			step->proposal != engine->pool.proposals[candidate])
			continue;
		for (k = 0; k < step->nsamples; k++)
			if (step->samples[k] == ref.sample)
			{
				found.step = i;
				found.slot = k;
			}
	}
	Assert(found.step >= 0);
	return found;
}
