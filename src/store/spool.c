/*-------------------------------------------------------------------------
 *
 * spool.c
 *	  Verdicts on their way, in files: appending, and removing what is done.
 *
 * The ring is in shared memory, which a crash of any process empties.  So a
 * verdict is appended to the spool before it is put into the ring; when the
 * writer has committed it, its record is marked as done, in place.  When the
 * server starts, or starts again after a crash, the records that are not done
 * fill the ring again (spool_read.c).
 *
 * Files: segments in pg_gepa/, in the data directory, which are appended to
 * one after the other and removed when all of their records are done.  As
 * long as most verdicts are written soon there is one, or none.  A few that
 * wait for long could keep many: when there are more segments than twice the
 * ring needs, the verdicts of the oldest are appended anew (ring.c).  So
 * the spool takes no more than about that.
 *
 * Locking: one LWLock (tranche "GepaSpool") protects the list of segments; it
 * is held while a record is appended, so records have no gaps, and while one
 * moves from the spool into the ring or is marked.  Whoever also wants the
 * ring's lock takes it second.  Nothing but files of a few kB is waited for.
 *
 * SIGKILL: a record that is not whole was the last one; its verdict was not
 * handed over, and its checksum says so.  One that is whole is handed over,
 * whether its entry made it into the ring or not.  Between the writer's commit
 * and the mark a record is written twice, which the table does not mind.
 *
 * Power failure: the page cache is lost with what was appended, unless it was
 * synced: what has to wait for long is (gepa_store_spool_sync()).
 *
 * Known hole: when the spool cannot be written, a verdict is in the ring only;
 * the session says so (handover.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "port/pg_iovec.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "store/store_spool.h"

#define SMALLEST_SEGMENT (1024 * 1024)

Spool	   *gepa_store_spool = NULL;
LWLock	   *gepa_store_spool_lock = NULL;

/*
 * Set-up
 */

void
gepa_store_spool_request(void)
{
	RequestAddinShmemSpace(sizeof(Spool));
	RequestNamedLWLockTranche("GepaSpool", 1);
}

void
gepa_store_spool_make(Size ring_size)
{
	bool		found;

	gepa_store_spool = ShmemInitStruct("gepa verdict spool", sizeof(Spool), &found);
	gepa_store_spool_lock = &(GetNamedLWLockTranche("GepaSpool"))->lock;
	if (found)
		return;
	memset(gepa_store_spool, 0, sizeof(Spool));
	gepa_store_spool->segment_size = Max(SMALLEST_SEGMENT, ring_size / 8);
	gepa_store_spool->most_segments = 2 * ring_size / gepa_store_spool->segment_size + 2;
	gepa_store_spool->next_number = 1;
}

/*
 * Files
 */

void
gepa_store_spool_path(uint32 segment, char *path)
{
	snprintf(path, MAXPGPATH, SPOOL_FOLDER "/%08X", segment);
}

static int
open_segment(uint32 number, int flags)
{
	char		path[MAXPGPATH];

	gepa_store_spool_path(number, path);
	return BasicOpenFile(path, flags | PG_BINARY);
}

pg_crc32c
gepa_store_spool_checksum(const SpoolSegment *segment, int64 offset,
						  const SpoolRecord *record, const char *data)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, &segment->nonce, sizeof(segment->nonce));
	COMP_CRC32C(crc, &offset, sizeof(offset));
	COMP_CRC32C(crc, &record->length, sizeof(record->length));
	COMP_CRC32C(crc, &record->database, sizeof(record->database));
	COMP_CRC32C(crc, data, record->length);
	FIN_CRC32C(crc);
	return crc;
}

/* All of it, or an errno; a file that cannot grow may just take less. */
static int
write_at(uint32 number, int flags, const struct iovec *parts, int nparts, int64 offset)
{
	int			fd = open_segment(number, flags);
	ssize_t		length = 0;
	ssize_t		written;
	int			error = 0;

	if (fd < 0)
		return errno;
	for (int i = 0; i < nparts; i++)
		length += parts[i].iov_len;
	errno = 0;
	written = pg_pwritev(fd, parts, nparts, offset);
	if (written != length)
		error = written < 0 ? errno : ENOSPC;
	close(fd);
	return error;
}

/*
 * Segments
 */

static SpoolSegment *
last_segment(void)
{
	if (gepa_store_spool->nsegments == 0)
		return NULL;
	return &gepa_store_spool->segments[gepa_store_spool->nsegments - 1];
}

static void
remove_segment(int i)
{
	Spool	   *spool = gepa_store_spool;
	char		path[MAXPGPATH];

	gepa_store_spool_path(spool->segments[i].number, path);
	if (unlink(path) != 0)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
	spool->nsegments--;
	memmove(&spool->segments[i], &spool->segments[i + 1],
			sizeof(SpoolSegment) * (spool->nsegments - i));
}

static bool
is_finished(const SpoolSegment *segment)
{
	return segment->waiting == 0 && segment->loaded == segment->end;
}

/* All but the last, which is appended to. */
static void
remove_finished(void)
{
	for (int i = gepa_store_spool->nsegments - 2; i >= 0; i--)
		if (is_finished(&gepa_store_spool->segments[i]))
			remove_segment(i);
}

static int
add_segment(void)
{
	Spool	   *spool = gepa_store_spool;
	SpoolSegment segment = {.number = spool->next_number};
	SpoolHeader header = {.magic = SPOOL_MAGIC,.format = SPOOL_FORMAT};
	struct iovec part = {.iov_base = &header,.iov_len = sizeof(header)};
	int			error;

	if (spool->nsegments == SPOOL_MAX_SEGMENTS)
		return ENFILE;
	if (!pg_strong_random(&header.nonce, sizeof(header.nonce)))
		return EIO;
	error = write_at(segment.number, O_WRONLY | O_CREAT | O_TRUNC, &part, 1, 0);
	if (error != 0)
		return error;
	segment.nonce = header.nonce;
	segment.end = segment.loaded = sizeof(header);
	spool->segments[spool->nsegments++] = segment;
	spool->next_number++;
	remove_finished();
	return 0;
}

/*
 * The last one, if it has room for so much.  One whose records are not all
 * loaded is left alone, so that what is loaded is always the first part.
 */
static SpoolSegment *
segment_with_room(int64 size)
{
	SpoolSegment *segment = last_segment();

	if (segment == NULL || segment->loaded != segment->end)
		return NULL;
	if (segment->end + size > gepa_store_spool->segment_size &&
		segment->end > (int64) sizeof(SpoolHeader))
		return NULL;
	return segment;
}

/*
 * Records
 */

int
gepa_store_spool_append(Oid database, const char *data, int length, SpoolPlace *place)
{
	SpoolRecord record = {.length = length,.database = database};
	struct iovec parts[2] = {
		{.iov_base = &record,.iov_len = sizeof(record)},
		{.iov_base = unconstify(char *, data),.iov_len = length}
	};
	int64		size = (int64) sizeof(record) + length;
	SpoolSegment *segment = segment_with_room(size);
	int			error = 0;

	memset(place, 0, sizeof(*place));
	if (segment == NULL)
		error = add_segment();
	if (error != 0)
		return error;
	segment = last_segment();
	record.crc = gepa_store_spool_checksum(segment, segment->end, &record, data);
	error = write_at(segment->number, O_WRONLY, parts, lengthof(parts), segment->end);
	if (error != 0)
		return error;
	place->segment = segment->number;
	place->offset = segment->end;
	segment->end += size;
	segment->loaded = segment->end;
	segment->waiting++;
	return 0;
}

static SpoolSegment *
find_segment(uint32 number)
{
	for (int i = 0; i < gepa_store_spool->nsegments; i++)
		if (gepa_store_spool->segments[i].number == number)
			return &gepa_store_spool->segments[i];
	return NULL;
}

/* A record without its mark is only written once more after a crash. */
static void
write_marks(const SpoolPlace *places, int n)
{
	const uint32 done = 1;
	int			fd = open_segment(places[0].segment, O_WRONLY);
	bool		failed = fd < 0;

	for (int i = 0; i < n && !failed; i++)
		failed = pg_pwrite(fd, &done, sizeof(done),
						   places[i].offset + offsetof(SpoolRecord, done)) != sizeof(done);
	if (failed)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not mark verdicts as written in the spool: %m")));
	if (fd >= 0)
		close(fd);
}

void
gepa_store_spool_mark_done(const SpoolPlace *places, int n)
{
	int			first = 0;

	while (first < n)
	{
		uint32		number = places[first].segment;
		SpoolSegment *segment = find_segment(number);
		int			next = first;

		while (next < n && places[next].segment == number)
			next++;
		if (segment != NULL)
		{
			write_marks(&places[first], next - first);
			segment->waiting -= next - first;
		}
		first = next;
	}
	remove_finished();
}

uint32
gepa_store_spool_crowded(void)
{
	if (gepa_store_spool->nsegments > gepa_store_spool->most_segments)
		for (int i = 0; i < gepa_store_spool->nsegments - 1; i++)
			if (gepa_store_spool->segments[i].loaded == gepa_store_spool->segments[i].end)
				return gepa_store_spool->segments[i].number;
	return 0;
}

void
gepa_store_spool_tidy(void)
{
	SpoolSegment *segment = last_segment();

	remove_finished();
	if (segment != NULL && is_finished(last_segment()))
		remove_segment(gepa_store_spool->nsegments - 1);
}

/*
 * Power failure
 */

static bool
sync_segment(const SpoolSegment *segment)
{
	int			fd = open_segment(segment->number, O_RDWR);
	bool		done = fd >= 0 && pg_fdatasync(fd) == 0;

	/* It may have been removed meanwhile. */
	if (!done && errno != ENOENT)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not synchronize the spool of verdicts: %m")));
	if (fd >= 0)
		close(fd);
	return done;
}

void
gepa_store_spool_sync(void)
{
	Spool		copy;
	bool		any = false;

	LWLockAcquire(gepa_store_spool_lock, LW_SHARED);
	copy = *gepa_store_spool;
	LWLockRelease(gepa_store_spool_lock);
	for (int i = 0; i < copy.nsegments; i++)
	{
		SpoolSegment *segment = &copy.segments[i];

		if (segment->synced < segment->end && sync_segment(segment))
		{
			segment->synced = segment->end;
			any = true;
		}
	}
	if (!any)
		return;
	(void) fsync_fname_ext(SPOOL_FOLDER, true, false, LOG);
	LWLockAcquire(gepa_store_spool_lock, LW_EXCLUSIVE);
	for (int i = 0; i < copy.nsegments; i++)
	{
		SpoolSegment *segment = find_segment(copy.segments[i].number);

		if (segment != NULL)
			segment->synced = Max(segment->synced, copy.segments[i].synced);
	}
	LWLockRelease(gepa_store_spool_lock);
}
