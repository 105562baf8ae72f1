/*-------------------------------------------------------------------------
 *
 * worker_internal.h
 *	  What the files of src/worker share among themselves.
 *
 * The first part is frontend safe, for the unit program of split.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_INTERNAL_H
#define GEPA_WORKER_WORKER_INTERNAL_H

/* split.c */

#define WORKER_DIGEST_LENGTH 32
#define WORKER_NSPLITS 3		/* train, val, test, as in StoreSplit */

/* One sample; the caller gives them in order of their keys. */
typedef struct WorkerSplitItem
{
	const char *key;
	const char *group;			/* NULL = its own */
	const char *label;
	const uint8 *digest;		/* of the document */
	int			given;			/* split that the dataset says, -1 = none */
	bool		pinned;			/* an example of the seed: to train */
	int			split;			/* result */
	int			number;			/* result: within its split */
} WorkerSplitItem;

typedef struct WorkerSplitReport
{
	int			copies;			/* samples whose document came before */
	int			moved;			/* ... or that is pinned: not where they were
								 * given */
	int			conflicting;	/* documents with more than one label */
} WorkerSplitReport;

/*
 * Assign every sample to a split.  Where splits are given they hold, but
 * copies of one document follow train before val before test.  Else groups
 * (and copies of a document, which tie groups together) are drawn by a hash
 * of seed and key, label by label, in the given shares; a share of 0 leaves
 * its split empty.  False when there is no SHA-256 to be had; in the backend
 * it needs a resource owner.
 */
extern bool gepa_worker_split(WorkerSplitItem *items, int n,
							  const double shares[WORKER_NSPLITS], int64 seed,
							  WorkerSplitReport *report);

/*
 * Which samples belong together, by group or as copies of one document: of each, the
 * number of the first of them.  Reads groups and digests only.
 */
extern int *gepa_worker_split_units(const WorkerSplitItem *items, int n);

#ifndef FRONTEND

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "postmaster/bgworker.h"

#include "engine/engine.h"
#include "judge/judge.h"
#include "store/store.h"
#include "worker/worker.h"
#include "worker/worker_options.h"
#include "worker/worker_slots.h"

/* requests.c */

extern void gepa_worker_requests_init(void);	/* at load */

/* run.c: how a worker takes an ERROR */

/* The text of an error as a reason in a row. */
extern char *gepa_worker_reason_text(const ErrorData *edata);

/* Errors that another worker may not meet. */
extern bool gepa_worker_is_passing(int sqlerrcode);

/* start.c: a digest of the dataset's labelled samples as they are now. */
extern void gepa_worker_digest_samples(const WorkerStartRequest *request, uint8 *digest);

/* process.c: what all workers do alike */

/* Signal handlers; then connect, as the bootstrap superuser if InvalidOid. */
extern void gepa_worker_setup_signals(void);
extern void gepa_worker_connect(Oid database, Oid role, bool can_login);

/*
 * A worker with a slot comes up: it takes the slot over and connects, as the
 * owner.  Where the owner was dropped, or (unless owner_only) is shut out, it is
 * the bootstrap superuser, and may do nothing but say so.  False when the slot
 * is not its own any more.
 */
extern bool gepa_worker_come_up(WorkerArgs *args, bool owner_only, const char *what);

/*
 * Why it came up as somebody else, as a reason in the row; NULL when it is the
 * owner.  In a transaction; resume is the function that lets it go on.
 */
extern char *gepa_worker_why_not_owner(const WorkerArgs *args, const char *what,
									   const char *resume);

/* May a role log in?  *exists (may be NULL) says whether there is one. */
extern bool gepa_worker_can_login(Oid role, bool *exists);

/* Register a dynamic worker; false when there is no room for it. */
extern bool gepa_worker_register(const char *function, const char *name, const char *type,
								 const void *extra, Size length,
								 BackgroundWorkerHandle **handle);

/* Transactions of a worker; the given context is current afterwards. */
extern void gepa_worker_begin(MemoryContext context);
extern void gepa_worker_commit(MemoryContext context);
extern void gepa_worker_abort(MemoryContext context);

/* In a PG_CATCH block: abort the transaction; its error, in that context. */
extern ErrorData *gepa_worker_take_error(MemoryContext context);

/* Is it that somebody's open transaction has a lock?  Then it passes soon. */
extern bool gepa_worker_is_blocked(const ErrorData *error);

/* The pause after so many failures in a row: 1 s, 2 s, ... at most the longest. */
extern int	gepa_worker_backoff_ms(int failures, int longest_ms);

/* Reread the configuration file if asked to. */
extern void gepa_worker_reload(void);

/* tend.c: now and then, outside a transaction; raises nothing */
extern void gepa_worker_tend_partitions(MemoryContext context);

/* runstate.c: a run at work */

typedef struct WorkerRun
{
	MemoryContext context;		/* as long as the worker */
	MemoryContext step_context; /* reset after every step */
	StoreRun   *row;
	WorkerRunOptions options;
	JudgeSpec  *seed;			/* the program that is tuned */
	int			ntuned;			/* components the engine knows of */
	int		   *tuned;			/* ... and where they are in the program */
	int			nsamples[STORE_NSPLITS];	/* test ones only if the engine
											 * may use them */
	StoreSample *samples[STORE_NSPLITS];
	int		   *sample_labels[STORE_SPLIT_TEST];	/* numbers of labels */
	int		   *sample_units;	/* of training, then validation samples */
	int			nexamples;		/* numbers that stand for examples */
	char	  **examples;		/* JSON text per number, NULL = not yet made */
	int		   *example_class;	/* label of each */
	const char *seed_examples;	/* the seed's list of numbers; NULL = none */
	struct ApplyAsked *asked_graders;	/* NULL = nothing yet */
	int			nobjectives;	/* seen so far, other than labels */
	char	  **objective_names;
	int			nvalidate;		/* validation samples in use, if not all */
	int		   *validate;
	Engine	   *engine;			/* NULL while its seed is not written */
	int			nasked;			/* steps that the engine asked for and was */
	int			asked_allocated;	/* not told of */
	EngineStep *asked;
	List	   *works;			/* of those, what is being carried out:
								 * works.c */
	LmAccount	account;		/* what it may spend */
	LmBudget   *budget;			/* that its calls are charged to */
	const char *exhausted;		/* the limit that lets it send nothing more */
	int			seq;			/* next number in the journal */
	int			ndecisions;		/* ... and of decisions */
	bool		told_held_out;	/* the row has the held-out figures */
	int			nunsettled;		/* evaluations whose calls have not all ended */
	List	   *answered;		/* proposals that the LM took some sample of */
	bool		taken_any;		/* ... or of a step still at work */
	int			rejections;		/* ... and what it rejected of these since */
	TimestampTz counted_until;	/* what time was last added to its seconds */
} WorkerRun;

/*
 * Begin a transaction about this run; raises 42704 if it was dropped, though
 * another of its number may be there.
 */
extern void gepa_worker_enter(const WorkerRun *run, MemoryContext context);

/* Can texts be changed, by an LM or by a function? */
extern bool gepa_worker_can_reflect(const char *reflection_lm, const WorkerRunOptions *options);

/*
 * seeds.c: templates and seeds of the options may only name texts of the program; raises
 * 22023.  Option seed_from becomes one of the seeds, of a judge that the role owns.  Give
 * the engine a run's further seeds.
 */
extern void gepa_worker_check_named(const JudgeSpec *program, const WorkerRunOptions *options);
extern void gepa_worker_take_seed_from(const JudgeSpec *program, WorkerRunOptions *options,
									   Oid userid);
extern void gepa_worker_fill_seeds(const WorkerRun *run, EngineConfig *config);

/*
 * The program that a run tunes: the version's, with an empty component of
 * examples where the run adds one.  Raises 22023 when nothing can be tuned.
 */
extern JudgeSpec *gepa_worker_program(const JudgeSpec *version,
									  const WorkerRunOptions *options,
									  bool can_reflect, char *lm_identity);

/*
 * A run with an engine that was told nothing yet.  Needs a transaction; lives
 * in the current context.
 */
extern WorkerRun *gepa_worker_prepare_run(StoreRun *row);

/*
 * start.c: give samples their splits and numbers; pinned says which are examples of the seed
 * (NULL = none).  Make training and validation set one: those in either come
 * back twice.
 */
extern void gepa_worker_place_samples(StoreSample *samples, int n, const bool *pinned,
									  const WorkerRunOptions *options,
									  WorkerSplitReport *report);
extern StoreSample *gepa_worker_share_samples(const StoreSample *samples, int *n);

/* Say what was found worth saying, and return it as a JSON array. */
extern char *gepa_worker_write_notes(List *notes);

/*
 * objectives.c: tell the engine the scores of a step, and what objectives its rollouts
 * bring: JSON objects by slot, NULL where there is none.  Where none has any and the
 * frontier wants some they are the labels.
 */
extern bool gepa_worker_observe_scores(WorkerRun *run, const EngineStep *step,
									   const double *scores, const char *const *objectives);

/* The same of a step whose rest will not come, by its rollouts that are in the table. */
extern bool gepa_worker_observe_part(WorkerRun *run, const EngineStep *step);

/*
 * Tell the engine a journal entry; false when it had asked something else.
 * Entries stand in the order of observation, not of asking.
 */
extern bool gepa_worker_tell(WorkerRun *run, const StoreStep *entry);

/* The set that the samples of a step are in. */
extern StoreSplit gepa_worker_split_of(const EngineStep *step);

/* Note a step that the engine asks for, or that it was told of. */
extern void gepa_worker_add_asked(WorkerRun *run, const EngineStep *step);
extern void gepa_worker_drop_asked(WorkerRun *run, int step);

/* The same, with the engine brought to where the journal ends. */
extern WorkerRun *gepa_worker_load_run(StoreRun *row);

/*
 * spend.c: open its budget; needs a transaction.  A call was denied: is the run
 * exhausted?  Else it is a day's budget that is used up.
 */
extern void gepa_worker_open_budget(WorkerRun *run);
extern bool gepa_worker_note_denial(WorkerRun *run);

/* examples.c */

/* Number the examples: training samples, then what only the seed has. */
extern void gepa_worker_number_examples(WorkerRun *run);

/* The program with a step's texts; allocated in the current context. */
extern JudgeSpec *gepa_worker_candidate(WorkerRun *run, const char *const *texts);

/* Images that records have placeholders for: those of record i from first[i] on. */
typedef struct WorkerPictures
{
	JudgeImages images;
	int		   *first;			/* one more than records */
} WorkerPictures;

/*
 * records.c: what a reflection is shown of the rollouts that a step names, nrecords of
 * them, in the current context.  Needs a transaction.
 */
extern EngineValue *gepa_worker_records(const WorkerRun *run, const EngineStep *step,
										WorkerPictures *pictures);

/* The template for the component of a step, where the run's options have none. */
extern const char *gepa_worker_default_template(const WorkerRun *run, const EngineStep *step);

/*
 * evaluate.c, reflect.c: a step being carried out.  Begun in a memory context
 * that lasts until its outcome is recorded, and current at each call here;
 * polled until true, which never waits, with no transaction open in between.
 * What ends the run is raised.  Closed, it sends nothing more, and rollouts that
 * have come in are saved; polled then, it is true if nothing is missing.
 */
typedef struct WorkerEvaluation WorkerEvaluation;
typedef struct WorkerReflection WorkerReflection;

extern WorkerEvaluation *gepa_worker_evaluation_begin(WorkerRun *run, const EngineStep *step);
extern bool gepa_worker_evaluation_poll(WorkerEvaluation *eval);
extern void gepa_worker_evaluation_close(WorkerEvaluation *eval);
extern int	gepa_worker_evaluation_wait_ms(const WorkerEvaluation *eval);
extern bool gepa_worker_evaluation_is_idle(const WorkerEvaluation *eval);
extern double *gepa_worker_evaluation_scores(const WorkerEvaluation *eval);

/* By slot as in gepa_worker_observe_scores(). */
extern const char **gepa_worker_evaluation_objectives(const WorkerEvaluation *eval);

/* Of one that is closed, and will not be done: what it has is as it will stay. */
extern void gepa_worker_evaluation_end(WorkerEvaluation *eval);

extern WorkerReflection *gepa_worker_reflection_begin(WorkerRun *run, const EngineStep *step,
													  StoreStep *entry);
extern bool gepa_worker_reflection_poll(WorkerReflection *reflection);
extern void gepa_worker_reflection_close(WorkerReflection *reflection);
extern int	gepa_worker_reflection_wait_ms(const WorkerReflection *reflection);
extern bool gepa_worker_reflection_is_idle(const WorkerReflection *reflection);

/*
 * The LMs of the run's program as they are now, into the current context; needs a
 * transaction.  Raises 55000 when the settings of one are no longer the run's.
 */
extern JudgeServers *gepa_worker_task_lms(const WorkerRun *run);

/* Note whether the LM took any of a step's rollouts, all of one proposal. */
extern void gepa_worker_note_step(WorkerRun *run, const StoreRollout *rollouts, int n);

/* Rounds of attempts at calls that the LM client itself has given up. */
#define WORKER_ROUNDS 3

/* A run that an endpoint wants to pause for longer than this fails. */
#define WORKER_LONGEST_HOLD_MS (60 * 60 * 1000)

/* How long a wait may last before it looks for a stop request. */
#define WORKER_SLICE_MS 200

/*
 * works.c: steps at work.  Begin whatever the engine asks for; false when it is
 * finished.  Record the first step that is done; false if none is.  Sleep until
 * something may have come in.  Close all: nothing further is sent, what has
 * come in is saved.  Drop what is left.  Of an exhausted run in default mode, record
 * what came in of all that is outstanding, so that the engine decides by it.
 */
extern bool gepa_worker_begin_works(WorkerRun *run);
extern bool gepa_worker_record_done(WorkerRun *run);
extern void gepa_worker_wait_works(const WorkerRun *run);
extern bool gepa_worker_works_are_idle(const WorkerRun *run);	/* no call is under way */
extern void gepa_worker_close_works(WorkerRun *run);
extern void gepa_worker_drop_works(WorkerRun *run);
extern void gepa_worker_record_parts(WorkerRun *run);

/*
 * record.c: the outcome of a step goes into journal, engine and tables in one
 * transaction.  An evaluation whose rest will not come has the reason in entry->detail, and
 * is told by the rollouts that are there.
 */
extern void gepa_worker_record(WorkerRun *run, const EngineStep *step, StoreStep *entry,
							   const double *scores, const char *const *objectives);

/*
 * Figures of the run into its row; the engine learns whether one of the limits
 * that it cannot know of is reached.  Needs a transaction.
 */
extern void gepa_worker_put_progress(WorkerRun *run);

/* The same, and what the engine has decided.  Needs a transaction. */
extern void gepa_worker_put_decisions(WorkerRun *run);

/* A decision as it stands in its table; the strings belong to run and event. */
extern StoreDecision gepa_worker_decision_row(const WorkerRun *run, int number,
											  const EngineEvent *event);

/* Did a condition of the caller's own, that the engine cannot know of, end the run? */
extern bool gepa_worker_is_limit(const char *reason);

/* Seconds since the last call, to be added to the run's; the first time 0. */
extern double gepa_worker_take_elapsed(WorkerRun *run);

/*
 * Tell who listens on the channel that a run has a new candidate (-1: none) or
 * has ended.  Needs a transaction; sent at its commit.
 */
#define WORKER_CHANNEL "gepa"
extern void gepa_worker_notify(int run, const char *event, int candidate, double score);

/*
 * Entry points, looked up by name: launcher.c, run.c, scheduler.c, scout.c, starter.c,
 * sweeper.c, writer.c
 */
extern PGDLLEXPORT void gepa_worker_launcher_main(Datum arg);
extern PGDLLEXPORT void gepa_worker_scout_main(Datum arg);
extern PGDLLEXPORT void gepa_worker_run_main(Datum arg);
extern PGDLLEXPORT void gepa_worker_schedule_main(Datum arg);
extern PGDLLEXPORT void gepa_worker_starter_main(Datum arg);
extern PGDLLEXPORT void gepa_worker_sweep_main(Datum arg);
extern PGDLLEXPORT void gepa_worker_writer_main(Datum arg);
extern PGDLLEXPORT void gepa_worker_job_main(Datum arg);

#endif							/* FRONTEND */

#endif							/* GEPA_WORKER_WORKER_INTERNAL_H */
