// SPDX-License-Identifier: Apache-2.0
/*
 * One look at all threads of a process: does each run, how often was it switched away from, with
 * which registers did it enter the kernel. By the task iterator of bpf/threads.bpf.c; where BPF is
 * refused, by /proc's syscall and status files, which tell pc and sp alone and cost some 30 us a
 * thread.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/threads.skel.h"
#include "profiler/base/cleanup.h"
#include "profiler/base/fs.h"
#include "profiler/base/log.h"
#include "profiler/pid_namespace.h"
#include "profiler/stacks_internal.h"

#define READ_BYTES   (256u << 10)
#define STATUS_BYTES 8192

struct walk {
	__u32 pid;
	struct threads_bpf *skel; /* NULL: by /proc */
	int link_fd;
	struct buf bytes; /* what the iterator wrote */
	VEC(struct thread_record) records;
};

static PRINTF(2, 0) int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	_free_ char *text = NULL;

	if (level != LIBBPF_DEBUG && log_wants(LOG_bpf, LOG_LEVEL_DEBUG) &&
	    vasprintf(&text, format, args) >= 0)
		log_debug(bpf, "%s", text);
	return 0;
}

static int open_iterator(struct walk *w)
{
	int err;

	libbpf_set_print(quiet);
	w->skel = threads_bpf__open();
	if (!w->skel)
		return -errno;
	w->skel->rodata->wanted_pid = w->pid;
	err = threads_bpf__load(w->skel);
	if (!err) {
		w->link_fd = bpf_link_create(bpf_program__fd(w->skel->progs.threads), 0,
					     BPF_TRACE_ITER, NULL);
		err = w->link_fd < 0 ? -errno : 0;
	}
	if (err) {
		threads_bpf__destroy(w->skel);
		w->skel = NULL;
	}
	return err;
}

int walk_open(__u32 pid, struct walk **ret_walk, const char **ret_note)
{
	struct walk *w = calloc(1, sizeof(*w));
	int err = 0;

	if (!w)
		return -ENOMEM;
	w->pid = pid;
	w->link_fd = -1;
	w->bytes.limit = (size_t)STACKS_MAX_THREADS * 2 * sizeof(struct thread_record);
	if (!pid_namespace_is_initial("/proc"))
		*ret_note = "in this PID namespace BPF's thread ids are not ours: of blocked "
			    "threads only pc "
			    "and sp are known, so stacks may end early; run it on the host, or "
			    "with --stop";
	else
		err = open_iterator(w);
	if (err)
		*ret_note =
			err == -EPERM || err == -EACCES
				? "without CAP_BPF and CAP_PERFMON only pc and sp of blocked "
				  "threads are "
				  "known, so stacks may end early; run it as root, or with --stop"
				: "this kernel has no task iterator (bianque check says why): only "
				  "pc and "
				  "sp of blocked threads are known, so stacks may end early";
	*ret_walk = w;
	return 0;
}

void walk_close(struct walk *w)
{
	if (!w)
		return;
	if (w->link_fd >= 0)
		close(w->link_fd);
	threads_bpf__destroy(w->skel);
	buf_fini(&w->bytes);
	vec_free(&w->records);
	free(w);
}

static int look_by_iterator(struct walk *w, const struct thread_record **ret_records, size_t *ret_n)
{
	_close_ int fd = bpf_iter_create(w->link_fd);

	if (fd < 0)
		return -errno;
	buf_reset(&w->bytes);
	for (;;) {
		ssize_t n;

		if (buf_reserve(&w->bytes, READ_BYTES))
			return w->bytes.err;
		n = read(fd, w->bytes.data + w->bytes.len, READ_BYTES);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		w->bytes.len += (size_t)n;
	}
	*ret_records = (const struct thread_record *)(const void *)w->bytes.data;
	*ret_n = w->bytes.len / sizeof(struct thread_record);
	return 0;
}

static bool read_thread(const struct walk *w, __u32 tid, const char *file, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/task/%u/%s", w->pid, tid, file);
	return fs_read_small(AT_FDCWD, path, text, size) > 0;
}

static int look_by_proc(struct walk *w, const __u32 *tids, size_t n_tids)
{
	char text[STATUS_BYTES];

	w->records.len = 0;
	for (size_t i = 0; i < n_tids; i++) {
		struct thread_record r = {.tid = tids[i], .flags = THREAD_PC_SP};

		if (!read_thread(w, tids[i], "status", text, sizeof(text)))
			continue;
		if (!thread_switches_parse(text, &r.switches) ||
		    !read_thread(w, tids[i], "syscall", text, sizeof(text)) ||
		    !thread_syscall_parse(text, &r.regs[0], &r.regs[1]))
			r.flags |= THREAD_ON_CPU;
		if (vec_push(&w->records, r))
			return -ENOMEM;
	}
	return 0;
}

int walk_look(struct walk *w, const __u32 *tids, size_t n_tids,
	      const struct thread_record **ret_records, size_t *ret_n)
{
	int err;

	if (w->skel)
		return look_by_iterator(w, ret_records, ret_n);
	err = look_by_proc(w, tids, n_tids);
	*ret_records = w->records.data;
	*ret_n = w->records.len;
	return err;
}
