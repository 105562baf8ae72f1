/*-------------------------------------------------------------------------
 *
 * store_reflection.h
 *	  Calls of a reflection before its last, and what a reflection is told of
 *	  earlier proposals: a part of the door of src/store, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_REFLECTION_H
#define GEPA_STORE_STORE_REFLECTION_H

/* reflections.c */

/* An answer that is not the last of its reflection, which is in the journal. */
typedef struct StoreReflectionCall
{
	int			step;
	int			part;			/* group of records, or after them all groups
								 * together */
	int			attempt;		/* from 1 */
	int			nrecords;		/* of the step's records those that it was
								 * shown */
	int		   *records;		/* ... their places, from 1 */
	char	   *prompt;
	char	   *answer;
	char	   *new_text;		/* NULL = of no use */
	char	   *detail;			/* ... why */
	int			calls;
	int			input_tokens;
	int			output_tokens;
	double		cost;
} StoreReflectionCall;

/* Recorded and booked as they come in; the step's entry in the journal has them in its sums. */
extern void gepa_store_insert_reflection_call(int run, const StoreReflectionCall *call);

/* Those of a step, by part and attempt, without prompt and figures. */
extern StoreReflectionCall *gepa_store_get_reflection_calls(int run, int step, int *n);

/* A proposal that came to nothing. */
typedef struct StoreTried
{
	char	   *text;			/* of the component */
	char	   *parent_text;
	bool		accepted;		/* default mode: it was a candidate, and lost */
	char	   *reason;
	double		parent_sum;
	double		child_sum;
} StoreTried;

/*
 * Up to most of the last proposals before an iteration that changed a component, were run
 * and came to nothing: rejected, or (lost) not among the candidates in lineage; children
 * of the parent before others.  In the order of their numbers.
 */
extern StoreTried *gepa_store_get_tried(int run, const char *component, int iteration,
										int parent, bool lost, int nlineage,
										const int *lineage, int most, int *n);

#endif							/* GEPA_STORE_STORE_REFLECTION_H */
