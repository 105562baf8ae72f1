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
 * A verdict that finds the ring full is appended all the same: to the backlog,
 * from where it is loaded into the ring when there is room.  So nothing that was
 * paid for depends on its session.
 *
 * Files: segments in pg_gepa/, in the data directory.  One is appended to for
 * the ring, one for the backlog; those that are full, or that could not be
 * written, or that were there when the server started, never are again.  They
 * are removed when all of their records are done.  As long as most verdicts are
 * written soon there is one, or none.  A few that wait for long could keep many:
 * when there are more segments than twice the ring needs, the verdicts of the
 * one with the fewest are appended anew (ring.c).  So the spool takes no more
 * than about that, and the backlog.
 *
 * Locking: one LWLock (tranche "GepaSpool") protects the list of segments; it
 * is held while a record is appended, so records have no gaps, and while one
 * moves from the spool into the ring or is marked.  Whoever also wants the
 * ring's lock takes it second.  Under it files are opened, read, written and
 * closed, but not synced: for verdicts that are put (SPOOL_APPEND_MAX at most)
 * their records are written, and no more than some LOAD_BATCH are read or about
 * twice their bytes appended anew.  That is the page cache's work; a disk that is
 * stalled so that even a write to that waits stalls all who judge, and no
 * interrupt gets through to them meanwhile.
 *
 * SIGKILL: a record that is not whole was the last one; its verdict was not
 * handed over, and its checksum says so; nor were those that were to be written
 * with it, behind it.  One that is whole is handed over, whether its entry made it
 * into the ring or not.  Between the writer's commit and the mark a record is
 * written twice, which the table does not mind.
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

#include "base/shmem.h"
#include "store/store_entries.h"

#define SMALLEST_SEGMENT (1024 * 1024)

/* Marks in so many bytes are written together; their records lie one after another. */
#define MARK_SPAN (16 * 1024)

/*
 * So much may wait beyond the ring: four rings, at least 32 MB.  That is some
 * 50,000 short verdicts, what a fast session pays for in minutes; whoever lets
 * a writer be held up for longer has a fault to mend, not a peak to bridge.
 */
#define BACKLOG_SEGMENTS 32

Spool	   *gepa_store_spool = NULL;
LWLock	   *gepa_store_spool_lock = NULL;

/*
 * Set-up
 */

static Size
shmem_size(void)
{
	return sizeof(Spool);
}

static void
attach(void *memory, LWLock *lock, bool made)
{
	Spool	   *spool = memory;

	gepa_store_spool = spool;
	gepa_store_spool_lock = lock;
	if (!made)
		return;
	spool->segment_size = Max(SMALLEST_SEGMENT, gepa_store_ring_size() / 8);
	spool->most_segments = 2 * gepa_store_ring_size() / spool->segment_size + 2;
	spool->next_number = 1;
}

void
gepa_store_spool_init(void)
{
	static const GepaShmem area = {
		.name = "gepa verdict spool",
		.tranche = "GepaSpool",
		.size = shmem_size,
		.attach = attach
	};

	gepa_shmem_add(&area);
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

SpoolSegment *
gepa_store_spool_segment(uint32 number)
{
	for (int i = 0; i < gepa_store_spool->nsegments; i++)
		if (gepa_store_spool->segments[i].number == number)
			return &gepa_store_spool->segments[i];
	return NULL;
}

bool
gepa_store_spool_is_loaded(const SpoolPlace *place)
{
	SpoolSegment *segment = gepa_store_spool_segment(place->segment);

	return segment == NULL || place->offset < segment->loaded;
}

int64
gepa_store_spool_backlog(void)
{
	int64		bytes = 0;

	for (int i = 0; i < gepa_store_spool->nsegments; i++)
		bytes += gepa_store_spool->segments[i].end - gepa_store_spool->segments[i].loaded;
	return bytes;
}

int64
gepa_store_spool_backlog_limit(void)
{
	return BACKLOG_SEGMENTS * gepa_store_spool->segment_size;
}

void
gepa_store_spool_set_aside(uint32 segment)
{
	char		path[MAXPGPATH];
	char		aside[MAXPGPATH];

	gepa_store_spool_path(segment, path);
	snprintf(aside, sizeof(aside), "%s" SPOOL_ASIDE, path);
	if (rename(path, aside) != 0)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not rename file \"%s\" to \"%s\": %m", path, aside)));
	else
		ereport(LOG,
				(errmsg("gepa keeps what it cannot read of its spool as \"%s\"", aside)));
}

void
gepa_store_spool_remove(const SpoolSegment *segment)
{
	char		path[MAXPGPATH];

	gepa_store_spool_path(segment->number, path);
	if (segment->damaged)
		gepa_store_spool_set_aside(segment->number);
	else if (unlink(path) != 0)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
}

static void
remove_segment(int i)
{
	Spool	   *spool = gepa_store_spool;

	gepa_store_spool_remove(&spool->segments[i]);
	spool->nsegments--;
	memmove(&spool->segments[i], &spool->segments[i + 1],
			sizeof(SpoolSegment) * (spool->nsegments - i));
}

static bool
is_open(const SpoolSegment *segment)
{
	return segment->number == gepa_store_spool->open[SPOOL_OF_RING] ||
		segment->number == gepa_store_spool->open[SPOOL_BACKLOG];
}

static bool
is_finished(const SpoolSegment *segment)
{
	return segment->waiting == 0 && segment->loaded == segment->end;
}

/* All but those that are appended to. */
static void
remove_finished(void)
{
	for (int i = gepa_store_spool->nsegments - 1; i >= 0; i--)
		if (is_finished(&gepa_store_spool->segments[i]) &&
			!is_open(&gepa_store_spool->segments[i]))
			remove_segment(i);
}

/* 0 = nowhere; names that are taken are those of files that were left alone. */
static int
make_file(SpoolSegment *segment, const struct iovec *header)
{
	char		path[MAXPGPATH];
	int			error;

	do
	{
		segment->number = gepa_store_spool->next_number++;
		error = segment->number == 0 ? EEXIST :
			write_at(segment->number, O_WRONLY | O_CREAT | O_EXCL, header, 1, 0);
	} while (error == EEXIST);
	gepa_store_spool_path(segment->number, path);
	if (error != 0)
		(void) unlink(path);
	return error;
}

static int
add_segment(SpoolKind kind)
{
	Spool	   *spool = gepa_store_spool;
	SpoolSegment segment = {0};
	SpoolHeader header = {.magic = SPOOL_MAGIC,.format = SPOOL_FORMAT};
	struct iovec part = {.iov_base = &header,.iov_len = sizeof(header)};
	int			error;

	spool->open[kind] = 0;
	remove_finished();
	if (spool->nsegments == SPOOL_MAX_SEGMENTS)
		return ENFILE;
	if (!pg_strong_random(&header.nonce, sizeof(header.nonce)))
		return EIO;
	error = make_file(&segment, &part);
	if (error != 0)
		return error;
	segment.nonce = header.nonce;
	segment.end = segment.loaded = sizeof(header);
	spool->segments[spool->nsegments++] = segment;
	spool->open[kind] = segment.number;
	return 0;
}

/* The one that is appended to, if it has room for so much. */
static SpoolSegment *
segment_with_room(SpoolKind kind, int64 size)
{
	SpoolSegment *segment = gepa_store_spool_segment(gepa_store_spool->open[kind]);

	if (segment != NULL && segment->end + size > gepa_store_spool->segment_size &&
		segment->end > (int64) sizeof(SpoolHeader))
		return NULL;
	return segment;
}

/*
 * Records
 */

static int
append_to(const SpoolSegment *segment, Oid database, SpoolItem *items, int n)
{
	SpoolRecord records[SPOOL_APPEND_MAX];
	struct iovec parts[2 * SPOOL_APPEND_MAX];
	int64		end = segment->end;

	for (int i = 0; i < n; i++)
	{
		SpoolRecord record = {.length = items[i].length,.database = database};

		record.crc = gepa_store_spool_checksum(segment, end, &record, items[i].data);
		records[i] = record;
		parts[2 * i].iov_base = &records[i];
		parts[2 * i].iov_len = sizeof(SpoolRecord);
		parts[2 * i + 1].iov_base = unconstify(char *, items[i].data);
		parts[2 * i + 1].iov_len = items[i].length;
		items[i].place.segment = segment->number;
		items[i].place.offset = end;
		end += (int64) sizeof(SpoolRecord) + items[i].length;
	}
	return write_at(segment->number, O_WRONLY, parts, 2 * n, segment->end);
}

static int64
size_of(const SpoolItem *items, int n)
{
	int64		size = 0;

	for (int i = 0; i < n; i++)
		size += (int64) sizeof(SpoolRecord) + items[i].length;
	return size;
}

/*
 * A segment that does not take them may have been removed, or lie on a part of the
 * disk that is broken, so a new one is tried, once.  The file is opened each
 * time: that is little beside the calls that were paid.
 */
int
gepa_store_spool_append(SpoolKind kind, Oid database, SpoolItem *items, int n)
{
	int64		size = size_of(items, n);
	SpoolSegment *segment = segment_with_room(kind, size);
	int			error = segment == NULL ? ENOENT : append_to(segment, database, items, n);

	Assert(n <= SPOOL_APPEND_MAX);
	if (error != 0)
	{
		error = add_segment(kind);
		if (error != 0)
			return error;
		segment = gepa_store_spool_segment(gepa_store_spool->open[kind]);
		error = append_to(segment, database, items, n);
	}
	if (error != 0)
	{
		gepa_store_spool->open[kind] = 0;
		remove_finished();
		return error;
	}
	segment->end += size;
	if (kind == SPOOL_OF_RING)
		segment->loaded = segment->end;
	else
		segment->unloaded += n;
	segment->waiting += n;
	return 0;
}

static bool
write_mark(int fd, const SpoolPlace *place)
{
	const uint32 done = 1;

	return pg_pwrite(fd, &done, sizeof(done), place->offset + offsetof(SpoolRecord, done)) ==
		sizeof(done);
}

/* In ascending order, and not too far from each other: with what lies between them. */
static bool
write_near_marks(int fd, const SpoolPlace *places, int n)
{
	const uint32 done = 1;
	char		bytes[MARK_SPAN];
	int64		start = places[0].offset;
	ssize_t		length = places[n - 1].offset + sizeof(SpoolRecord) - start;

	if (n == 1)
		return write_mark(fd, places);
	if (pg_pread(fd, bytes, length, start) != length)
		return false;
	for (int i = 0; i < n; i++)
		memcpy(bytes + (places[i].offset - start) + offsetof(SpoolRecord, done), &done,
			   sizeof(done));
	return pg_pwrite(fd, bytes, length, start) == length;
}

/* How many of them can be written together. */
static int
count_near(const SpoolPlace *places, int n)
{
	int			near = 1;

	while (near < n && places[near].offset > places[near - 1].offset &&
		   places[near].offset + sizeof(SpoolRecord) - places[0].offset <= MARK_SPAN)
		near++;
	return near;
}

/* A record without its mark is only written once more after a crash. */
static void
write_marks(const SpoolPlace *places, int n)
{
	int			fd = open_segment(places[0].segment, O_RDWR);
	bool		failed = fd < 0;
	int			near;

	for (int i = 0; i < n && !failed; i += near)
	{
		near = count_near(&places[i], n - i);
		failed = !write_near_marks(fd, &places[i], near);
	}
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
		SpoolSegment *segment = gepa_store_spool_segment(number);
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

/* Segments of which something is still to be loaded do not count. */
uint32
gepa_store_spool_crowded(void)
{
	const SpoolSegment *fewest = NULL;
	int			n = 0;

	for (int i = 0; i < gepa_store_spool->nsegments; i++)
	{
		const SpoolSegment *segment = &gepa_store_spool->segments[i];

		if (segment->loaded != segment->end)
			continue;
		n++;
		if (!is_open(segment) && (fewest == NULL || segment->waiting < fewest->waiting))
			fewest = segment;
	}
	return n > gepa_store_spool->most_segments && fewest != NULL ? fewest->number : 0;
}

void
gepa_store_spool_tidy(void)
{
	for (int kind = 0; kind < lengthof(gepa_store_spool->open); kind++)
	{
		SpoolSegment *segment = gepa_store_spool_segment(gepa_store_spool->open[kind]);

		if (segment != NULL && is_finished(segment))
			gepa_store_spool->open[kind] = 0;
	}
	remove_finished();
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
		SpoolSegment *segment = gepa_store_spool_segment(copy.segments[i].number);

		if (segment != NULL)
			segment->synced = Max(segment->synced, copy.segments[i].synced);
	}
	LWLockRelease(gepa_store_spool_lock);
}
