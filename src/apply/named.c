/*-------------------------------------------------------------------------
 *
 * named.c
 *	  What a judge's name stands for: a judge, or a router with its judges.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "apply/apply.h"

ApplyNamed *
gepa_apply_open_resolved(StoreVersion *version, StoreRouter *router, LmPurpose purpose)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "gepa name",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ApplyNamed *named = palloc0(sizeof(ApplyNamed));

	named->context = context;
	named->purpose = purpose;
	if (version != NULL)
		named->judge = gepa_apply_open(version, purpose);
	else
		named->router = gepa_apply_router_open(router);
	MemoryContextSwitchTo(old);
	return named;
}

ApplyNamed *
gepa_apply_open_named(const char *name, LmPurpose purpose)
{
	StoreRouter *router;
	StoreVersion *version = gepa_store_resolve(name, &router);

	return gepa_apply_open_resolved(version, router, purpose);
}

void
gepa_apply_close_named(ApplyNamed *named)
{
	ListCell   *cell;

	if (named->judge != NULL)
		gepa_apply_close(named->judge);
	if (named->router != NULL)
		gepa_apply_router_close(named->router);
	foreach(cell, named->judges)
		gepa_apply_close(lfirst(cell));
	MemoryContextDelete(named->context);
}

ApplyJudge *
gepa_apply_target(ApplyNamed *named, const StoreTarget *target)
{
	MemoryContext old;
	ApplyJudge *judge;
	ListCell   *cell;

	foreach(cell, named->targets)
		if (lfirst(cell) == target)
		return list_nth(named->judges, foreach_current_index(cell));
	old = MemoryContextSwitchTo(named->context);
	judge = gepa_apply_open(gepa_store_get_target(target), named->purpose);
	named->targets = lappend(named->targets, unconstify(StoreTarget *, target));
	named->judges = lappend(named->judges, judge);
	MemoryContextSwitchTo(old);
	return judge;
}
