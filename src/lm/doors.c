/*-------------------------------------------------------------------------
 *
 * doors.c
 *	  Which doors have answered lately: arithmetic, without locks or clocks.
 *
 * A door is what one endpoint is to one key, as a hash; it is open from an answer
 * on for some time, unless it was refused since.  A few are kept: of more, the one
 * that closes first makes room, and then costs a call that goes alone.
 *
 * Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lm/lm_flow.h"

int64
gepa_lm_doors_open_until(const LmDoors *doors, uint64 door)
{
	for (int i = 0; i < LM_NDOORS; i++)
		if (doors->until[i] != 0 && doors->door[i] == door)
			return doors->until[i];
	return 0;
}

void
gepa_lm_doors_open(LmDoors *doors, uint64 door, int64 until)
{
	int			at = 0;

	for (int i = 0; i < LM_NDOORS; i++)
	{
		if (doors->until[i] != 0 && doors->door[i] == door)
		{
			at = i;
			break;
		}
		if (doors->until[i] < doors->until[at])
			at = i;
	}
	doors->door[at] = door;
	doors->until[at] = until;
}

void
gepa_lm_doors_shut(LmDoors *doors, uint64 door)
{
	for (int i = 0; i < LM_NDOORS; i++)
		if (doors->door[i] == door)
			doors->until[i] = 0;
}
