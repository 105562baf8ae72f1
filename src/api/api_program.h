/*-------------------------------------------------------------------------
 *
 * api_program.h
 *	  A program as DSPy saves it, read and checked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_API_API_PROGRAM_H
#define GEPA_API_API_PROGRAM_H

#include "api/api_exchange.h"

typedef struct ApiPredictor
{
	const char *name;			/* in the file; "self" where it is all of it */
	GepaJson   *state;
	const char *instructions;
	int			nfields;
	const char **fields;		/* names: inputs, then outputs */
	const GepaJson *demos;		/* array */
} ApiPredictor;

typedef struct ApiProgram
{
	GepaJson   *root;
	const GepaJson *ours;		/* what gepa.export_program() added; NULL =
								 * nothing */
	int			n;
	ApiPredictor *predictors;	/* as they are asked, one after the other */
} ApiProgram;

/* exchange_fields.c: options are those of gepa.import_program(); raises 22023 */
extern ApiProgram *gepa_api_read_program(const char *text, const GepaJson *options);
extern const ApiFile *gepa_api_program_file(void);

/*
 * exchange_demos.c: examples and demos.  The predictor is the one that gives the
 * verdict, whose last field is the label.
 */

/*
 * A demo as an example in the form of judge option "examples"; false where it is none,
 * because something of it is missing or is no text.  The spec's inputs and labels are
 * set; a label that is none of them is refused.
 */
extern bool gepa_api_put_demo_example(StringInfo buf, const JudgeSpec *spec,
									  const ApiPredictor *predictor, const GepaJson *demo);

/*
 * The examples of a version as demos, a JSON array.  Those that were demos of the
 * predictor (which may be NULL) are as they were; label_field names the label.
 */
extern char *gepa_api_demos_json(const JudgeSpec *spec, const ApiPredictor *predictor,
								 const char *label_field);

#endif							/* GEPA_API_API_PROGRAM_H */
