/*-------------------------------------------------------------------------
 *
 * judge_image.h
 *	  Input fields that are images.  Part of the door of src/judge.
 *
 * The value of such a field is a URL (http, https) that the endpoint fetches, never we,
 * or the image itself.  However that was given (data: URL, base64, a bytea in hex), its
 * canonical form is one: a data: URL with the type that its first bytes tell, so that the
 * same picture has one content digest.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_JUDGE_JUDGE_IMAGE_H
#define GEPA_JUDGE_JUDGE_IMAGE_H

struct JudgeSpec;
struct JudgeDocument;

/* image.c: one image; frontend safe */

/* The media type of an image by its first bytes; NULL = none that LMs take. */
extern const char *gepa_judge_image_type(const uint8 *bytes, size_t length);

/*
 * The canonical form of a value, in the current context, or the value itself where it has
 * it.  NULL, and *problem, a sentence about the value, if it is no image of at most
 * max_bytes.
 */
extern const char *gepa_judge_image(const char *value, int max_bytes, const char **problem);

/* The same of an image's bytes. */
extern char *gepa_judge_image_of_bytes(const uint8 *bytes, size_t length, int max_bytes,
									   const char **problem);

/* Is that input field an image? */
extern bool gepa_judge_is_image(const struct JudgeSpec *spec, const char *name);

/* Images that a text has placeholders for, in the order of their numbers. */
typedef struct JudgeImages
{
	int			n;
	int			room;
	const char **sources;		/* the fields' own, not copied */
} JudgeImages;

extern void gepa_judge_add_image(JudgeImages *images, const char *source);

/* images.c: those of a document, by gepa.max_image_bytes */

/*
 * Make the image fields of a document canonical, before its digest is taken.  What is no
 * image stays as it is: it has a verdict, with status bad_image.
 */
extern void gepa_judge_normalise(const struct JudgeSpec *spec, const char **fields);

/* What is wrong with the first field that is no image, a sentence that names it; NULL = nothing. */
extern char *gepa_judge_find_bad_image(const struct JudgeSpec *spec,
									   const struct JudgeDocument *document);

#endif							/* GEPA_JUDGE_JUDGE_IMAGE_H */
