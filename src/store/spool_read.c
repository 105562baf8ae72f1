/*-------------------------------------------------------------------------
 *
 * spool_read.c
 *	  Verdicts on their way, in files: reading what a crash has left.
 *
 * When shared memory is made, in the postmaster and before there is anybody
 * who could ask for a verdict, all segments are read: a tail that was not
 * written completely is cut off, and what is not done is counted.  Then the
 * ring is filled.  Nothing is written to the tables here, and no record is
 * changed, so a crash at any point leaves the work as it was.
 *
 * A ring that was made smaller may not hold all of it.  The rest is loaded by
 * the launcher as room comes free; until then it can be paid for again.
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
		record->length > size - offset - (int64) sizeof(*record) ||
		!AllocSizeIsValid(record->length))
		return NULL;
	data = palloc(Max(record->length, 1));
	if (pg_pread(fd, data, record->length, offset + sizeof(*record)) == record->length &&
		EQ_CRC32C(record->crc, gepa_store_spool_checksum(segment, offset, record, data)))
		return data;
	pfree(data);
	return NULL;
}

static int64
next_offset(int64 offset, const SpoolRecord *record)
{
	return offset + (int64) sizeof(*record) + record->length;
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

/* Numbers of the files, in order; palloc'd. */
static uint32 *
list_segments(int *n)
{
	int			capacity = SPOOL_MAX_SEGMENTS;
	uint32	   *numbers = palloc(sizeof(uint32) * capacity);
	DIR		   *folder = AllocateDir(SPOOL_FOLDER);
	struct dirent *entry;

	*n = 0;
	while ((entry = ReadDirExtended(folder, SPOOL_FOLDER, LOG)) != NULL)
	{
		if (strlen(entry->d_name) != 8 || strspn(entry->d_name, "0123456789ABCDEF") != 8)
			continue;
		if (*n == capacity)
			numbers = repalloc(numbers, sizeof(uint32) * (capacity *= 2));
		numbers[(*n)++] = (uint32) strtoul(entry->d_name, NULL, 16);
	}
	if (folder != NULL)
		FreeDir(folder);
	qsort(numbers, *n, sizeof(uint32), compare_numbers);
	return numbers;
}

/* Walk over all records: where they end, and how many are not done. */
static void
count_records(int fd, SpoolSegment *segment, int64 size)
{
	SpoolRecord record;
	char	   *data;

	segment->end = segment->loaded = sizeof(SpoolHeader);
	while ((data = read_record(fd, segment, segment->end, size, &record)) != NULL)
	{
		segment->end = next_offset(segment->end, &record);
		segment->waiting += record.done == 0;
		pfree(data);
	}
}

static void
cut_tail(int fd, const SpoolSegment *segment, const char *path, int64 size)
{
	if (segment->end == size)
		return;
	ereport(LOG,
			(errmsg("gepa drops the last %lld bytes of \"%s\", which were not written completely",
					(long long) (size - segment->end), path)));
	if (ftruncate(fd, segment->end) != 0)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not truncate file \"%s\": %m", path)));
}

/* False when it is not to be kept in mind; *finished when it can be removed. */
static bool
read_segment(int fd, SpoolSegment *segment, const char *path, bool *finished)
{
	SpoolHeader header;
	struct stat st;

	if (fstat(fd, &st) != 0)
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
	count_records(fd, segment, st.st_size);
	cut_tail(fd, segment, path, st.st_size);
	*finished = segment->waiting == 0;
	return true;
}

static void
start_segment(uint32 number)
{
	Spool	   *spool = gepa_store_spool;
	SpoolSegment segment = {.number = number};
	char		path[MAXPGPATH];
	bool		finished = false;
	int			fd;

	spool->next_number = number + 1;
	gepa_store_spool_path(number, path);
	fd = BasicOpenFile(path, O_RDWR | PG_BINARY);
	if (fd < 0)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
		return;
	}
	if (spool->nsegments == SPOOL_MAX_SEGMENTS)
		ereport(LOG,
				(errmsg("gepa leaves file \"%s\" alone until the server starts again", path),
				 errdetail("It reads at most %d files at a time.", SPOOL_MAX_SEGMENTS)));
	else if (read_segment(fd, &segment, path, &finished))
	{
		if (finished)
			(void) unlink(path);
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

/* False when there is no room for one. */
static bool
load_segment(int fd, SpoolSegment *segment, SpoolTake take)
{
	bool		taken = true;

	while (taken && segment->loaded < segment->end)
	{
		SpoolPlace	place = {.segment = segment->number,.offset = segment->loaded};
		SpoolRecord record;
		char	   *data = read_record(fd, segment, segment->loaded, segment->end, &record);

		/* It was whole when the server started. */
		if (data == NULL)
		{
			ereport(LOG,
					(errmsg("gepa cannot read a verdict in segment %08X of its spool any more",
							segment->number)));
			segment->end = segment->loaded;
			return true;
		}
		taken = record.done != 0 || take(record.database, data, record.length, &place);
		if (taken)
			segment->loaded = next_offset(segment->loaded, &record);
		pfree(data);
	}
	return taken;
}

bool
gepa_store_spool_load(SpoolTake take)
{
	bool		all = true;

	for (int i = 0; i < gepa_store_spool->nsegments && all; i++)
	{
		SpoolSegment *segment = &gepa_store_spool->segments[i];
		char		path[MAXPGPATH];
		int			fd;

		if (segment->loaded == segment->end)
			continue;
		gepa_store_spool_path(segment->number, path);
		fd = BasicOpenFile(path, O_RDONLY | PG_BINARY);
		if (fd < 0)
			return false;
		all = load_segment(fd, segment, take);
		close(fd);
	}
	return all;
}
