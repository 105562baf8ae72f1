/*-------------------------------------------------------------------------
 *
 * starter.c
 *	  Starting a run or a sweep in a transaction of its own, for gepa.optimize()
 *	  and gepa.sweep().
 *
 * Both wait inside their caller's transaction for what must be committed
 * before a worker can see it.  So a short-lived worker does what gepa.start()
 * or gepa.start_sweep() does, connected as the role that calls, and commits.  Request
 * and result travel in a dynamic shared memory segment; notices and errors
 * travel as protocol messages through a queue in it, as those of a parallel
 * worker do, and are raised again here with all their fields.
 *
 * The segment belongs to the caller's resource owner.  When the caller is
 * cancelled it ends the worker; should the run be committed already, it is
 * asked to stop, because nobody knows of it.
 *
 * Known hole: a cancel in the very moment of the worker's commit leaves a run
 * or sweep that goes on; gepa.runs and gepa.quality_cost show it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/settings.h"
#include "worker/worker_internal.h"

#define STARTER_MAGIC 0x67657061
#define QUEUE_SIZE 16384

enum
{
	KEY_CALL = 1,
	KEY_TEXTS,
	KEY_QUEUE
};

/* Written by the caller, except for what is marked. */
typedef struct StarterCall
{
	int			budget;
	int64		seed;
	Oid			evaluator;		/* of a run of texts */
	bool		allow_lm_mismatch;
	bool		sweep;			/* else a run */
	int			nlms;
	volatile int id;			/* by the worker, before it commits */
	volatile bool begun;		/* by the worker: a sweep did not run before */
	volatile bool committed;	/* by the worker */
} StarterCall;

typedef struct StarterArgs
{
	dsm_handle	segment;
	Oid			database;
	Oid			role;
	bool		can_login;
} StarterArgs;

/* Caller's side. */
typedef struct Starter
{
	dsm_segment *segment;
	StarterCall *call;
	shm_mq_handle *queue;
	BackgroundWorkerHandle *worker;
} Starter;

/*
 * Caller
 */

/* A byte that says whether there is one, and then it, with its zero byte. */
static void
pack_text(StringInfo texts, const char *text)
{
	appendStringInfoChar(texts, text != NULL ? 't' : 'n');
	appendBinaryStringInfo(texts, text ? text : "", text ? strlen(text) + 1 : 1);
}

/* The texts of a request, one after the other. */
static StringInfo
pack_texts(const WorkerSweepRequest *sweep)
{
	const WorkerStartRequest *request = &sweep->run;
	const WorkerTextRequest *text = request->text;
	StringInfo	texts = makeStringInfo();
	const char *parts[7];

	parts[0] = request->judge;
	parts[1] = request->dataset;
	parts[2] = request->reflection_lm;
	parts[3] = request->options;
	parts[4] = text ? text->seed : NULL;
	parts[5] = text ? text->objective : NULL;
	parts[6] = text ? text->background : NULL;
	for (int i = 0; i < lengthof(parts); i++)
		pack_text(texts, parts[i]);
	for (int i = 0; i < sweep->nlms; i++)
		pack_text(texts, sweep->lms[i]);
	return texts;
}

static void
make_segment(Starter *starter, const WorkerSweepRequest *sweep, bool is_sweep)
{
	const WorkerStartRequest *request = &sweep->run;
	StringInfo	texts = pack_texts(sweep);
	shm_toc_estimator estimate;
	shm_toc    *toc;
	char	   *copy;
	shm_mq	   *queue;
	Size		size;

	shm_toc_initialize_estimator(&estimate);
	shm_toc_estimate_chunk(&estimate, sizeof(StarterCall));
	shm_toc_estimate_chunk(&estimate, texts->len);
	shm_toc_estimate_chunk(&estimate, QUEUE_SIZE);
	shm_toc_estimate_keys(&estimate, 3);
	size = shm_toc_estimate(&estimate);
	starter->segment = dsm_create(size, 0);
	toc = shm_toc_create(STARTER_MAGIC, dsm_segment_address(starter->segment), size);

	starter->call = shm_toc_allocate(toc, sizeof(StarterCall));
	memset(starter->call, 0, sizeof(StarterCall));
	starter->call->budget = request->budget;
	starter->call->seed = request->seed;
	starter->call->evaluator = request->text ? request->text->evaluator : InvalidOid;
	starter->call->allow_lm_mismatch = gepa_allow_lm_mismatch;
	starter->call->sweep = is_sweep;
	starter->call->nlms = sweep->nlms;
	shm_toc_insert(toc, KEY_CALL, starter->call);

	copy = shm_toc_allocate(toc, texts->len);
	memcpy(copy, texts->data, texts->len);
	shm_toc_insert(toc, KEY_TEXTS, copy);

	queue = shm_mq_create(shm_toc_allocate(toc, QUEUE_SIZE), QUEUE_SIZE);
	shm_toc_insert(toc, KEY_QUEUE, queue);
	shm_mq_set_receiver(queue, MyProc);
	starter->queue = shm_mq_attach(queue, starter->segment, NULL);
}

static void
launch(Starter *starter)
{
	StarterArgs args;

	memset(&args, 0, sizeof(args));
	args.segment = dsm_segment_handle(starter->segment);
	args.database = MyDatabaseId;
	args.role = GetUserId();
	args.can_login = gepa_worker_can_login(args.role, NULL);
	if (!gepa_worker_register("gepa_worker_starter_main", "gepa run starter",
							  "gepa run starter", &args, sizeof(args), &starter->worker))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not register a background worker"),
				 errhint("You might need to increase max_worker_processes, or start it in the background and wait for it.")));
	shm_mq_set_handle(starter->queue, starter->worker);
}

/* Raise again what the worker has to say; an ERROR does not return. */
static void
pass_on(const char *data, Size length)
{
	StringInfoData message;
	ErrorData	edata;
	int			type;

	initStringInfo(&message);
	appendBinaryStringInfo(&message, data, length);
	type = pq_getmsgbyte(&message);
	if (type == 'E' || type == 'N')
	{
		pq_parse_errornotice(&message, &edata);
		/* The death of the worker is not ours. */
		edata.elevel = Min(edata.elevel, ERROR);
		if (edata.sqlerrcode == ERRCODE_UNDEFINED_OBJECT && IsTransactionBlock())
			edata.hint = pstrdup("It is started in a transaction of its own, which does not see what this one has not committed; commit first.");
		ThrowErrorData(&edata);
	}
	pfree(message.data);
}

static void
give_up(int code, Datum arg)
{
	Starter    *starter = (Starter *) DatumGetPointer(arg);

	TerminateBackgroundWorker(starter->worker);
	if (starter->call->id == 0)
		return;
	if (!starter->call->sweep)
		gepa_worker_stop_run(starter->call->id, false);
	else if (starter->call->begun)
		gepa_worker_halt_sweep(starter->call->id, false);
}

static void
receive(Starter *starter)
{
	void	   *data;
	Size		length;

	while (shm_mq_receive(starter->queue, &length, &data, false) == SHM_MQ_SUCCESS)
		pass_on(data, length);
	if (WaitForBackgroundWorkerShutdown(starter->worker) == BGWH_POSTMASTER_DIED)
		proc_exit(1);
	if (!starter->call->committed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the worker that should start it ended without a result"),
				 errhint("The server log may say more.")));
}

static int
start_now(const WorkerSweepRequest *request, bool is_sweep, bool *begun)
{
	Starter		starter;
	int			id;

	memset(&starter, 0, sizeof(starter));
	make_segment(&starter, request, is_sweep);
	launch(&starter);
	PG_ENSURE_ERROR_CLEANUP(give_up, PointerGetDatum(&starter));
	{
		receive(&starter);
	}
	PG_END_ENSURE_ERROR_CLEANUP(give_up, PointerGetDatum(&starter));
	id = starter.call->id;
	*begun = starter.call->begun;
	shm_mq_detach(starter.queue);
	dsm_detach(starter.segment);
	return id;
}

int
gepa_worker_start_now(const WorkerStartRequest *request)
{
	WorkerSweepRequest run = {.run = *request};
	bool		begun;

	return start_now(&run, false, &begun);
}

int
gepa_worker_start_sweep_now(const WorkerSweepRequest *request, bool *begun)
{
	return start_now(request, true, begun);
}

/*
 * Worker
 */

/* The next of the texts; NULL = there is none. */
static char *
take_text(const char **texts)
{
	bool		given = **texts == 't';
	char	   *text = unconstify(char *, *texts + 1);

	*texts += strlen(text) + 2;
	return given ? text : NULL;
}

static void
unpack(const StarterCall *call, const char *texts, WorkerSweepRequest *request,
	   WorkerTextRequest *text)
{
	memset(request, 0, sizeof(WorkerSweepRequest));
	request->run.judge = take_text(&texts);
	request->run.dataset = take_text(&texts);
	request->run.reflection_lm = take_text(&texts);
	request->run.options = take_text(&texts);
	text->evaluator = call->evaluator;
	text->seed = take_text(&texts);
	text->objective = take_text(&texts);
	text->background = take_text(&texts);
	if (OidIsValid(call->evaluator))
		request->run.text = text;
	request->run.budget = call->budget;
	request->run.seed = call->seed;
	request->nlms = call->nlms;
	request->lms = palloc(sizeof(char *) * Max(call->nlms, 1));
	for (int i = 0; i < call->nlms; i++)
		request->lms[i] = take_text(&texts);
}

/* Under one snapshot, so that all that is read of a dataset is the same. */
static void
start(StarterCall *call, const WorkerSweepRequest *request)
{
	bool		begun = true;

	PushActiveSnapshot(GetTransactionSnapshot());
	if (call->sweep)
		call->id = gepa_worker_start_sweep(request, &begun);
	else
		call->id = gepa_worker_start_run(&request->run);
	call->begun = begun;
	PopActiveSnapshot();
}

static void
carry_out(shm_toc *toc)
{
	StarterCall *call = shm_toc_lookup(toc, KEY_CALL, false);
	WorkerSweepRequest request;
	WorkerTextRequest text;

	gepa_worker_begin(TopMemoryContext);
	unpack(call, shm_toc_lookup(toc, KEY_TEXTS, false), &request, &text);
	SetConfigOption("gepa.allow_lm_mismatch", call->allow_lm_mismatch ? "on" : "off",
					PGC_USERSET, PGC_S_SESSION);
	start(call, &request);
	gepa_worker_commit(TopMemoryContext);
	call->committed = true;
}

void
gepa_worker_starter_main(Datum arg)
{
	StarterArgs args;
	dsm_segment *segment;
	shm_toc    *toc;
	shm_mq	   *queue;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	gepa_worker_setup_signals();
	CurrentResourceOwner = ResourceOwnerCreate(NULL, "gepa starter");
	segment = dsm_attach(args.segment);
	if (segment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not map the dynamic shared memory segment of a start"),
				 errhint("The session that asked for it has probably been cancelled.")));
	toc = shm_toc_attach(STARTER_MAGIC, dsm_segment_address(segment));
	if (toc == NULL)
		elog(ERROR, "segment of a start has a wrong magic number");
	queue = shm_toc_lookup(toc, KEY_QUEUE, false);
	shm_mq_set_sender(queue, MyProc);
	/* From here on the caller hears of errors, those of connecting included. */
	pq_redirect_to_shm_mq(segment, shm_mq_attach(queue, segment, NULL));
	gepa_worker_connect(args.database, args.role, args.can_login);
	pgstat_report_activity(STATE_RUNNING, "starting a gepa run or sweep");
	carry_out(toc);
}
