/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by push.c (the public side: submit, metrics, life cycle), push_run.c (the thread: what is
 * sent when) and push_send.c (one request over libcurl).
 *
 * Owners: `lock` guards what stands under it; everything below "thread" belongs to the push thread
 * alone (or, with push_args.manual, to whoever calls push_step). Counters are relaxed atomics.
 */
#pragma once

#include <curl/curl.h>
#include <pthread.h>

#include "profiler/base/buf.h"
#include "profiler/base/vec.h"
#include "profiler/base/hmap.h"
#include "profiler/part.h"
#include "profiler/push/push.h"
#include "profiler/push/push_item.h"
#include "profiler/push/push_verdict.h"
#include "profiler/secret.h"
#include "profiler/spool.h"

#define PUSH_MAX_SLOTS	       32
#define PUSH_MAX_SERIES	       8192
#define PUSH_N_DURATION_BOUNDS 8

/* A checked copy of push_config with the secrets read; immutable but for their refreshing. */
struct push_settings {
	char *url;		       /* whole, with the method's path; NULL: pushing is off */
	char *shown_url;	       /* as configured, for messages */
	char *tenant, *user, *ca_file; /* NULL: none */
	struct secret password, token;
	__u64 timeout_ns;
	unsigned concurrency;
	size_t queue_bytes;
	struct spool_limits spool; /* max_bytes 0: none */
};

/* Labels of every profile; immutable, shared by those who are submitting. */
struct push_common {
	__u32 refs; /* atomic */
	size_t n;
	struct push_label labels[]; /* their strings follow */
};

struct push_list {
	struct push_item *head, *tail;
};

struct push_counters {
	__u64 sent, dropped[PUSH_N_REASONS], retried[PUSH_N_REASONS];
	__u64 answers[PUSH_N_REASONS + 1]; /* the last: success */
	__u64 uncertain_resends, splits, spooled, spool_errors, sent_bytes;
	__u64 label_changes[PUSH_LABEL_N_CHANGES];
	__u64 durations[PUSH_N_DURATION_BOUNDS + 1], duration_ns;
	__u64 last_success_s; /* real time */
};

/* One request under way. */
struct push_slot {
	CURL *easy;
	struct push_item *item; /* NULL: free */
	struct curl_slist *headers;
	struct buf answer; /* the first bytes of its body */
	size_t answer_bytes;
	size_t body_read; /* bytes of the request's body that curl has taken */
	char retry_after[64];
	__u64 started_ns;
};

/* Why nothing is sent for a while. */
enum push_hold { PUSH_HOLD_NONE, PUSH_HOLD_LIMIT, PUSH_HOLD_AWAY, PUSH_HOLD_REFUSED };

struct push {
	struct push_clock clock;
	struct part part;
	char *spool_dir;
	CURLM *multi;
	bool manual, running;
	pthread_t thread;
	struct push_counters n;
	__u64 refused_bytes;   /* atomic: smallest body refused as too large; 0: none */
	__u64 spool_max_bytes; /* atomic; as configured */
	bool enabled;	       /* atomic: a url is set */

	pthread_mutex_t lock;
	struct push_common *common;
	struct push_list queue; /* waiting, oldest first */
	size_t bytes;		/* of all items in memory */
	size_t max_bytes;
	struct push_settings *pending; /* to be taken over by the thread */
	bool stopping;
	__u64 stop_at_ns;
	struct spool_stats spool_stats; /* copies for metrics */
	size_t n_series_copy;

	/* thread */
	struct push_settings *settings;
	bool changing; /* new settings wait for the requests under way */
	struct push_slot slots[PUSH_MAX_SLOTS];
	unsigned n_busy;
	struct push_list again; /* to be tried again, each at its not_before_ns */
	struct spool *spool;
	struct push_item *spool_item; /* read from the spool, not under way */
	bool spool_busy;	      /* a spooled item is under way */
	__u64 spool_retry_ns;	      /* no write before: the disk refused */
	__u64 spool_look_ns;	      /* nothing to read before; UINT64_MAX: before a write */
	bool spool_first;	      /* whose turn: spool or memory */
	struct buf scratch;

	enum push_hold hold;
	__u64 hold_until_ns;
	enum push_reason hold_reason;
	__u64 paced_until_ns;
	bool proven;		  /* the server has taken a profile since the settings changed */
	unsigned failures;	  /* in a row, of the server */
	unsigned internal_errors; /* answers of 500 in a row */
	__u64 refused_raw_bytes;  /* smallest profile refused as beyond the burst; 0: none */
	__u64 random;

	struct hmap series_index; /* label sets that the server has taken */
	VEC(__u64) series;
	__u64 series_closed_until_ns;
};

static inline bool push_lacks_secret(const struct push_settings *s)
{
	return (s->password.path && !s->password.value) || (s->token.path && !s->token.value);
}

static inline void push_count(__u64 *counter, __u64 add)
{
	__atomic_fetch_add(counter, add, __ATOMIC_RELAXED);
}

static inline __u64 push_counted(const __u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static inline __u64 push_now(const struct push *push)
{
	return push->clock.monotonic_ns(push->clock.arg);
}

static inline __u64 push_real_now(const struct push *push)
{
	return push->clock.realtime_ns(push->clock.arg);
}

void push_list_add(struct push_list *list, struct push_item *item);
void push_list_add_front(struct push_list *list, struct push_item *item);
struct push_item *push_list_take(struct push_list *list);

/* push.c: give an item's memory back (NULL is fine). */
void push_item_free(struct push *push, struct push_item *item);
/* push.c: count an item that was not sent and free it. */
void push_item_drop(struct push *push, struct push_item *item, enum push_reason why);
void push_settings_free(struct push_settings *settings);

/* push_run.c: one round: take over settings, spool what must be, start requests, see what ended.
 * Never waits. */
void push_step(struct push *push);
/* Monotonic time at which a further step is of use; 0: at once, UINT64_MAX: only when something
 * happens (an item comes, curl has news). */
__u64 push_next_ns(const struct push *push);
void *push_run(void *push);
/* A request ended. Takes the item. */
void push_ended(struct push *push, struct push_item *item, const struct push_verdict *verdict);
/* What is left when the thread ends: into the spool, or dropped. */
void push_finish(struct push *push);

/* push_send.c: start a request in a free slot, which takes the item. 0 or -errno (then it does
 * not). */
MUST_CHECK int push_send(struct push *push, struct push_item *item);
/* Let curl work, and hand what ended to push_ended. */
void push_poll(struct push *push);
/* We stop: end every request without waiting; each item goes to push_ended. */
void push_abort(struct push *push);
void push_slots_fini(struct push *push);
