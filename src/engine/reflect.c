/*-------------------------------------------------------------------------
 *
 * reflect.c
 *	  Texts of reflection: what the model is asked, what it answered.
 *
 * Pure functions; nothing here knows an engine.  The records are rendered as
 * Markdown, headings getting deeper with the nesting.  The prompt comes from
 * a template with two placeholders.  A candidate's own text is a model's
 * work and may contain a placeholder: it is copied as it is, unless expand
 * asks for the two plain passes of the reference.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lib/stringinfo.h"

#include "engine/engine_internal.h"

#define PLACEHOLDER_TEXT "<curr_param>"
#define PLACEHOLDER_RECORDS "<side_info>"
#define FENCE "```"
#define FENCE_LENGTH 3
#define FIRST_LEVEL 3			/* below the record and its keys */
#define LAST_LEVEL 6			/* Markdown has no deeper headings */

const char *
gepa_engine_check_template(const char *template)
{
	bool		has_text = strstr(template, PLACEHOLDER_TEXT) != NULL;
	bool		has_records = strstr(template, PLACEHOLDER_RECORDS) != NULL;

	if (!has_text && !has_records)
		return "Missing placeholder(s) in prompt template: "
			PLACEHOLDER_TEXT ", " PLACEHOLDER_RECORDS;
	if (!has_text)
		return "Missing placeholder(s) in prompt template: " PLACEHOLDER_TEXT;
	if (!has_records)
		return "Missing placeholder(s) in prompt template: " PLACEHOLDER_RECORDS;
	return NULL;
}

/* What is blank to the reference, of the one-byte characters. */
static bool
is_blank(char c)
{
	return (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f) || c == ' ';
}

/*
 * Length of the blank that starts at p, 0 if none: also those of Unicode
 * (U+0085, U+00A0, U+1680, U+2000-U+200A, U+2028, U+2029, U+202F, U+205F,
 * U+3000).
 */
static int
blank_length(const char *p, const char *end)
{
	const unsigned char *u = (const unsigned char *) p;

	if (p < end && is_blank(*p))
		return 1;
	if (end - p >= 2 && u[0] == 0xc2 && (u[1] == 0x85 || u[1] == 0xa0))
		return 2;
	if (end - p < 3)
		return 0;
	if (u[0] == 0xe1 && u[1] == 0x9a && u[2] == 0x80)
		return 3;
	if (u[0] == 0xe2 && u[1] == 0x80 &&
		((u[2] >= 0x80 && u[2] <= 0x8a) || u[2] == 0xa8 || u[2] == 0xa9 || u[2] == 0xaf))
		return 3;
	if (u[0] == 0xe2 && u[1] == 0x81 && u[2] == 0x9f)
		return 3;
	if (u[0] == 0xe3 && u[1] == 0x80 && u[2] == 0x80)
		return 3;
	return 0;
}

/* Narrow a stretch of text by the blanks at both ends. */
static void
trim(const char **start, const char **end)
{
	int			length;

	while (*start < *end && (length = blank_length(*start, *end)) > 0)
		*start += length;
	while (*start < *end)
	{
		const char *last = *end - 1;

		while (last > *start && ((unsigned char) *last & 0xc0) == 0x80)
			last--;
		length = blank_length(last, *end);
		if (length == 0 || last + length != *end)
			break;
		*end = last;
	}
}

static void
append_trimmed(StringInfo buf, const char *text)
{
	const char *end = text + strlen(text);

	trim(&text, &end);
	appendBinaryStringInfo(buf, text, end - text);
}

static char *
copy_trimmed(const char *start, const char *end)
{
	trim(&start, &end);
	return pnstrdup(start, end - start);
}

static void
append_heading(StringInfo buf, int level)
{
	while (level-- > 0)
		appendStringInfoChar(buf, '#');
	appendStringInfoChar(buf, ' ');
}

static void
render_value(StringInfo buf, const EngineValue *value, int level)
{
	int			i;

	if (value->kind == ENGINE_VALUE_TEXT)
	{
		append_trimmed(buf, value->text);
		appendStringInfoString(buf, "\n\n");
		return;
	}
	for (i = 0; i < value->nitems; i++)
	{
		append_heading(buf, level);
		if (value->kind == ENGINE_VALUE_MAP)
			appendStringInfo(buf, "%s\n", value->keys[i]);
		else
			appendStringInfo(buf, "Item %d\n", i + 1);
		render_value(buf, &value->items[i], Min(level + 1, LAST_LEVEL));
	}
	if (value->nitems == 0)
		appendStringInfoChar(buf, '\n');
}

static void
render_records(StringInfo buf, const EngineValue *records, int nrecords)
{
	int			i;
	int			k;

	for (i = 0; i < nrecords; i++)
	{
		if (i > 0)
			appendStringInfoString(buf, "\n\n");
		appendStringInfo(buf, "# Example %d\n", i + 1);
		for (k = 0; k < records[i].nitems; k++)
		{
			appendStringInfo(buf, "## %s\n", records[i].keys[k]);
			render_value(buf, &records[i].items[k], FIRST_LEVEL);
		}
	}
}

/* Copy text with every placeholder replaced, in one pass. */
static void
append_replaced(StringInfo buf, const char *text, const char *placeholder,
				const char *replacement)
{
	const char *found;

	while ((found = strstr(text, placeholder)) != NULL)
	{
		appendBinaryStringInfo(buf, text, found - text);
		appendStringInfoString(buf, replacement);
		text = found + strlen(placeholder);
	}
	appendStringInfoString(buf, text);
}

char *
gepa_engine_render_reflection(const char *template, const char *current,
							  const EngineValue *records, int nrecords, bool expand)
{
	StringInfoData rendered;
	StringInfoData prompt;
	StringInfoData pass;
	const char *found;

	initStringInfo(&rendered);
	initStringInfo(&prompt);
	render_records(&rendered, records, nrecords);

	if (expand)
	{
		initStringInfo(&pass);
		append_replaced(&pass, template, PLACEHOLDER_TEXT, current);
		append_replaced(&prompt, pass.data, PLACEHOLDER_RECORDS, rendered.data);
		pfree(pass.data);
	}
	else
	{
		/* the template's own placeholders, piece by piece */
		while ((found = strstr(template, PLACEHOLDER_TEXT)) != NULL)
		{
			char	   *piece = pnstrdup(template, found - template);

			append_replaced(&prompt, piece, PLACEHOLDER_RECORDS, rendered.data);
			appendStringInfoString(&prompt, current);
			template = found + strlen(PLACEHOLDER_TEXT);
			pfree(piece);
		}
		append_replaced(&prompt, template, PLACEHOLDER_RECORDS, rendered.data);
	}
	pfree(rendered.data);
	return prompt.data;
}

static const char *
last_fence(const char *text)
{
	const char *found = NULL;
	const char *p = text;

	while ((p = strstr(p, FENCE)) != NULL)
		found = p++;
	return found;
}

/* End of the characters from p on that are not blank. */
static const char *
skip_word(const char *p, const char *end)
{
	while (p < end && blank_length(p, end) == 0)
		p++;
	return p;
}

/* An answer without a proper pair of fences. */
static char *
extract_unpaired(const char *answer)
{
	const char *start = answer;
	const char *end = answer + strlen(answer);
	const char *p;

	trim(&start, &end);
	if (end - start >= FENCE_LENGTH && strncmp(start, FENCE, FENCE_LENGTH) == 0)
	{
		/* only a fence at the very start carries a language tag to drop */
		if (start != answer)
			return copy_trimmed(start, end);
		end = answer + strlen(answer);
		p = skip_word(answer + FENCE_LENGTH, end);
		return copy_trimmed(p, end);
	}
	if (end - start >= FENCE_LENGTH && strncmp(end - FENCE_LENGTH, FENCE, FENCE_LENGTH) == 0)
		end -= FENCE_LENGTH;
	return copy_trimmed(start, end);
}

char *
gepa_engine_extract_text(const char *answer)
{
	const char *start = strstr(answer, FENCE);
	const char *end = last_fence(answer);
	const char *p;

	if (start == NULL || start + FENCE_LENGTH >= end)
		return extract_unpaired(answer);

	/* a first line without blanks is a language tag */
	start += FENCE_LENGTH;
	p = skip_word(start, end);
	if (p < end && *p == '\n')
		start = p + 1;
	return copy_trimmed(start, end);
}
