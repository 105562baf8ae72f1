/*-------------------------------------------------------------------------
 *
 * store_journal.h
 *	  What a run worker records and reads back: a part of the door of src/store,
 *	  which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_JOURNAL_H
#define GEPA_STORE_STORE_JOURNAL_H

/* journal.c */

typedef struct StoreRollout
{
	int			step;
	int			slot;
	int			proposal;
	StoreSplit	split;
	int			sample;
	double		score;			/* by the metric; NaN = says nothing */
	char	   *feedback;
	JudgeVerdict verdict;
	bool		stored;			/* its row is there; what graders said is put
								 * into it */
	bool		ungraded;		/* they have not all answered yet */
	char	   *objectives;		/* JSON object, name -> score; NULL = none */
	char	   *graders;		/* JSON array of what each said; NULL = none */
	char	   *trace;			/* JSON of what led to the output; or NULL */
	int			grader_calls;
	int			grader_input_tokens;
	int			grader_output_tokens;
	double		grader_cost;
} StoreRollout;

typedef struct StoreStep
{
	int			seq;
	int			step;
	bool		reflect;		/* else evaluate */
	bool		seed;			/* reflect: it writes a text of the seed, and
								 * step is below 0 */
	char	   *new_text;		/* reflect */
	char	   *prompt;
	char	   *answer;
	char	   *detail;			/* reflect: why there is no text; evaluate:
								 * the limit that the rest did not come for,
								 * NULL = all did */
	int			calls;			/* reflect, as the following; without those
								 * that are recorded apart */
	int			input_tokens;
	int			output_tokens;
	double		cost;
} StoreStep;

typedef struct StoreProposal
{
	int			proposal;
	int			iteration;
	int			nparents;
	int			parents[2];
	char	   *component;		/* NULL = several or none */
	char	   *components;		/* JSON object text: name -> text */
	int			reflect_step;	/* -1 = none */
	int			candidate;		/* -1 = not in the pool */
	int			decided;		/* -1 undecided, 0 rejected, 1 accepted */
	char	   *reason;
	double		parent_sum;
	double		child_sum;
	double		score;			/* accepted: mean on validation, or estimate */
	int			rollouts_at_discovery;
} StoreProposal;

/*
 * Rollouts: inserted as they finish; a (step, slot) already there is kept, unless it is
 * marked as stored: then its grades are put into the row.
 * seconds are added to the run's time at work; lost are calls that made none.
 */
extern void gepa_store_insert_rollouts(int run, const StoreRollout *rollouts, int n,
									   const StoreLost *lost, double seconds);

/* Scores of a step's rollouts, by slot, where they are known only at its end. */
extern void gepa_store_put_scores(int run, int step, const double *scores, int n);

/* Rollouts of a step in order of slot; may be fewer than the step has. */
extern StoreRollout *gepa_store_get_rollouts(int run, const JudgeSpec *spec, int step, int *n);

/* Those named, in their order; *n says how many, and then how many are there. */
extern StoreRollout *gepa_store_get_records(int run, const JudgeSpec *spec,
											const EngineRecord *records, int *n);

/* Append a step to the journal. */
extern void gepa_store_insert_step(int run, const StoreStep *step);
extern StoreStep *gepa_store_get_steps(int run, int *n);	/* by seq; not of the
															 * seed */

/* Insert or replace by number. */
extern void gepa_store_put_proposal(int run, const StoreProposal *proposal);
extern StoreProposal *gepa_store_get_candidate(int run, int candidate);
extern StoreProposal *gepa_store_get_proposals(int run, int *n);	/* by number */

typedef struct StoreFront
{
	char	   *key;
	double		score;
	int			ncandidates;
	int		   *candidates;
} StoreFront;

/* Replace the frontier of a run; writes only the rows that differ. */
extern void gepa_store_put_frontier(int run, const StoreFront *fronts, int n);
extern StoreFront *gepa_store_get_frontier(int run, int *n);

/* texts.c */

/*
 * What the reflection LM wrote for a component of the seed, of so many; NULL = nothing
 * yet.  Attempts of its that came to nothing are in the journal, too.
 */
extern char *gepa_store_get_seed_text(int run, int component, int ncomponents);

/* The next entry of that kind gets its numbers. */
extern void gepa_store_number_seed_step(int run, int component, int ncomponents,
										StoreStep *step);

/* How many such entries there are: the engine's come behind them. */
extern int	gepa_store_count_seed_steps(int run);

#endif							/* GEPA_STORE_STORE_JOURNAL_H */
