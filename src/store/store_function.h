/*-------------------------------------------------------------------------
 *
 * store_function.h
 *	  Functions that a role names, to be called for it: a part of the door of
 *	  src/store, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_FUNCTION_H
#define GEPA_STORE_STORE_FUNCTION_H

/* functions.c */

#define STORE_FUNCTION_MAX_ARGS 4

/* What a function must be like to serve as something. */
typedef struct StoreFunctionKind
{
	const char *what;			/* for messages: "evaluator" */
	const char *declaration;	/* for hints: "f(sample jsonb, ...) RETURNS
								 * jsonb" */
	int			nargs;
	Oid			args[STORE_FUNCTION_MAX_ARGS];
	int			nresults;
	Oid			results[STORE_FUNCTION_MAX_ARGS];	/* any of these */
} StoreFunctionKind;

/*
 * A function as it is kept: by name, so that a dump restores it, and with its owner, so
 * that another function of that name, made by somebody else once it was dropped, is
 * not called in its place.
 */
typedef struct StoreFunction
{
	char	   *name;			/* quoted, qualified, with the types of its
								 * arguments */
	Oid			owner;
	Oid			function;		/* once it was found */
} StoreFunction;

/* The one that a user names, with the types of its arguments; raises what is wrong with that. */
extern Oid	gepa_store_named_function(const char *name, const StoreFunctionKind *kind);

/*
 * Raises 42883 for what does not exist, 42809 for what is no such function, and 42501
 * unless userid may execute it.
 */
extern void gepa_store_check_function(Oid function, const StoreFunctionKind *kind, Oid userid,
									  StoreFunction *found);

/* The one that is kept, as it is now: the same errors, and 42501 for another owner's. */
extern void gepa_store_find_function(const StoreFunctionKind *kind, Oid userid,
									 StoreFunction *function);

/* One call; of the arguments a NULL text is a SQL NULL. */
typedef struct StoreCall
{
	Oid			function;
	int			nargs;
	Oid			types[STORE_FUNCTION_MAX_ARGS];
	const char *args[STORE_FUNCTION_MAX_ARGS];	/* as their types' input takes
												 * them */
	const volatile bool *stop;	/* the caller is to stop once this is set, and
								 * so is the function; NULL = nobody sets it */
	bool		stopped;		/* out: that is why there is no result */
	char	   *result;			/* out: as text; NULL = SQL NULL, or it failed */
	ErrorData  *error;			/* out: NULL = none */
	double		latency_ms;		/* out */
} StoreCall;

/*
 * Call it as the current user, which it cannot leave, under search_path
 * "pg_catalog, pg_temp" and the statement_timeout of the session, in a subtransaction that is
 * rolled back in any case.
 * Needs a transaction.  An ERROR is data; so is a cancel in a background worker, while one
 * of a query is raised again.  Results are made in the current context.
 */
extern void gepa_store_call_function(StoreCall *call);

#endif							/* GEPA_STORE_STORE_FUNCTION_H */
