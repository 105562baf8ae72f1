/*-------------------------------------------------------------------------
 *
 * engine_policy.h
 *	  The default mode: what the rollouts say (score model), what candidates are
 *	  made of (lines), and what is worth a rollout next (policy).
 *
 * Internal to src/engine.  Sources and formulae: docs/engine.md.  The first two
 * parts know nothing of an engine.
 *
 * Items: the labelled samples of a run under one number, training samples first,
 * then validation samples.  Candidates have their number in the pool; a text is
 * a candidate from the moment it is evaluated, 0 is the seed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_POLICY_H
#define GEPA_ENGINE_POLICY_H

#include "engine/engine_parts.h"

/*
 * lines.c: what candidates are made of.  A line is a trimmed line of a component
 * that is not empty, inner blanks collapsed, without the mark of a point; of a paragraph,
 * a sentence (pieces.c); of a component of examples, one number.
 * A line is known by its component and this text; those of the seed have no number,
 * but examples have.
 */
#define ENGINE_MAX_LINES 2000	/* numbered; see lines.c */

typedef struct EngineLine
{
	int			component;
	const char *text;			/* collapsed, without a mark */
	const char *original;		/* as it was first written, but for blanks at
								 * the end */
	int			source;			/* candidate that had it first */
	int			ancestor;		/* the line it was derived from; -1 = none */
	double		words;			/* in text; of an example 0 */
	bool		is_protected;	/* a heading: never dropped */
} EngineLine;

typedef struct EngineLines
{
	EngineArena *arena;
	const EngineConfig *config;
	int			nlines;
	int			allocated;
	EngineLine *lines;
	int			ncandidates;
	int			candidates_allocated;
	struct EngineComposition *compositions; /* by candidate */
	int64		seed_words;

	/* Lines that have no number are known as well; found by hash. */
	int			nknown;
	int			known_allocated;
	struct EngineKnownLine *known;
	int			table_size;		/* a power of two */
	int		   *table;
} EngineLines;

/* What one candidate consists of, beside lines of the seed. */
typedef struct EngineComposition
{
	const char *const *texts;
	int			nlines;
	const int  *lines;			/* ascending, distinct */
	int			neffects;
	const int  *effects;		/* the same with all their ancestors,
								 * ascending */
	double		length;			/* hundreds of words beyond the seed's, all
								 * components; may be negative */
} EngineComposition;

extern void gepa_engine_lines_init(EngineLines *lines, EngineArena *arena,
								   const EngineConfig *config);

/*
 * Read the next candidate; parent is -1 for the seed.  New lines are numbered
 * in order of first sight and get their ancestors (edits against the parent).
 * The texts must live as long as lines.
 */
extern void gepa_engine_lines_add(EngineLines *lines, const char *const *texts, int parent);

/* A change of a candidate's text by one line. */
typedef struct EngineEdit
{
	int			line;
	bool		drop;			/* else it is added */
} EngineEdit;

/*
 * The candidate's texts with the edits applied, allocated in the arena of lines.
 * Edits that do not apply (nothing to drop, there already) are passed over; NULL when
 * none of them changes anything.  What is a known candidate but for blanks has the texts
 * of that one.
 */
extern const char *const *gepa_engine_lines_edit(EngineLines *lines, int candidate,
												 const EngineEdit *edits, int nedits);

/*
 * model.c: the model of the score matrix.
 *
 * logit P(score = 1) of candidate c on item i =
 *		b0 + effects of its lines + u_c + lambda length_c + a_i
 */
typedef struct EngineCell
{
	int			candidate;
	double		score;			/* 0 .. 1 */
} EngineCell;

typedef struct EngineModel
{
	EngineArena *arena;
	const EnginePolicy *policy;
	int			nitems;
	int		   *ncells;			/* by item */
	int		   *cells_allocated;
	EngineCell **cells;			/* by item, in ascending order of candidates */
	int			ncounted;		/* candidates up to the last with rollouts */
	int			counts_allocated;
	int		   *counts;			/* rollouts, by candidate */

	/* The last fit; before the first what is known beforehand */
	bool		fitted;
	int			nlines;			/* ... with so many lines and candidates */
	int			ncandidates;
	int			columns_allocated;
	int		   *columns;		/* by candidate; -1 = none of its own */
	int			dimension;		/* columns: b0, lambda, lines, candidates */
	int			dimension_allocated;
	double	   *mean;			/* of these, MAP */

	/*
	 * What it solved for: b0, lambda, and an axis for each candidate (axes.c)
	 */
	int			naxes;			/* candidates with rollouts */
	int			axes_allocated;
	int		   *axes;			/* the candidates, in the order of fits */
	double	   *basis;			/* Cholesky factor of their prior covariance */
	double	   *position;		/* b0, lambda, and on the axes, MAP */
	double	   *factor;			/* Cholesky factor of the precision */
	double		dispersion;		/* variance of scores, as a share of p (1 - p) */
	double	   *easiness;		/* a_i and its variance, by item */
	double	   *variance;
} EngineModel;

extern void gepa_engine_model_init(EngineModel *model, EngineArena *arena,
								   const EnginePolicy *policy, int nitems);

/*
 * One rollout; false, and nothing is added, when there is one of this candidate on this
 * item already or the score is not a number.
 */
extern bool gepa_engine_model_add(EngineModel *model, int candidate, int item, double score);
extern bool gepa_engine_model_score(const EngineModel *model, int candidate, int item,
									double *score);
extern int	gepa_engine_model_count(const EngineModel *model, int candidate);

/* Is any score neither 0 nor 1?  In dispersion.c. */
extern bool gepa_engine_has_graded(const EngineModel *model);

/* Newton steps from the last estimates; the same cells give the same bits. */
extern void gepa_engine_model_fit(EngineModel *model, const EngineLines *lines);

/* On the logit scale, without easiness; of a candidate without rollouts too. */
extern double gepa_engine_model_theta(const EngineModel *model, const EngineLines *lines,
									  int candidate);

/*
 * Expected score on an item of a candidate with this theta, the easiness that is not
 * known integrated out: sigmoid((theta + a_i) / sqrt(1 + 0.35 v_i)).
 */
extern double gepa_engine_model_chance(const EngineModel *model, double theta, int item);

/* Its mean over the items in use (used[i]; NULL = all); NaN when there are none. */
extern double gepa_engine_model_accuracy(const EngineModel *model, const EngineLines *lines,
										 int candidate, const bool *used);

/* Posterior standard deviation of theta of a candidate less that of another (-1: of it alone). */
extern double gepa_engine_model_sd(const EngineModel *model, const EngineLines *lines,
								   int candidate, int other);

/*
 * A draw from the posterior whose deviations are scaled: effect of each line with its
 * ancestors into effects (lines->nlines values, of those unknown to the fit a draw
 * from their prior), and that of a hundred words.
 */
extern void gepa_engine_model_draw(const EngineModel *model, const EngineLines *lines,
								   EngineRandom *random, double scale, double *effects,
								   double *length_effect);

/*
 * cholesky.c: symmetric matrices, of which the lower triangle is stored row by row,
 * row i from ENGINE_TRIANGLE(i) on.
 */
#define ENGINE_TRIANGLE(i) ((Size) (i) * ((Size) (i) + 1) / 2)

/* a = L L', in place; pivots are at least 1e-12. */
extern void gepa_engine_cholesky(double *a, int n);

/*
 * L x = b and L' x = b; b becomes x.  Where a pivot is 0 (and all below it) the equation is
 * passed over and x is 0.
 */
extern void gepa_engine_cholesky_forward(const double *factor, int n, double *b);
extern void gepa_engine_cholesky_backward(const double *factor, int n, double *b);

/* recombine.c: a text from lines that are known, without a call */

/*
 * The incumbent's texts after up to max_changes edits, chosen by a draw from
 * the posterior; NULL when no edit is worth making.
 */
extern const char *const *gepa_engine_recombine(EngineLines *lines, const EngineModel *model,
												EngineRandom *random,
												const EnginePolicy *policy, int incumbent);

/* window.c: which items are worth a rollout; which rollouts are worth showing */

typedef struct EngineItems
{
	int			nitems;
	bool	   *used;			/* false: held out for the report */
	const int  *classes;		/* expected label, -1 = none; NULL = no strata */
	int			nclasses;
	int		   *windows;		/* times in a window */
	int		   *records;		/* times in records */
} EngineItems;

/*
 * Draw up to size distinct items in use, weighted by what a rollout of the incumbent's
 * children there is expected to tell (weights NULL = alike), label by label; returns how many.
 */
extern int	gepa_engine_draw_window(EngineItems *items, EngineRandom *random,
									const double *weights, int size, int *result);
extern void gepa_engine_window_weights(const EngineItems *items, const EngineModel *model,
									   const EngineLines *lines, const EnginePolicy *policy,
									   int incumbent, int64 rollouts, double *weights);

/*
 * Items of the incumbent's rollouts to reflect on, failures first; in the order
 * in which they are to be shown.  Returns how many.
 */
extern int	gepa_engine_choose_records(EngineItems *items, const EngineModel *model,
									   EngineRandom *random, const EnginePolicy *policy,
									   int incumbent, int *result);

/*
 * heldout.c: means and a paired difference with its interval, from scores of two
 * candidates on the same samples; fills all but candidate and search_score.
 */
extern void gepa_engine_pair(const double *before, const double *after, int n,
							 EngineHeldOut *held_out);

#endif							/* GEPA_ENGINE_POLICY_H */
