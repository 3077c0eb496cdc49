// SPDX-License-Identifier: Apache-2.0
/*
 * Records through the resolver into a capture, on one core: what the router does with each after it
 * has been read from a ring. resolve_bench [STACKS [PROCESSES]], 2,000 and 200. Made records: every
 * stack is sent once, then samples of random stacks by random threads. Printed, never asserted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/capture.h"
#include "profiler/resolve.h"

#define FRAMES	     30
#define BATCH	     4096
#define SHOW_ID(i)   ((i) | 1ull << 63)
#define FIRST_PID    1000u
#define RUN_NS	     NS_PER_S
#define STACKS_BYTES ((size_t)64 << 20)

struct bench {
	struct resolver *resolver;
	struct capture *capture;
	__u64 n_stacks, n_pids, seed, samples;
};

static void on_sample(void *arg, const struct sample *sample)
{
	struct bench *b = arg;

	capture_add(b->capture, sample);
	b->samples++;
}

static __u64 next(struct bench *b)
{
	b->seed = b->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return b->seed >> 33;
}

static struct rec head_of(struct bench *b, __u8 kind, size_t size, __u64 stack)
{
	return (struct rec){.size = (__u16)size,
			    .kind = kind,
			    .time_ns = clock_monotonic_ns(),
			    .pid = FIRST_PID + (__u32)(stack % b->n_pids),
			    .tid = FIRST_PID + (__u32)(stack % b->n_pids)};
}

static void send_stacks(struct bench *b)
{
	struct {
		struct rec_stack stack;
		__u64 frames[FRAMES];
	} rec = {0};

	for (__u64 i = 0; i < b->n_stacks; i++) {
		rec.stack.head = head_of(b, REC_STACK, sizeof(rec), i);
		rec.stack.stack_id = SHOW_ID(i);
		rec.stack.n_user = FRAMES;
		for (int f = 0; f < FRAMES; f++)
			rec.frames[f] = next(b); /* FRAME_ADDR: outside files */
		resolver_record(b->resolver, &rec.stack.head);
	}
}

static double send_samples(struct bench *b)
{
	__u64 began = clock_thread_cpu_ns(), took, n = 0;
	struct rec_sample rec = {.weight = 1, .comm = "bench"};

	do {
		for (int i = 0; i < BATCH; i++) {
			__u64 stack = next(b) % b->n_stacks;

			rec.head = head_of(b, REC_SAMPLE, sizeof(rec), stack);
			rec.stack_id = SHOW_ID(stack);
			resolver_record(b->resolver, &rec.head);
		}
		resolver_batch_end(b->resolver, 0);
		n += BATCH;
		took = clock_thread_cpu_ns() - began;
	} while (took < RUN_NS);
	return (double)n * 1e9 / (double)took;
}

int main(int argc, char **argv)
{
	struct bench b = {.n_stacks = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000,
			  .n_pids = argc > 2 ? strtoull(argv[2], NULL, 10) : 200,
			  .seed = 1};
	struct capture_options all = {.by_thread = true};
	struct resolver_options options = {
		.segments = segments_new(-1, 1u << 20),
		.procs_fd = -1,
		.max_processes = 16384,
		.max_objects = 1024,
		.max_frames = USER_FRAMES_MAX,
		.stacks_bytes = STACKS_BYTES,
		.on_sample = on_sample,
		.arg = &b,
	};
	double rate;

	if (!b.n_stacks || !b.n_pids) {
		fprintf(stderr, "usage: resolve_bench [STACKS [PROCESSES]]\n");
		return 2;
	}
	b.resolver = resolver_new(&options);
	b.capture = capture_new(&all, 99);
	if (!b.resolver || !b.capture) {
		fprintf(stderr, "resolve_bench: out of memory\n");
		return 1;
	}
	send_stacks(&b);
	rate = send_samples(&b);
	printf("records: %.2f M/s, %llu delivered, %zu kept apart\n", rate / 1e6,
	       (unsigned long long)b.samples, b.capture->entries.len);
	capture_finish(b.capture, clock_monotonic_ns());
	capture_free(b.capture);
	resolver_free(b.resolver);
	segments_free(options.segments);
	return 0;
}
