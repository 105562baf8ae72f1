/*-------------------------------------------------------------------------
 *
 * image.c
 *	  gepa.image(): bytes of an image as a judge takes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "api/api_internal.h"
#include "base/settings.h"

PG_FUNCTION_INFO_V1(gepa_image);
Datum
gepa_image(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	const char *problem;
	char	   *url = gepa_judge_image_of_bytes((const uint8 *) VARDATA_ANY(bytes),
												VARSIZE_ANY_EXHDR(bytes),
												gepa_max_image_bytes, &problem);

	if (url == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bytea is no image that can be judged"),
				 errdetail("%s", problem),
				 errhint("Give a PNG, JPEG, GIF or WebP image of at most gepa.max_image_bytes.")));
	PG_RETURN_TEXT_P(cstring_to_text(url));
}
