/*-------------------------------------------------------------------------
 *
 * recombine.c
 *	  A text from lines that are known, without a call.
 *
 * There is no gate in the default mode: a child that lost may have brought a good
 * line along.  So every line that was ever written is a possible change of the
 * incumbent, and is worth what the model says: its effect with that of its ancestors,
 * and of its length.  The effects are drawn from the posterior, not taken at their mean, so
 * that lines about which little is known get their turn.  Changes are few, since only near
 * the incumbent is the sum of effects a fair guess.
 *
 * Another wording of a line that is in the incumbent (the two have an ancestor in
 * common, or one is the other's) is worth no more than what it does better: it would
 * say the same again.  It takes that line's place, or is left alone.  Headings are not
 * added: alone they say nothing, and they would never be dropped again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "engine/engine_policy.h"

#define WORDS_PER_UNIT 100.0	/* of the length effect */

typedef struct Change
{
	EngineEdit	edit;
	int			replaced;		/* the line whose place an added one takes; -1 */
	double		value;			/* gain expected, on the logit scale */
} Change;

typedef struct Recombination
{
	const EngineLines *lines;
	const EngineComposition *incumbent;
	double	   *values;			/* by line, drawn */
	int		   *roots;			/* by line: its first ancestor */
	int		   *wordings;		/* by root: the incumbent's line; -1 = none */
	bool	   *present;		/* by line: in the incumbent */
} Recombination;

static int
compare_changes(const void *a, const void *b)
{
	const Change *left = a;
	const Change *right = b;

	if (left->value != right->value)
		return left->value > right->value ? -1 : 1;
	return left->edit.line < right->edit.line ? -1 : 1;
}

static void
draw_values(Recombination *recombination, const EngineModel *model, EngineRandom *random,
			double scale)
{
	const EngineLines *lines = recombination->lines;
	double		length_effect;
	int			i;

	recombination->values = palloc(lines->nlines * sizeof(double));
	gepa_engine_model_draw(model, lines, random, scale, recombination->values,
						   &length_effect);
	for (i = 0; i < lines->nlines; i++)
		recombination->values[i] += length_effect * lines->lines[i].words / WORDS_PER_UNIT;
}

static void
find_wordings(Recombination *recombination)
{
	const EngineLines *lines = recombination->lines;
	const EngineComposition *incumbent = recombination->incumbent;
	int			i;

	recombination->roots = palloc(lines->nlines * sizeof(int));
	recombination->wordings = palloc(lines->nlines * sizeof(int));
	recombination->present = palloc0(lines->nlines * sizeof(bool));
	for (i = 0; i < lines->nlines; i++)
	{
		int			ancestor = lines->lines[i].ancestor;

		recombination->roots[i] = ancestor < 0 ? i : recombination->roots[ancestor];
		recombination->wordings[i] = -1;
	}
	/* the latest wording, should there be several */
	for (i = 0; i < incumbent->nlines; i++)
	{
		recombination->present[incumbent->lines[i]] = true;
		recombination->wordings[recombination->roots[incumbent->lines[i]]] =
			incumbent->lines[i];
	}
}

/* What changing one line is worth; false when it is worth nothing. */
static bool
weigh_change(const Recombination *recombination, int line, Change *change)
{
	int			wording = recombination->wordings[recombination->roots[line]];
	double		value = recombination->values[line];

	if (recombination->lines->lines[line].is_protected)
		return false;
	change->edit.line = line;
	change->edit.drop = recombination->present[line];
	change->replaced = -1;
	if (change->edit.drop)
		change->value = -value;
	else if (wording < 0)
		change->value = value;
	else if (recombination->lines->lines[wording].is_protected)
		return false;
	else
	{
		change->replaced = wording;
		change->value = value - recombination->values[wording];
	}
	return change->value > 0.0;
}

/* All changes that are worth making, best first. */
static int
weigh_changes(const Recombination *recombination, Change *changes)
{
	int			n = 0;
	int			i;

	for (i = 0; i < recombination->lines->nlines; i++)
		if (weigh_change(recombination, i, &changes[n]))
			n++;
	qsort(changes, n, sizeof(Change), compare_changes);
	return n;
}

/*
 * The best changes; taking a line's place is one of them, though two edits.  Of several
 * wordings of a line only one is changed.
 */
static int
choose_edits(const Recombination *recombination, const Change *changes, int nchanges,
			 const EnginePolicy *policy, EngineEdit *edits)
{
	bool	   *settled = palloc0(recombination->lines->nlines * sizeof(bool));
	int			made = 0;
	int			additions = 0;
	int			n = 0;
	int			i;

	for (i = 0; i < nchanges && made < policy->max_changes; i++)
	{
		const Change *change = &changes[i];
		int			root = recombination->roots[change->edit.line];

		if (settled[root] || (!change->edit.drop && additions >= policy->max_additions))
			continue;
		settled[root] = true;
		made++;
		additions += !change->edit.drop;
		if (change->replaced >= 0)
		{
			edits[n].line = change->replaced;
			edits[n++].drop = true;
		}
		edits[n++] = change->edit;
	}
	pfree(settled);
	return n;
}

const char *const *
gepa_engine_recombine(EngineLines *lines, const EngineModel *model, EngineRandom *random,
					  const EnginePolicy *policy, int incumbent)
{
	Recombination recombination = {.lines = lines};
	const char *const *result;
	Change	   *changes;
	EngineEdit *edits;
	int			n;

	if (lines->nlines == 0)
		return NULL;
	recombination.incumbent = &lines->compositions[incumbent];
	draw_values(&recombination, model, random, policy->thompson);
	find_wordings(&recombination);
	changes = palloc(lines->nlines * sizeof(Change));
	n = weigh_changes(&recombination, changes);
	edits = palloc((2 * n + 1) * sizeof(EngineEdit));
	n = choose_edits(&recombination, changes, n, policy, edits);
	result = gepa_engine_lines_edit(lines, incumbent, edits, n);
	pfree(edits);
	pfree(changes);
	pfree(recombination.values);
	pfree(recombination.roots);
	pfree(recombination.wordings);
	pfree(recombination.present);
	return result;
}
