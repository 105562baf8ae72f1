/*-------------------------------------------------------------------------
 *
 * classify.c
 *	  Documents for classifiers that ask nobody.
 *
 * What they see of a document is what conditions call "document" (route_columns.c).
 * Bytes that are no text in UTF-8 do no harm, so in SQL_ASCII nothing is raised; in
 * another encoding a character without one in UTF-8 raises, as when it is sent to an LM.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"

#include "apply/apply.h"
#include "base/encoding.h"

/* Converted, this is at least what is looked at. */
#define BYTES_TO_CONVERT (2 * JUDGE_BAYES_BYTES)

struct ApplyClassifier
{
	JudgeBayes *bayes;
	JudgeFeatures *features;
};

ApplyClassifier *
gepa_apply_open_classifier(const char *name, int id)
{
	ApplyClassifier *classifier = palloc(sizeof(ApplyClassifier));

	classifier->bayes = gepa_store_read_classifier(id);
	if (classifier->bayes == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("classifier \"%s\" that the router names was dropped", name),
				 errhint("Name another one with gepa.alter_router(), also if it has the same name.")));
	classifier->features = gepa_judge_features_new();
	gepa_prepare_conversion();
	return classifier;
}

char *
gepa_apply_classified_text(Datum content, bool is_jsonb, size_t *length)
{
	text	   *document = DatumGetTextPP(gepa_apply_document_text(content, is_jsonb));
	char	   *data = VARDATA_ANY(document);

	*length = VARSIZE_ANY_EXHDR(document);
	if (!gepa_needs_conversion() || *length == 0)
		return data;
	data = gepa_to_utf8(data, pg_mbcliplen(data, (int) *length, BYTES_TO_CONVERT));
	*length = strlen(data);
	return data;
}

const char *
gepa_apply_classify(ApplyClassifier *classifier, Datum content, bool is_jsonb)
{
	size_t		length;
	char	   *text = gepa_apply_classified_text(content, is_jsonb, &length);

	gepa_judge_features(text, length, classifier->features);
	return classifier->bayes->labels[gepa_judge_bayes_classify(classifier->bayes, NULL,
															   classifier->features, NULL)];
}
