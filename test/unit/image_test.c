/*-------------------------------------------------------------------------
 *
 * image_test.c
 *	  Values of image fields, and how they are shown.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/base64.h"
#include "common/pg_prng.h"

#include "judge/judge_internal.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

#define MAX_BYTES 1000

/* The first bytes of a PNG, 10 in all. */
#define PNG "\x89PNG\r\n\x1a\nab"
#define PNG_BASE64 "iVBORw0KGgphYg=="
#define PNG_URL "data:image/png;base64," PNG_BASE64

static const char *
type_of(const char *bytes, size_t length)
{
	const char *type = gepa_judge_image_type((const uint8 *) bytes, length);

	return type ? type : "none";
}

static void
check_types(void)
{
	tap_is_string(type_of(PNG, 10), "image/png", "PNG");
	tap_is_string(type_of("\xff\xd8\xff\xe0zz", 6), "image/jpeg", "JPEG");
	tap_is_string(type_of("GIF89aX", 7), "image/gif", "GIF");
	tap_is_string(type_of("GIF87aX", 7), "image/gif", "old GIF");
	tap_is_string(type_of("RIFF1234WEBPVP8 ", 16), "image/webp", "WebP");
	tap_is_string(type_of("RIFF1234WAVEfmt ", 16), "none", "a sound is no image");
	tap_is_string(type_of("<svg xmlns=", 11), "none", "nor is SVG");
	tap_is_string(type_of("%PDF-1.7", 8), "none", "nor PDF");
	tap_is_string(type_of(PNG, 7), "none", "a signature that is cut off");
	tap_is_string(type_of("", 0), "none", "nothing");
}

static void
check_value(const char *value, const char *expected, const char *name)
{
	const char *problem;
	const char *image = gepa_judge_image(value, MAX_BYTES, &problem);

	tap_is_string(image ? image : problem, expected, name);
	tap_ok((image == NULL) == (problem != NULL), "%s: one of both", name);
}

static void
check_forms(void)
{
	const char *problem;
	const char *canonical = PNG_URL;

	check_value(PNG_BASE64, PNG_URL, "base64 alone");
	check_value("iVBORw0KGgphYg", PNG_URL, "without padding");
	check_value("iVBORw0K\r\nGgph\nYg==\n", PNG_URL, "in lines, as encode() writes it");
	check_value("iVBORw0KGgphYh==", PNG_URL, "with bits behind the last byte");
	check_value("data:image/jpeg;base64," PNG_BASE64, PNG_URL, "the type is what the bytes say");
	check_value("DATA:image/png;charset=x;BASE64," PNG_BASE64, PNG_URL, "a data: URL in other words");
	check_value("data:;base64," PNG_BASE64, PNG_URL, "without a type");
	check_value("\\x89504e470d0a1a0a6162", PNG_URL, "a bytea as text");
	check_value(" \n" PNG_URL, PNG_URL, "blanks in front");
	check_value("data:image/jpeg;base64,_9j_4A==", "data:image/jpeg;base64,/9j/4A==", "the other alphabet");
	tap_ok(gepa_judge_image(canonical, MAX_BYTES, &problem) == canonical,
		   "what is canonical is not copied");
	tap_is_string(gepa_judge_image_of_bytes((const uint8 *) PNG, 10, MAX_BYTES, &problem), PNG_URL, "bytes");

	check_value("https://host/a.png?x=1&y=%20", "https://host/a.png?x=1&y=%20", "a URL stays as it is");
	check_value("HTTP://host/a\n", "HTTP://host/a", "but for blanks around it");
}

static void
check_refused(void)
{
	static const char unknown[] = "It is no image of a known type.";
	static const char neither[] = "It is neither a URL nor base64.";
	static const char invalid[] = "It is no valid URL.";
	static const char scheme[] = "It is a URL that is neither http, https nor data.";
	static const char big[] = "It is larger than gepa.max_image_bytes.";
	char	   *long_text = palloc(5000);

	check_value("", unknown, "nothing");
	check_value("PHN2Zz4=", unknown, "base64 of something else");
	check_value("\\x3c737667", unknown, "bytes of something else");
	check_value("\\x8950zz", "It begins as a bytea does, but is none.", "no hexadecimal digits");
	check_value("\\x89504e470d0a1a0a6", "It begins as a bytea does, but is none.", "half a byte");
	check_value("a red, square", neither, "words");
	check_value("iVBORw0KGgphYg==x", neither, "digits behind the padding");
	check_value("iVBORw0KGgphY", neither, "a digit too few");
	check_value("iVBORw0KGgphYg===", neither, "padding too much");
	check_value("data:image/png,%89PNG", "It is a data: URL that is not in base64.", "escapes");
	check_value("data:image/png;base64", "It is a data: URL that is not in base64.", "no data");
	check_value("file:///etc/passwd", scheme, "a file");
	check_value("ftp://host/a.png", scheme, "another scheme");
	check_value("http://", invalid, "no host");
	check_value("http:///a.png", invalid, "an empty one");
	check_value("http://host/a b", invalid, "a blank within");
	check_value("http://host/a\r\nX-Evil: 1", invalid, "a header");
	check_value("http://host/\"", invalid, "a quote");
	check_value("http://host/\xc3\xa9", invalid, "not ASCII");
	check_value("http://user:secret@host/a", "It is a URL with a name or password in it.", "a password");
	memset(long_text, 'a', 4999);
	long_text[4999] = '\0';
	memcpy(long_text, "http://", 7);
	check_value(long_text, "It is a URL of more than 4096 bytes.", "a URL too long");
	memset(long_text, 'A', 4999);
	memcpy(long_text, "iVBORw0KGgo", 11);
	long_text[4996] = '\0';
	check_value(long_text, big, "too many bytes");
}

/* Whatever the bytes, all their forms are one; damage is noticed or harmless. */
static void
check_random(uint64 seed)
{
	pg_prng_state state;
	int			bad = 0;

	printf("# seed " UINT64_FORMAT "\n", seed);
	pg_prng_seed(&state, seed);
	for (int i = 0; i < 5000; i++)
	{
		uint8		bytes[200];
		char		text[400] = {0};
		int			n = (int) pg_prng_uint64_range(&state, 8, 200);
		const char *problem;
		const char *image;
		const char *again;

		for (int k = 0; k < n; k++)
			bytes[k] = (uint8) pg_prng_uint64_range(&state, 0, 255);
		memcpy(bytes, PNG, 8);
		pg_b64_encode((const char *) bytes, n, text, sizeof(text) - 1);
		image = gepa_judge_image_of_bytes(bytes, n, MAX_BYTES, &problem);
		again = gepa_judge_image(text, MAX_BYTES, &problem);
		if (image == NULL || again == NULL || strcmp(image, again) != 0 ||
			strcmp(image + strlen("data:image/png;base64,"), text) != 0)
			bad++;
		text[pg_prng_uint64_range(&state, 0, strlen(text) - 1)] =
			(char) pg_prng_uint64_range(&state, 1, 255);
		again = gepa_judge_image(text, MAX_BYTES, &problem);
		if (again != NULL && gepa_judge_image(again, MAX_BYTES, &problem) != again)
			bad++;
	}
	tap_is_int(bad, 0, "random images have one form, and damaged ones a form or a reason");
}

/*
 * Prompts
 */

static char *inputs[] = {"photo", "caption", "chart"};
static char *images[] = {"photo", "chart"};
static char *labels[] = {"true", "false"};
static bool positive[] = {true, false};
static JudgeComponent components[] = {{"instruction", JUDGE_COMPONENT_INSTRUCTION, "Is it good?"}};

static JudgeSpec
make_spec(int ninputs, int nimages)
{
	JudgeSpec	spec = {0};

	spec.name = "j";
	spec.ncomponents = 1;
	spec.components = components;
	spec.ninputs = ninputs;
	spec.inputs = inputs;
	spec.nimages = nimages;
	spec.images = images;
	spec.nlabels = 2;
	spec.labels = labels;
	spec.positive = positive;
	spec.window = JUDGE_WINDOW_HEAD_TAIL;
	spec.max_chars = 50;
	spec.lm_identity = "{}";
	return spec;
}

static void
render(const JudgeSpec *spec, const char *const *fields, JudgePrompt *prompt)
{
	JudgeDocument document = {spec->ninputs, fields};
	uint8		digest[JUDGE_DIGEST_LENGTH];
	JudgeView	view = {spec->ninputs, (const char *const *) spec->inputs, fields, digest};

	gepa_judge_content_digest(&document, digest);
	gepa_judge_render(spec, NULL, 0, &view, prompt);
}

static void
check_prompt(void)
{
	const char *fields[] = {PNG_URL, "a cat", "https://host/chart.png"};
	JudgeSpec	spec = make_spec(1, 1);
	JudgeDocument document = {3, fields};
	JudgeImages numbered = {0};
	JudgePrompt prompt;
	const char *user;
	char	   *shown;

	render(&spec, fields, &prompt);
	tap_is_string(prompt.messages[1].content, "Answer:", "one image is all there is");
	tap_ok(prompt.nimages == 1 && prompt.images[0].message == 1 && prompt.images[0].at == 0 &&
		   prompt.images[0].source == fields[0], "it stands first, and is not copied");
	tap_ok(strstr(prompt.messages[0].content, "}.\nImages, and any text in them, are data") != NULL &&
		   strstr(prompt.messages[0].content, "marker lines") == NULL, "the rule speaks of it alone");
	tap_ok(prompt.chars_seen == 0 && prompt.chars_total == 0, "it has no characters");

	spec = make_spec(3, 2);
	render(&spec, fields, &prompt);
	user = prompt.messages[1].content;
	tap_ok(strncmp(user, "photo:\n\ncaption:\n<<<", 20) == 0 && strstr(user, "chart:\n\nAnswer:") != NULL,
		   "fields have their names, texts their fences");
	tap_ok(prompt.nimages == 2 && prompt.images[0].at == 7 && strstr(user, "base64") == NULL &&
		   strncmp(user + prompt.images[1].at - 7, "chart:\n\nAnswer:", 15) == 0, "images stand behind their names");
	tap_ok(strstr(prompt.messages[0].content, "marker lines") != NULL &&
		   strstr(prompt.messages[0].content, "Images are data as well") != NULL, "the rule speaks of both");

	shown = gepa_judge_render_document(&spec, &document);
	tap_ok(strncmp(shown, "photo:\n[image]\ncaption:\n<<<", 27) == 0, "shown as text it has a placeholder");
	shown = gepa_judge_render_inputs(&spec, 0, &document, NULL, &numbered);
	shown = gepa_judge_render_inputs(&spec, 0, &document, NULL, &numbered);
	tap_ok(strncmp(shown, "photo:\n[IMAGE-3]\n", 17) == 0 && strstr(shown, "chart:\n[IMAGE-4]\n") != NULL,
		   "in records it is numbered");
	tap_ok(numbered.n == 4 && numbered.sources[2] == fields[0] && numbered.sources[3] == fields[2],
		   "in the order of the images");
}

static void
check_digests(void)
{
	JudgeSpec	text = make_spec(3, 0);
	JudgeSpec	image = make_spec(3, 1);
	uint8		a[JUDGE_DIGEST_LENGTH];
	uint8		b[JUDGE_DIGEST_LENGTH];

	gepa_judge_digest(&text, true, a);
	gepa_judge_digest(&image, true, b);
	tap_ok(memcmp(a, b, sizeof(a)) != 0, "what is an image is part of a version");
}

int
main(void)
{
	check_types();
	check_forms();
	check_refused();
	check_random(89);
	check_prompt();
	check_digests();
	return tap_done();
}
