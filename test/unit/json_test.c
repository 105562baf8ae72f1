/*-------------------------------------------------------------------------
 *
 * json_test.c
 *	  Reading hostile JSON without harm, and writing it back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/pg_prng.h"

#include "base/json.h"
#include "base/status.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

static char *
round_trip(const char *text)
{
	const char *error;
	GepaJson   *json = gepa_json_parse(text, strlen(text), &error);
	StringInfoData buf;

	if (json == NULL)
		return psprintf("error: %s", error);
	initStringInfo(&buf);
	gepa_json_write(&buf, json);
	return buf.data;
}

static void
check(const char *text, const char *expected)
{
	tap_is_string(round_trip(text), expected, text);
}

static void
check_reading(void)
{
	GepaJson   *json;
	double		number = 0;
	const char *text = "{\"a\": 1, \"s\": \"x\", \"a\": 2.5, \"l\": [true, null]}";

	json = gepa_json_parse(text, strlen(text), NULL);
	tap_ok(gepa_json_get_number(json, "a", &number) && number == 2.5, "last duplicate counts");
	tap_is_string(gepa_json_get_string(json, "s"), "x", "string field");
	tap_ok(gepa_json_get_string(json, "a") == NULL, "a number is no string");
	tap_ok(gepa_json_get(json, "none") == NULL, "absent field");
	tap_ok(gepa_json_item(gepa_json_get(json, "l"), 0)->boolean, "array element");
	tap_ok(gepa_json_item(gepa_json_get(json, "l"), 2) == NULL, "beyond the end");
	tap_ok(gepa_json_get(NULL, "x") == NULL && gepa_json_item(json, 0) == NULL,
		   "wrong kinds yield nothing");
	tap_ok(gepa_json_parse("{} x", 2, NULL) != NULL, "length bounds the text");
}

static void
check_depth(void)
{
	char		deep[400];

	memset(deep, '[', 100);
	memset(deep + 100, ']', 100);
	deep[200] = '\0';
	tap_is_string(round_trip(deep), "error: nested too deeply", "100 levels are refused");
	memset(deep, '[', GEPA_JSON_MAX_DEPTH);
	memset(deep + GEPA_JSON_MAX_DEPTH, ']', GEPA_JSON_MAX_DEPTH);
	deep[2 * GEPA_JSON_MAX_DEPTH] = '\0';
	check(deep, deep);
	check("\"[[[[[\"", "\"[[[[[\"");
}

/* Random bytes and random mutations never crash; what parses writes and reads. */
static void
check_random(uint64 seed)
{
	static const char alphabet[] = "{}[]\",:\\u0012aetrufalsn \n.-+\xc3\xa9\x80";
	pg_prng_state state;
	int			parsed = 0;

	printf("# seed " UINT64_FORMAT "\n", seed);
	pg_prng_seed(&state, seed);
	for (int i = 0; i < 20000; i++)
	{
		char		text[64];
		int			length = (int) pg_prng_uint64_range(&state, 0, sizeof(text) - 1);
		GepaJson   *json;

		for (int k = 0; k < length; k++)
			text[k] = alphabet[pg_prng_uint64_range(&state, 0, sizeof(alphabet) - 2)];
		text[length] = '\0';
		json = gepa_json_parse(text, length, NULL);
		if (json == NULL)
			continue;
		parsed++;
		if (strncmp(round_trip(round_trip(text)), "error", 5) == 0)
			tap_ok(false, "written JSON reads back: %s", text);
	}
	tap_ok(parsed > 0, "%d random texts parsed", parsed);
}

int
main(void)
{
	GepaStatus	status;

	check("{\"a\":[1,-2.5e3,\"x\\u00e9\\n\",null,true,false,{}],\"b\":{\"c\":[]}}",
		  "{\"a\":[1,-2.5e3,\"x\xc3\xa9\\n\",null,true,false,{}],\"b\":{\"c\":[]}}");
	check(" 1 ", "1");
	check("", "error: not valid JSON");
	check("[1,", "error: not valid JSON");
	check("\"a", "error: not valid JSON");
	check("{\"a\":\"\\u0000\"}", "error: not valid JSON");
	check("\"\xff\"", "error: not valid UTF-8");
	check("NaN", "error: not valid JSON");
	check("{} {}", "error: not valid JSON");
	check("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"");
	check("\"\\u0007\"", "\"\\u0007\"");
	tap_ok(gepa_json_parse("1\0 ", 3, NULL) == NULL, "a NUL byte is refused");
	check_reading();
	check_depth();
	check_random(20261124);
	tap_ok(gepa_status_parse("too_long", &status) && status == GEPA_STATUS_TOO_LONG &&
		   !gepa_status_parse("none", &status), "status words");
	return tap_done();
}
