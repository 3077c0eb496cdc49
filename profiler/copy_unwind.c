// SPDX-License-Identifier: Apache-2.0
/* The unwinder natively, see copy_unwind.h. */
#include "profiler/copy_unwind.h"

#include <stdbool.h>
#include <string.h>

/* What unw_segment and unw_read read: the step takes no context, since in BPF there is none. */
static _Thread_local struct {
	const struct copy_source *source;
	__u64 sp;
	bool beyond;	/* a read that failed would have succeeded in a longer copy */
	bool elsewhere; /* the step reads what a thread keeps outside its stack */
} reading;

static const __u32 *unw_segment(__u32 i)
{
	return segments_base(reading.source->segments, i);
}

static int unw_read(void *dst, __u32 len, __u64 addr)
{
	const struct copy_source *source = reading.source;
	size_t bytes = source->stack_bytes;
	__u64 at = addr - reading.sp;

	if (addr >= reading.sp && at <= bytes && len <= bytes - at) {
		memcpy(dst, source->stack + at, len);
		return 0;
	}
	if (source->read)
		return source->read(source->arg, dst, len, addr);
	reading.beyond = addr >= reading.sp;
	return 1;
}

static __u64 unw_thread_pointer(void)
{
	reading.elsewhere = true;
	return 0;
}

#include "bpf/unwind.bpf.h"

static inline int unw_near(struct unw_state *s UNUSED, __u64 *value, __u64 addr)
{
	return unw_read(value, sizeof(*value), addr);
}

size_t copy_unwind(const struct copy_source *source, __u64 *frames, __u8 *ret_stop)
{
	struct unw_state s = {
		.pc = source->regs[DWARF_PC],
		.sp = source->regs[UNW_DWARF_SP],
		.fp = source->regs[UNW_DWARF_FP],
		.set_segment = source->maps->blob.segment,
		.set_offset = source->maps->blob.offset,
		.set_n = source->maps->n_published,
		.max_frames = source->max_frames,
		.leaf = 1,
		.exact = 1,
		.stop = STOP_NOT_LOADED,
	};
	size_t n = 0;
	int ended = !s.set_n;

	reading.source = source;
	reading.sp = s.sp;
	memcpy(s.regs, source->regs, sizeof(s.regs));
	while (!ended) {
		reading.beyond = reading.elsewhere = false;
		ended = unw_step(&s);
		if (s.frame && n < USER_FRAMES_MAX)
			frames[n++] = s.frame;
	}
	if (s.stop == STOP_READ_FAULT && (reading.beyond || (reading.elsewhere && !source->read)))
		s.stop = STOP_COPY_SHORT;
	*ret_stop = s.stop;
	return n;
}
