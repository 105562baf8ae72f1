/*-------------------------------------------------------------------------
 *
 * memory.c
 *	  Memory that lives as long as its engine.
 *
 * The frontend has no memory contexts and the engine must free everything in
 * both worlds, so it allocates out of blocks that it keeps in a list.  In the
 * backend the blocks come from the context that was current when the arena
 * was made, whatever context is current at a later call.
 *
 * Nothing is given back before the arena is freed.  Arrays grow by doubling
 * and leave their old copies behind, at most as much again as they hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_internal.h"

#define FIRST_BLOCK_SIZE ((Size) 8 * 1024)
#define LAST_BLOCK_SIZE ((Size) 1024 * 1024)

typedef struct EngineBlock
{
	struct EngineBlock *next;
	Size		size;			/* of what follows the header */
	Size		used;
} EngineBlock;

#define BLOCK_HEADER_SIZE MAXALIGN(sizeof(EngineBlock))

void
gepa_engine_arena_init(EngineArena *arena)
{
#ifndef FRONTEND
	arena->context = CurrentMemoryContext;
#else
	arena->context = NULL;
#endif
	arena->blocks = NULL;
}

void
gepa_engine_arena_free(EngineArena *arena)
{
	EngineBlock *block = arena->blocks;

	arena->blocks = NULL;
	while (block != NULL)
	{
		EngineBlock *next = block->next;

		pfree(block);
		block = next;
	}
}

static EngineBlock *
add_block(EngineArena *arena, Size size)
{
	EngineBlock *block;

#ifndef FRONTEND
	block = MemoryContextAllocHuge((MemoryContext) arena->context, BLOCK_HEADER_SIZE + size);
#else
	block = palloc(BLOCK_HEADER_SIZE + size);
#endif
	block->size = size;
	block->used = 0;
	block->next = arena->blocks;
	arena->blocks = block;
	return block;
}

void *
gepa_engine_alloc(EngineArena *arena, Size size)
{
	EngineBlock *block = arena->blocks;
	char	   *result;

	size = MAXALIGN(size);
	if (block == NULL || block->size - block->used < size)
	{
		Size		wanted = block ? Min(block->size * 2, LAST_BLOCK_SIZE) : FIRST_BLOCK_SIZE;

		block = add_block(arena, Max(wanted, size));
	}
	result = (char *) block + BLOCK_HEADER_SIZE + block->used;
	block->used += size;
	memset(result, 0, size);
	return result;
}

char *
gepa_engine_strdup(EngineArena *arena, const char *text)
{
	Size		size = strlen(text) + 1;

	return memcpy(gepa_engine_alloc(arena, size), text, size);
}

const char *
gepa_engine_printf(EngineArena *arena, const char *format,...)
{
	char		text[256];
	va_list		args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return gepa_engine_strdup(arena, text);
}

void *
gepa_engine_grow(EngineArena *arena, void *array, int used, int *allocated, Size element)
{
	void	   *larger;

	if (used < *allocated)
		return array;
	*allocated = Max(8, used * 2);
	larger = gepa_engine_alloc(arena, *allocated * element);
	if (used > 0)
		memcpy(larger, array, used * element);
	return larger;
}
