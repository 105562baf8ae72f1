/*-------------------------------------------------------------------------
 *
 * predicate_array.c
 *	  gepa_judge() and gepa_score() of an array of documents.
 *
 * For places that the judge node does not reach, PL/pgSQL above all: the documents
 * of an array are judged side by side, wherever the call stands.  The result
 * has the shape of the argument; what is NULL there is NULL here, and so is
 * a document without a verdict, or all of it is an error (gepa.on_error).
 *
 * The judge is opened anew for each array, under the snapshot of the query, as
 * it is for a single document.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "api/api_internal.h"
#include "apply/apply.h"
#include "base/settings.h"
#include "node/node.h"

typedef Datum (*MakeElement) (const JudgeVerdict *verdict);

/* An array on its way through a judge. */
typedef struct Elements
{
	int			n;
	Datum	   *values;
	bool	   *nulls;
	int			ndocuments;		/* those that are not NULL */
	JudgeDocument *documents;
	int		   *places;			/* by document, its element */
} Elements;

static void
take_apart(ArrayType *array, Elements *elements)
{
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align,
					  &elements->values, &elements->nulls, &elements->n);
}

/* A document with a field that is null is NULL as a whole. */
static void
make_documents(Elements *elements, const JudgeSpec *spec, bool is_jsonb)
{
	elements->documents = palloc(sizeof(JudgeDocument) * Max(elements->n, 1));
	elements->places = palloc(sizeof(int) * Max(elements->n, 1));
	elements->ndocuments = 0;
	for (int i = 0; i < elements->n; i++)
	{
		JudgeDocument *document = &elements->documents[elements->ndocuments];

		if (elements->nulls[i] ||
			!gepa_apply_document(spec, elements->values[i], is_jsonb, document))
			elements->nulls[i] = true;
		else
			elements->places[elements->ndocuments++] = i;
	}
}

static void
judge_documents(ApplyJudge *judge, Elements *elements, MakeElement make)
{
	ApplyVerdict *verdicts = gepa_apply_documents(judge, elements->documents,
												  elements->ndocuments);

	for (int i = 0; i < elements->ndocuments; i++)
	{
		const JudgeVerdict *verdict = &verdicts[i].verdict;
		int			place = elements->places[i];

		if (verdict->status != GEPA_STATUS_OK && gepa_on_error == GEPA_ON_ERROR_ERROR)
			gepa_judge_report(judge->spec, judge->lm, verdict);
		elements->nulls[place] = verdict->status != GEPA_STATUS_OK;
		elements->values[place] = make(verdict);
	}
}

static Datum
judge_array(FunctionCallInfo fcinfo, bool is_jsonb, Oid type, MakeElement make)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(1);
	Elements	elements;
	ApplyJudge *judge;
	int16		length;
	bool		by_value;
	char		align;

	if (gepa_node_is_planning())
		PG_RETURN_NULL();
	judge = gepa_apply_open(gepa_store_get_version(text_to_cstring(PG_GETARG_TEXT_PP(0)), 0),
							LM_PURPOSE_JUDGE);
	take_apart(array, &elements);
	make_documents(&elements, judge->spec, is_jsonb);
	judge_documents(judge, &elements, make);
	gepa_apply_close(judge);
	get_typlenbyvalalign(type, &length, &by_value, &align);
	PG_RETURN_ARRAYTYPE_P(construct_md_array(elements.values, elements.nulls, ARR_NDIM(array),
											 ARR_DIMS(array), ARR_LBOUND(array), type, length,
											 by_value, align));
}

static Datum
make_bool(const JudgeVerdict *verdict)
{
	return BoolGetDatum(verdict->positive);
}

static Datum
make_score(const JudgeVerdict *verdict)
{
	return Float8GetDatum(verdict->score);
}

PG_FUNCTION_INFO_V1(gepa_judge_text_array);
Datum
gepa_judge_text_array(PG_FUNCTION_ARGS)
{
	return judge_array(fcinfo, false, BOOLOID, make_bool);
}

PG_FUNCTION_INFO_V1(gepa_judge_jsonb_array);
Datum
gepa_judge_jsonb_array(PG_FUNCTION_ARGS)
{
	return judge_array(fcinfo, true, BOOLOID, make_bool);
}

PG_FUNCTION_INFO_V1(gepa_score_text_array);
Datum
gepa_score_text_array(PG_FUNCTION_ARGS)
{
	return judge_array(fcinfo, false, FLOAT8OID, make_score);
}

PG_FUNCTION_INFO_V1(gepa_score_jsonb_array);
Datum
gepa_score_jsonb_array(PG_FUNCTION_ARGS)
{
	return judge_array(fcinfo, true, FLOAT8OID, make_score);
}
