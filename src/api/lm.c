/*-------------------------------------------------------------------------
 *
 * lm.c
 *	  The validator of the wrapper gepa_lm, gepa.check_lm(), gepa.lm_calls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "api/api_internal.h"
#include "base/attempt.h"

/*
 * By CREATE and ALTER only: it believes that the statement at work sets these
 * options, and overwrites its text.
 */
PG_FUNCTION_INFO_V1(gepa_lm_validator);
Datum
gepa_lm_validator(PG_FUNCTION_ARGS)
{
	if (fcinfo->flinfo->fn_expr != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("gepa.lm_validator() cannot be called by a query"),
				 errhint("CREATE SERVER and CREATE USER MAPPING check options.")));
	gepa_lm_validate(untransformRelOptions(PG_GETARG_DATUM(0)), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}

/*
 * Checking
 */

static bool
is_about_key(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_CONFIG_FILE_ERROR ||
		sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE ||
		ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_SYSTEM_ERROR;
}

/* Message and hint as two sentences. */
static char *
error_sentences(const ErrorData *error)
{
	return psprintf("The key cannot be had: %s. %s", error->message,
					error->hint ? error->hint : "");
}

typedef struct Resolving
{
	const char *name;
	LmServer   *server;
} Resolving;

static void
resolve_attempt(void *argument)
{
	Resolving  *resolving = argument;

	resolving->server = gepa_lm_resolve(resolving->name, GetUserId());
}

/*
 * The LM, or NULL and what is wrong with its key.  That cannot be read
 * is one of the things that a check is to explain, so the ERROR is caught; the
 * rights were checked before.
 */
static LmServer *
resolve(const char *name, char **problem)
{
	Resolving	resolving = {.name = name};
	ErrorData  *error;

	gepa_lm_check_usage(name, GetUserId());
	error = gepa_attempt(resolve_attempt, &resolving);
	if (error == NULL)
		return resolving.server;
	if (!is_about_key(error->sqlerrcode))
		ReThrowError(error);
	*problem = error_sentences(error);
	return NULL;
}

static void
put_check(ReturnSetInfo *rsinfo, const char *item, bool ok, const char *detail)
{
	Datum		values[3];
	bool		nulls[3] = {0};

	values[0] = CStringGetTextDatum(item);
	values[1] = BoolGetDatum(ok);
	values[2] = CStringGetTextDatum(detail);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(gepa_check_lm);
Datum
gepa_check_lm(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *problem = NULL;
	LmServer   *server = resolve(NameStr(*PG_GETARG_NAME(0)), &problem);
	LmCheck    *checks;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	if (server == NULL)
	{
		put_check(rsinfo, "key", false, problem);
		return (Datum) 0;
	}
	checks = gepa_lm_check(server, &n);
	for (int i = 0; i < n; i++)
		put_check(rsinfo, checks[i].item, checks[i].ok, checks[i].detail);
	gepa_lm_free(server);
	return (Datum) 0;
}

/*
 * The log of calls
 *
 * A role sees the calls of roles whose rights it has, and those of all if it
 * may read all statistics; texts only the former see.  They, like whatever a
 * judge's number means, belong to the database of the call and are shown in no
 * other.
 */

#define NCOLUMNS 19

static void
put_number(Datum *values, bool *nulls, int column, int number)
{
	nulls[column] = number == 0;
	values[column] = Int32GetDatum(number);
}

/* The name may be of a database with another encoding. */
static const char *
lm_name(const LmLogEntry *entry)
{
	bool		good = entry->database == MyDatabaseId ||
		pg_verifymbstr(entry->lm, strlen(entry->lm), true);

	return good ? entry->lm : NULL;
}

static void
put_call(ReturnSetInfo *rsinfo, const LmLogEntry *entry, bool with_texts)
{
	Datum		values[NCOLUMNS] = {0};
	bool		nulls[NCOLUMNS] = {0};

	values[0] = TimestampTzGetDatum(entry->ended_at);
	values[1] = ObjectIdGetDatum(entry->role);
	values[2] = ObjectIdGetDatum(entry->database);
	gepa_api_put_text(values, nulls, 3, lm_name(entry));
	gepa_api_put_text(values, nulls, 4, gepa_lm_purpose_name(entry->origin.purpose));
	put_number(values, nulls, 5, entry->origin.judge);
	put_number(values, nulls, 6, entry->origin.version);
	put_number(values, nulls, 7, entry->origin.run);
	gepa_api_put_text(values, nulls, 8, gepa_status_name(entry->status));
	put_number(values, nulls, 9, entry->http_status);
	values[10] = Int32GetDatum(entry->attempts);
	values[11] = Int32GetDatum(entry->input_tokens);
	values[12] = Int32GetDatum(entry->output_tokens);
	values[13] = Float8GetDatum(entry->cost);
	values[14] = Float8GetDatum(entry->latency_ms);
	values[15] = Float8GetDatum(entry->sample_rate);
	gepa_api_put_text(values, nulls, 16, with_texts ? entry->detail : NULL);
	gepa_api_put_text(values, nulls, 17, with_texts ? entry->prompt : NULL);
	gepa_api_put_text(values, nulls, 18, with_texts ? entry->answer : NULL);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(gepa_call_log);
Datum
gepa_call_log(PG_FUNCTION_ARGS)
{
	bool		sees_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	LmLogEntry *entries;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	entries = gepa_lm_log_read(&n);
	for (int i = 0; i < n; i++)
	{
		bool		own = has_privs_of_role(GetUserId(), entries[i].role);

		CHECK_FOR_INTERRUPTS();
		if (own || sees_all)
			put_call((ReturnSetInfo *) fcinfo->resultinfo, &entries[i],
					 own && entries[i].database == MyDatabaseId);
	}
	return (Datum) 0;
}
