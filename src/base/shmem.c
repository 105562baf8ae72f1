/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared memory: one pair of hooks for all who need some.
 *
 * The postmaster asks how much is wanted, makes it at its start and anew after
 * the crash of a process; where processes are not forked each of them attaches
 * to it.  What an area is and which lock protects it is its owner's to say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "base/shmem.h"

#define MAX_AREAS 16

static const GepaShmem *areas[MAX_AREAS];
static int	nareas = 0;
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	for (int i = 0; i < nareas; i++)
	{
		RequestAddinShmemSpace(areas[i]->size());
		if (areas[i]->tranche != NULL)
			RequestNamedLWLockTranche(areas[i]->tranche, 1);
	}
}

/* Returns whether it was made. */
static bool
attach(const GepaShmem *area)
{
	Size		size = area->size();
	LWLock	   *lock = area->tranche ? &GetNamedLWLockTranche(area->tranche)->lock : NULL;
	bool		found;
	void	   *memory = ShmemInitStruct(area->name, size, &found);

	if (!found)
		memset(memory, 0, size);
	area->attach(memory, lock, !found);
	return !found;
}

static void
startup(void)
{
	bool		made[MAX_AREAS];

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < nareas; i++)
		made[i] = attach(areas[i]);
	LWLockRelease(AddinShmemInitLock);
	for (int i = 0; i < nareas; i++)
		if (made[i] && areas[i]->ready != NULL)
			areas[i]->ready();
}

void
gepa_shmem_add(const GepaShmem *area)
{
	Assert(process_shared_preload_libraries_in_progress && nareas < MAX_AREAS);
	if (nareas == 0)
	{
		prev_shmem_request_hook = shmem_request_hook;
		shmem_request_hook = request;
		prev_shmem_startup_hook = shmem_startup_hook;
		shmem_startup_hook = startup;
	}
	areas[nareas++] = area;
}
