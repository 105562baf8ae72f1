/*-------------------------------------------------------------------------
 *
 * arena.h
 *	  PostgreSQL's frontend allocations, forgotten after every input.
 *
 * The code under test allocates as a backend does, where a memory context
 * goes as a whole.  Each piece is malloc'd by itself all the same, so that the
 * sanitizer sees its ends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_FUZZ_ARENA_H
#define GEPA_FUZZ_ARENA_H

extern void arena_forget(void);

/* A property of the code under test; the input that breaks it is kept. */
#define PROPERTY(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "property broken: %s (%s:%d)\n", #condition, __FILE__, __LINE__); \
			abort(); \
		} \
	} while (0)

#endif							/* GEPA_FUZZ_ARENA_H */
