/*-------------------------------------------------------------------------
 *
 * lm_image.h
 *	  Images in requests.  Part of the door of src/lm; frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_IMAGE_H
#define GEPA_LM_LM_IMAGE_H

/*
 * An image in a message.  Endpoints count one by its size in pixels: where tokens are
 * expected by the bytes of a text, it counts for so many of these.
 */
#define LM_IMAGE_WEIGHT 4800

typedef struct LmImage
{
	int			message;		/* its number */
	int			at;				/* byte of the content that it stands before */
	const char *source;			/* a URL (http, https), or a data: URL in
								 * base64 with a type and nothing else */
} LmImage;

#endif							/* GEPA_LM_LM_IMAGE_H */
