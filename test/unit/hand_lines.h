/*-------------------------------------------------------------------------
 *
 * hand_lines.h
 *	  Lines and candidates made by hand, for the tests of the score model.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_TEST_HAND_LINES_H
#define GEPA_TEST_HAND_LINES_H

#include "engine/engine_policy.h"

/* One more line, derived from another or (-1) not. */
static inline void
hand_line(EngineLines *lines, int ancestor)
{
	lines->lines = gepa_engine_grow(lines->arena, lines->lines, lines->nlines,
									&lines->allocated, sizeof(EngineLine));
	lines->lines[lines->nlines++].ancestor = ancestor;
}

/* One more candidate; its lines with their ancestors, ascending. */
static inline void
hand_candidate(EngineLines *lines, double length, int neffects, const int *effects)
{
	int		   *copy = gepa_engine_alloc(lines->arena, Max(neffects, 1) * sizeof(int));
	EngineComposition *composition;

	for (int i = 0; i < neffects; i++)
		copy[i] = effects[i];
	lines->compositions = gepa_engine_grow(lines->arena, lines->compositions,
										   lines->ncandidates, &lines->candidates_allocated,
										   sizeof(EngineComposition));
	composition = &lines->compositions[lines->ncandidates++];
	composition->neffects = neffects;
	composition->effects = copy;
	composition->length = length;
}

#endif							/* GEPA_TEST_HAND_LINES_H */
