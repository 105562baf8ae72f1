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

/* Which of them are wanted. */
typedef struct StoreTriedFilter
{
	int			run;
	const char *component;		/* that they changed */
	int			iteration;		/* before which they were made */
	int			parent;			/* whose children come first */
	bool		lost;			/* candidates too, that were no better than
								 * their parents, but for those in lineage */
	int			nlineage;
	const int  *lineage;
	int			most;
} StoreTriedFilter;

/* The last of those that were run and are wanted, in the order of their numbers. */
extern StoreTried *gepa_store_get_tried(const StoreTriedFilter *filter, int *n);

#endif							/* GEPA_STORE_STORE_REFLECTION_H */
