/*-------------------------------------------------------------------------
 *
 * watch_rows.c
 *	  What the triggers of a watched table do: keys into the queue of a job.
 *
 * A row trigger costs each row of a statement, so it does little: it compares the
 * columns that matter, copies the key, and writes some hundred keys at a time.
 * What is left is written before the (sub)transaction commits, and forgotten when
 * it is rolled back.  Keys that come in ascending order, as a COPY brings them,
 * become one range: the job looks at all rows of it, and finds those that were there
 * before to be judged already.
 *
 * What a trigger on a relation has to know lives in its transaction.  The job has to
 * be one that watches this table: anybody may make a trigger of a table of theirs with
 * any arguments.  If it is not (any more), the trigger does nothing; what it tells is
 * a WARNING, because a writer must not fail for what became of a job.
 *
 * Nothing is written to the user's tables here.  A key whose row is gone is found to be
 * missing by the job, which then forgets what the targets have of it; emptying the
 * table is the exception.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "store/store_internal.h"

/* So many are written at a time, */
#define MOST_ENTRIES 256

/* ... of which so many in ascending order become a range. */
#define LONG_RUN 64

static StoreStatement insert_keys = {
	.sql = "INSERT INTO gepa.job_queue (job, key, last)"
	" SELECT $1, ($2::text[])[i * $3 + 1 : i * $3 + $3],"
	" CASE WHEN ($5::int[])[i + 1] = 1 THEN ($4::text[])[i * $3 + 1 : i * $3 + $3] END"
	" FROM pg_catalog.generate_series(0, $6 - 1) i"
};

static StoreStatement delete_errors = {
	.sql = "DELETE FROM gepa.job_error WHERE job = $1"
};

/* A key column, of whatever partition. */
typedef struct WatchColumn
{
	Oid			type;
	Oid			collation;
	Oid			output;
	int16		length;
	bool		by_value;
	FmgrInfo   *compare;		/* NULL = none */
} WatchColumn;

/* A trigger on a relation. */
typedef struct WatchTable
{
	int			job;			/* these two are the key */
	Oid			relid;
	const StoreJob *watching;	/* NULL = it does nothing */
	bool		told;			/* that there are rows without a key */
	uint64		seen;			/* invalidations that numbers were read after */
	AttrNumber	keys[STORE_JOB_MAX_KEYS];
	int			ncolumns;		/* that matter */
	AttrNumber *columns;		/* 0 = not there any more */
	WatchColumn types[STORE_JOB_MAX_KEYS];
} WatchTable;

typedef struct WatchEntry
{
	Datum	   *key;
	Datum	   *last;			/* of a range; NULL = the key alone */
} WatchEntry;

/* Keys of a job that a (sub)transaction has not written yet. */
typedef struct WatchBatch
{
	dlist_node	node;
	int			level;			/* of nesting */
	const StoreJob *job;
	MemoryContext context;		/* of the keys */
	WatchColumn types[STORE_JOB_MAX_KEYS];
	int			run;			/* where ascending keys began; n = nowhere */
	int			n;
	WatchEntry	entries[MOST_ENTRIES];
} WatchBatch;

static struct
{
	bool		registered;
	uint64		invalidations;
	HTAB	   *tables;			/* of this transaction; NULL = none yet */
	List	   *woken;			/* jobs, by number */
	dlist_head	batches;
}			watch = {.batches = DLIST_STATIC_INIT(watch.batches)};

/*
 * Writing
 */

static char *
output(const WatchColumn *column, Datum value)
{
	return OidOutputFunctionCall(column->output, value);
}

static void
put_texts(const WatchBatch *batch, bool last, char **texts)
{
	int			nkeys = batch->job->nkeys;

	for (int i = 0; i < batch->n; i++)
	{
		const WatchEntry *entry = &batch->entries[i];
		Datum	   *key = last && entry->last != NULL ? entry->last : entry->key;

		for (int k = 0; k < nkeys; k++)
			texts[i * nkeys + k] = output(&batch->types[k], key[k]);
	}
}

static void
forget_keys(WatchBatch *batch)
{
	MemoryContextReset(batch->context);
	batch->n = 0;
	batch->run = 0;
}

static void
write_batch(WatchBatch *batch)
{
	int			n = batch->n * batch->job->nkeys;
	int		   *ranges;
	char	  **texts;
	StoreScope	scope;
	StoreArgs	args = {0};

	/* Nobody's any more if the extension was dropped meanwhile. */
	if (!OidIsValid(gepa_store_extension_owner()))
		forget_keys(batch);
	if (batch->n == 0)
		return;
	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_pin_formats();
	texts = palloc(sizeof(char *) * n);
	ranges = palloc(sizeof(int) * batch->n);
	for (int i = 0; i < batch->n; i++)
		ranges[i] = batch->entries[i].last != NULL;
	gepa_store_arg_int(&args, batch->job->work);
	put_texts(batch, false, texts);
	gepa_store_arg_texts(&args, n, texts);
	gepa_store_arg_int(&args, batch->job->nkeys);
	put_texts(batch, true, texts);
	gepa_store_arg_texts(&args, n, texts);
	gepa_store_arg_ints(&args, batch->n, ranges);
	gepa_store_arg_int(&args, batch->n);
	gepa_store_run(&scope, &insert_keys, &args);
	gepa_store_leave(&scope);
	forget_keys(batch);
}

/*
 * Transactions
 */

/* Those of this level or deeper; a subtransaction writes its own. */
static void
end_batches(int level, bool commit)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &watch.batches)
	{
		WatchBatch *batch = dlist_container(WatchBatch, node, iter.cur);

		if (batch->level < level)
			continue;
		if (commit)
			write_batch(batch);
		dlist_delete(&batch->node);
		MemoryContextDelete(batch->context);
		pfree(batch);
	}
}

/* What there was went, or goes, with the transaction's memory. */
static void
forget_transaction(void)
{
	watch.tables = NULL;
	watch.woken = NIL;
	dlist_init(&watch.batches);
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			end_batches(0, true);
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			forget_transaction();
			break;
		default:
			break;
	}
}

static void
at_end_of_subtransaction(SubXactEvent event, SubTransactionId subxact, SubTransactionId parent,
						 void *arg)
{
	if (event == SUBXACT_EVENT_PRE_COMMIT_SUB)
		end_batches(GetCurrentTransactionNestLevel(), true);
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		end_batches(GetCurrentTransactionNestLevel(), false);
}

static void
note_invalidation(Datum arg, Oid relid)
{
	watch.invalidations++;
}

static void
register_callbacks(void)
{
	if (watch.registered)
		return;
	RegisterXactCallback(at_end_of_transaction, NULL);
	RegisterSubXactCallback(at_end_of_subtransaction, NULL);
	CacheRegisterRelcacheCallback(note_invalidation, (Datum) 0);
	watch.registered = true;
}

/*
 * Triggers
 */

static void
tell_idle(Relation rel, const char *why)
{
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a trigger of gepa on \"%s\" does nothing: %s", RelationGetRelationName(rel),
					why),
			 errhint("Drop it, and have the table watched anew with gepa.watch_table().")));
}

static bool
is_source(const StoreJob *job, Oid relid)
{
	Oid			source = gepa_store_find_relation(job->source, NoLock);

	return source == relid ||
		(get_rel_relispartition(relid) && list_member_oid(get_partition_ancestors(relid), source));
}

/* What the trigger has to do with; NULL = nothing. */
static const StoreJob *
find_job(Relation rel, int id)
{
	StoreJob   *job = gepa_store_get_job(id);

	if (job == NULL || job->kind != STORE_JOB_WATCH)
	{
		tell_idle(rel, psprintf("there is no job %d that watches", id));
		return NULL;
	}
	if (job->status == STORE_JOB_CANCELLED)
		return NULL;
	if (is_source(job, RelationGetRelid(rel)))
		return job;
	tell_idle(rel, psprintf("job %d watches %s", id, job->source));
	return NULL;
}

static void
read_type(Form_pg_attribute attribute, WatchColumn *column)
{
	TypeCacheEntry *entry = lookup_type_cache(attribute->atttypid, TYPECACHE_CMP_PROC_FINFO);
	bool		is_varlena;

	column->type = attribute->atttypid;
	column->collation = attribute->attcollation;
	column->length = attribute->attlen;
	column->by_value = attribute->attbyval;
	column->compare = OidIsValid(entry->cmp_proc_finfo.fn_oid) ? &entry->cmp_proc_finfo : NULL;
	getTypeOutputInfo(attribute->atttypid, &column->output, &is_varlena);
}

/* Arguments: the job, how many key columns, these, what else matters. */
static bool
read_numbers(WatchTable *table, Relation rel, const Trigger *trigger)
{
	int			nkeys = table->watching->nkeys;

	if (trigger->tgnargs < 2 + nkeys || pg_strtoint32(trigger->tgargs[1]) != nkeys)
		return false;
	for (int i = 0; i < nkeys; i++)
	{
		table->keys[i] = get_attnum(table->relid, trigger->tgargs[2 + i]);
		if (table->keys[i] <= 0 || strcmp(table->watching->keys[i], trigger->tgargs[2 + i]) != 0)
			return false;
		read_type(TupleDescAttr(RelationGetDescr(rel), table->keys[i] - 1), &table->types[i]);
	}
	table->ncolumns = trigger->tgnargs - 2 - nkeys;
	if (table->columns != NULL)
		pfree(table->columns);
	table->columns = MemoryContextAlloc(TopTransactionContext,
										sizeof(AttrNumber) * Max(table->ncolumns, 1));
	for (int i = 0; i < table->ncolumns; i++)
		table->columns[i] = get_attnum(table->relid, trigger->tgargs[2 + nkeys + i]);
	table->seen = watch.invalidations;
	return true;
}

static HTAB *
make_tables(void)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(int) + sizeof(Oid);
	control.entrysize = sizeof(WatchTable);
	control.hcxt = TopTransactionContext;
	return hash_create("gepa watched tables", 8, &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static int
job_number(const Trigger *trigger)
{
	return trigger->tgnargs > 0 ? pg_strtoint32(trigger->tgargs[0]) : 0;
}

/* Raises only for want of memory, or what reading a row of ours raises. */
static WatchTable *
find_table(const TriggerData *trigger)
{
	struct
	{
		int			job;
		Oid			relid;
	}			key = {job_number(trigger->tg_trigger), RelationGetRelid(trigger->tg_relation)};
	WatchTable *table;

	register_callbacks();
	if (watch.tables == NULL)
		watch.tables = make_tables();
	table = hash_search(watch.tables, &key, HASH_FIND, NULL);
	if (table == NULL)
	{
		/* First, so that one that could not be read is read again. */
		MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
		const StoreJob *job = find_job(trigger->tg_relation, key.job);

		MemoryContextSwitchTo(old);
		table = hash_search(watch.tables, &key, HASH_ENTER, NULL);
		table->watching = job;
		table->columns = NULL;
		table->told = false;
		table->seen = watch.invalidations - 1;
	}
	if (table->watching != NULL && table->seen != watch.invalidations &&
		!read_numbers(table, trigger->tg_relation, trigger->tg_trigger))
	{
		tell_idle(trigger->tg_relation, "its key columns are not those of the job");
		table->watching = NULL;
	}
	return table;
}

/* The first time in a transaction; a subtransaction's may wake it for nothing. */
static const StoreJob *
wake_once(const StoreJob *job)
{
	MemoryContext old;

	if (list_member_int(watch.woken, job->job))
		return NULL;
	old = MemoryContextSwitchTo(TopTransactionContext);
	watch.woken = lappend_int(watch.woken, job->job);
	MemoryContextSwitchTo(old);
	return job;
}

/*
 * Keys
 */

/* Those of the keys change with ALTER TABLE. */
static bool
same_types(const WatchBatch *batch, const WatchTable *table)
{
	for (int i = 0; i < batch->job->nkeys; i++)
		if (batch->types[i].type != table->types[i].type)
			return false;
	return true;
}

static WatchBatch *
find_batch(const WatchTable *table)
{
	int			level = GetCurrentTransactionNestLevel();
	WatchBatch *batch;
	dlist_iter	iter;

	dlist_foreach(iter, &watch.batches)
	{
		batch = dlist_container(WatchBatch, node, iter.cur);
		if (batch->level != level || batch->job->job != table->job)
			continue;
		if (!same_types(batch, table))
		{
			write_batch(batch);
			memcpy(batch->types, table->types, sizeof(batch->types));
		}
		return batch;
	}
	batch = MemoryContextAllocZero(TopTransactionContext, sizeof(WatchBatch));
	batch->level = level;
	batch->job = table->watching;
	batch->context = AllocSetContextCreate(TopTransactionContext, "gepa watched keys",
										   ALLOCSET_SMALL_SIZES);
	memcpy(batch->types, table->types, sizeof(batch->types));
	dlist_push_head(&watch.batches, &batch->node);
	return batch;
}

/* False when a part of it is null, as it can be since NOT NULL was dropped. */
static bool
read_key(const WatchTable *table, HeapTuple tuple, TupleDesc desc, Datum *key)
{
	for (int i = 0; i < table->watching->nkeys; i++)
	{
		bool		isnull;

		key[i] = heap_getattr(tuple, table->keys[i], desc, &isnull);
		if (isnull)
			return false;
	}
	return true;
}

static Datum *
copy_key(const WatchBatch *batch, const Datum *key)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	int			nkeys = batch->job->nkeys;
	Datum	   *copy = palloc(sizeof(Datum) * nkeys);

	for (int i = 0; i < nkeys; i++)
	{
		const WatchColumn *column = &batch->types[i];

		copy[i] = column->length == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(key[i])) :
			datumCopy(key[i], column->by_value, column->length);
	}
	MemoryContextSwitchTo(old);
	return copy;
}

static void
free_key(const WatchBatch *batch, Datum *key)
{
	for (int i = 0; i < batch->job->nkeys; i++)
		if (!batch->types[i].by_value)
			pfree(DatumGetPointer(key[i]));
	pfree(key);
}

static bool
ascends(const WatchBatch *batch, const Datum *from, const Datum *to)
{
	for (int i = 0; i < batch->job->nkeys; i++)
	{
		const WatchColumn *column = &batch->types[i];
		int			order;

		if (column->compare == NULL)
			return false;
		order = DatumGetInt32(FunctionCall2Coll(column->compare, column->collation, from[i],
												to[i]));
		if (order != 0)
			return order < 0;
	}
	return true;
}

static void
append_key(WatchBatch *batch, const Datum *key)
{
	if (batch->n == MOST_ENTRIES)
		write_batch(batch);
	batch->entries[batch->n].key = copy_key(batch, key);
	batch->entries[batch->n++].last = NULL;
}

/* The entries from where the run began become one. */
static void
make_range(WatchBatch *batch)
{
	WatchEntry *first = &batch->entries[batch->run];

	first->last = batch->entries[batch->n - 1].key;
	for (int i = batch->run + 1; i < batch->n - 1; i++)
		free_key(batch, batch->entries[i].key);
	batch->n = batch->run + 1;
}

static void
add_lonely(WatchBatch *batch, const Datum *key)
{
	append_key(batch, key);
	batch->run = batch->n;
}

static void
add_in_order(WatchBatch *batch, const Datum *key)
{
	WatchEntry *last = batch->n > batch->run ? &batch->entries[batch->n - 1] : NULL;

	if (last != NULL && !ascends(batch, last->last ? last->last : last->key, key))
	{
		batch->run = batch->n;
		last = NULL;
	}
	if (last != NULL && last->last != NULL)
	{
		Datum	   *copy = copy_key(batch, key);

		free_key(batch, last->last);
		last->last = copy;
		return;
	}
	append_key(batch, key);
	if (batch->n - batch->run >= LONG_RUN)
		make_range(batch);
}

/*
 * Rows
 */

/* A value that lies elsewhere and was left alone is the same one there. */
static bool
is_same(HeapTuple a, HeapTuple b, AttrNumber column, TupleDesc desc)
{
	Form_pg_attribute attribute = TupleDescAttr(desc, column - 1);
	bool		anull;
	bool		bnull;
	Datum		x = heap_getattr(a, column, desc, &anull);
	Datum		y = heap_getattr(b, column, desc, &bnull);

	if (anull || bnull)
		return anull && bnull;
	if (attribute->attlen == -1 && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(x)) &&
		VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(y)) &&
		memcmp(DatumGetPointer(x), DatumGetPointer(y), VARSIZE_EXTERNAL(DatumGetPointer(x))) == 0)
		return true;
	return datum_image_eq(x, y, attribute->attbyval, attribute->attlen);
}

static bool
is_same_key(const WatchTable *table, HeapTuple a, HeapTuple b, TupleDesc desc)
{
	for (int i = 0; i < table->watching->nkeys; i++)
		if (!is_same(a, b, table->keys[i], desc))
			return false;
	return true;
}

static bool
is_untouched(const WatchTable *table, HeapTuple a, HeapTuple b, TupleDesc desc)
{
	for (int i = 0; i < table->ncolumns; i++)
		if (table->columns[i] <= 0 || !is_same(a, b, table->columns[i], desc))
			return false;
	return true;
}

/* Once in a transaction. */
static void
tell_without_key(WatchTable *table, Relation rel)
{
	if (!table->told)
		ereport(WARNING,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("rows of \"%s\" without a key are not judged by job %d",
						RelationGetRelationName(rel), table->job),
				 errhint("Declare its key columns NOT NULL.")));
	table->told = true;
}

static void
queue_row(WatchTable *table, Relation rel, HeapTuple tuple, bool in_order)
{
	Datum		key[STORE_JOB_MAX_KEYS];

	if (!read_key(table, tuple, RelationGetDescr(rel), key))
		tell_without_key(table, rel);
	else if (in_order)
		add_in_order(find_batch(table), key);
	else
		add_lonely(find_batch(table), key);
}

const StoreJob *
gepa_store_watch_row(const TriggerData *trigger)
{
	WatchTable *table = find_table(trigger);
	Relation	rel = trigger->tg_relation;
	TupleDesc	desc = RelationGetDescr(rel);
	bool		update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	bool		moved;

	if (table->watching == NULL)
		return NULL;
	moved = update && !is_same_key(table, trigger->tg_trigtuple, trigger->tg_newtuple, desc);
	if (update && !moved &&
		is_untouched(table, trigger->tg_trigtuple, trigger->tg_newtuple, desc))
		return NULL;
	queue_row(table, rel, trigger->tg_trigtuple, TRIGGER_FIRED_BY_INSERT(trigger->tg_event));
	if (moved)
		queue_row(table, rel, trigger->tg_newtuple, false);
	return wake_once(table->watching);
}

/*
 * Emptying
 */

/* Rows of the verdict table whose row is gone; as the job's owner. */
static void
forget_orphans(const StoreJob *job)
{
	StoreScope	scope;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s gepa_t WHERE NOT EXISTS (SELECT FROM %s gepa_s WHERE ",
					 job->target_table, job->source);
	for (int i = 0; i < job->nkeys; i++)
		appendStringInfo(&sql, "%sgepa_s.%s = gepa_t.%s", i > 0 ? " AND " : "",
						 quote_identifier(job->keys[i]), quote_identifier(job->keys[i]));
	appendStringInfoChar(&sql, ')');
	gepa_store_enter_as(&scope, STORE_VIEW_WRITE, job->owner, job->search_path);
	if (SPI_execute(sql.data, false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete from %s", job->target_table);
	gepa_store_leave(&scope);
}

/* Can it be emptied as the job's owner? */
static bool
can_delete(const StoreJob *job)
{
	Oid			relid = gepa_store_find_relation(job->target_table, NoLock);

	return OidIsValid(relid) &&
		SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(job->owner)) &&
		pg_class_aclcheck(relid, job->owner, ACL_DELETE) == ACLCHECK_OK;
}

static void
forget_errors(const StoreJob *job)
{
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_run_by_number(&scope, &delete_errors, job->work);
	gepa_store_leave(&scope);
}

void
gepa_store_watch_truncate(const TriggerData *trigger)
{
	const StoreJob *job = find_job(trigger->tg_relation, job_number(trigger->tg_trigger));

	if (job == NULL)
		return;
	if (job->target_table != NULL && can_delete(job))
		forget_orphans(job);
	else if (job->target_table != NULL)
		tell_idle(trigger->tg_relation, psprintf("the owner of job %d cannot delete from %s",
												 job->job, job->target_table));
	if (!get_rel_relispartition(RelationGetRelid(trigger->tg_relation)))
		forget_errors(job);
}
