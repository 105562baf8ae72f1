/*-------------------------------------------------------------------------
 *
 * store.h
 *	  The catalog tables: the door of src/store, the only user of SPI.
 *
 * Every function here needs a transaction.  Statements on gepa's own tables
 * are fixed texts that run as the extension's owner under a pinned
 * search_path, so a caller needs no rights on the tables; who may do what is
 * checked by the callers with the ownership functions below.  The one
 * exception is reading a dataset's source, which runs with the caller's own
 * rights.
 *
 * Results are allocated in the memory context current at the call.  Things
 * not found raise 42704, doubles 42710, unless stated otherwise.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_H
#define GEPA_STORE_STORE_H

#include "datatype/timestamp.h"

#include "engine/engine.h"
#include "judge/judge.h"
#include "store/store_budget.h"
#include "store/store_text.h"

/* catalog.c: the extension and its objects */

/* OID of the extension's owner, InvalidOid when gepa is not installed here. */
extern Oid	gepa_store_extension_owner(void);

/* Where it is not installed: is a transaction that creates it still open? */
extern bool gepa_store_extension_is_coming(void);

/* Raise 42501 unless userid owns (has the rights of the owner of) the thing. */
extern void gepa_store_check_owner(const char *kind, const char *name, Oid owner, Oid userid);

/* judges.c */

typedef struct StoreVersion
{
	int			judge;
	Oid			owner;
	int			version;
	char	   *lm;				/* name of the server */
	int			run;			/* 0 = not made by a run */
	int			candidate;
	JudgeSpec  *spec;			/* complete, lm_identity as stored */
	uint8		digest[JUDGE_DIGEST_LENGTH];
	uint8		verdict_digest[JUDGE_DIGEST_LENGTH];
} StoreVersion;

/* version 0 = the current one. */
extern StoreVersion *gepa_store_get_version(const char *judge, int version);
extern StoreVersion *gepa_store_get_version_by_id(int judge, int version);

/* The current version as committed now; its judge stays locked until commit. */
extern StoreVersion *gepa_store_lock_version(const char *judge);

/* Makes the judge and its version 1 from spec; returns the judge's id. */
extern int	gepa_store_create_judge(const JudgeSpec *spec, const char *lm, Oid owner);

/*
 * Adds a version and makes it current; returns its number.  An equal version
 * (same digest, same LM) is made current again instead of a copy.
 */
extern int	gepa_store_add_version(int judge, const JudgeSpec *spec, const char *lm,
								   int run, int candidate);

/* The same, but the current version stays. */
extern int	gepa_store_keep_version(int judge, const JudgeSpec *spec, const char *lm);
extern void gepa_store_drop_judge(int judge);

/*
 * The digest under which a version's verdicts are stored: of the version
 * without its threshold, so that moving that alone pays for nothing again; and of its
 * owner and LM, because another's endpoint that calls itself by the same model
 * must not answer for it.
 */
extern void gepa_store_verdict_digest(const JudgeSpec *spec, const char *lm, Oid owner,
									  uint8 *digest);

/* datasets.c */

typedef struct StoreDataset
{
	int			dataset;
	char	   *name;
	Oid			owner;
	char	   *source;
	bool		is_query;
	char	   *search_path;
	char	   *key;
	int			ninputs;
	char	  **inputs;
	char	   *label;			/* column names; NULL = none */
	char	   *feedback;
	char	   *split;
	char	   *group_by;
	char	   *options;		/* JSON text */
} StoreDataset;

/* Checks the source and its columns with the caller's rights, then stores. */
extern int	gepa_store_create_dataset(const StoreDataset *dataset);
extern StoreDataset *gepa_store_get_dataset(const char *name);
extern void gepa_store_drop_dataset(const char *name);

typedef enum StoreSplit
{
	STORE_SPLIT_NONE = -1,
	STORE_SPLIT_TRAIN,
	STORE_SPLIT_VAL,
	STORE_SPLIT_TEST
} StoreSplit;
#define STORE_NSPLITS 3

extern const char *gepa_store_split_name(StoreSplit split);

typedef struct StoreSample
{
	StoreSplit	split;
	int			sample;			/* number within the split */
	char	   *key;
	char	   *group_key;		/* NULL = its own group */
	char	   *label;			/* "" = none, which no judge has */
	char	   *feedback;
	JudgeDocument document;		/* fields in the judge's order */
	uint8		digest[JUDGE_DIGEST_LENGTH];
} StoreSample;

/*
 * Read all samples of a dataset with the caller's rights, ordered by key;
 * split is set only where the dataset has a split column.  Raises on NULL or
 * duplicate keys, NULL labels, empty inputs.
 */
extern StoreSample *gepa_store_read_samples(const StoreDataset *dataset,
											const JudgeSpec *spec, int *nsamples);

/* How many rows have a label now; with the rights of the dataset's owner. */
extern int64 gepa_store_count_labels(const StoreDataset *dataset);

/* runs.c */

typedef enum StoreRunStatus
{
	/* A live one that no worker knows of also -> QUEUED (resume). */
	STORE_RUN_QUEUED,			/* -> RUNNING, STOPPED, FAILED */
	STORE_RUN_RUNNING,			/* -> STOPPING, STOPPED, FINISHED, FAILED */
	STORE_RUN_STOPPING,			/* -> STOPPED, FINISHED, FAILED */
	STORE_RUN_STOPPED,			/* -> QUEUED (resume) */
	STORE_RUN_FINISHED,			/* end */
	STORE_RUN_FAILED			/* -> QUEUED (resume) */
} StoreRunStatus;

extern const char *gepa_store_run_status_name(StoreRunStatus status);

extern bool gepa_store_run_has_ended(StoreRunStatus status);

typedef struct StoreRun
{
	int			run;
	int			judge;			/* 0 = none: it tunes other texts */
	char	   *judge_name;		/* of a judge, as the following */
	int			seed_version;
	char	   *lm;
	char	   *lm_identity;
	StoreText  *text;			/* of other texts; else NULL */
	char	   *dataset;		/* NULL = none, of other texts only */
	Oid			owner;
	char	   *reflection_lm;	/* NULL = none */
	Oid			proposer_owner; /* of the function in its options; InvalidOid
								 * = there is none */
	int			budget;
	int64		seed;
	char	   *options;		/* JSON text, complete */
	StoreRunStatus status;
	char	   *reason;
	int			iteration;
	int			rollouts;
	int			best_candidate; /* -1 = none yet */
	double		best_score;
	EngineMode	mode;			/* of its options */
	EngineHeldOut held_out;		/* n = 0: none; without search_score */
	bool		imported;		/* not made here, and so without a journal */
	bool		mine;			/* inserted by the current transaction */
	int64		born;			/* tells it from another of its number */
} StoreRun;

/*
 * Insert run and samples, status queued; notes is a JSON array, inputs are the names of
 * the samples' fields.
 */
extern int	gepa_store_create_run(const StoreRun *run, const char *notes, char *const *inputs,
								  const StoreSample *samples, int nsamples);

/* Reads under the latest snapshot; NULL when there is none. */
extern StoreRun *gepa_store_get_run(int run);

/*
 * Is it still there?  Not when the extension was dropped meanwhile, even if it
 * is back and has a run of that number.
 */
extern bool gepa_store_run_exists(const StoreRun *run);

/*
 * Move a run from one of the states in the mask (1 << status) to another and
 * set its reason (NULL clears it).  Returns false, changing nothing, when it
 * is in no such state.
 */
extern bool gepa_store_move_run(int run, int from_mask, StoreRunStatus to, const char *reason);

/* Runs of this database that want a worker; palloc'd ids and owners. */
extern int	gepa_store_live_runs(int **runs, Oid **owners);

/*
 * Latest run of a judge (and dataset, or NULL), 0 = none; deployed first.  Those of
 * a sweep, and imported ones without test samples, count once they are deployed.
 */
extern int	gepa_store_latest_run(int judge, const char *dataset);

/* Samples of one split in order. */
extern StoreSample *gepa_store_get_samples(int run, const JudgeSpec *spec,
										   StoreSplit split, int *nsamples);

/* ... those of them that the comparison of winner and seed is on. */
extern StoreSample *gepa_store_get_held_out(int run, const JudgeSpec *spec,
											StoreSplit split, int *nsamples);

#include "store/store_classifier.h"
#include "store/store_decision.h"
#include "store/store_diff.h"
#include "store/store_exchange.h"
#include "store/store_figures.h"
#include "store/store_function.h"
#include "store/store_grader.h"
#include "store/store_job.h"
#include "store/store_journal.h"
#include "store/store_lease.h"
#include "store/store_recipe.h"
#include "store/store_reflection.h"
#include "store/store_ring.h"
#include "store/store_router.h"
#include "store/store_scan.h"
#include "store/store_schedule.h"
#include "store/store_sweep.h"
#include "store/store_verdict.h"
#include "store/store_watch.h"

#endif							/* GEPA_STORE_STORE_H */
