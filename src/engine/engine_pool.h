/*-------------------------------------------------------------------------
 *
 * engine_pool.h
 *	  Candidates: the pool, its frontier, selection and merge.
 *
 * Internal to src/engine, as engine_internal.h, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_POOL_H
#define GEPA_ENGINE_POOL_H

#include "engine/engine_parts.h"

/* pool.c: the candidates, and choices that need nothing else */

/* One array per attribute, all indexed by candidate. */
typedef struct EnginePool
{
	EngineArena *arena;
	bool		ascending;		/* see ascending_order */
	int			ncomponents;
	int			nval;
	int			ncandidates;
	int			allocated;
	const char *const **texts;
	int			(*parents)[2];	/* -1 = none */
	double	  **scores;			/* per validation sample; NaN = not scored */
	int		   *coverage;		/* scored samples */
	double	   *means;
	int		   *next_component; /* round robin */
	int64	   *discovery;
	int		   *proposals;
} EnginePool;

extern void gepa_engine_pool_init(EnginePool *pool, EngineArena *arena,
								  int ncomponents, int nval);

/*
 * Add a candidate that was scored on samples (in this order: the mean is the
 * plain sum in list order over their number); returns its number.
 */
extern int	gepa_engine_pool_add(EnginePool *pool, const char *const *texts,
								 const int parents[2], int nsamples,
								 const int *samples, const double *scores);

/* Highest mean, lower index on ties; by_coverage: larger coverage first. */
extern int	gepa_engine_pool_best(const EnginePool *pool, bool by_coverage);

/*
 * Round robin: the component whose turn it is among the usable ones (NULL =
 * all); moves the candidate's pointer.
 */
extern int	gepa_engine_pool_next_component(EnginePool *pool, int candidate,
											const bool *usable);

/* Candidate with these texts, -1 if none. */
extern int	gepa_engine_pool_find(const EnginePool *pool, const char *const *texts);

extern double gepa_engine_sum(const double *values, int n);
extern bool gepa_engine_accepts(EngineAcceptance acceptance, double before, double after);

/*
 * Which of n proposals go on: those accepted, of these all, the best or the
 * top_k by gain (ties in list order).  Returns how many; result in the order
 * in which they are to enter the pool.
 */
extern int	gepa_engine_keep(EngineKeep keep, int top_k, EngineAcceptance acceptance, int n,
							 const double *before, const double *after, int *result);

/* fronts.c: who is best on what */

typedef struct EngineFrontRow
{
	char	   *key;
	int			sample;			/* -1 in a table by objective */
	int			objective;		/* -1 in a table by sample */
	double		score;
	int			nmembers;
	int			allocated;
	int		   *members;		/* candidates, ascending */
} EngineFrontRow;

#define ENGINE_WORD_BITS 64
#define ENGINE_BIT_WORD(i) ((i) / ENGINE_WORD_BITS)
#define ENGINE_BIT_MASK(i) (UINT64CONST(1) << ((i) % ENGINE_WORD_BITS))

typedef struct EngineBitset
{
	int			nwords;
	uint64	   *words;
} EngineBitset;

/* Fronts of one kind, and the same turned round: a bit set per candidate. */
typedef struct EngineFrontTable
{
	int			nrows;
	int			allocated;
	EngineFrontRow *rows;		/* in insertion order */
	int			nbitsets;
	int			bitsets_allocated;
	EngineBitset *bitsets;		/* per candidate: the rows it is on */
} EngineFrontTable;

typedef struct EngineFronts
{
	EngineArena *arena;
	bool		ascending;		/* see ascending_order */
	EngineFrontier type;
	int			nval;
	int			nobjectives;
	int			objectives_allocated;
	char	  **objectives;		/* names, in order of first sight */
	EngineFrontTable by_sample; /* always kept */
	EngineFrontTable by_objective;	/* kept when objectives are told */
	EngineFrontTable by_pair;	/* cartesian only */
	int		   *row_of_sample;	/* in by_sample; -1 = none */
	int			pairs_allocated;
	int		   *row_of_pair;	/* [objective * nval + sample] in by_pair */
	int			row_of_objective_allocated;
	int		   *row_of_objective;
} EngineFronts;

/* Objective values of some samples, row by row; value NaN = not told. */
typedef struct EngineObjectives
{
	int			nobjectives;
	const char *const *names;
	const double *values;		/* row by row */
} EngineObjectives;

extern void gepa_engine_fronts_init(EngineFronts *fronts, EngineArena *arena,
									EngineFrontier type, int nval);

/* Enter the next candidate (numbers ascend). */
extern void gepa_engine_fronts_add(EngineFronts *fronts, int candidate, int nsamples,
								   const int *samples, const double *scores,
								   const EngineObjectives *objectives);

/*
 * Default mode: one more score, in any order of candidates.  For those who look
 * in: such a frontier does not select.
 */
extern void gepa_engine_fronts_see(EngineFronts *fronts, int candidate, int sample,
								   double score);

/* Mean of an objective over the rows that have it; NaN if none has. */
extern double gepa_engine_objective_mean(const EngineObjectives *objectives, int objective,
										 int nsamples);

/* Number of an objective; a new name gets the next one. */
extern int	gepa_engine_find_objective(EngineFronts *fronts, const char *name);

extern int	gepa_engine_fronts_count(const EngineFronts *fronts);
extern const EngineFrontRow *gepa_engine_fronts_row(const EngineFronts *fronts, int index);

/* The tables that make up the frontier, in order; returns how many. */
extern int	gepa_engine_front_tables(const EngineFronts *fronts,
									 const EngineFrontTable *tables[2]);

/* reduce.c */

/*
 * The candidates that are left when redundant ones are removed, in the order
 * in which walking the reduced fronts meets them, with the number of fronts
 * each is on.  restrict_to (may be NULL): the candidates that count at all.
 * Arrays of ncandidates elements are filled; returns how many.
 */
extern int	gepa_engine_survivors(const EngineFronts *fronts, int ncandidates,
								  const double *means, const EngineSet *restrict_to,
								  int *survivors, int *frequency);

/* select.c: parents */

/* top_k and epsilon as in EngineConfig. */
extern int	gepa_engine_select_parent(EngineRandom *random, const EnginePool *pool,
									  const EngineFronts *fronts,
									  EngineSelection selection, double epsilon, int top_k);

/* merge.c: crossover of two candidates */

typedef struct EngineMerges
{
	EngineArena *arena;
	int			overlap_floor;	/* merge_overlap */
	bool		zero_mean_merge;
	int			ntriples;
	int			triples_allocated;
	int			(*triples)[3];	/* i, j, ancestor that were merged */
	int			ndescriptions;
	int			descriptions_allocated;
	int		  **descriptions;	/* i, j, then per component its source */
} EngineMerges;

typedef struct EngineMerge
{
	int			i;
	int			j;
	int			ancestor;
	const char **texts;			/* per component */
} EngineMerge;

typedef enum EngineMergeResult
{
	ENGINE_MERGE_NONE,
	ENGINE_MERGE_BUILT,
	ENGINE_MERGE_ZERO_WEIGHT	/* only without zero_mean_merge */
} EngineMergeResult;

extern void gepa_engine_merges_init(EngineMerges *merges, EngineArena *arena,
									int overlap_floor, bool zero_mean_merge);

/* Exactly one of two descendants changed some component? */
extern bool gepa_engine_merge_desirable(int ncomponents, const char *const *ancestor,
										const char *const *i, const char *const *j);

/* Those of n common ancestors (ascending) that may serve; returns how many. */
extern int	gepa_engine_filter_ancestors(const EngineMerges *merges, const EnginePool *pool,
										 int i, int j, const int *common, int n, int *result);

/* Search a pair among the n candidates given and build their child. */
extern EngineMergeResult gepa_engine_find_merge(EngineMerges *merges, EngineRandom *random,
												const EnginePool *pool, const int *candidates,
												int n, EngineMerge *merge);

/* Remember that the triple was merged. */
extern void gepa_engine_merge_done(EngineMerges *merges, const EngineMerge *merge);

/*
 * Validation samples on which the child of i and j is tried: up to size of
 * them into result; returns how many.
 */
extern int	gepa_engine_merge_subsample(EngineRandom *random, const EnginePool *pool,
										int i, int j, int size, int *result);

extern bool gepa_engine_merge_accepts(double sum_i, double sum_j, double sum_child);

#endif							/* GEPA_ENGINE_POOL_H */
