/*-------------------------------------------------------------------------
 *
 * gepa.c
 *	  Module magic and load: a table of contents, no logic.
 *
 * The library loads softly.  Without shared_preload_libraries the predicates
 * work and the functions that need a worker say so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/compat.h"
#include "base/settings.h"
#include "lm/lm.h"
#include "node/node.h"
#include "store/store.h"
#include "worker/worker.h"

GEPA_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	gepa_base_init();
	gepa_lm_init();
	gepa_store_init();
	gepa_node_init();
	gepa_worker_init();
}
