/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The configuration parameters.
 *
 * Parameters that size shared memory exist only in a preloaded library: they
 * can be defined at no other time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "base/settings.h"

bool		gepa_allow_lm_mismatch = false;
double		gepa_call_log_sample_rate = 1;
int			gepa_call_log_size = 256;
int			gepa_call_log_text = 0;
bool		gepa_enable_judge_node = true;
int			gepa_max_image_bytes = 20 * 1024 * 1024;
int			gepa_max_job_workers = 4;
int			gepa_max_query_calls = -1;
double		gepa_max_query_cost = -1;
int			gepa_max_query_tokens = -1;
int			gepa_max_run_workers = 4;
int			gepa_on_budget = GEPA_ON_BUDGET_ERROR;
int			gepa_on_error = GEPA_ON_ERROR_NULL;
int			gepa_verdict_ring_size = 4096;

static const struct config_enum_entry on_error_options[] = {
	{"null", GEPA_ON_ERROR_NULL, false},
	{"error", GEPA_ON_ERROR_ERROR, false},
	{NULL, 0, false}
};

static const struct config_enum_entry on_budget_options[] = {
	{"error", GEPA_ON_BUDGET_ERROR, false},
	{"null", GEPA_ON_BUDGET_NULL, false},
	{NULL, 0, false}
};

/* What a statement may spend, and what becomes of calls beyond a budget. */
static void
define_budgets(void)
{
	DefineCustomIntVariable("gepa.max_query_calls",
							"Sets how many requests to language models a statement may send.",
							"-1 means no limit.",
							&gepa_max_query_calls,
							-1, -1, INT_MAX,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);

	DefineCustomRealVariable("gepa.max_query_cost",
							 "Sets what the calls of a statement to language models may cost.",
							 "By the prices of the LMs.  -1 means no limit.",
							 &gepa_max_query_cost,
							 -1, -1, 1e9,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("gepa.max_query_tokens",
							"Sets how many tokens the calls of a statement to language models may take.",
							"Input and output together.  -1 means no limit.",
							&gepa_max_query_tokens,
							-1, -1, INT_MAX,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);

	DefineCustomEnumVariable("gepa.on_budget",
							 "Sets what a call yields that a budget does not allow.",
							 "\"error\" raises it; \"null\" yields NULL, with status budget.",
							 &gepa_on_budget,
							 GEPA_ON_BUDGET_ERROR,
							 on_budget_options,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);
}

/* Parameters in alphabetical order; those of budgets are apart. */
void
gepa_base_init(void)
{
	DefineCustomBoolVariable("gepa.allow_lm_mismatch",
							 "Lets a judge run on an LM whose settings differ from those of its version.",
							 "Verdicts are then stored apart from those of the version.",
							 &gepa_allow_lm_mismatch,
							 false,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomRealVariable("gepa.call_log_sample_rate",
							 "Sets the share of calls to language models that gepa.lm_calls shows.",
							 "Calls that fail are shown all, unless this is 0.",
							 &gepa_call_log_sample_rate,
							 1.0, 0.0, 1.0,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);

	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("gepa.call_log_size",
								"Sets the shared memory for the calls that gepa.lm_calls shows.",
								"New calls take the place of the oldest.",
								&gepa_call_log_size,
								256, 64, 65536,
								PGC_POSTMASTER,
								GUC_UNIT_KB,
								NULL, NULL, NULL);

	DefineCustomIntVariable("gepa.call_log_text",
							"Sets how much of prompt and answer of a call gepa.lm_calls shows.",
							"0 keeps none of either.",
							&gepa_call_log_text,
							0, 0, 1024 * 1024,
							PGC_SUSET,
							GUC_UNIT_BYTE,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("gepa.enable_judge_node",
							 "Lets a query have several documents judged at a time.",
							 "Off, each call waits for its answer.  The rows are the same.",
							 &gepa_enable_judge_node,
							 true,
							 PGC_USERSET,
							 GUC_EXPLAIN,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("gepa.max_image_bytes",
							"Sets how large an image may be that a judge is shown.",
							"Larger ones have no verdict.  Images that are given by URL are not looked at.",
							&gepa_max_image_bytes,
							20 * 1024 * 1024, 1024, 128 * 1024 * 1024,
							PGC_USERSET,
							GUC_UNIT_BYTE,
							NULL, NULL, NULL);

	DefineCustomIntVariable("gepa.max_job_workers",
							"Sets how many workers of corpus jobs may work at a time.",
							"Further ones wait in the queue.",
							&gepa_max_job_workers,
							4, 1, 64,
							PGC_SIGHUP,
							0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("gepa.max_run_workers",
							"Sets how many optimisation runs may work at a time.",
							"Further runs wait in the queue.",
							&gepa_max_run_workers,
							4, 1, 64,
							PGC_SIGHUP,
							0,
							NULL, NULL, NULL);

	DefineCustomEnumVariable("gepa.on_error",
							 "Sets what a document without a verdict yields.",
							 "\"null\" yields NULL and records the reason; \"error\" raises it.",
							 &gepa_on_error,
							 GEPA_ON_ERROR_NULL,
							 on_error_options,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("gepa.verdict_ring_size",
								"Sets the shared memory in which verdicts wait for their writer.",
								NULL,
								&gepa_verdict_ring_size,
								4096, 256, INT_MAX / 2,
								PGC_POSTMASTER,
								GUC_UNIT_KB,
								NULL, NULL, NULL);

	define_budgets();
	MarkGUCPrefixReserved("gepa");
}
