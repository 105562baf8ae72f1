/*-------------------------------------------------------------------------
 *
 * fronts.c
 *	  The frontier: for every key the best score and who reaches it.
 *
 * A front is a list of candidates.  A higher score starts the list anew, an
 * equal one joins it (exact comparison of doubles), a lower one does nothing.
 * What is a key depends on the frontier's type: a validation sample, an
 * objective (its mean over the samples), both, or a pair of them.  Fronts by
 * sample are kept whatever the type.
 *
 * For the removal of redundant candidates (reduce.c) the fronts are also kept
 * turned round, as one bit set per candidate.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "engine/engine_internal.h"

void
gepa_engine_fronts_init(EngineFronts *fronts, EngineArena *arena, EngineFrontier type, int nval)
{
	int			i;

	memset(fronts, 0, sizeof(EngineFronts));
	fronts->arena = arena;
	fronts->ascending = true;
	fronts->type = type;
	fronts->nval = nval;
	fronts->row_of_sample = gepa_engine_alloc(arena, nval * sizeof(int));
	for (i = 0; i < nval; i++)
		fronts->row_of_sample[i] = -1;
}

static void
set_bit(EngineFronts *fronts, EngineFrontTable *table, int candidate, int row)
{
	EngineBitset *set;
	int			needed = ENGINE_BIT_WORD(row) + 1;

	while (table->nbitsets <= candidate)
	{
		table->bitsets = gepa_engine_grow(fronts->arena, table->bitsets, table->nbitsets,
										  &table->bitsets_allocated, sizeof(EngineBitset));
		set = &table->bitsets[table->nbitsets++];
		set->nwords = ENGINE_BIT_WORD(table->nrows) + 1;
		set->words = gepa_engine_alloc(fronts->arena, set->nwords * sizeof(uint64));
	}
	set = &table->bitsets[candidate];
	if (set->nwords < needed)
	{
		uint64	   *words = gepa_engine_alloc(fronts->arena, needed * 2 * sizeof(uint64));

		memcpy(words, set->words, set->nwords * sizeof(uint64));
		set->words = words;
		set->nwords = needed * 2;
	}
	set->words[ENGINE_BIT_WORD(row)] |= ENGINE_BIT_MASK(row);
}

static int
add_row(EngineFronts *fronts, EngineFrontTable *table, int sample, int objective)
{
	EngineFrontRow *row;
	const char *name = objective >= 0 ? fronts->objectives[objective] : NULL;
	char	   *key;

	if (name == NULL)
		key = psprintf("%d", sample);
	else if (sample < 0)
		key = pstrdup(name);
	else
		key = psprintf("%d|%s", sample, name);

	table->rows = gepa_engine_grow(fronts->arena, table->rows, table->nrows,
								   &table->allocated, sizeof(EngineFrontRow));
	row = &table->rows[table->nrows];
	memset(row, 0, sizeof(EngineFrontRow));
	row->key = gepa_engine_strdup(fronts->arena, key);
	row->sample = sample;
	row->objective = objective;
	row->score = -INFINITY;
	pfree(key);
	return table->nrows++;
}

static void
clear_bit(EngineBitset *set, int row)
{
	set->words[ENGINE_BIT_WORD(row)] &= ~ENGINE_BIT_MASK(row);
}

/* Let a candidate compete with a score for a row. */
static void
compete(EngineFronts *fronts, EngineFrontTable *table, int row_number, int candidate,
		double score)
{
	EngineFrontRow *row = &table->rows[row_number];
	int			i;

	if (row->nmembers > 0 && score < row->score)
		return;
	if (row->nmembers > 0 && score > row->score)
	{
		for (i = 0; i < row->nmembers; i++)
			clear_bit(&table->bitsets[row->members[i]], row_number);
		row->nmembers = 0;
	}
	row->score = score;
	row->members = gepa_engine_grow(fronts->arena, row->members, row->nmembers,
									&row->allocated, sizeof(int));
	row->members[row->nmembers++] = candidate;
	set_bit(fronts, table, candidate, row_number);
}

int
gepa_engine_find_objective(EngineFronts *fronts, const char *name)
{
	int			i;

	for (i = 0; i < fronts->nobjectives; i++)
		if (strcmp(fronts->objectives[i], name) == 0)
			return i;
	fronts->objectives = gepa_engine_grow(fronts->arena, fronts->objectives,
										  fronts->nobjectives,
										  &fronts->objectives_allocated, sizeof(char *));
	fronts->objectives[fronts->nobjectives] = gepa_engine_strdup(fronts->arena, name);
	return fronts->nobjectives++;
}

/* An array of row numbers with at least n elements, new ones -1. */
static int *
extend_map(EngineFronts *fronts, int *map, int *allocated, int n)
{
	int		   *larger;
	int			i;

	if (n <= *allocated)
		return map;
	larger = gepa_engine_alloc(fronts->arena, n * sizeof(int));
	if (*allocated > 0)
		memcpy(larger, map, *allocated * sizeof(int));
	for (i = *allocated; i < n; i++)
		larger[i] = -1;
	*allocated = n;
	return larger;
}

double
gepa_engine_objective_mean(const EngineObjectives *objectives, int objective, int nsamples)
{
	double		sum = 0.0;
	int			n = 0;
	int			i;

	for (i = 0; i < nsamples; i++)
	{
		double		value = objectives->values[(Size) i * objectives->nobjectives + objective];

		if (isnan(value))
			continue;
		sum += value;
		n++;
	}
	return n > 0 ? sum / n : NAN;
}

static void
add_objectives(EngineFronts *fronts, int candidate, int nsamples,
			   const EngineObjectives *objectives)
{
	int			i;

	for (i = 0; i < objectives->nobjectives; i++)
	{
		double		mean = gepa_engine_objective_mean(objectives, i, nsamples);
		int			objective;

		if (isnan(mean))
			continue;
		objective = gepa_engine_find_objective(fronts, objectives->names[i]);
		fronts->row_of_objective = extend_map(fronts, fronts->row_of_objective,
											  &fronts->row_of_objective_allocated,
											  fronts->nobjectives);
		if (fronts->row_of_objective[objective] < 0)
			fronts->row_of_objective[objective] = add_row(fronts, &fronts->by_objective,
														  -1, objective);
		compete(fronts, &fronts->by_objective, fronts->row_of_objective[objective],
				candidate, mean);
	}
}

static void
add_pairs(EngineFronts *fronts, int candidate, int nsamples, const int *samples,
		  const EngineObjectives *objectives)
{
	int			i;
	int			k;

	fronts->row_of_pair = extend_map(fronts, fronts->row_of_pair, &fronts->pairs_allocated,
									 fronts->nobjectives * fronts->nval);
	for (i = 0; i < nsamples; i++)
	{
		for (k = 0; k < objectives->nobjectives; k++)
		{
			double		value = objectives->values[(Size) i * objectives->nobjectives + k];
			int			objective;
			int		   *row;

			if (isnan(value))
				continue;
			objective = gepa_engine_find_objective(fronts, objectives->names[k]);
			row = &fronts->row_of_pair[objective * fronts->nval + samples[i]];
			if (*row < 0)
				*row = add_row(fronts, &fronts->by_pair, samples[i], objective);
			compete(fronts, &fronts->by_pair, *row, candidate, value);
		}
	}
}

void
gepa_engine_fronts_add(EngineFronts *fronts, int candidate, int nsamples, const int *samples,
					   const double *scores, const EngineObjectives *objectives)
{
	int			i;

	for (i = 0; i < nsamples; i++)
	{
		int		   *row = &fronts->row_of_sample[samples[i]];

		if (*row < 0)
			*row = add_row(fronts, &fronts->by_sample, samples[i], -1);
		compete(fronts, &fronts->by_sample, *row, candidate, scores[i]);
	}
	if (objectives == NULL || objectives->nobjectives == 0)
		return;
	add_objectives(fronts, candidate, nsamples, objectives);
	if (fronts->type == ENGINE_FRONTIER_CARTESIAN)
		add_pairs(fronts, candidate, nsamples, samples, objectives);
}

void
gepa_engine_fronts_see(EngineFronts *fronts, int candidate, int sample, double score)
{
	int		   *number = &fronts->row_of_sample[sample];
	EngineFrontRow *row;
	int			place;

	if (*number < 0)
		*number = add_row(fronts, &fronts->by_sample, sample, -1);
	row = &fronts->by_sample.rows[*number];
	if (score < row->score)
		return;
	if (score > row->score)
		row->nmembers = 0;
	row->score = score;
	row->members = gepa_engine_grow(fronts->arena, row->members, row->nmembers,
									&row->allocated, sizeof(int));
	for (place = row->nmembers++; place > 0 && row->members[place - 1] > candidate; place--)
		row->members[place] = row->members[place - 1];
	row->members[place] = candidate;
}

int
gepa_engine_front_tables(const EngineFronts *fronts, const EngineFrontTable *tables[2])
{
	switch (fronts->type)
	{
		case ENGINE_FRONTIER_INSTANCE:
		case ENGINE_FRONTIER_AUTO:
			tables[0] = &fronts->by_sample;
			return 1;
		case ENGINE_FRONTIER_OBJECTIVE:
			tables[0] = &fronts->by_objective;
			return 1;
		case ENGINE_FRONTIER_CARTESIAN:
			tables[0] = &fronts->by_pair;
			return 1;
		case ENGINE_FRONTIER_HYBRID:
			break;
	}
	tables[0] = &fronts->by_sample;
	tables[1] = &fronts->by_objective;
	return 2;
}

int
gepa_engine_fronts_count(const EngineFronts *fronts)
{
	const EngineFrontTable *tables[2];
	int			ntables = gepa_engine_front_tables(fronts, tables);

	return tables[0]->nrows + (ntables > 1 ? tables[1]->nrows : 0);
}

const EngineFrontRow *
gepa_engine_fronts_row(const EngineFronts *fronts, int index)
{
	const EngineFrontTable *tables[2] = {NULL, NULL};

	gepa_engine_front_tables(fronts, tables);
	if (index < tables[0]->nrows)
		return &tables[0]->rows[index];
	return &tables[1]->rows[index - tables[0]->nrows];
}
