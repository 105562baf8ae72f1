/*-------------------------------------------------------------------------
 *
 * arena.c
 *	  PostgreSQL's frontend allocations, forgotten after every input.
 *
 * Takes the place of libpgcommon's fe_memutils.c: every function of that file
 * that anything here refers to must be below, or the linker complains of
 * doubles.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "arena.h"

typedef struct Piece
{
	struct Piece *next;
	struct Piece *before;
	size_t		size;
	char		padding[8];		/* malloc's alignment for what follows */
} Piece;

static Piece pieces = {.next = &pieces,.before = &pieces};

static void *
allocate(size_t size)
{
	Piece	   *piece = malloc(sizeof(Piece) + size);

	if (piece == NULL)
		abort();
	piece->size = size;
	piece->before = &pieces;
	piece->next = pieces.next;
	pieces.next->before = piece;
	pieces.next = piece;
	return piece + 1;
}

static void
drop(void *pointer)
{
	Piece	   *piece = (Piece *) pointer - 1;

	piece->before->next = piece->next;
	piece->next->before = piece->before;
	free(piece);
}

void
arena_forget(void)
{
	while (pieces.next != &pieces)
		drop(pieces.next + 1);
}

void *
palloc(Size size)
{
	return allocate(size);
}

void *
palloc0(Size size)
{
	return memset(allocate(size), 0, size);
}

void *
palloc_extended(Size size, int flags)
{
	return (flags & MCXT_ALLOC_ZERO) ? palloc0(size) : palloc(size);
}

void
pfree(void *pointer)
{
	if (pointer != NULL)
		drop(pointer);
}

void *
repalloc(void *pointer, Size size)
{
	void	   *grown = allocate(size);

	if (pointer != NULL)
	{
		memcpy(grown, pointer, Min(size, ((Piece *) pointer - 1)->size));
		drop(pointer);
	}
	return grown;
}

char *
pnstrdup(const char *in, Size size)
{
	size_t		length = strnlen(in, size);
	char	   *copy = allocate(length + 1);

	memcpy(copy, in, length);
	copy[length] = '\0';
	return copy;
}

char *
pstrdup(const char *in)
{
	return pnstrdup(in, strlen(in));
}

void *
pg_malloc(size_t size)
{
	return palloc(size);
}

void *
pg_malloc0(size_t size)
{
	return palloc0(size);
}

void *
pg_malloc_extended(size_t size, int flags)
{
	return palloc_extended(size, flags);
}

void *
pg_realloc(void *pointer, size_t size)
{
	return repalloc(pointer, size);
}

char *
pg_strdup(const char *in)
{
	return pstrdup(in);
}

void
pg_free(void *pointer)
{
	pfree(pointer);
}

/*
 * Newer minor releases have these; there the overflow they guard against is an
 * exit, here a finding.
 */
extern Size add_size(Size s1, Size s2);
extern Size mul_size(Size s1, Size s2);
extern void *pg_malloc_mul(Size s1, Size s2);
extern void *pg_malloc0_mul(Size s1, Size s2);
extern void *pg_malloc_mul_extended(Size s1, Size s2, int flags);
extern void *pg_realloc_mul(void *pointer, Size s1, Size s2);
extern void *palloc_mul(Size s1, Size s2);
extern void *palloc0_mul(Size s1, Size s2);
extern void *palloc_mul_extended(Size s1, Size s2, int flags);
extern void *repalloc_mul(void *pointer, Size s1, Size s2);

Size
add_size(Size s1, Size s2)
{
	PROPERTY(s1 <= SIZE_MAX - s2);
	return s1 + s2;
}

Size
mul_size(Size s1, Size s2)
{
	PROPERTY(s2 == 0 || s1 <= SIZE_MAX / s2);
	return s1 * s2;
}

void *
pg_malloc_mul(Size s1, Size s2)
{
	return palloc(mul_size(s1, s2));
}

void *
pg_malloc0_mul(Size s1, Size s2)
{
	return palloc0(mul_size(s1, s2));
}

void *
pg_malloc_mul_extended(Size s1, Size s2, int flags)
{
	return palloc_extended(mul_size(s1, s2), flags);
}

void *
pg_realloc_mul(void *pointer, Size s1, Size s2)
{
	return repalloc(pointer, mul_size(s1, s2));
}

void *
palloc_mul(Size s1, Size s2)
{
	return palloc(mul_size(s1, s2));
}

void *
palloc0_mul(Size s1, Size s2)
{
	return palloc0(mul_size(s1, s2));
}

void *
palloc_mul_extended(Size s1, Size s2, int flags)
{
	return palloc_extended(mul_size(s1, s2), flags);
}

void *
repalloc_mul(void *pointer, Size s1, Size s2)
{
	return repalloc(pointer, mul_size(s1, s2));
}
