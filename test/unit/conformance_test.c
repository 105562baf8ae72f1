/*-------------------------------------------------------------------------
 *
 * conformance_test.c
 *	  Runs the conformance cases of a file.
 *
 * With a file as argument (script/conformance): one line per case, "ok ID" or
 * "FAILED ID: expected ..., got ...", a last line with the counts, and status
 * 1 when one failed.  Without: the files that are kept beside this one, as
 * TAP: gepa-conformance.json as it was given, and -more with cases of kinds
 * that it has no or few of.
 *
 * A case of a kind that is not known fails; nothing is skipped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "conformance.h"
#include "tap.h"

/* Trees of JSON are never freed. */
TAP_IGNORE_LEAKS();

static const struct
{
	const char *area;
	ConformanceReplay replay;
}			areas[] = {
	{"rng", replay_random},
	{"minibatch sampling", replay_sampler},
	{"candidate selection", replay_selection},
	{"frontier update", replay_frontier},
	{"best program", replay_frontier},
	{"merge", replay_merge},
	{"acceptance", replay_acceptance},
	{"selection", replay_keep},
	{"reflection", replay_reflection},
	{"component selection", replay_components},
	{"evaluation cache", replay_identity},
	{"stopping", replay_stops},
	{"budget", replay_budget},
};

static ConformanceReplay
find_replay(const char *area)
{
	int			i;

	/* with or without merge, or whatever else is worth naming */
	if (strncmp(area, "whole run", strlen("whole run")) == 0)
		return replay_run;
	for (i = 0; i < lengthof(areas); i++)
		if (strcmp(areas[i].area, area) == 0)
			return areas[i].replay;
	return NULL;
}

/* Replay one case; NULL when it passed, else what went wrong. */
static char *
run_case(const GepaJson *one)
{
	const char *area = gepa_json_get_string(one, "area");
	const GepaJson *expected = gepa_json_get(one, "expected");
	ConformanceReplay replay = area != NULL ? find_replay(area) : NULL;
	const char *error = "it is no JSON";
	StringInfoData got,
				where,
				expected_text,
				got_text;
	GepaJson   *tree;

	initStringInfo(&got);
	initStringInfo(&where);
	initStringInfo(&expected_text);
	initStringInfo(&got_text);
	if (replay == NULL || expected == NULL)
		return psprintf("expected an area that is known, got \"%s\"", area ? area : "none");
	if (!replay(gepa_json_get(one, "input"), expected, &got))
		return psprintf("expected an input that is understood, got another (%s)", got.data);
	tree = gepa_json_parse(got.data, got.len, &error);
	if (tree == NULL)
		return psprintf("expected JSON, got %s: %s", error, got.data);
	if (json_equal(expected, tree, &where, &expected_text, &got_text))
		return NULL;
	return psprintf("expected %s%s%s, got %s", expected_text.data, where.len > 0 ? " at " : "",
					where.data, got_text.data);
}

static char *
read_file(const char *path, size_t *length)
{
	FILE	   *file = fopen(path, "r");
	StringInfoData buf;
	char		chunk[65536];
	size_t		n;

	if (file == NULL)
		return NULL;
	initStringInfo(&buf);
	while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
		appendBinaryStringInfo(&buf, chunk, (int) n);
	fclose(file);
	*length = buf.len;
	return buf.data;
}

/* The cases of a file: a document with "cases", or the bare array. */
static const GepaJson *
read_cases(const char *path)
{
	const char *error = NULL;
	size_t		length = 0;
	char	   *text = read_file(path, &length);
	GepaJson   *document;

	if (text == NULL)
	{
		fprintf(stderr, "could not read \"%s\"\n", path);
		return NULL;
	}
	document = gepa_json_parse(text, length, &error);
	if (document == NULL)
	{
		fprintf(stderr, "\"%s\" is not valid JSON: %s\n", path, error);
		return NULL;
	}
	if (document->kind == GEPA_JSON_ARRAY)
		return document;
	return gepa_json_get(document, "cases");
}

static int
report_lines(const GepaJson *cases)
{
	int			failed = 0;
	int			i;

	for (i = 0; i < json_count(cases); i++)
	{
		const char *id = gepa_json_get_string(cases->items[i], "id");
		char	   *problem = run_case(cases->items[i]);

		if (problem == NULL)
			printf("ok %s\n", id ? id : "(no id)");
		else
			printf("FAILED %s: %s\n", id ? id : "(no id)", problem);
		failed += problem != NULL;
		fflush(stdout);
	}
	printf("%d passed, %d failed\n", json_count(cases) - failed, failed);
	return failed > 0 || json_count(cases) == 0;
}

/* The program must also be able to say no. */
static void
test_refusal(void)
{
	static const char text[] =
		"[{\"id\":\"a\",\"area\":\"no such\",\"input\":{},\"expected\":1},"
		"{\"id\":\"b\",\"area\":\"merge\",\"input\":{\"x\":1},\"expected\":[]},"
		"{\"id\":\"c\",\"area\":\"merge\",\"input\":{\"rows\":[[3,2,2.5]],"
		"\"columns\":[\"sum_i\",\"sum_j\",\"sum_merged\"]},\"expected\":[true]}]";
	const GepaJson *cases = gepa_json_parse(text, strlen(text), NULL);

	tap_ok(run_case(cases->items[0]) != NULL, "an unknown area fails");
	tap_ok(run_case(cases->items[1]) != NULL, "an unknown input fails");
	tap_is_string(run_case(cases->items[2]), "expected true at [0], got false",
				  "another outcome fails and says where");
}

static void
test_file(const char *path)
{
	const GepaJson *cases = read_cases(path);
	int			i;

	tap_ok(json_count(cases) > 0, "there are cases in %s", path);
	for (i = 0; i < json_count(cases); i++)
	{
		char	   *problem = run_case(cases->items[i]);

		tap_ok(problem == NULL, "%s", gepa_json_get_string(cases->items[i], "id"));
		if (problem != NULL)
			printf("# %s\n", problem);
	}
}

int
main(int argc, char **argv)
{
	if (argc > 1)
	{
		const GepaJson *cases = read_cases(argv[1]);

		return cases != NULL ? report_lines(cases) : 2;
	}
	test_refusal();
	test_file("gepa-conformance.json");
	test_file("gepa-conformance-more.json");
	return tap_done();
}
