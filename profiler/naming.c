// SPDX-License-Identifier: Apache-2.0
/* Naming captures, see naming.h. */
#include "profiler/naming.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/reason.h"
#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/base/log.h"
#include "profiler/base/plain.h"
#include "profiler/identity.h"
#include "profiler/object_load.h"
#include "profiler/process.h"
#include "profiler/profile.h"
#include "profiler/stack_table.h"
#include "profiler/vdso.h"
#include "symbolize/debug_file.h"
#include "symbolize/kernel_symbols.h"
#include "symbolize/symbol.h"

#define DEFAULT_OBJECTS	  512u
#define DEFAULT_BYTES	  (16ull << 20)
#define KEEP_ROUNDS	  8  /* jobs that symbols stay open without being used */
#define RETRY_ROUNDS	  20 /* until a file that could not be opened is tried again */
#define MAX_JITS	  256u
#define KERNEL_REFRESH_NS (300 * NS_PER_S) /* modules and BPF programs come and go */
#define KERNEL_NAME	  "[kernel.kallsyms]"

/* Symbols of one object. */
struct named_object {
	struct object *object;	       /* referenced: its id stays its own */
	struct symbol_object *symbols; /* NULL: none could be opened */
	bool on_host;		       /* a file of the host's root */
	__u64 used, tried;	       /* rounds of its last use and of its opening */
};

/* The map that a JIT keeps, of one image. */
struct named_jit {
	struct image *image; /* referenced */
	struct perf_map map;
	int fd; /* its file, while the process lives; -1: none */
	__u64 used;
};

struct naming {
	struct naming_options o;
	VEC(char *) debug_dirs;
	struct index_cache cache;
	struct symbol_options symbol_options;
	VEC(struct named_object) objects;
	VEC(struct named_jit) jits;
	struct symbol_object *kernel;
	__u64 kernel_ns;
	bool kernel_failed;
	__u64 round;
	struct naming_stats stats;
	/* of one profile */
	struct hmap locations; /* frame -> index in location_keys */
	VEC(struct location_key {
		__u64 frame;
		const struct image *image; /* of frames outside files */
		bool kernel;
		__u32 location;
	})
	location_keys;
	struct symbol_frame frames[SYMBOL_FRAMES_MAX];
};

static int copy_debug_dirs(struct naming *n)
{
	for (size_t i = 0; i < n->o.n_debug_dirs; i++) {
		char *dir = strdup(n->o.debug_dirs[i]);

		if (!dir || vec_push(&n->debug_dirs, dir)) {
			free(dir);
			return -ENOMEM;
		}
	}
	n->symbol_options.debug_dirs = (const char *const *)n->debug_dirs.data;
	n->symbol_options.n_debug_dirs = n->debug_dirs.len;
	return 0;
}

struct naming *naming_new(const struct naming_options *options)
{
	struct naming *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->o = *options;
	n->round = 1; /* 0: never used */
	if (!n->o.max_objects)
		n->o.max_objects = DEFAULT_OBJECTS;
	if (!n->o.max_bytes)
		n->o.max_bytes = DEFAULT_BYTES;
	if (options->cache_dir) {
		char dir[4096];
		int err;

		snprintf(dir, sizeof(dir), "%s/symbols", options->cache_dir);
		err = index_cache_open(&n->cache, dir, options->cache_bytes);
		if (err)
			log_warn(symbol, "symbol cache '%s' cannot be used (%s); going on without",
				 dir, fs_own_dir_error(err));
	}
	n->symbol_options = (struct symbol_options){
		.cache = n->cache.dir ? &n->cache : NULL,
		.scratch_dir = n->cache.dir,
		.debuginfod = options->debuginfod,
		.cancelled = options->cancelled,
		.arg = options->arg,
	};
	if (!copy_debug_dirs(n))
		return n;
	naming_free(n);
	return NULL;
}

static void close_object(struct named_object *o)
{
	symbol_object_free(o->symbols);
	object_unref(o->object);
}

static void close_jit(struct named_jit *j)
{
	if (j->fd >= 0)
		close(j->fd);
	perf_map_fini(&j->map);
	image_unref(j->image);
}

static void drop_jit(struct naming *n, size_t i)
{
	close_jit(&n->jits.data[i]);
	n->jits.data[i] = n->jits.data[--n->jits.len];
	n->stats.evicted_total++;
}

/* Used in this job or the one before: a process that is not seen in each keeps its names. */
static bool in_use(const struct naming *n, __u64 used)
{
	return used + 1 >= n->round;
}

/* Of those in use, `except` left out; NULL when there is none. */
static const struct named_jit *largest_jit(const struct naming *n, const struct named_jit *except)
{
	const struct named_jit *largest = NULL;

	vec_for_each (j, &n->jits)
		if (j != except && in_use(n, j->used) &&
		    (!largest || perf_map_bytes(&j->map) > perf_map_bytes(&largest->map)))
			largest = j;
	return largest;
}

/* Of those that hold so many bytes, `except` left out; the length when there is none. */
static size_t least_used_jit(const struct naming *n, size_t min_bytes,
			     const struct named_jit *except)
{
	size_t least = n->jits.len;

	for (size_t i = 0; i < n->jits.len; i++)
		if (&n->jits.data[i] != except &&
		    perf_map_bytes(&n->jits.data[i].map) >= min_bytes &&
		    (least == n->jits.len || n->jits.data[i].used < n->jits.data[least].used))
			least = i;
	return least;
}

void naming_free(struct naming *n)
{
	if (!n)
		return;
	vec_for_each (o, &n->objects)
		close_object(o);
	vec_for_each (j, &n->jits)
		close_jit(j);
	vec_for_each (d, &n->debug_dirs)
		free(*d);
	vec_free(&n->debug_dirs);
	vec_free(&n->objects);
	vec_free(&n->jits);
	vec_free(&n->location_keys);
	hmap_fini(&n->locations);
	symbol_object_free(n->kernel);
	index_cache_close(&n->cache);
	free(n);
}

/* ---- symbols of objects ---------------------------------------------------------------------- */

static struct symbol_object *open_file(struct naming *n, struct named_object *named)
{
	const struct object *object = named->object;
	const struct object_image *image = object->image;
	struct object_source source = {.key = object->key, .path = object->path};
	struct symbol_object *symbols = NULL;
	enum elf_refusal why;
	_close_ int fd = object_take_fd(object), root = -1;

	if (image) {
		source.pid = image->pid;
		source.parent = image->parent;
		source.start = image->map_start;
		source.end = image->map_end;
	}
	if (fd < 0)
		fd = object_open(&source);
	if (fd < 0)
		return NULL;
	root = object_debug_root(&source, fd);
	named->on_host = root == DEBUG_ROOT_HOST;
	if (symbol_object_open(fd, object->path, root, &n->symbol_options, &symbols, &why))
		return NULL;
	return symbols;
}

static struct symbol_object *open_symbols(struct naming *n, struct named_object *named)
{
	struct symbol_object *symbols = NULL;
	const void *vdso;
	size_t size;

	n->stats.opened_total++;
	if (named->object->key.inode)
		return open_file(n, named);
	vdso = vdso_image(&size);
	if (!vdso || symbol_object_open_memory(vdso, size, VDSO_PATH, &n->symbol_options, &symbols))
		return NULL;
	return symbols;
}

static void drop_object(struct naming *n, size_t i)
{
	close_object(&n->objects.data[i]);
	n->objects.data[i] = n->objects.data[--n->objects.len];
	n->stats.evicted_total++;
}

/* Memory that its readable names take; the index is a mapped file. */
static __u64 object_bytes(const struct named_object *o)
{
	struct symbol_info info;

	if (!o->symbols)
		return 0;
	symbol_object_info(o->symbols, &info);
	return info.name_bytes;
}

/* Of those that hold so many bytes; the length when there is none. */
static size_t least_used_object(const struct naming *n, __u64 min_bytes)
{
	size_t least = n->objects.len;

	for (size_t i = 0; i < n->objects.len; i++)
		if ((least == n->objects.len ||
		     n->objects.data[i].used < n->objects.data[least].used) &&
		    object_bytes(&n->objects.data[i]) >= min_bytes)
			least = i;
	return least;
}

/* ---- the bound on memory --------------------------------------------------------------------- */

/* The map of which the file is still open can be read again. */
static __u64 shrink_jit(struct naming *n, size_t i)
{
	struct named_jit *jit = &n->jits.data[i];
	__u64 bytes = perf_map_bytes(&jit->map);

	if (jit->fd < 0) {
		drop_jit(n, i);
		return bytes;
	}
	perf_map_clear(&jit->map);
	n->stats.evicted_total++;
	return bytes;
}

static __u64 shrink_object(struct naming *n, size_t i)
{
	__u64 bytes = object_bytes(&n->objects.data[i]);

	drop_object(n, i);
	return bytes;
}

/* Of what was used in round `first` or later, `except` left out. */
static __u64 bytes_since(const struct naming *n, __u64 first, const struct named_jit *except)
{
	__u64 bytes = 0;

	vec_for_each (o, &n->objects)
		bytes += o->used >= first ? object_bytes(o) : 0;
	vec_for_each (j, &n->jits)
		bytes += j != except && j->used >= first ? perf_map_bytes(&j->map) : 0;
	return bytes;
}

/* Of what was last used before round `end`, the longest ago goes first, until the rest fits; of
 * equals the JITs' maps, which are the larger ones. */
static void shrink(struct naming *n, __u64 end)
{
	__u64 bytes = bytes_since(n, 0, largest_jit(n, NULL));

	while (bytes > n->o.max_bytes) {
		size_t o = least_used_object(n, 1);
		size_t j = least_used_jit(n, 1, largest_jit(n, NULL));
		__u64 o_used = o < n->objects.len ? n->objects.data[o].used : UINT64_MAX;
		__u64 j_used = j < n->jits.len ? n->jits.data[j].used : UINT64_MAX;

		if (MIN(o_used, j_used) >= end)
			break;
		bytes -= j_used <= o_used ? shrink_jit(n, j) : shrink_object(n, o);
	}
}

/* While a job runs: nothing that is in use. */
static void shrink_idle(struct naming *n)
{
	shrink(n, n->round - 1);
}

/* What a map may hold, so that all in use but the largest one stay below the bound. */
static size_t room_for(const struct naming *n, const struct named_jit *jit)
{
	const struct named_jit *largest = largest_jit(n, jit);
	__u64 others = bytes_since(n, n->round - 1, jit);

	if (others <= n->o.max_bytes)
		return SIZE_MAX; /* it may be the largest itself */
	others -= largest ? perf_map_bytes(&largest->map) : 0;
	return n->o.max_bytes - MIN(others, n->o.max_bytes);
}

/* ---- opening symbols ------------------------------------------------------------------------- */

static bool cancelled(const struct naming *n)
{
	return n->o.cancelled && n->o.cancelled(n->o.arg);
}

/* False when the job was cancelled: what was made of the file until then is not to be kept. */
static bool open_whole(struct naming *n, struct named_object *named)
{
	struct symbol_object *symbols;
	struct symbol_info info;

	if (cancelled(n))
		return false;
	symbols = open_symbols(n, named);
	if (symbols) {
		symbol_object_info(symbols, &info);
		if (info.flags & INDEX_CUT && cancelled(n)) {
			symbol_object_free(symbols);
			return false;
		}
		if (info.flags & INDEX_CUT && object_first_cut(named->object))
			log_limited(symbol, LOG_LEVEL_WARN, "symbols of '%s' are missing: %s",
				    named->object->path, info.note);
	}
	named->symbols = symbols;
	return true;
}

static struct symbol_object *symbols_of(struct naming *n, struct object *object)
{
	struct named_object named = {.object = object, .used = n->round, .tried = n->round};

	vec_for_each (o, &n->objects) {
		if (o->object != object)
			continue;
		o->used = n->round;
		if (!o->symbols && n->round >= o->tried + RETRY_ROUNDS && open_whole(n, o))
			o->tried = n->round;
		return o->symbols;
	}
	if (!open_whole(n, &named))
		return NULL;
	if (n->objects.len >= n->o.max_objects)
		drop_object(n, least_used_object(n, 0));
	if (vec_push(&n->objects, named)) {
		symbol_object_free(named.symbols);
		return NULL;
	}
	object_ref(object);
	shrink_idle(n);
	return named.symbols;
}

/* ---- the kernel, JITs ------------------------------------------------------------------------ */

static struct symbol_object *kernel_symbols(struct naming *n)
{
	__u64 now_ns = clock_monotonic_ns();
	struct symbol_object *fresh;
	int err;

	if ((n->kernel || n->kernel_failed) && now_ns < n->kernel_ns + KERNEL_REFRESH_NS)
		return n->kernel;
	n->kernel_ns = now_ns;
	err = kernel_symbols_open(NULL, &n->symbol_options, &fresh);
	if (err == -ECANCELED) {
		n->kernel_ns = 0; /* whoever comes next opens them */
		return n->kernel;
	}
	if (err) {
		if (!n->kernel_failed)
			log_warn(symbol, "kernel frames have no names: %s",
				 kernel_symbols_error(err));
		n->kernel_failed = true;
		return n->kernel;
	}
	symbol_object_free(n->kernel);
	n->kernel = fresh;
	return fresh;
}

static bool is_gone(const struct image *image)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u", image->pid);
	return access(path, F_OK) != 0;
}

static void take_stats(struct naming *n, struct perf_map *map)
{
	n->stats.jits.bad_lines_total += map->stats.bad_lines_total;
	n->stats.jits.dropped_total += map->stats.dropped_total;
	n->stats.jits.restarts_total += map->stats.restarts_total;
	n->stats.jits.cut_total += map->stats.cut_total;
	n->stats.jits.deferred_total += map->stats.deferred_total;
	map->stats = (struct perf_map_stats){0};
}

/* What was added since the last job. A file of a process that ended has nothing more to say once
 * all of it was read. */
static void read_jit(struct naming *n, struct named_jit *jit)
{
	int fd = image_take_jit(jit->image), err;
	bool gone = is_gone(jit->image);

	if (fd < 0 && jit->fd < 0 && gone && !jit->map.read_to)
		fd = identity_open_left_jit(jit->image);
	if (fd >= 0) {
		if (jit->fd >= 0)
			close(jit->fd);
		jit->fd = fd;
	}
	if (jit->fd < 0)
		return;
	jit->map.max_bytes = room_for(n, jit);
	err = perf_map_read(&jit->map, jit->fd);
	if (err && err != -ECANCELED)
		log_limited(symbol, LOG_LEVEL_WARN, "the perf map of pid %u cannot be read: %s",
			    jit->image->pid, strerror(-err));
	take_stats(n, &jit->map);
	if (gone && !jit->map.unfinished) {
		close(jit->fd);
		jit->fd = -1;
	}
}

static const char *jit_name(struct naming *n, struct image *image, __u64 addr)
{
	struct named_jit *jit = NULL;
	const char *name;
	bool first;

	vec_for_each (j, &n->jits) {
		if (j->image == image)
			jit = j;
	}
	if (!jit) {
		if (n->jits.len >= MAX_JITS)
			drop_jit(n, least_used_jit(n, 0, NULL));
		if (vec_push(&n->jits, (struct named_jit){.image = image, .fd = -1}))
			return NULL;
		image_ref(image);
		jit = &n->jits.data[n->jits.len - 1];
		perf_map_init(&jit->map);
		jit->map.cancelled = n->o.cancelled;
		jit->map.arg = n->o.arg;
	}
	first = jit->used != n->round;
	if (first) /* look for growth once in a job */
		read_jit(n, jit);
	jit->used = n->round;
	name = perf_map_find(&jit->map, addr);
	if (first) /* moves the others about, not what is in use */
		shrink_idle(n);
	return name;
}

/* ---- locations ------------------------------------------------------------------------------- */

static __u32 add_lines(struct naming *n, struct profile *profile, enum frame_kind kind,
		       __u32 mapping, __u64 addr, size_t count)
{
	size_t first = n->o.no_inlines && count ? count - 1 : 0; /* the last is the physical one */
	struct profile_line lines[SYMBOL_FRAMES_MAX];

	for (size_t i = first; i < count; i++) {
		const struct symbol_frame *f = &n->frames[i];
		struct profile_function function = {
			.name = profile_cstring(profile, f->function),
			.system_name = profile_cstring(profile, f->system_name),
			.file = profile_cstring(profile, f->file),
			.start_line = f->start_line,
		};

		lines[i - first] = (struct profile_line){
			.function = profile_function(profile, &function),
			.line = f->line,
			.column = f->column,
		};
	}
	return profile_location(profile, kind, mapping, addr, lines, count - first);
}

static __u32 kernel_location(struct naming *n, struct profile *profile, __u64 addr)
{
	struct profile_mapping mapping = {.limit = UINT64_MAX,
					  .file = profile_cstring(profile, KERNEL_NAME)};
	struct symbol_object *kernel = kernel_symbols(n);
	__u32 id = profile_mapping(profile, &mapping);

	if (!kernel || !symbol_object_knows(kernel, addr)) {
		n->stats.unknown_total++;
		return profile_unnamed_location(profile, FRAME_KERNEL, id, addr, addr);
	}
	return add_lines(n, profile, FRAME_KERNEL, id, addr,
			 symbol_object_find(kernel, addr, n->frames));
}

/* A file may have any name; pprof prints it as it is. */
static __u32 file_name(struct profile *profile, const char *path)
{
	char plain[PATH_MAX];

	return profile_string(profile, plain,
			      plain_text(plain, path, strnlen(path, sizeof(plain))));
}

static __u32 mapping_of(struct profile *profile, const struct object *object, __u64 vaddr)
{
	const struct object_image *image = object->image;
	struct profile_mapping mapping = {.limit = UINT64_MAX,
					  .file = file_name(profile, object->path)};
	char hex[2 * OBJECT_BUILD_ID_MAX + 1];

	for (size_t i = 0; image && i < image->n_loads; i++) {
		const struct object_load *l = &image->loads[i];

		if (vaddr < l->vaddr || vaddr - l->vaddr >= l->filesz)
			continue;
		mapping.start = l->vaddr;
		mapping.limit = l->vaddr + l->filesz;
		mapping.offset = l->offset;
	}
	for (size_t i = 0; image && i < image->build_id_len; i++)
		snprintf(hex + 2 * i, 3, "%02x", image->build_id[i]);
	if (image && image->build_id_len)
		mapping.build_id = profile_cstring(profile, hex);
	return profile_mapping(profile, &mapping);
}

static __u32 file_location(struct naming *n, struct profile *profile, const struct stack *stack,
			   __u64 frame)
{
	__u32 id = (__u32)(frame >> FRAME_ADDR_BITS & FRAME_FILE_MASK), mapping;
	__u64 vaddr = frame & FRAME_ADDR_MASK;
	struct symbol_object *symbols;
	struct object **o = stack->objects;

	while (*o && (*o)->id != id)
		o++;
	if (!*o) {
		n->stats.unknown_total++;
		return profile_named_location(profile, FRAME_NATIVE, "[unknown]");
	}
	mapping = mapping_of(profile, *o, vaddr);
	symbols = symbols_of(n, *o);
	if (!symbols || !symbol_object_knows(symbols, vaddr)) {
		__u64 start = symbols ? symbol_object_start(symbols, vaddr) : vaddr;

		n->stats.unknown_total++;
		return profile_unnamed_location(profile, FRAME_NATIVE, mapping, vaddr, start);
	}
	return add_lines(n, profile, FRAME_NATIVE, mapping, vaddr,
			 symbol_object_find(symbols, vaddr, n->frames));
}

static __u32 address_location(struct naming *n, struct profile *profile, const struct stack *stack,
			      struct image *image, __u64 addr)
{
	const char *name = image ? jit_name(n, image, addr) : NULL;

	if (name)
		return profile_named_location(profile, FRAME_JIT, name);
	n->stats.unknown_total++;
	/* A leaf that was pushed because nothing else is known is not even known to be a JIT's. */
	if (stack->n_user == 1 && stack->stop != STOP_ROOT && stack->stop != STOP_NO_ROW)
		return profile_named_location(profile, FRAME_NATIVE, "[unknown]");
	return profile_named_location(profile, FRAME_JIT, "[jit]");
}

static __u32 location_of(struct naming *n, struct profile *profile, const struct stack *stack,
			 struct image *image, size_t i)
{
	bool kernel = i >= stack->n_user;
	__u64 frame = stack->frames[i];
	bool in_file = !kernel && frame >> FRAME_KIND_SHIFT == FRAME_FILE;
	struct location_key key = {
		.frame = frame, .image = kernel || in_file ? NULL : image, .kernel = kernel};
	__u64 hash = hash_mix(hash_u64(frame), (__u64)(uintptr_t)key.image + kernel);
	__u32 at;

	n->stats.frames_total++;
	hmap_for_each_match (&n->locations, hash, at) {
		const struct location_key *k = &n->location_keys.data[at];

		if (k->frame == frame && k->image == key.image && k->kernel == kernel)
			return k->location;
	}
	if (kernel)
		key.location = kernel_location(n, profile, frame);
	else if (in_file)
		key.location = file_location(n, profile, stack, frame);
	else
		key.location = address_location(n, profile, stack, image, frame);
	at = (__u32)n->location_keys.len;
	if (!vec_push(&n->location_keys, key) && hmap_add(&n->locations, hash, at))
		n->location_keys.len--;
	return key.location;
}

/* ---- stacks and samples ---------------------------------------------------------------------- */

static const struct stop_text {
	const char *label;
	bool whole;
} stops[STOP_COUNT] = {
#define X(name, label, whole) {label, whole},
	STOP_LIST(X)
#undef X
};

static __u32 mark_of(struct profile *profile, __u8 stop)
{
	char mark[64];

	if (stop == STOP_TRUNCATED)
		return profile_named_location(profile, FRAME_MARK, "[truncated]");
	snprintf(mark, sizeof(mark), "[incomplete:%s]", stops[stop].label);
	return profile_named_location(profile, FRAME_MARK, mark);
}

static __u32 stack_of(struct naming *n, struct profile *profile, const struct capture_entry *entry)
{
	__u32 frames[USER_FRAMES_MAX + KERNEL_FRAMES_MAX + 1];
	const struct stack *stack = entry->stack;
	size_t count = 0;

	if (!stack)
		return 0; /* the profile's own `full` stack */
	for (size_t i = 0; i < stack->n_kernel; i++)
		frames[count++] = location_of(n, profile, stack, entry->image, stack->n_user + i);
	for (size_t i = 0; i < stack->n_user; i++)
		frames[count++] = location_of(n, profile, stack, entry->image, i);
	if (!stops[stack->stop].whole)
		frames[count++] = mark_of(profile, stack->stop);
	if (!count) /* in the kernel or gone, and no kernel frame was to be had */
		frames[count++] = profile_named_location(profile, FRAME_NATIVE, "[unknown]");
	return profile_stack(profile, frames, count);
}

static void describe(const struct capture *capture, struct profile *profile)
{
	__u64 period = NS_PER_S / capture->hz;

	if (profile->n_types)
		return;
	profile_add_type(profile, "samples", "count");
	profile->default_type = profile_add_type(profile, "cpu", "nanoseconds");
	profile_set_period(profile, "cpu", "nanoseconds", period);
	profile->name = profile_cstring(profile, "cpu");
	profile->time_ns = capture->start_wall_ns;
	profile->duration_ns = capture->end_ns - capture->start_ns;
	profile->lost_total =
		capture->counts.lost_total + capture->counts.not_run_total + capture->refused_total;
}

void naming_add(struct naming *n, const struct capture *capture, size_t first, size_t end,
		const struct naming_labels *labels, struct profile *profile)
{
	hmap_clear(&n->locations);
	n->location_keys.len = 0;
	describe(capture, profile);
	for (size_t i = first; i < end; i++) {
		const struct capture_entry *e = &capture->entries.data[i];
		__s64 values[2] = {(__s64)e->samples, (__s64)(e->weight * capture->unit_ns)};
		__u32 set = profile_thread_labels(profile, labels->comm ? e->comm : NULL, NULL,
						  labels->pid ? e->image->pid : 0,
						  labels->tid ? e->tid : 0);

		profile_add(profile, stack_of(n, profile, e), set, values);
	}
}

struct profile *naming_profile(struct naming *n, const struct capture *capture,
			       const struct naming_labels *labels)
{
	struct profile *profile = profile_new(NULL);

	if (profile)
		naming_add(n, capture, 0, capture->entries.len, labels, profile);
	return profile;
}

void naming_sweep(struct naming *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n->objects.len; i++) {
		if (n->objects.data[i].used + KEEP_ROUNDS < n->round)
			close_object(&n->objects.data[i]);
		else
			n->objects.data[kept++] = n->objects.data[i];
	}
	n->objects.len = kept;
	kept = 0;
	for (size_t i = 0; i < n->jits.len; i++) {
		if (n->jits.data[i].used + KEEP_ROUNDS < n->round)
			close_jit(&n->jits.data[i]);
		else
			n->jits.data[kept++] = n->jits.data[i];
	}
	n->jits.len = kept;
	shrink(n, UINT64_MAX);
	n->stats.bytes = bytes_since(n, 0, NULL);
	n->round++;
}

/* ---- telling --------------------------------------------------------------------------------- */

struct naming_stats naming_stats(const struct naming *n)
{
	struct naming_stats stats = n->stats;

	stats.n_objects = (__u32)n->objects.len;
	stats.n_jits = (__u32)n->jits.len;
	vec_for_each (o, &n->objects)
		stats.n_without_symbols += !o->symbols;
	return stats;
}

void naming_each_object(const struct naming *n,
			void (*each)(void *arg, const struct naming_object *object), void *arg)
{
	vec_for_each (o, &n->objects) {
		struct symbol_info info = {.build_id = "", .note = "file cannot be read"};

		if (o->symbols)
			symbol_object_info(o->symbols, &info);
		if (*info.note)
			each(arg, &(struct naming_object){o->object->path, info.build_id, info.note,
							  o->on_host});
	}
}
