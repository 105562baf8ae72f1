/*-------------------------------------------------------------------------
 *
 * store_decision.h
 *	  What a run decides by comparing candidates, what a candidate is chosen by,
 *	  and how far the run is.
 *
 * Part of the door; store.h includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_DECISION_H
#define GEPA_STORE_STORE_DECISION_H

/* decisions.c */

/* A row of gepa.decision. */
typedef struct StoreDecision
{
	int			decision;		/* from 0 */
	int			iteration;
	const EngineDecision *what;
	char	  **samples;		/* keys of what->samples */
	const char *reason;			/* NULL = none */
} StoreDecision;

/* Insert; one that is there already is kept. */
extern void gepa_store_put_decision(int run, const StoreDecision *decision);

/* Is it recorded just so?  And how many are. */
extern bool gepa_store_has_decision(int run, const StoreDecision *decision);
extern int	gepa_store_count_decisions(int run);

/* Scores of candidates 0 .. n-1; NaN = none.  Writes only the rows that differ. */
extern void gepa_store_put_candidate_scores(int run, const double *scores, int n);

/* The comparison of winner and seed on samples that chose nothing. */
extern void gepa_store_put_held_out(int run, const EngineHeldOut *held_out);

/*
 * What a candidate was chosen by: the latest rollout on each sample, of
 * validation, in default mode of training too, without those that were held
 * out and those that have no score.
 */
extern JudgeOutcome *gepa_store_candidate_outcomes(int run, const JudgeSpec *spec,
												   int candidate, int *n);

/* journal.c */

/* Progress figures of a run, taken from the engine. */
typedef struct StoreProgress
{
	int			iteration;
	int			rollouts;
	int			rounds;
	const char *phase;			/* NULL in reference mode */
	int			best_candidate; /* -1 = none yet */
	double		best_score;
	double		seconds;		/* at work since the last call */
} StoreProgress;

extern StoreSpent gepa_store_put_progress(int run, const StoreProgress *progress);

#endif							/* GEPA_STORE_STORE_DECISION_H */
