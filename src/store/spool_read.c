/*-------------------------------------------------------------------------
 *
 * spool_read.c
 *	  Verdicts on their way, in files: reading what a crash has left.
 *
 * When shared memory is made, in the postmaster and before there is anybody
 * who could ask for a verdict, all segments are read, and what is not done is
 * counted.  Then the ring is filled.  Nothing is written to the tables here, and
 * no file is changed, so a crash at any point leaves the work as it was.
 *
 * What does not fit into the ring is the backlog.  It is loaded by the launcher,
 * and by sessions that wait for room, as room comes free; until then it can be
 * paid for again.
 *
 * A record may be damaged.  The next one is found by its checksum, which only
 * this library can have made, so one lost record costs no other.  A file in
 * which something could not be read is set aside when the rest of it is written,
 * at once when it cannot be opened; it is never cut or removed (to try it once
 * more, give it its old name and start the server again).  Only what
 * reaches beyond the end of its file was not written completely, by a process
 * that was killed: it was not handed over, and nothing is lost with it.
 *
 * A segment of another format is left alone: it may be that of a newer library,
 * which is to come back.
 *
 * The postmaster must survive this: what cannot be read is logged.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/memutils.h"

#include "store/store_spool.h"

/*
 * Reading a record
 */

static bool
is_plausible(const SpoolRecord *record, int64 rest)
{
	return rest >= (int64) sizeof(*record) && record->length <= rest - (int64) sizeof(*record) &&
		AllocSizeIsValid(record->length);
}

static bool
is_whole(const SpoolSegment *segment, int64 offset, const SpoolRecord *record, const char *data)
{
	return EQ_CRC32C(record->crc, gepa_store_spool_checksum(segment, offset, record, data));
}

/*
 * The record at a place and its palloc'd data; NULL when there is none that is
 * whole.
 */
static char *
read_record(int fd, const SpoolSegment *segment, int64 offset, int64 size, SpoolRecord *record)
{
	char	   *data;

	if (size - offset < (int64) sizeof(*record) ||
		pg_pread(fd, record, sizeof(*record), offset) != sizeof(*record) ||
		!is_plausible(record, size - offset))
		return NULL;
	data = palloc(Max(record->length, 1));
	if (pg_pread(fd, data, record->length, offset + sizeof(*record)) == record->length &&
		is_whole(segment, offset, record, data))
		return data;
	pfree(data);
	return NULL;
}

/* Where the next whole record begins behind a place; size when there is none. */
static int64
find_record(int fd, const SpoolSegment *segment, int64 offset, int64 size)
{
	int64		length = size - offset;
	char	   *bytes = MemoryContextAllocExtended(CurrentMemoryContext, length,
												   MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	int64		found = size;

	if (bytes == NULL)
		return size;
	length = Max(pg_pread(fd, bytes, length, offset), 0);
	for (int64 at = 1; at + (int64) sizeof(SpoolRecord) <= length && found == size; at++)
	{
		SpoolRecord record;

		memcpy(&record, bytes + at, sizeof(record));
		if (record.done <= 1 && is_plausible(&record, length - at) &&
			is_whole(segment, offset + at, &record, bytes + at + sizeof(record)))
			found = offset + at;
	}
	pfree(bytes);
	return found;
}

/* The same, from *offset on; what is damaged is passed over. */
static char *
next_record(int fd, const SpoolSegment *segment, int64 *offset, int64 size, SpoolRecord *record)
{
	char	   *data = read_record(fd, segment, *offset, size, record);
	int64		next = size;

	if (data == NULL && *offset < size)
		next = find_record(fd, segment, *offset, size);
	if (next < size)
		data = read_record(fd, segment, next, size, record);
	if (data != NULL && next < size)
		*offset = next;
	return data;
}

static int64
next_offset(int64 offset, const SpoolRecord *record)
{
	return offset + (int64) sizeof(*record) + record->length;
}

char *
gepa_store_spool_read(const SpoolPlace *place, int length)
{
	const SpoolSegment *segment = gepa_store_spool_segment(place->segment);
	char		path[MAXPGPATH];
	SpoolRecord record;
	char	   *data;
	int			fd;

	if (segment == NULL)
		return NULL;
	gepa_store_spool_path(segment->number, path);
	fd = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
		return NULL;
	data = read_record(fd, segment, place->offset, segment->end, &record);
	close(fd);
	if (data == NULL || record.length == length)
		return data;
	pfree(data);
	return NULL;
}

/*
 * At the start
 */

static int
compare_numbers(const void *a, const void *b)
{
	uint32		left = *(const uint32 *) a;
	uint32		right = *(const uint32 *) b;

	return left < right ? -1 : left > right;
}

/* A segment's file, or one that was set aside. */
static bool
is_file_name(const char *name, uint32 *number, bool *aside)
{
	*number = (uint32) strtoul(name, NULL, 16);
	*aside = strcmp(name + Min(strlen(name), 8), SPOOL_ASIDE) == 0;
	return strspn(name, "0123456789ABCDEF") == 8 && (*aside || name[8] == '\0');
}

/* Numbers of the files, in order; palloc'd.  Numbers set aside are not used again. */
static uint32 *
list_segments(int *n)
{
	int			capacity = SPOOL_MAX_SEGMENTS;
	uint32	   *numbers = palloc(sizeof(uint32) * capacity);
	DIR		   *folder = AllocateDir(SPOOL_FOLDER);
	struct dirent *entry;

	bool		aside;
	uint32		number;

	*n = 0;
	while ((entry = ReadDirExtended(folder, SPOOL_FOLDER, LOG)) != NULL)
	{
		if (!is_file_name(entry->d_name, &number, &aside))
			continue;
		gepa_store_spool->next_number = Max(gepa_store_spool->next_number, number + 1);
		if (aside || number == 0)
			continue;
		if (*n == capacity)
			numbers = repalloc(numbers, sizeof(uint32) * (capacity *= 2));
		numbers[(*n)++] = number;
	}
	if (folder != NULL)
		FreeDir(folder);
	qsort(numbers, *n, sizeof(uint32), compare_numbers);
	return numbers;
}

/* What is behind the last whole record: a part of one, or one that is damaged? */
static bool
is_torn(int fd, int64 offset, int64 size)
{
	SpoolRecord record;

	if (size - offset < (int64) sizeof(record))
		return true;
	return pg_pread(fd, &record, sizeof(record), offset) == sizeof(record) &&
		record.length > size - offset - (int64) sizeof(record);
}

/* Walk over all records: where they end, and how many are not done. */
static void
count_records(int fd, SpoolSegment *segment, const char *path, int64 size)
{
	SpoolRecord record;
	char	   *data;
	int64		offset = sizeof(SpoolHeader);

	segment->end = segment->loaded = offset;
	while ((data = next_record(fd, segment, &offset, size, &record)) != NULL)
	{
		segment->damaged = segment->damaged || offset != segment->end;
		segment->end = offset = next_offset(offset, &record);
		segment->waiting += record.done != 1;
		pfree(data);
	}
	segment->unloaded = segment->waiting;
	if (segment->end < size && is_torn(fd, segment->end, size))
		ereport(LOG,
				(errmsg("gepa drops the last %lld bytes of \"%s\", which were not written completely",
						(long long) (size - segment->end), path)));
	else if (segment->end < size)
		segment->damaged = true;
	if (segment->damaged)
		ereport(LOG,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("gepa has found damaged verdicts in \"%s\"", path),
				 errdetail("Those that are whole are used; the file is kept.")));
}

/* False when it is not to be kept in mind; *finished when it can be removed. */
static bool
read_segment(int fd, SpoolSegment *segment, const char *path, bool *finished)
{
	SpoolHeader header;
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return false;

	/* It was being made: no record can follow. */
	*finished = st.st_size < (off_t) sizeof(header);
	if (*finished)
		return true;
	if (pg_pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
		header.magic != SPOOL_MAGIC || header.format != SPOOL_FORMAT)
	{
		ereport(LOG,
				(errmsg("gepa leaves file \"%s\" alone, which it cannot read", path),
				 errhint("It may have been written by another version of gepa.")));
		return false;
	}
	segment->nonce = header.nonce;
	count_records(fd, segment, path, st.st_size);
	*finished = segment->waiting == 0;
	return true;
}

static void
start_segment(uint32 number)
{
	Spool	   *spool = gepa_store_spool;
	SpoolSegment segment = {.number = number,.recovered = true};
	char		path[MAXPGPATH];
	bool		finished = false;
	int			fd;

	gepa_store_spool_path(number, path);
	if (spool->nsegments == SPOOL_MAX_SEGMENTS)
	{
		ereport(LOG,
				(errmsg("gepa leaves file \"%s\" alone until the server starts again", path),
				 errdetail("It reads at most %d files at a time.", SPOOL_MAX_SEGMENTS)));
		return;
	}
	fd = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
		gepa_store_spool_set_aside(number);
		return;
	}
	if (read_segment(fd, &segment, path, &finished))
	{
		if (finished)
			gepa_store_spool_remove(&segment);
		else
			spool->segments[spool->nsegments++] = segment;
	}
	close(fd);
}

void
gepa_store_spool_start(void)
{
	uint32	   *numbers;
	int			n;

	if (MakePGDirectory(SPOOL_FOLDER) != 0 && errno != EEXIST)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", SPOOL_FOLDER)));
	numbers = list_segments(&n);
	for (int i = 0; i < n; i++)
		start_segment(numbers[i]);
	pfree(numbers);
}

/*
 * Loading
 */

/* What is left of it cannot be read any more: the rest of the spool must go on. */
static void
give_up(SpoolSegment *segment)
{
	ereport(LOG,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("gepa cannot read %d verdicts in segment %08X of its spool any more",
					segment->unloaded, segment->number)));
	segment->damaged = true;
	segment->loaded = segment->end;
}

/* As gepa_store_spool_load(), of one segment. */
static SpoolLoad
load_records(int fd, SpoolSegment *segment, SpoolTake take, int *max)
{
	while (segment->loaded < segment->end && *max > 0)
	{
		int64		offset = segment->loaded;
		SpoolRecord record;
		char	   *data = next_record(fd, segment, &offset, segment->end, &record);
		SpoolPlace	place = {.segment = segment->number,.offset = offset};
		bool		taken;

		if (data == NULL)
		{
			give_up(segment);
			break;
		}
		taken = record.done == 1 || take(record.database, data, record.length, &place);
		pfree(data);
		if (!taken)
			return SPOOL_CANNOT_LOAD;
		segment->damaged = segment->damaged || offset != segment->loaded;
		segment->loaded = next_offset(offset, &record);
		segment->unloaded -= record.done != 1;
		(*max)--;
	}
	return segment->loaded < segment->end ? SPOOL_MORE_TO_LOAD : SPOOL_ALL_LOADED;
}

static SpoolLoad
load_segment(SpoolSegment *segment, SpoolTake take, int *max)
{
	SpoolLoad	result = SPOOL_ALL_LOADED;
	char		path[MAXPGPATH];
	int			fd;

	gepa_store_spool_path(segment->number, path);
	fd = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		return SPOOL_CANNOT_LOAD;
	if (fd < 0)
		give_up(segment);
	else
	{
		result = load_records(fd, segment, take, max);
		close(fd);
	}

	/* Those that were passed over because they are damaged. */
	if (segment->loaded == segment->end)
	{
		segment->waiting -= segment->unloaded;
		segment->unloaded = 0;
	}
	return result;
}

SpoolLoad
gepa_store_spool_load(SpoolTake take, int max)
{
	SpoolLoad	result = SPOOL_ALL_LOADED;

	for (int i = 0; i < gepa_store_spool->nsegments && result == SPOOL_ALL_LOADED; i++)
		if (gepa_store_spool->segments[i].loaded < gepa_store_spool->segments[i].end)
			result = load_segment(&gepa_store_spool->segments[i], take, &max);
	return result;
}

/*
 * Visiting
 */

static void
walk_segment(const SpoolSegment *segment, Oid database, SpoolVisit visit, void *arg)
{
	char		path[MAXPGPATH];
	SpoolRecord record;
	char	   *data;
	int64		offset = sizeof(SpoolHeader);
	int			fd;

	gepa_store_spool_path(segment->number, path);
	fd = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
		return;
	while ((data = next_record(fd, segment, &offset, segment->end, &record)) != NULL)
	{
		if (record.done != 1 && record.database == database)
			visit(data, record.length, arg);
		offset = next_offset(offset, &record);
		pfree(data);
	}
	close(fd);
}

void
gepa_store_spool_walk(Oid database, SpoolVisit visit, void *arg)
{
	for (int i = 0; i < gepa_store_spool->nsegments; i++)
		if (gepa_store_spool->segments[i].waiting > 0)
			walk_segment(&gepa_store_spool->segments[i], database, visit, arg);
}
