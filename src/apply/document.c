/*-------------------------------------------------------------------------
 *
 * document.c
 *	  What a predicate was given, as a document of its judge.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "apply/apply.h"

static void
refuse_document(const JudgeSpec *spec, const char *detail)
{
	StringInfoData fields;

	initStringInfo(&fields);
	for (int i = 0; i < spec->ninputs; i++)
		appendStringInfo(&fields, "%s\"%s\": ...", i > 0 ? ", " : "", spec->inputs[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("document does not fit judge \"%s\"", spec->name),
			 errdetail("%s", detail),
			 errhint("Pass a jsonb object {%s}.", fields.data)));
}

static void
document_from_text(const JudgeSpec *spec, char *content, JudgeDocument *document)
{
	const char **fields = palloc(sizeof(char *));

	if (spec->ninputs != 1)
		refuse_document(spec, psprintf("It is one text, and the judge takes %d fields.",
									   spec->ninputs));
	fields[0] = content;
	document->nfields = 1;
	document->fields = fields;
}

/* Returns false when a field is null. */
static bool
document_from_jsonb(const JudgeSpec *spec, Jsonb *content, JudgeDocument *document)
{
	const char **fields = palloc(sizeof(char *) * spec->ninputs);

	if (!JB_ROOT_IS_OBJECT(content))
		refuse_document(spec, "It is not a JSON object.");
	for (int i = 0; i < spec->ninputs; i++)
	{
		JsonbValue	buffer;
		JsonbValue *value;

		value = getKeyJsonValueFromContainer(&content->root, spec->inputs[i],
											 strlen(spec->inputs[i]), &buffer);
		if (value == NULL)
			refuse_document(spec, psprintf("Field \"%s\" is missing.", spec->inputs[i]));
		if (value->type == jbvNull)
			return false;
		if (value->type == jbvString)
			fields[i] = pnstrdup(value->val.string.val, value->val.string.len);
		else
		{
			Jsonb	   *json = JsonbValueToJsonb(value);

			fields[i] = JsonbToCString(NULL, &json->root, VARSIZE(json));
		}
	}
	document->nfields = spec->ninputs;
	document->fields = fields;
	return true;
}

bool
gepa_apply_document_fits(const JudgeSpec *spec, Datum content, bool is_jsonb)
{
	Jsonb	   *json;

	if (!is_jsonb)
		return spec->ninputs == 1;
	json = DatumGetJsonbP(content);
	if (!JB_ROOT_IS_OBJECT(json))
		return false;
	for (int i = 0; i < spec->ninputs; i++)
	{
		JsonbValue	buffer;

		if (getKeyJsonValueFromContainer(&json->root, spec->inputs[i],
										 strlen(spec->inputs[i]), &buffer) == NULL)
			return false;
	}
	return true;
}

bool
gepa_apply_document(const JudgeSpec *spec, Datum content, bool is_jsonb, JudgeDocument *document)
{
	if (!is_jsonb)
		document_from_text(spec, TextDatumGetCString(content), document);
	else if (!document_from_jsonb(spec, DatumGetJsonbP(content), document))
		return false;
	gepa_judge_normalise(spec, (const char **) document->fields);
	return true;
}
