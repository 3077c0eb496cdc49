// SPDX-License-Identifier: Apache-2.0
/*
 * Host checks of the kernel: BTF, our BPF programs, the sampling event, and every kind of probe
 * that a module may stand on. A probe is loaded and attached for an instant with a program of two
 * instructions, at a place that hardly ever runs, so that nothing of the host sees it.
 */
#include "profiler/check_host.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/sampler.h"

#define BTF_PATH "/sys/kernel/btf/vmlinux"
/* Made for tests of BPF and called by nobody else (net/bpf/test_run.c, since 5.5). */
#define QUIET_FUNCTION "bpf_fentry_test1"
#define QUIET_EVENT    "sched_process_exec"

static enum host_state check_kernel(const struct host_check *check UNUSED,
				    const struct config *config UNUSED, struct host_result *result)
{
	struct utsname uts = {0};

	uname(&uts);
	host_found(result, "%s %s %s", uts.sysname, uts.release, uts.machine);
	return HOST_OK; /* what it has is probed, not guessed from its number */
}
HOST_CHECK(kernel, .order = 10, .run = check_kernel);

static enum host_state check_btf(const struct host_check *check UNUSED,
				 const struct config *config UNUSED, struct host_result *result)
{
	struct stat st;
	char text[32];

	if (stat(BTF_PATH, &st) || access(BTF_PATH, R_OK)) {
		host_found(result, "%s: %s", BTF_PATH, strerror(errno));
		return HOST_OFF;
	}
	units_format_size((__u64)st.st_size & ~1023ull, text, sizeof(text));
	host_found(result, "%s, %s", BTF_PATH, text);
	return HOST_OK;
}
HOST_CHECK(btf, .order = 20, .required = true, .run = check_btf,
	   .lost = "every BPF program: profiles and BPF events; /proc metrics and kernel log "
		   "events work",
	   .fix = "a kernel with CONFIG_DEBUG_INFO_BTF=y (every distribution's since 2021)");

static enum host_state check_programs(const struct host_check *check UNUSED,
				      const struct config *config UNUSED,
				      struct host_result *result)
{
	_free_ char *why = NULL;
	__u64 insns, start_ns = clock_monotonic_ns();
	int err = sampler_try_load(&insns, &why);
	__u64 took_ms = (clock_monotonic_ns() - start_ns) / NS_PER_MS;

	if (err) {
		host_found(result, "%s", why ? why : strerror(-err));
		return HOST_OFF;
	}
	if (insns)
		host_found(result, "loaded in %llu ms; the verifier walked %llu instructions",
			   (unsigned long long)took_ms, (unsigned long long)insns);
	else
		host_found(result, "loaded in %llu ms", (unsigned long long)took_ms);
	return HOST_OK;
}
HOST_CHECK(bpf_programs, .order = 30, .required = true, .run = check_programs,
	   .lost = "sampling and unwinding: nothing can be profiled",
	   .fix = "if rights are not what is missing, please report it with this line");

static enum host_state check_ring(const struct host_check *check UNUSED,
				  const struct config *config UNUSED, struct host_result *result)
{
	_close_ int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "check", 0, 0,
					(__u32)sysconf(_SC_PAGESIZE), NULL);

	host_found(result, "%s", fd >= 0 ? "can be made" : strerror(errno));
	return fd >= 0 ? HOST_OK : HOST_OFF;
}
HOST_CHECK(ring_buffer, .order = 31, .required = true, .run = check_ring,
	   .lost = "the way from the kernel to the agent",
	   .fix = "kernel 5.8 or later, CAP_BPF, and memory");

static enum host_state check_events(const struct host_check *check UNUSED,
				    const struct config *config UNUSED, struct host_result *result)
{
	bool has_pmu;
	int err = sampler_try_event(&has_pmu);

	if (err) {
		host_found(result, "%s", strerror(-err));
		host_lost(result, "sampling: nothing can be profiled");
		host_fix(result,
			 "give CAP_PERFMON; in a container perf_event_open must not be filtered");
		return HOST_OFF;
	}
	host_found(result, has_pmu ? "cycles of the hardware counter"
				   : "cpu-clock: this machine shows no hardware counter");
	return has_pmu ? HOST_OK : HOST_DEGRADED;
}
HOST_CHECK(perf_events, .order = 32, .required = true, .run = check_events,
	   .lost = "code that runs with interrupts off: its time shows where they come back on",
	   .fix = "let the hypervisor pass the PMU through, if this is a guest");

/* ---- kinds of probes ------------------------------------------------------------------------- */

static int load_empty(enum bpf_prog_type type, enum bpf_attach_type attach, const char *target)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);
	int id;

	if (target) {
		id = libbpf_find_vmlinux_btf_id(target, attach);
		if (id < 0)
			return id;
		opts.attach_btf_id = (__u32)id;
	}
	id = bpf_prog_load(type, "check", "GPL", insns, ARRAY_SIZE(insns), &opts);
	return id < 0 ? -errno : id;
}

/* Attach by opening; the descriptor is the attachment. */
static int try_raw(const char *name, enum bpf_attach_type attach, bool typed)
{
	_close_ int prog = load_empty(typed ? BPF_PROG_TYPE_TRACING : BPF_PROG_TYPE_RAW_TRACEPOINT,
				      attach, typed ? name : NULL);
	_close_ int link = -1;

	if (prog < 0)
		return prog;
	link = bpf_raw_tracepoint_open(typed ? NULL : name, prog);
	return link < 0 ? -errno : 0;
}

static int try_iterator(void)
{
	_close_ int prog = load_empty(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "task");
	_close_ int link = -1;

	if (prog < 0)
		return prog;
	link = bpf_link_create(prog, 0, BPF_TRACE_ITER, NULL);
	return link < 0 ? -errno : 0;
}

static int try_perf(const struct perf_event_attr *attr, pid_t pid, enum bpf_prog_type type)
{
	_close_ int prog = load_empty(type, 0, NULL);
	_close_ int event = -1;

	if (prog < 0)
		return prog;
	event = (int)syscall(SYS_perf_event_open, attr, pid, pid ? 0 : -1, -1,
			     PERF_FLAG_FD_CLOEXEC);
	if (event < 0 || ioctl(event, PERF_EVENT_IOC_SET_BPF, prog) ||
	    ioctl(event, PERF_EVENT_IOC_ENABLE, 0))
		return -errno;
	return 0;
}

/* The number by which perf knows a kind of dynamic event; -ENODEV when the kernel lacks it. */
static int perf_type(const char *name)
{
	char path[96], text[16];

	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/%s/type", name);
	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return -ENODEV;
	return atoi(text);
}

static int try_kprobe(void)
{
	struct perf_event_attr attr = {.size = sizeof(attr)};
	int type = perf_type("kprobe");

	if (type < 0)
		return type;
	attr.type = (__u32)type;
	attr.kprobe_func = (__u64)(uintptr_t)QUIET_FUNCTION;
	return try_perf(&attr, -1, BPF_PROG_TYPE_KPROBE);
}

static __attribute__((noinline)) void probed_function(void)
{
	asm volatile("");
}

static int find_offset(struct dl_phdr_info *info, size_t size UNUSED, void *arg)
{
	__u64 vaddr = (__u64)(uintptr_t)probed_function - info->dlpi_addr;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && vaddr >= p->p_vaddr &&
		    vaddr - p->p_vaddr < p->p_filesz) {
			*(__u64 *)arg = vaddr - p->p_vaddr + p->p_offset;
			return 1;
		}
	}
	return 0;
}

/* On a function of our own, in this process alone. */
static int try_uprobe(void)
{
	struct perf_event_attr attr = {.size = sizeof(attr)};
	char exe[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int type = perf_type("uprobe");
	__u64 offset = 0;

	if (type < 0)
		return type;
	if (len < 0 || !dl_iterate_phdr(find_offset, &offset))
		return -ENOENT;
	exe[len] = 0;
	attr.type = (__u32)type;
	attr.uprobe_path = (__u64)(uintptr_t)exe;
	attr.probe_offset = offset;
	return try_perf(&attr, 0, BPF_PROG_TYPE_KPROBE);
}

static int tracepoint_id(__u64 *ret_id)
{
	static const char *const roots[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	char path[128], text[16];
	ssize_t n = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(roots) && n <= 0; i++) {
		snprintf(path, sizeof(path), "%s/events/sched/%s/id", roots[i], QUIET_EVENT);
		n = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	}
	if (n <= 0)
		return n ? (int)n : -ENOENT;
	*ret_id = strtoull(text, NULL, 10);
	return 0;
}

static int try_tracepoint(void)
{
	struct perf_event_attr attr = {.size = sizeof(attr), .type = PERF_TYPE_TRACEPOINT};
	int err = tracepoint_id(&attr.config);

	return err ? err : try_perf(&attr, -1, BPF_PROG_TYPE_TRACEPOINT);
}

enum probe { RAW_TRACEPOINT, TP_BTF, TASK_ITERATOR, TRACEPOINT, FENTRY, KPROBE, UPROBE };

static enum host_state check_probe(const struct host_check *check,
				   const struct config *config UNUSED, struct host_result *result)
{
	int err = -EINVAL;

	libbpf_set_print(NULL);
	switch ((enum probe)check->arg) {
	case RAW_TRACEPOINT:
		err = try_raw(QUIET_EVENT, 0, false);
		break;
	case TP_BTF:
		err = try_raw(QUIET_EVENT, BPF_TRACE_RAW_TP, true);
		break;
	case TASK_ITERATOR:
		err = try_iterator();
		break;
	case TRACEPOINT:
		err = try_tracepoint();
		break;
	case FENTRY:
		err = try_raw(QUIET_FUNCTION, BPF_TRACE_FENTRY, true);
		break;
	case KPROBE:
		err = try_kprobe();
		break;
	case UPROBE:
		err = try_uprobe();
		break;
	}
	if (!err)
		host_found(result, "can be attached");
	else if (err == -ENODEV)
		host_found(result, "this kernel has none");
	else if (check->arg == TRACEPOINT && err == -ENOENT)
		host_found(result, "tracefs is not mounted");
	else
		host_found(result, "refused: %s", strerror(-err));
	return err ? HOST_OFF : HOST_OK;
}

HOST_CHECK(raw_tracepoint, .order = 40, .required = true, .arg = RAW_TRACEPOINT, .run = check_probe,
	   .lost = "the life of processes (fork, exec, exit): nothing can be profiled",
	   .fix = "CAP_BPF and CAP_PERFMON; a kernel with CONFIG_BPF_EVENTS");
HOST_CHECK(tp_btf, .order = 41, .arg = TP_BTF, .run = check_probe,
	   .lost = "typed tracepoints: modules that need them go by raw tracepoints",
	   .fix = "CAP_BPF and CAP_PERFMON; a kernel with BTF");
HOST_CHECK(task_iterator, .order = 42, .arg = TASK_ITERATOR, .run = check_probe,
	   .lost = "registers of blocked threads in `bianque stacks`: stacks may end early there",
	   .fix = "CAP_BPF and CAP_PERFMON; kernel 5.8 or later with BTF");
HOST_CHECK(tracepoint, .order = 43, .arg = TRACEPOINT, .run = check_probe,
	   .lost = "tracepoint programs: modules go by raw tracepoints",
	   .fix = "mount -t tracefs tracefs /sys/kernel/tracing");
HOST_CHECK(fentry, .order = 44, .arg = FENTRY, .run = check_probe,
	   .lost = "the cheapest probe of kernel functions: modules go by kprobes, else by procfs",
	   .fix = "a kernel with BTF and CONFIG_FUNCTION_TRACER");
HOST_CHECK(kprobe, .order = 45, .arg = KPROBE, .run = check_probe,
	   .lost = "probes of kernel functions that have no tracepoint",
	   .fix = "a kernel with CONFIG_KPROBES and CONFIG_KPROBE_EVENTS");
HOST_CHECK(uprobe, .order = 46, .arg = UPROBE, .run = check_probe,
	   .lost = "probes in programs: allocations, USDT of runtimes, CUDA",
	   .fix = "CAP_SYS_ADMIN, which perf asks for here; a kernel with CONFIG_UPROBE_EVENTS");
