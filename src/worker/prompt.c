/*-------------------------------------------------------------------------
 *
 * prompt.c
 *	  What the reflection LM is asked.
 *
 * The component's template with the present text and the records; below it, where
 * the run's options ask for them, earlier proposals that came to nothing and how long
 * the new text may be.  Without these options the template is all.
 *
 * Earlier proposals are told by the lines that they changed, since they are whole prompts that
 * differ by little.  Their number and the length of each are bounded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "worker/worker_reflect.h"

#define LONGEST_CHANGE 1200		/* bytes shown of an earlier proposal */

const char *
gepa_worker_component(const WorkerRun *run, const EngineStep *step)
{
	return run->seed->components[run->tuned[step->component]].name;
}

int
gepa_worker_longest(const WorkerRun *run, const EngineStep *step)
{
	const WorkerRunOptions *options = &run->options;
	int64		longest = options->max_prompt_chars;

	if (options->max_growth > 0)
		longest = Min(longest, (int64) pg_mbstrlen(step->texts[step->component]) +
					  options->max_growth);
	return (int) longest;
}

/*
 * Earlier proposals
 */

/* Does a text have this line, blanks at the ends apart? */
static bool
has_line(const char *text, const char *line, size_t length)
{
	while (*text != '\0')
	{
		size_t		n = strcspn(text, "\n");

		if (n == length && strncmp(text, line, n) == 0)
			return true;
		text += n + (text[n] == '\n');
	}
	return false;
}

/* Lines of one text that another does not have. */
static void
append_lines(StringInfo buf, const char *mark, const char *text, const char *other)
{
	while (*text != '\0')
	{
		size_t		n = strcspn(text, "\n");

		if (n > 0 && !has_line(other, text, n))
			appendStringInfo(buf, "%s %.*s\n", mark, (int) n, text);
		text += n + (text[n] == '\n');
	}
}

/* Empty when lines have only changed places. */
static char *
change_text(const StoreTried *tried)
{
	StringInfoData change;

	initStringInfo(&change);
	append_lines(&change, "-", tried->parent_text, tried->text);
	append_lines(&change, "+", tried->text, tried->parent_text);
	if (change.len > LONGEST_CHANGE)
	{
		change.len = pg_mbcliplen(change.data, change.len, LONGEST_CHANGE);
		change.data[change.len] = '\0';
		appendStringInfoString(&change, " ...\n");
	}
	return change.data;
}

/* Why a candidate is behind another is told by their numbers, which mean nothing to the LM. */
static void
append_tried(StringInfo buf, int *number, const StoreTried *tried)
{
	char	   *change = change_text(tried);

	if (change[0] != '\0')
	{
		appendStringInfo(buf, "\n# Change %d\n%sWhat came of it: ", ++*number, change);
		if (tried->accepted)
			appendStringInfoString(buf, "lost to other texts");
		else
			appendStringInfo(buf, "rejected, %s", tried->reason);
		appendStringInfo(buf, ". On the same documents the sum of the scores was %.3g, and before the change %.3g.\n",
						 tried->child_sum, tried->parent_sum);
	}
	pfree(change);
}

/* A candidate and all that it descends from; several roots are possible. */
static int *
list_lineage(const WorkerRun *run, int candidate, int *n)
{
	int			ncandidates = gepa_engine_ncandidates(run->engine);
	bool	   *marked = palloc0(sizeof(bool) * Max(ncandidates, 1));
	int		   *lineage = palloc(sizeof(int) * Max(ncandidates, 1));

	*n = 0;
	if (candidate >= 0)
		marked[candidate] = true;
	/* parents have lower numbers */
	for (int i = candidate; i >= 0; i--)
	{
		int			parents[2];
		int			nparents;

		if (!marked[i])
			continue;
		lineage[(*n)++] = i;
		nparents = gepa_engine_candidate_parents(run->engine, i, parents);
		while (nparents-- > 0)
			marked[parents[nparents]] = true;
	}
	pfree(marked);
	return lineage;
}

char *
gepa_worker_tried(const WorkerRun *run, const EngineStep *step)
{
	StoreTriedFilter filter = {.run = run->row->run,
		.component = gepa_worker_component(run, step),.iteration = step->iteration,
		.parent = step->candidate,.lost = run->options.mode == ENGINE_MODE_DEFAULT,
	.most = run->options.show_rejected};
	int			n;
	int			number = 0;
	StoreTried *tried;
	StringInfoData buf;

	if (run->options.show_rejected == 0)
		return NULL;
	filter.lineage = list_lineage(run, step->candidate, &filter.nlineage);
	tried = gepa_store_get_tried(&filter, &n);
	if (n == 0)
		return NULL;
	initStringInfo(&buf);
	appendStringInfoString(&buf,
						   "\n\nThese changes were tried before and did not help (lines with - went, lines with + came)."
						   " Do not make them again, in these words or in others; find out what they missed.\n");
	for (int i = 0; i < n; i++)
		append_tried(&buf, &number, &tried[i]);
	return number > 0 ? buf.data : NULL;
}

/*
 * Prompts
 */

static const char *
find_template(const WorkerRun *run, const EngineStep *step)
{
	const WorkerTexts *own = &run->options.reflection_templates;
	const char *name = gepa_worker_component(run, step);

	for (int i = 0; i < own->n; i++)
		if (strcmp(own->names[i], name) == 0)
			return own->texts[i];
	return run->options.reflection_template ? run->options.reflection_template :
		gepa_worker_default_template(run, step);
}

/* The LM is told of a limit that somebody has set. */
static void
append_limit(StringInfo buf, const WorkerRun *run, const EngineStep *step)
{
	if (run->options.max_growth == 0 &&
		run->options.max_prompt_chars == WORKER_MAX_PROMPT_CHARS)
		return;
	appendStringInfo(buf, "\n\nThe new text may have at most %d characters; the present one has %d.",
					 gepa_worker_longest(run, step), pg_mbstrlen(step->texts[step->component]));
}

bool
gepa_worker_shows_images(const WorkerRun *run)
{
	const LmServer *lm = run->row->reflection_lm == NULL ? NULL :
		gepa_lm_describe(run->row->reflection_lm, GetUserId());

	return lm == NULL || lm->images;
}

/* A line before the records says what their placeholders stand for. */
static const char *
add_notice(const char *template, int nimages)
{
	const char *place = strstr(template, "<side_info>");

	if (nimages == 0 || place == NULL)
		return template;
	return psprintf("%.*sImages are attached: those of the first %d placeholders [IMAGE-...] that stand here, in their order.\n\n%s",
					(int) (place - template), template, nimages, place);
}

char *
gepa_worker_reflection_prompt(const WorkerRun *run, const EngineStep *step,
							  const EngineValue *records, int nrecords, int nimages,
							  const char *tried)
{
	const char *template = add_notice(find_template(run, step), nimages);
	char	   *prompt = gepa_engine_render_reflection(template, step->texts[step->component],
													   records, nrecords,
													   run->options.expand_placeholders);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, prompt);
	if (tried != NULL)
		appendStringInfoString(&buf, tried);
	append_limit(&buf, run, step);
	pfree(prompt);
	return buf.data;
}

char *
gepa_worker_combine_prompt(const WorkerRun *run, const EngineStep *step, char *const *texts,
						   int n)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf,
					 "This is the present instruction of an assistant:\n```\n%s\n```\n\n"
					 "%d writers have each improved it, after reading different examples of its work. "
					 "These are their versions:\n",
					 step->texts[step->component], n);
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, "\n# Version %d\n```\n%s\n```\n", i + 1, texts[i]);
	appendStringInfoString(&buf,
						   "\nMake one instruction of them. Keep what several of them say and what only one has found, "
						   "say each thing once, and where they contradict each other take what is more specific. "
						   "Add nothing of your own. Give the new instruction between triple backticks, and nothing after it.");
	append_limit(&buf, run, step);
	return buf.data;
}

char *
gepa_worker_complaint(const char *prompt, const char *reason)
{
	return psprintf("%s\n\nYou were asked this before, and your answer could not be used: %s. "
					"Write the new text without this fault.", prompt, reason);
}
