// SPDX-License-Identifier: Apache-2.0
/*
 * The allocator of segment.h: per segment a sorted list of free extents, first fit; blobs waiting
 * for their grace period in one queue.
 */
#include "profiler/segment.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/vec.h"

struct extent {
	__u32 offset, n_words;
};

struct segment {
	__u32 *words; /* NULL: not made */
	VEC(struct extent) free;
	__u32 used; /* words */
};

struct segments {
	pthread_mutex_t growing; /* held while a segment is made; taken before the other one */
	pthread_mutex_t lock;	 /* of what follows; n and what is below it change under both */
	int map_fd;
	size_t budget;
	struct segment all[UNW_MAX_SEGMENTS];
	__u32 n;
	VEC(struct grave {
		struct blob blob;
		__u64 free_at_ns;
	})
	graves;
};

struct segments *segments_new(int map_fd, size_t budget)
{
	struct segments *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->growing, NULL);
	pthread_mutex_init(&s->lock, NULL);
	s->map_fd = map_fd;
	s->budget = MIN(budget, (size_t)UNW_MAX_SEGMENTS * UNW_SEGMENT_BYTES);
	return s;
}

static size_t mapped_bytes(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return ALIGN_UP((size_t)UNW_SEGMENT_BYTES + UNW_SEGMENT_SLACK, page);
}

void segments_free(struct segments *s)
{
	if (!s)
		return;
	for (__u32 i = 0; i < s->n; i++) {
		munmap(s->all[i].words, mapped_bytes());
		vec_free(&s->all[i].free);
	}
	vec_free(&s->graves);
	pthread_mutex_destroy(&s->growing);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* The memory of segment i: a BPF array that is also put into the map of segments, which waits for
 * the programs that run (kernel/bpf/syscall.c, maybe_wait_bpf_programs). */
static int map_segment(const struct segments *s, __u32 i, __u32 **ret_words)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = -1, err = 0;
	void *p;

	if (s->map_fd >= 0) {
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "segment", 4,
				    UNW_SEGMENT_BYTES + UNW_SEGMENT_SLACK, 1, &opts);
		if (fd < 0)
			return -errno;
	}
	p = mmap(NULL, mapped_bytes(), PROT_READ | PROT_WRITE,
		 fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	if (p == MAP_FAILED)
		err = -errno;
	if (!err && fd >= 0 && bpf_map_update_elem(s->map_fd, &i, &fd, BPF_ANY)) {
		err = -errno;
		munmap(p, mapped_bytes());
	}
	if (fd >= 0)
		close(fd); /* the outer map holds it now */
	if (!err)
		*ret_words = p;
	return err;
}

/* Under `growing` alone: who needs space that there is does not wait meanwhile. */
static int add_segment(struct segments *s)
{
	struct segment *segment = &s->all[s->n];
	__u32 *words = NULL;
	int err;

	if ((size_t)(s->n + 1) * UNW_SEGMENT_BYTES > s->budget)
		return -ENOSPC;
	err = map_segment(s, s->n, &words);
	if (err)
		return err;
	pthread_mutex_lock(&s->lock);
	err = vec_push(&segment->free, (struct extent){.n_words = UNW_SEGMENT_WORDS});
	if (!err) {
		segment->words = words;
		s->n++;
	}
	pthread_mutex_unlock(&s->lock);
	if (err)
		munmap(words, mapped_bytes()); /* the next one takes its place in the map */
	return err;
}

static bool take_extent(struct segment *segment, __u32 n_words, __u32 *ret_offset)
{
	vec_for_each (e, &segment->free) {
		if (e->n_words < n_words)
			continue;
		*ret_offset = e->offset;
		e->offset += n_words;
		e->n_words -= n_words;
		segment->used += n_words;
		return true;
	}
	return false;
}

/* Merge an extent back, dropping emptied ones on the way. */
static void put_extent(struct segment *segment, struct extent freed)
{
	size_t n = 0, at;

	segment->used -= freed.n_words;
	for (size_t i = 0; i < segment->free.len; i++)
		if (segment->free.data[i].n_words)
			segment->free.data[n++] = segment->free.data[i];
	segment->free.len = n;
	if (vec_push(&segment->free, freed))
		return; /* the space is lost to us until the end; the budget still holds */
	for (at = segment->free.len - 1; at > 0 && segment->free.data[at - 1].offset > freed.offset;
	     at--)
		segment->free.data[at] = segment->free.data[at - 1];
	segment->free.data[at] = freed;
	n = 0;
	for (size_t i = 1; i < segment->free.len; i++) {
		struct extent *last = &segment->free.data[n];

		if (last->offset + last->n_words == segment->free.data[i].offset)
			last->n_words += segment->free.data[i].n_words;
		else
			segment->free.data[++n] = segment->free.data[i];
	}
	segment->free.len = n + 1;
}

static void bury(struct segments *s)
{
	__u64 now = clock_monotonic_ns();
	size_t done = 0;

	while (done < s->graves.len && s->graves.data[done].free_at_ns <= now) {
		const struct blob *b = &s->graves.data[done++].blob;

		put_extent(&s->all[b->segment],
			   (struct extent){.offset = b->offset, .n_words = b->n_words});
	}
	if (!done)
		return;
	s->graves.len -= done;
	memmove(s->graves.data, s->graves.data + done, s->graves.len * sizeof(*s->graves.data));
}

/* From the segments that there are. */
static bool alloc_here(struct segments *s, __u32 n_words, struct blob *ret_blob)
{
	bool found = false;

	pthread_mutex_lock(&s->lock);
	bury(s);
	for (__u32 i = 0; !found && i < s->n; i++) {
		found = take_extent(&s->all[i], n_words, &ret_blob->offset);
		if (found) {
			ret_blob->segment = i;
			ret_blob->n_words = n_words;
			memset(s->all[i].words + ret_blob->offset, 0, (size_t)n_words * 4);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

int segments_alloc(struct segments *s, __u32 n_words, struct blob *ret_blob)
{
	int err = 0;

	n_words = ALIGN_UP(n_words, 2);
	if (n_words == 0 || n_words > UNW_SEGMENT_WORDS)
		return -ENOSPC;
	if (alloc_here(s, n_words, ret_blob))
		return 0;
	pthread_mutex_lock(&s->growing);
	/* Somebody else may have made one, and others may use it up. */
	while (!err && !alloc_here(s, n_words, ret_blob))
		err = add_segment(s);
	pthread_mutex_unlock(&s->growing);
	return err;
}

static bool has_room(struct segments *s, __u32 n_words)
{
	bool found = false;

	pthread_mutex_lock(&s->lock);
	bury(s);
	for (__u32 i = 0; !found && i < s->n; i++) {
		vec_for_each (e, &s->all[i].free)
			found |= e->n_words >= n_words;
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

void segments_make_room(struct segments *s)
{
	pthread_mutex_lock(&s->growing);
	if (!has_room(s, UNW_PART_MAX_BYTES / 4) && add_segment(s)) {
		/* who needs the space is told */
	}
	pthread_mutex_unlock(&s->growing);
}

void segments_release(struct segments *s, struct blob *blob)
{
	if (!blob->n_words)
		return;
	pthread_mutex_lock(&s->lock);
	if (vec_push(&s->graves, (struct grave){*blob, clock_monotonic_ns() + SEGMENT_GRACE_NS}))
		put_extent(&s->all[blob->segment],
			   (struct extent){.offset = blob->offset, .n_words = blob->n_words});
	pthread_mutex_unlock(&s->lock);
	*blob = (struct blob){0};
}

__u32 *segments_words(struct segments *s, const struct blob *blob)
{
	return s->all[blob->segment].words + blob->offset;
}

const __u32 *segments_base(const struct segments *s, __u32 segment)
{
	return segment < UNW_MAX_SEGMENTS ? s->all[segment].words : NULL;
}

struct segments_stats segments_stats(struct segments *s)
{
	struct segments_stats stats = {.budget = s->budget};

	pthread_mutex_lock(&s->lock);
	stats.n_segments = s->n;
	stats.bytes_reserved = (__u64)s->n * UNW_SEGMENT_BYTES;
	for (__u32 i = 0; i < s->n; i++)
		stats.bytes_used += (__u64)s->all[i].used * 4;
	pthread_mutex_unlock(&s->lock);
	return stats;
}
