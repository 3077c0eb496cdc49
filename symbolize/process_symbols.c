// SPDX-License-Identifier: Apache-2.0
/* A process's mappings and their objects, see process_symbols.h. proc(5): maps, map_files, status.
 */
#include "symbolize/process_symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/arena.h"
#include "profiler/base/buf.h"
#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"
#include "symbolize/debug_file.h"
#include "symbolize/perf_map.h"

#define MAX_MAPS_BYTES ((size_t)64 << 20)
#define MAX_VDSO_BYTES ((size_t)1 << 20)

struct mapping {
	__u64 start, end, offset;
	const char *name; /* "" anonymous */
};

struct process_symbols {
	pid_t pid;
	int dir_fd, root_fd; /* /proc/PID; its root, or DEBUG_ROOT_NONE */
	struct symbol_cache *cache;
	VEC(struct mapping) maps; /* ascending; executable ones */
	struct arena names;
	struct symbol_object *vdso;
	void *vdso_image;
	bool vdso_tried;
	struct perf_map perf_map;
	char text[64];
};

static int add_mapping(struct process_symbols *p, char *line)
{
	struct mapping m = {.name = ""};
	char perms[8];
	int name_at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*s %n", (uint64_t *)&m.start,
		   (uint64_t *)&m.end, perms, (uint64_t *)&m.offset, &name_at) < 4)
		return 0;
	if (perms[2] != 'x')
		return 0;
	if (name_at && line[name_at])
		m.name = arena_strndup(&p->names, line + name_at, strlen(line + name_at));
	return m.name ? vec_push(&p->maps, m) : -ENOMEM;
}

int process_symbols_refresh(struct process_symbols *p)
{
	struct buf text = {0};
	int err = fs_read(p->dir_fd, "maps", MAX_MAPS_BYTES, &text);
	char *save = NULL;

	p->maps.len = 0;
	arena_reset(&p->names);
	if (!err && text.len)
		for (char *line = strtok_r(text.data, "\n", &save); line && !err;
		     line = strtok_r(NULL, "\n", &save))
			err = add_mapping(p, line);
	buf_fini(&text);
	return err;
}

int process_symbols_open(pid_t pid, struct symbol_cache *cache,
			 struct process_symbols **ret_process)
{
	struct process_symbols *p = calloc(1, sizeof(*p));
	char path[32];
	int err;

	if (!p)
		return -ENOMEM;
	p->pid = pid;
	p->cache = cache;
	p->root_fd = DEBUG_ROOT_NONE;
	perf_map_init(&p->perf_map);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	p->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir_fd < 0) {
		err = errno == ENOENT ? -ESRCH : -errno;
		process_symbols_free(p);
		return err;
	}
	p->root_fd = openat(p->dir_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->root_fd < 0)
		p->root_fd = DEBUG_ROOT_NONE;
	err = process_symbols_refresh(p);
	if (err) {
		process_symbols_free(p);
		return err;
	}
	*ret_process = p;
	return 0;
}

void process_symbols_free(struct process_symbols *p)
{
	if (!p)
		return;
	symbol_object_free(p->vdso);
	free(p->vdso_image);
	perf_map_fini(&p->perf_map);
	vec_free(&p->maps);
	arena_fini(&p->names);
	if (p->dir_fd >= 0)
		close(p->dir_fd);
	if (p->root_fd >= 0)
		close(p->root_fd);
	free(p);
}

static const struct mapping *find_mapping(const struct process_symbols *p, __u64 addr)
{
	size_t low = 0, high = p->maps.len;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->maps.data[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->maps.len && p->maps.data[low].start <= addr ? &p->maps.data[low] : NULL;
}

/* The file behind a mapping: by its range, which holds for deleted files too, else by its path. */
static int open_mapping(const struct process_symbols *p, const struct mapping *m)
{
	struct debug_root root = {.fd = p->root_fd};
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "map_files/%llx-%llx", (unsigned long long)m->start,
		 (unsigned long long)m->end);
	fd = fs_open_magic(p->dir_fd, path);
	if (fd >= 0 || *m->name != '/')
		return fd;
	return debug_root_open(&root, m->name);
}

static struct symbol_object *open_vdso(struct process_symbols *p, const struct mapping *m)
{
	size_t size = (size_t)(m->end - m->start);
	_close_ int fd = -1;

	if (p->vdso_tried)
		return p->vdso;
	p->vdso_tried = true;
	if (size > MAX_VDSO_BYTES)
		return NULL;
	fd = openat(p->dir_fd, "mem", O_RDONLY | O_CLOEXEC);
	p->vdso_image = malloc(size);
	if (fd < 0 || !p->vdso_image || fs_pread_all(fd, p->vdso_image, size, (off_t)m->start) ||
	    symbol_object_open_memory(p->vdso_image, size, "[vdso]", &p->cache->options, &p->vdso))
		return NULL;
	return p->vdso;
}

static size_t plain_frame(struct process_symbols *p, struct symbol_frame *frame, const char *name,
			  __u64 offset)
{
	if (!name) {
		snprintf(p->text, sizeof(p->text), "[unknown]+0x%llx", (unsigned long long)offset);
		name = p->text;
	}
	*frame = (struct symbol_frame){.function = name, .system_name = name, .file = ""};
	return 1;
}

static size_t find_jit(struct process_symbols *p, __u64 addr, struct symbol_frame *frame)
{
	const char *name = perf_map_find(&p->perf_map, addr);
	_close_ int fd = name ? -1 : perf_map_open(p->dir_fd, p->pid);

	if (fd >= 0 && !perf_map_read(&p->perf_map, fd))
		name = perf_map_find(&p->perf_map, addr);
	return plain_frame(p, frame, name ? name : "[jit]", addr);
}

size_t process_symbols_find(struct process_symbols *p, __u64 addr,
			    struct symbol_frame frames[SYMBOL_FRAMES_MAX], const char **ret_object,
			    const char **ret_build_id)
{
	const struct mapping *m = find_mapping(p, addr);
	struct symbol_object *object = NULL;
	struct symbol_info info;
	__u64 vaddr, offset;

	*ret_object = *ret_build_id = "";
	if (!m)
		return 0;
	offset = addr - m->start + m->offset;
	*ret_object = *m->name ? m->name : "[jit]";
	if (!strcmp(m->name, "[vdso]")) {
		object = open_vdso(p, m);
		offset = addr - m->start;
	} else if (*m->name == '/' && strncmp(m->name, "/memfd:", 7) != 0 &&
		   strcmp(m->name, "/dev/zero") != 0 && strncmp(m->name, "/SYSV", 5) != 0) {
		_close_ int fd = open_mapping(p, m);

		object = fd >= 0 ? symbol_cache_get(p->cache, fd, m->name, p->root_fd) : NULL;
	} else if (*m->name != '[' || !strncmp(m->name, "[anon:", 6) ||
		   !strcmp(m->name, "[heap]")) {
		return find_jit(p, addr, frames);
	}
	if (!object || !symbol_object_vaddr(object, offset, &vaddr))
		return plain_frame(p, frames, NULL, offset);
	symbol_object_info(object, &info);
	*ret_build_id = info.build_id;
	return symbol_object_find(object, vaddr, frames);
}
