/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  Keys that statements of this transaction set, blanked in what is reported.
 *
 * A key in a statement that a function or a DO block executes stands in a text
 * that the context of every later message may quote: of another statement of
 * that string that fails, of a notice, of auto_explain.  So mask.c leaves it
 * here until the transaction ends, and emit_log_hook, which has a message before
 * it is written and sent, overwrites it there, by as many asterisks.
 *
 * The hook is called for what the log gets.  While a statement that sets a key
 * is at work that is everything, and the hook takes out again what the log
 * shall not have.  Nothing here raises: it runs inside of ereport().
 *
 * Before a statement is executed nobody has looked at it (mask.c); debug messages
 * of that time come without the statement, if it has the word api_key in it.
 *
 * Not reached: what of the rest of the string goes to the client only, which
 * gave the key; keys that are older than the newest few of a transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/text.h"
#include "lm/lm_internal.h"

#define MAX_SECRETS 32

/* What is shorter is a word of its own everywhere. */
#define MIN_SECRET_BYTES 4

typedef struct Secret
{
	char	   *text;			/* NULL for none */
	size_t		length;
} Secret;

static emit_log_hook_type next_emit;

static Secret secrets[MAX_SECRETS];
static int	newest = 0;

/* What log_min_messages is while all messages are watched; else -1. */
static int	watched_level = -1;

static void
forget(Secret *secret)
{
	if (secret->text == NULL)
		return;
	explicit_bzero(secret->text, secret->length);
	pfree(secret->text);
	secret->text = NULL;
}

void
gepa_lm_remember(const char *secret, size_t length)
{
	Secret	   *place = &secrets[newest];

	if (length < MIN_SECRET_BYTES)
		return;
	newest = (newest + 1) % MAX_SECRETS;
	forget(place);
	place->text = MemoryContextAlloc(TopMemoryContext, length + 1);
	memcpy(place->text, secret, length);
	place->text[length] = '\0';
	place->length = length;
}

static void
transaction_ended(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	for (int i = 0; i < MAX_SECRETS; i++)
		forget(&secrets[i]);
}

/*
 * Messages
 */

static void
blank(char *text)
{
	if (text == NULL)
		return;
	for (int i = 0; i < MAX_SECRETS; i++)
		if (secrets[i].text != NULL)
			(void) gepa_blank_out(text, secrets[i].text);
}

static bool
names_key(const char *text)
{
	static const char word[] = "api_key";

	for (; text != NULL && *text != '\0'; text++)
		if (pg_strncasecmp(text, word, sizeof(word) - 1) == 0)
			return true;
	return false;
}

/* The order of elog.c: LOG is above ERROR for the log. */
bool
gepa_lm_is_logged(int elevel, int level)
{
	if (elevel == LOG || elevel == LOG_SERVER_ONLY)
		return level == LOG || level <= ERROR;
	if (elevel == WARNING_CLIENT_ONLY)
		return false;
	return level == LOG ? elevel >= FATAL : elevel >= level;
}

static void
emit(ErrorData *error)
{
	blank(error->message);
	blank(error->detail);
	blank(error->detail_log);
	blank(error->hint);
	blank(error->context);
	blank(error->internalquery);
	blank(error->backtrace);
	if (error->elevel < LOG && !error->hide_stmt && names_key(debug_query_string))
		error->hide_stmt = true;
	if (watched_level >= 0 && !gepa_lm_is_logged(error->elevel, watched_level))
		error->output_to_server = false;
	if (error->output_to_server && next_emit)
		next_emit(error);
}

int
gepa_lm_watch_messages(void)
{
	int			level = log_min_messages;

	if (watched_level < 0)
		watched_level = level;
	log_min_messages = DEBUG5;
	return level;
}

void
gepa_lm_unwatch_messages(int level)
{
	log_min_messages = level;
	if (level == watched_level)
		watched_level = -1;
}

void
gepa_lm_secret_init(void)
{
	next_emit = emit_log_hook;
	emit_log_hook = emit;
	RegisterXactCallback(transaction_ended, NULL);
}
