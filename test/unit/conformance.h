/*-------------------------------------------------------------------------
 *
 * conformance.h
 *	  Replay of recorded decisions of the reference implementation.
 *
 * A case has an area, an input and the expected outcome.  The replay of an
 * area reads the input and writes the outcome as JSON; what is drawn or
 * listed may be told by the names of fields in the expected outcome, never by
 * their values.  Comparing is somebody else's work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_TEST_CONFORMANCE_H
#define GEPA_TEST_CONFORMANCE_H

#include "base/json.h"
#include "engine/engine_internal.h"

/* Writes the outcome; false when the input has a shape that is not known. */
typedef bool (*ConformanceReplay) (const GepaJson *input, const GepaJson *expected,
								   StringInfo got);

/* conformance_parts.c */
extern bool replay_random(const GepaJson *input, const GepaJson *expected, StringInfo got);
extern bool replay_sampler(const GepaJson *input, const GepaJson *expected, StringInfo got);
extern bool replay_acceptance(const GepaJson *input, const GepaJson *expected, StringInfo got);
extern bool replay_keep(const GepaJson *input, const GepaJson *expected, StringInfo got);
extern bool replay_reflection(const GepaJson *input, const GepaJson *expected, StringInfo got);
extern bool replay_components(const GepaJson *input, const GepaJson *expected, StringInfo got);
extern bool replay_identity(const GepaJson *input, const GepaJson *expected, StringInfo got);
extern bool replay_stops(const GepaJson *input, const GepaJson *expected, StringInfo got);

/* conformance_pool.c */
extern bool replay_selection(const GepaJson *input, const GepaJson *expected, StringInfo got);
extern bool replay_frontier(const GepaJson *input, const GepaJson *expected, StringInfo got);
extern bool replay_merge(const GepaJson *input, const GepaJson *expected, StringInfo got);

/* conformance_run.c */
extern bool replay_run(const GepaJson *input, const GepaJson *expected, StringInfo got);
extern bool replay_budget(const GepaJson *input, const GepaJson *expected, StringInfo got);

/* conformance_json.c: reading and writing */
extern int64 json_int(const GepaJson *object, const char *key, int otherwise);
extern double json_double(const GepaJson *value);
extern int	json_count(const GepaJson *value);
extern int *json_ints(const GepaJson *array);
extern double *json_doubles(const GepaJson *array);
extern const char **json_strings(const GepaJson *array);

/* A comma unless something opens here, then (for objects) the key. */
extern void json_next(StringInfo buf, const char *key);
extern void json_put_int(StringInfo buf, const char *key, int64 value);
extern void json_put_double(StringInfo buf, const char *key, double value);
extern void json_put_bool(StringInfo buf, const char *key, bool value);
extern void json_put_string(StringInfo buf, const char *key, const char *value);
extern void json_put_ints(StringInfo buf, const char *key, const int *values, int n);
extern void json_put_doubles(StringInfo buf, const char *key, const double *values, int n);
extern void json_open(StringInfo buf, const char *key, char bracket);
extern void json_close(StringInfo buf, char bracket);

/*
 * First difference between two trees: false, with the place and both values
 * as text.  Members that only got has at the top are not looked at.
 */
extern bool json_equal(const GepaJson *expected, const GepaJson *got, StringInfo where,
					   StringInfo expected_text, StringInfo got_text);

#endif							/* GEPA_TEST_CONFORMANCE_H */
