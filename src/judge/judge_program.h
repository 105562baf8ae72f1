/*-------------------------------------------------------------------------
 *
 * judge_program.h
 *	  Programs of several steps: a part of the door of src/judge, which
 *	  includes it.
 *
 * The last step of a judge is its own prompt, which yields the verdict.  Before
 * it there may be others, asked one after the other: each is shown fields of the
 * document and outputs of steps before it, and answers with outputs of its own.
 * A judge without them is called simple.  docs/programs.md has the picture.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_JUDGE_JUDGE_PROGRAM_H
#define GEPA_JUDGE_JUDGE_PROGRAM_H

#define JUDGE_MAX_STEPS 16

/* A step before the last; its prompt is the component of its name. */
typedef struct JudgeStep
{
	char	   *name;
	int			ninputs;
	char	  **inputs;			/* what it is shown: fields of the document,
								 * outputs of steps before it */
	int			noutputs;
	char	  **outputs;		/* their names, distinct among all steps */
	char	  **schemas;		/* of each, JSON text */
	char	   *lm;				/* the server that answers; NULL = the judge's */
	char	   *lm_identity;	/* gepa_lm_identity() of lm; NULL without one */
} JudgeStep;

struct JudgeDocument;
struct JudgeSpec;
struct JudgeVerdict;

/*
 * The LMs of a program, as one user has them.  Steps on one server share one
 * LmServer, which is lm where that is the judge's own.
 */
typedef struct JudgeServers
{
	LmServer   *lm;				/* of the verdict, and of steps that name none */
	int			nsteps;
	LmServer  **steps;			/* of each step, never NULL */
	int			votes;			/* calls on lm for a verdict, at most; 0 = one */
} JudgeServers;

/* servers.c */

/*
 * Resolve all LMs of a program, lm being the name of the judge's own: raises what
 * gepa_lm_resolve() does.  Needs a transaction; lives in the current context.
 */
extern JudgeServers *gepa_judge_resolve(const struct JudgeSpec *spec, const char *lm,
										Oid userid);
extern void gepa_judge_free_servers(JudgeServers *servers);

/*
 * The same without keys, to be told of and not to be called; NULL where the user may
 * not use all of them.  Plain data in the current context.
 */
extern JudgeServers *gepa_judge_describe(const struct JudgeSpec *spec, const char *lm,
										 Oid userid);

/* Raise what gepa_judge_resolve() would, but for what is wrong with a key. */
extern void gepa_judge_check_usage(const struct JudgeSpec *spec, const char *lm, Oid userid);

/*
 * What all LMs of a program together make of a document.  Its tokens are taken to be
 * spread evenly over its calls.
 */
typedef struct JudgePace
{
	int			calls;			/* that a document takes, with all its votes */
	double		input_price;	/* per million tokens, of all its calls */
	double		output_price;
	double		places;			/* calls at a time, when the LM that is the
								 * most in demand has no place free */
	double		documents_per_minute;	/* by rate limits; 0 = no such limit */
	double		tokens_per_minute;
} JudgePace;

extern JudgePace gepa_judge_pace(const JudgeServers *servers);

/*
 * Set the identities of a spec by what its LMs are now; raises 22023 where the judge's
 * own cannot do what the spec asks of it.
 */
extern void gepa_judge_identify(struct JudgeSpec *spec, const JudgeServers *servers);

/*
 * The first LM of a program whose settings are not those of the spec; NULL = all are.
 * *expected is what the spec has, *found what the LM has.
 */
extern const LmServer *gepa_judge_find_mismatch(const struct JudgeSpec *spec,
												const JudgeServers *servers,
												const char **expected, char **found);

/* The LM that a verdict that is not ok did not come from. */
extern const LmServer *gepa_judge_failed_lm(const JudgeServers *servers,
											const struct JudgeVerdict *verdict);

/* Calls that all LMs of a program take at a time, each counted once. */
extern int	gepa_judge_places(const JudgeServers *servers);

/* No document takes longer once its first call is sent. */
extern int64 gepa_judge_longest_ms(const JudgeServers *servers);

/* How long one of the endpoints wants to be left alone: gepa_lm_hold_ms() */
extern long gepa_judge_hold_ms(const JudgeServers *servers);

/* course.c */

/* The step of that name, -1 if none; the number of the component that has its prompt. */
extern int	gepa_judge_find_step(const struct JudgeSpec *spec, const char *name);
extern int	gepa_judge_step_component(const struct JudgeSpec *spec, int step);

/* step_record.c: by the trace of a verdict, for reflection on a component */

/*
 * What a step (nsteps: the verdict) was shown of a document, cut and fenced, as far as
 * it came; its images are added to images, and have placeholders with their numbers.
 * And what a step put out, NULL if it was not reached or has failed.
 */
extern char *gepa_judge_render_inputs(const struct JudgeSpec *spec, int step,
									  const struct JudgeDocument *document, const char *trace,
									  struct JudgeImages *images);
extern char *gepa_judge_render_outputs(const struct JudgeSpec *spec, int step,
									   const struct JudgeDocument *document, const char *trace);

/* Why a step has no outputs, and its raw answer if any; NULL = it was not reached. */
extern const char *gepa_judge_traced_failure(const struct JudgeSpec *spec, int step,
											 const char *trace, const char **answer);

/* The default reflection template for prompts of steps; as that for instructions. */
extern char *gepa_judge_step_template(const struct JudgeSpec *spec, int step);

#endif							/* GEPA_JUDGE_JUDGE_PROGRAM_H */
