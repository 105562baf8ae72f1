/*-------------------------------------------------------------------------
 *
 * mask.c
 *	  Keeps keys out of what PostgreSQL tells of the statement that sets them.
 *
 * CREATE USER MAPPING ... OPTIONS (api_key '...') has the key in its text, and
 * the text goes to pg_stat_activity, pg_stat_statements and, when something
 * fails or takes long, to the log.  All of these read the same bytes: those
 * behind debug_query_string, which in a client's backend are a copy of the
 * message that belongs to the server and is not parsed again.  So the key is
 * overwritten there, by as many asterisks, before anything else is done, and
 * pg_stat_activity is told anew.
 *
 * A statement of its own is masked from its first quote to its last; that is
 * the option list, however its strings are written.  One that a function or a
 * DO block executes has a text of its own besides, which may be anybody's
 * memory: the hooks after this one get a masked copy, and in the statement of
 * the client the values are overwritten where they stand, or all quoted text
 * where one does not stand as it is (E'', doubled quotes, concatenation).  What
 * the statement's own errors quote is masked on their way out, and what later
 * messages of the transaction quote when they are reported (secret.c).
 *
 * As the statements go by here, this is also where the server is locked that
 * gets a key (moved.c).
 *
 * Without preload the first such statement of a session loads the library by
 * its validator, which does what it can.
 *
 * Not reached: what is shown or logged before the statement is executed
 * (log_statement, the texts at Parse of the extended protocol, statements that
 * cannot be parsed, those behind the first of a string until it is their turn),
 * and for nested statements an extension whose hook runs before this one
 * (whose name stands after gepa's in shared_preload_libraries).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/portal.h"

#include "base/text.h"
#include "lm/lm_internal.h"

static ProcessUtility_hook_type next_utility;

/* The hook has been there when the statement at work began. */
static bool called = false;

/*
 * Text
 */

/* What stands between the first quote, of any kind, and the last. */
static char *
find_quoted(char *text, size_t length, size_t *found)
{
	char	   *first = NULL;
	char	   *last = NULL;

	for (char *p = text; p < text + length; p++)
	{
		if (*p != '\'' && *p != '$')
			continue;
		if (first == NULL)
			first = p;
		last = p;
	}
	*found = last > first ? last - first - 1 : 0;
	return first != NULL ? first + 1 : text;
}

static void
mask_quoted(char *text, size_t length)
{
	size_t		found;
	char	   *quoted = find_quoted(text, length, &found);

	memset(quoted, '*', found);
}

/* False if one does not stand there as it is. */
static bool
mask_values(char *text, List *options)
{
	bool		all = true;
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *def = lfirst(cell);

		if (def->arg != NULL && IsA(def->arg, String))
			all = gepa_blank_out(text, strVal(def->arg)) && all;
	}
	return all;
}

/* A statement's part of a string of several. */
static char *
statement_part(char *text, const PlannedStmt *pstmt, size_t *length)
{
	char	   *part = text + Max(pstmt->stmt_location, 0);

	*length = pstmt->stmt_location >= 0 && pstmt->stmt_len > 0 ?
		(size_t) pstmt->stmt_len : strlen(part);
	return part;
}

static void
mask_statement(char *text, const PlannedStmt *pstmt)
{
	size_t		length;
	char	   *part = statement_part(text, pstmt, &length);

	mask_quoted(part, length);
}

/*
 * The statement of the client.  NULL where its memory is not known to be ours:
 * other processes may have pointed debug_query_string at a constant.
 */
static char *
client_statement(void)
{
	bool		client = MyBackendType == B_BACKEND ||
		(MyBackendType == B_WAL_SENDER && OidIsValid(MyDatabaseId));

	return client ? unconstify(char *, debug_query_string) : NULL;
}

/* The portal's copy of it, which the extended protocol has besides. */
static char *
portal_statement(void)
{
	if (client_statement() == NULL || ActivePortal == NULL ||
		strcmp(ActivePortal->sourceText, debug_query_string) != 0)
		return NULL;
	return unconstify(char *, ActivePortal->sourceText);
}

static void
report_statement(void)
{
	int64		query_id = pgstat_get_my_query_id();

	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	pgstat_report_query_id(query_id, true);
}

/*
 * It executes, by whatever way, a statement with these options.  The others of
 * its string are left alone: they have not all been looked at.
 */
static void
mask_around(char *text, List *options, const PlannedStmt *pstmt)
{
	if (mask_values(text, options))
		return;
	if (pstmt != NULL)
		mask_statement(text, pstmt);
	else
		mask_quoted(text, strlen(text));
}

static void
remember_values(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *def = lfirst(cell);

		if (def->arg != NULL && IsA(def->arg, String))
			gepa_lm_remember(strVal(def->arg), strlen(strVal(def->arg)));
	}
}

static void
mask_client_statement(List *options)
{
	char	   *text = client_statement();
	char	   *copy = portal_statement();
	PlannedStmt *pstmt = copy != NULL && ActivePortal->stmts != NIL ?
		linitial_node(PlannedStmt, ActivePortal->stmts) : NULL;

	if (text == NULL || options == NIL)
		return;
	mask_around(text, options, pstmt);
	if (copy != NULL && copy != text)
		mask_around(copy, options, pstmt);
	report_statement();
}

void
gepa_lm_key_given(List *options)
{
	if (called || options == NIL)
		return;
	mask_client_statement(options);
	remember_values(options);
	gepa_lm_share_servers();
}

/*
 * Statements
 */

/* One that does not exist may be ours under a wrong name. */
static bool
is_ours_or_none(const char *servername)
{
	ForeignServer *server = GetForeignServerByName(servername, true);

	return server == NULL || gepa_lm_is_lm(server);
}

/* A key that was given to the server, where it is an error. */
static List *
misplaced_key(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
		if (strcmp(((DefElem *) lfirst(cell))->defname, "api_key") == 0)
		return options;
	return NIL;
}

/* Options that must not be shown; NIL for nearly all statements. */
static List *
secret_options(Node *node)
{
	const char *server;
	List	   *options;

	switch (nodeTag(node))
	{
		case T_CreateUserMappingStmt:
			server = ((CreateUserMappingStmt *) node)->servername;
			options = ((CreateUserMappingStmt *) node)->options;
			break;
		case T_AlterUserMappingStmt:
			server = ((AlterUserMappingStmt *) node)->servername;
			options = ((AlterUserMappingStmt *) node)->options;
			break;
		case T_CreateForeignServerStmt:
			server = ((CreateForeignServerStmt *) node)->servername;
			options = misplaced_key(((CreateForeignServerStmt *) node)->options);
			break;
		case T_AlterForeignServerStmt:
			server = ((AlterForeignServerStmt *) node)->servername;
			options = misplaced_key(((AlterForeignServerStmt *) node)->options);
			break;
		default:
			return NIL;
	}
	return options != NIL && is_ours_or_none(server) ? options : NIL;
}

static void
mask_text(char *text, List *options)
{
	if (text != NULL && !mask_values(text, options))
		mask_quoted(text, strlen(text));
}

/* What a hook is called with. */
typedef struct Utility
{
	PlannedStmt *pstmt;
	const char *text;			/* the string that pstmt is a part of */
	bool		read_only;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *env;
	DestReceiver *dest;
	QueryCompletion *completion;
} Utility;

static void
call_next(const Utility *u)
{
	(next_utility ? next_utility : standard_ProcessUtility)
		(u->pstmt, u->text, u->read_only, u->context, u->params, u->env, u->dest, u->completion);
}

/* The server whose key it sets; NULL for other statements. */
static const char *
mapped_server(Node *node)
{
	if (IsA(node, CreateUserMappingStmt))
		return ((CreateUserMappingStmt *) node)->servername;
	if (IsA(node, AlterUserMappingStmt))
		return ((AlterUserMappingStmt *) node)->servername;
	return NULL;
}

static void
execute(const Utility *u)
{
	const char *server = mapped_server(u->pstmt->utilityStmt);

	if (server != NULL)
		gepa_lm_share_server(server);
	call_next(u);
}

/* The values, and how they are written there. */
static void
remember(char *copy, const PlannedStmt *pstmt, List *options)
{
	size_t		length;
	size_t		found;
	char	   *part = statement_part(copy, pstmt, &length);
	char	   *quoted = find_quoted(part, length, &found);

	gepa_lm_remember(quoted, found);
	remember_values(options);
}

/* Masked, and kept from the log if that was to have all messages only to see them. */
static void
rethrow(MemoryContext context, List *options)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	mask_text(error->context, options);
	mask_text(error->internalquery, options);
	error->output_to_server = gepa_lm_is_logged(error->elevel, log_min_messages);
	ReThrowError(error);
}

/* Its text may be anybody's: hand a copy on, and mind what messages quote. */
static void
execute_nested(Utility *u, List *options)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *copy = pstrdup(u->text);
	int			level;

	remember(copy, u->pstmt, options);
	mask_statement(copy, u->pstmt);
	u->text = copy;
	level = gepa_lm_watch_messages();
	PG_TRY();
	{
		execute(u);
		gepa_lm_unwatch_messages(level);
	}
	PG_CATCH();
	{
		gepa_lm_unwatch_messages(level);
		rethrow(caller, options);
	}
	PG_END_TRY();
}

static void
mask_utility(PlannedStmt *pstmt, const char *text, bool read_only,
			 ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *env,
			 DestReceiver *dest, QueryCompletion *completion)
{
	Utility		u = {pstmt, text, read_only, context, params, env, dest, completion};
	List	   *options = secret_options(pstmt->utilityStmt);

	called = true;
	if (options == NIL)
		call_next(&u);
	else if (context == PROCESS_UTILITY_TOPLEVEL && text == portal_statement())
	{
		mask_statement(unconstify(char *, text), pstmt);
		if (debug_query_string != text)
			mask_statement(client_statement(), pstmt);
		report_statement();
		execute(&u);
	}
	else
	{
		mask_client_statement(options);
		execute_nested(&u, options);
	}
}

void
gepa_lm_mask_init(void)
{
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = mask_utility;
}
