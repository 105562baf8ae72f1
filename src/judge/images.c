/*-------------------------------------------------------------------------
 *
 * images.c
 *	  The image fields of documents.
 *
 * A document with a field that is no image is not asked about: its verdict says so
 * (run.c).  Where rows are chosen by hand, as samples are, it is an error (datasets.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/settings.h"
#include "judge/judge_internal.h"

void
gepa_judge_normalise(const JudgeSpec *spec, const char **fields)
{
	for (int i = 0; i < spec->ninputs && spec->nimages > 0; i++)
	{
		const char *problem;
		const char *image;

		if (!gepa_judge_is_image(spec, spec->inputs[i]))
			continue;
		image = gepa_judge_image(fields[i], gepa_max_image_bytes, &problem);
		if (image != NULL)
			fields[i] = image;
	}
}

char *
gepa_judge_find_bad_image(const JudgeSpec *spec, const JudgeDocument *document)
{
	for (int i = 0; i < spec->ninputs && spec->nimages > 0; i++)
	{
		const char *problem;

		if (!gepa_judge_is_image(spec, spec->inputs[i]))
			continue;
		if (gepa_judge_image(document->fields[i], gepa_max_image_bytes, &problem) == NULL)
			return psprintf("Input \"%s\" is no image that can be judged. %s", spec->inputs[i],
							problem);
	}
	return NULL;
}
