/*-------------------------------------------------------------------------
 *
 * dataset.c
 *	  Creating and dropping datasets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "api/api_internal.h"
#include "apply/apply.h"

static void
check_option(const char *name, const GepaJson *value)
{
	StringInfoData list;

	if (strcmp(name, "graders") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized dataset option \"%s\"", name),
				 errhint("Valid is graders; sizes of the splits are an option of gepa.start().")));
	initStringInfo(&list);
	gepa_json_write(&list, value);
	(void) gepa_apply_open_graders(list.data);
}

static void
check_dataset(const StoreDataset *dataset)
{
	GepaJson   *options = gepa_json_parse(dataset->options, strlen(dataset->options), NULL);

	if (dataset->name[0] == '\0' || dataset->source[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name and source of a dataset must not be empty"),
				 errhint("Name a table, a view or a query as source.")));
	if (dataset->ninputs == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a dataset needs at least one input column"),
				 errhint("Name the columns that hold the document, for example '{body}'.")));
	if (options == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options cannot be read"),
				 errhint("Pass a JSON object.")));
	for (int i = 0; i < options->nitems; i++)
		check_option(options->keys[i], options->items[i]);
}

PG_FUNCTION_INFO_V1(gepa_create_dataset);
Datum
gepa_create_dataset(PG_FUNCTION_ARGS)
{
	StoreDataset dataset = {0};

	dataset.owner = GetUserId();
	dataset.name = gepa_api_text_arg(fcinfo, 0, "name");
	dataset.source = gepa_api_text_arg(fcinfo, 1, "source");
	dataset.key = gepa_api_text_arg(fcinfo, 2, "key");
	dataset.inputs = gepa_api_texts_arg(fcinfo, 3, "inputs", &dataset.ninputs);
	dataset.label = gepa_api_text_arg_or_null(fcinfo, 4);
	dataset.feedback = gepa_api_text_arg_or_null(fcinfo, 5);
	dataset.split = gepa_api_text_arg_or_null(fcinfo, 6);
	dataset.group_by = gepa_api_text_arg_or_null(fcinfo, 7);
	dataset.options = gepa_api_object_arg(fcinfo, 8, "options");
	check_dataset(&dataset);
	PG_RETURN_INT32(gepa_store_create_dataset(&dataset));
}

PG_FUNCTION_INFO_V1(gepa_drop_dataset);
Datum
gepa_drop_dataset(PG_FUNCTION_ARGS)
{
	StoreDataset *dataset = gepa_store_get_dataset(gepa_api_text_arg(fcinfo, 0, "name"));

	gepa_store_check_owner("dataset", dataset->name, dataset->owner, GetUserId());
	gepa_store_drop_dataset(dataset->name);
	PG_RETURN_VOID();
}
