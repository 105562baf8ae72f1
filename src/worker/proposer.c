/*-------------------------------------------------------------------------
 *
 * proposer.c
 *	  New texts from a function of the user.
 *
 * In place of the reflection LM: it is given the component's name, its text and the
 * records, and returns the new text.  It acts as the run's owner, in a
 * subtransaction that is rolled back.  An ERROR in it ends this proposal, not the run, and is
 * not tried again: the same function would be given the same.  A function that is gone,
 * or not the owner's to call any more, ends the run, which can be resumed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/elog.h"

#include "worker/worker_reflect.h"

static const StoreFunctionKind proposer_kind = {
	.what = "proposer",
	.declaration = "f(component text, current text, records jsonb) RETURNS text",
	.nargs = 3,
	.args = {TEXTOID, TEXTOID, JSONBOID},
	.nresults = 1,
	.results = {TEXTOID}
};

char *
gepa_worker_find_proposer(const char *signature, Oid *owner)
{
	StoreFunction found;

	gepa_store_check_function(gepa_store_named_function(signature, &proposer_kind),
							  &proposer_kind, GetUserId(), &found);
	*owner = found.owner;
	return found.name;
}

/* Records as JSON. */
static void
append_value(StringInfo buf, const EngineValue *value)
{
	bool		is_map = value->kind == ENGINE_VALUE_MAP;

	if (value->kind == ENGINE_VALUE_TEXT)
	{
		gepa_json_quote(buf, value->text);
		return;
	}
	appendStringInfoChar(buf, is_map ? '{' : '[');
	for (int i = 0; i < value->nitems; i++)
	{
		if (i > 0)
			appendStringInfoChar(buf, ',');
		if (is_map)
		{
			gepa_json_quote(buf, value->keys[i]);
			appendStringInfoChar(buf, ':');
		}
		append_value(buf, &value->items[i]);
	}
	appendStringInfoChar(buf, is_map ? '}' : ']');
}

static char *
records_json(const EngineValue *records, int n)
{
	EngineValue list = {.kind = ENGINE_VALUE_LIST,.nitems = n,.items = records};
	StringInfoData buf;

	initStringInfo(&buf);
	append_value(&buf, &list);
	return buf.data;
}

static char *
error_text(const ErrorData *error)
{
	return psprintf("%s: the proposer failed with SQLSTATE %s: %s",
					gepa_status_name(GEPA_STATUS_FUNCTION_ERROR),
					unpack_sql_state(error->sqlerrcode),
					error->message != NULL ? error->message : "no message");
}

void
gepa_worker_call_proposer(const WorkerRun *run, const EngineStep *step,
						  const EngineValue *records, StoreStep *entry)
{
	StoreFunction function = {.name = run->options.proposer,.owner = run->row->proposer_owner};
	StoreCall	call = {.nargs = proposer_kind.nargs};

	gepa_store_find_function(&proposer_kind, GetUserId(), &function);
	entry->prompt = records_json(records, step->nrecords);
	call.function = function.function;
	memcpy(call.types, proposer_kind.args, sizeof(call.types));
	call.args[0] = gepa_worker_component(run, step);
	call.args[1] = step->texts[step->component];
	call.args[2] = entry->prompt;
	gepa_store_call_function(&call);
	entry->answer = call.result;
	if (call.error != NULL)
		entry->detail = error_text(call.error);
	else if (call.result == NULL)
		entry->detail = pstrdup("the proposer returned NULL");
	else
	{
		entry->detail = gepa_worker_check_text(run, step, call.result);
		entry->new_text = entry->detail == NULL ? call.result : NULL;
	}
}
