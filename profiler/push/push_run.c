// SPDX-License-Identifier: Apache-2.0
/*
 * The push thread: decides what is sent when, what goes to the spool, and what becomes of an item
 * once its request ended. push_step never waits; push_run waits in curl_multi_poll, which
 * push_submit wakes.
 *
 * While the server is away (hold AWAY or REFUSED) everything in memory is spooled and one request
 * at a time tries whether it is back; while a limit holds (LIMIT) items wait in memory as long as
 * it is not half full. Fresh items and spooled ones take turns, so that a long backlog delays
 * neither.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/base/log.h"
#include "profiler/push/push_internal.h"

#define MAX_ATTEMPTS	 3 /* requests for one item that may have been stored or failed inside */
#define MAX_LIMITED	 4 /* rate limits met by one item before its size is suspected */
#define SMALL_BYTES	 65536 /* no burst is set below: such an item is never the cause */
#define PACED_NS	 (30 * NS_PER_S) /* one request at a time after a rate limit */
#define BACK_OFF_NS	 (NS_PER_S / 2)
#define BACK_OFF_MAX_NS	 (60 * NS_PER_S)
#define REFUSED_NS	 (60 * NS_PER_S)
#define SERIES_CLOSED_NS (600 * NS_PER_S)
#define SPOOL_RETRY_NS	 (10 * NS_PER_S)
#define MAX_WAIT_MS	 10000 /* what brings work wakes it */
#define MANY_INTERNAL	 8     /* answers of 500 in a row that mean the server, not the profile */

/* value * (0.5 .. 1.5): a fleet must not come back in step. */
static __u64 jitter(struct push *push, __u64 value)
{
	push->random = hash_u64(push->random + 0x9e3779b97f4a7c15ULL);
	return value / 2 + (value >> 10) * (push->random & 1023);
}

static __u64 back_off(struct push *push, unsigned failures)
{
	return jitter(push, failures < 7 ? BACK_OFF_NS << failures : BACK_OFF_MAX_NS);
}

/* ---- holding ----------------------------------------------------------------------------- */

/* Log and show a change; the reason is the server's or curl's own words. */
static void hold(struct push *push, enum push_hold kind, __u64 until_ns,
		 const struct push_verdict *v)
{
	const char *name = push_reason_text(v->reason), *colon = v->message[0] ? ": " : "";
	const char *url = push->settings->shown_url;

	if (v->reason == PUSH_REASON_STOPPED)
		return; /* our own doing */
	if (kind != push->hold || v->reason != push->hold_reason) {
		if (kind == PUSH_HOLD_REFUSED) {
			log_warn(
				push,
				"'%s' refuses profiles (%s%s%s); check the pyroscope section; they "
				"wait %s and one is tried every minute",
				url, name, colon, v->message,
				push->spool ? "in the spool" : "in memory");
			part_set_state(
				&push->part, PART_DEGRADED,
				"'%s' refuses profiles (%s%s%s); check url, tenant and secrets",
				url, name, colon, v->message);
		} else if (kind == PUSH_HOLD_AWAY) {
			log_warn(push, "no profiles reach '%s' (%s%s%s); they wait %s", url, name,
				 colon, v->message, push->spool ? "in the spool" : "in memory");
			part_set_state(&push->part, PART_DEGRADED,
				       "no profiles reach '%s' (%s%s%s)", url, name, colon,
				       v->message);
		} else {
			log_limited(push, LOG_LEVEL_WARN, "'%s' limits us (%s%s%s); profiles wait",
				    url, name, colon, v->message);
		}
	}
	push->hold_until_ns = kind == push->hold ? MAX(push->hold_until_ns, until_ns) : until_ns;
	push->hold = kind;
	push->hold_reason = v->reason;
}

static void release(struct push *push)
{
	if (push->hold == PUSH_HOLD_AWAY || push->hold == PUSH_HOLD_REFUSED) {
		log_info(push, "profiles reach '%s' again", push->settings->shown_url);
		part_set_state(&push->part, PART_OK, NULL);
	}
	push->hold = PUSH_HOLD_NONE;
	push->hold_until_ns = 0;
	push->failures = 0;
}

static bool is_away(const struct push *push)
{
	return push->hold == PUSH_HOLD_AWAY || push->hold == PUSH_HOLD_REFUSED;
}

/* ---- label sets that the server knows ---------------------------------------------------- */

static bool series_known(const struct push *push, __u64 hash)
{
	__u32 i;

	hmap_for_each_match (&push->series_index, hash, i) {
		if (push->series.data[i] == hash)
			return true;
	}
	return false;
}

static void series_learn(struct push *push, __u64 hash)
{
	if (series_known(push, hash))
		return;
	if (push->series.len == PUSH_MAX_SERIES) { /* learn anew; only matters at the limit */
		push->series.len = 0;
		hmap_clear(&push->series_index);
	}
	if (!vec_push(&push->series, hash) &&
	    hmap_add(&push->series_index, hash, (__u32)push->series.len - 1))
		push->series.len--;
}

/* ---- the spool --------------------------------------------------------------------------- */

static void count_spool_losses(struct push *push)
{
	struct spool_stats now;

	spool_stats(push->spool, &now);
	pthread_mutex_lock(&push->lock);
	push_count(&push->n.dropped[PUSH_REASON_SPOOL_FULL],
		   now.dropped_full - push->spool_stats.dropped_full);
	push_count(&push->n.dropped[PUSH_REASON_TOO_OLD],
		   now.dropped_old - push->spool_stats.dropped_old);
	push_count(&push->n.dropped[PUSH_REASON_SPOOL_DAMAGED],
		   now.dropped_damaged - push->spool_stats.dropped_damaged);
	push->spool_stats = now;
	pthread_mutex_unlock(&push->lock);
}

static void open_spool(struct push *push)
{
	char error[512];

	if (push->spool || !push->settings->spool.max_bytes)
		return;
	if (spool_open(push->spool_dir, &push->settings->spool, &push->spool, error,
		       sizeof(error))) {
		log_warn(push, "%s; profiles wait in memory only", error);
		part_set_state(&push->part, PART_DEGRADED, "%s", error);
		push->settings->spool.max_bytes = 0; /* until the next reload */
	}
}

/* Write one item to disk. False when the disk refuses: it is the caller's still. */
static bool spool_item(struct push *push, struct push_item *item)
{
	struct push_item_head head;
	struct iovec pieces[2];
	int err;

	push_item_record(item, &head, pieces);
	err = spool_add(push->spool, item->time_ns, pieces, 2);
	if (err == -EMSGSIZE) {
		push_item_drop(push, item, PUSH_REASON_TOO_LARGE);
		return true;
	}
	if (err) {
		push_count(&push->n.spool_errors, 1);
		log_limited(
			push, LOG_LEVEL_WARN,
			"the spool '%s' cannot be written: %s; profiles wait in memory, and the "
			"oldest are dropped when it is full",
			push->spool_dir, strerror(-err));
		return false;
	}
	push_count(&push->n.spooled, 1);
	push->spool_look_ns = 0;
	push_item_free(push, item);
	return true;
}

static struct push_item *take_queued(struct push *push)
{
	struct push_item *item;

	pthread_mutex_lock(&push->lock);
	item = push_list_take(&push->queue);
	pthread_mutex_unlock(&push->lock);
	return item;
}

static void give_back(struct push *push, struct push_item *item)
{
	pthread_mutex_lock(&push->lock);
	push_list_add_front(&push->queue, item);
	pthread_mutex_unlock(&push->lock);
}

static size_t bytes_in_memory(struct push *push)
{
	size_t bytes;

	pthread_mutex_lock(&push->lock);
	bytes = push->bytes;
	pthread_mutex_unlock(&push->lock);
	return bytes;
}

/* Move waiting items to disk: all of them while the server is away, else down to half. */
static void spool_waiting(struct push *push)
{
	__u64 now = push_now(push);

	while (push->spool && now >= push->spool_retry_ns &&
	       (is_away(push) || bytes_in_memory(push) > push->settings->queue_bytes / 2)) {
		struct push_item *item =
			push->again.head ? push_list_take(&push->again) : take_queued(push);

		if (!item)
			break;
		if (!spool_item(push, item)) {
			push->spool_retry_ns = now + SPOOL_RETRY_NS;
			give_back(push, item);
		}
	}
}

/* The next spooled item, read if need be. */
static struct push_item *peek_spool(struct push *push)
{
	struct push_item *item = NULL;
	struct spool_place place;
	__u64 time_ns;

	if (!push->spool || push->spool_busy || push_now(push) < push->spool_look_ns)
		return NULL;
	while (!push->spool_item) {
		int err = spool_peek(push->spool, push_real_now(push), &push->scratch, &time_ns,
				     &place);

		if (err) {
			push->spool_look_ns =
				err == -ENOENT ? UINT64_MAX : push_now(push) + SPOOL_RETRY_NS;
			if (err != -ENOENT)
				log_limited(push, LOG_LEVEL_WARN,
					    "the spool '%s' cannot be read: %s", push->spool_dir,
					    strerror(-err));
			return NULL;
		}
		item = push_item_read(push->scratch.data, push->scratch.len, time_ns);
		if (!item) { /* of another version */
			push_count(&push->n.dropped[PUSH_REASON_SPOOL_DAMAGED], 1);
			err = spool_done(push->spool, &place);
			if (err)
				return NULL;
			continue;
		}
		item->spooled = true;
		item->place = place;
		pthread_mutex_lock(&push->lock);
		push->bytes += push_item_bytes(item);
		pthread_mutex_unlock(&push->lock);
		push->spool_item = item;
	}
	return push->spool_item;
}

/* The record of a spooled item will not be needed again. */
static void spool_forget(struct push *push, struct push_item *item)
{
	int err;

	if (!item->spooled)
		return;
	push->spool_busy = false;
	item->spooled = false;
	err = spool_done(push->spool, &item->place);
	if (err) {
		push_count(&push->n.spool_errors, 1);
		log_limited(push, LOG_LEVEL_WARN,
			    "the spool '%s' cannot be written: %s; after a crash a profile may be "
			    "sent twice",
			    push->spool_dir, strerror(-err));
	}
}

/* ---- what becomes of an item ------------------------------------------------------------- */

static void drop(struct push *push, struct push_item *item, enum push_reason why)
{
	spool_forget(push, item);
	push_item_drop(push, item, why);
}

/* To be tried again at a time: a spooled one stays the spool's head, others wait in memory. */
static void try_again(struct push *push, struct push_item *item, __u64 at_ns, enum push_reason why)
{
	push_count(&push->n.retried[why], 1);
	item->not_before_ns = at_ns;
	if (item->spooled) {
		push->spool_busy = false;
		push->spool_item = item;
	} else if (at_ns) {
		push_list_add(&push->again, item);
	} else {
		give_back(push, item);
	}
}

/* Into two items, which go to the front of the queue. Takes the item. */
static void split(struct push *push, struct push_item *item)
{
	struct push_item *halves[2];
	int err = push_item_split(item, halves);

	if (err) {
		log_limited(
			push, LOG_LEVEL_WARN,
			"a profile of %llu bytes is too large for '%s' and cannot be halved: %s",
			(unsigned long long)item->len, push->settings->shown_url,
			err == -E2BIG ? "one sample alone" : strerror(-err));
		drop(push, item, PUSH_REASON_TOO_LARGE);
		return;
	}
	push_count(&push->n.splits, 1);
	pthread_mutex_lock(&push->lock);
	for (int i = 1; i >= 0; i--) {
		push_list_add_front(&push->queue, halves[i]);
		push->bytes += push_item_bytes(halves[i]);
	}
	pthread_mutex_unlock(&push->lock);
	/* Only now: a crash in between sends the halves' parent again, not none of them. */
	spool_forget(push, item);
	push_item_free(push, item);
}

static void sent(struct push *push, struct push_item *item)
{
	release(push);
	push->proven = true;
	push->internal_errors = 0;
	series_learn(push, item->series);
	push_count(&push->n.sent, 1);
	__atomic_store_n(&push->n.last_success_s, push_real_now(push) / NS_PER_S, __ATOMIC_RELAXED);
	spool_forget(push, item);
	push_item_free(push, item);
}

/* The answer leaves open whether it was stored, or the server failed over it. */
static void retry(struct push *push, struct push_item *item, const struct push_verdict *v,
		  bool at_once)
{
	if (++item->attempts >= MAX_ATTEMPTS) {
		drop(push, item, v->reason);
		return;
	}
	if (v->uncertain)
		push_count(&push->n.uncertain_resends, 1);
	try_again(push, item,
		  at_once ? 0 : push_now(push) + MAX(back_off(push, item->attempts), v->wait_ns),
		  v->reason);
}

static void away(struct push *push, struct push_item *item, const struct push_verdict *v)
{
	__u64 now = push_now(push);
	bool first = now >= push->hold_until_ns; /* not one of several that failed together */
	__u64 wait = MAX(back_off(push, push->failures), v->wait_ns);

	push->failures += first;
	hold(push, PUSH_HOLD_AWAY, now + wait, v);
	if (v->uncertain)
		retry(push, item, v, true);
	else
		try_again(push, item, 0, v->reason);
}

static void limited(struct push *push, struct push_item *item, const struct push_verdict *v)
{
	__u64 now = push_now(push), wait = v->wait_ns + v->wait_ns / 8;

	if (v->reason == PUSH_REASON_RATE_LIMIT) {
		push->paced_until_ns = now + PACED_NS;
		item->limited += item->limited < UINT8_MAX;
		/* Others share the limit: ask less often the longer it lasts. */
		wait = wait ? jitter(push, wait * item->limited) : back_off(push, item->limited);
		wait = MIN(wait, BACK_OFF_MAX_NS);
	}
	if (item->limited >= MAX_LIMITED && item->raw_bytes >= SMALL_BYTES) {
		/* Time alone did not help: the burst must be smaller than this profile. */
		item->limited = 0;
		split(push, item);
	} else {
		try_again(push, item, 0, v->reason);
	}
	hold(push, PUSH_HOLD_LIMIT, now + wait, v);
}

static void too_large(struct push *push, struct push_item *item, const struct push_verdict *v)
{
	__u64 refused = __atomic_load_n(&push->refused_bytes, __ATOMIC_RELAXED);

	if (v->too_large == PUSH_LARGE_RAW)
		push->refused_raw_bytes =
			MIN(push->refused_raw_bytes ? push->refused_raw_bytes : UINT64_MAX,
			    MAX(item->raw_bytes, (__u64)1));
	else if (v->too_large == PUSH_LARGE_BODY && (!refused || item->len < refused))
		__atomic_store_n(&push->refused_bytes, item->len, __ATOMIC_RELAXED);
	split(push, item);
}

void push_ended(struct push *push, struct push_item *item, const struct push_verdict *v)
{
	if (v->action != PUSH_RETRY)
		push->internal_errors = 0;
	if (v->action == PUSH_DROP || v->action == PUSH_SPLIT || v->action == PUSH_WAIT ||
	    v->action == PUSH_NEW_SERIES)
		release(push); /* not what was hoped for, but somebody is there */
	switch (v->action) {
	case PUSH_SENT:
		sent(push, item);
		break;
	case PUSH_DROP:
		log_limited(push, LOG_LEVEL_WARN, "'%s' does not take a profile (%s%s%s); dropped",
			    push->settings->shown_url, push_reason_text(v->reason),
			    v->message[0] ? ": " : "", v->message);
		drop(push, item, v->reason);
		break;
	case PUSH_RETRY:
		if (++push->internal_errors >= MANY_INTERNAL)
			hold(push, PUSH_HOLD_AWAY,
			     push_now(push) + back_off(push, push->failures++), v);
		retry(push, item, v, false);
		break;
	case PUSH_BACK_OFF:
		away(push, item, v);
		break;
	case PUSH_WAIT:
		limited(push, item, v);
		break;
	case PUSH_SPLIT:
		too_large(push, item, v);
		break;
	case PUSH_NEW_SERIES:
		push->series_closed_until_ns = push_now(push) + SERIES_CLOSED_NS;
		log_limited(push, LOG_LEVEL_WARN,
			    "'%s' takes no new label sets (%s); those it knows go on",
			    push->settings->shown_url, v->message);
		drop(push, item, PUSH_REASON_SERIES_LIMIT);
		break;
	case PUSH_REFUSED:
		hold(push, PUSH_HOLD_REFUSED,
		     push_now(push) + MAX(jitter(push, REFUSED_NS), v->wait_ns), v);
		if (v->item_is_fine)
			try_again(push, item, 0, v->reason);
		else
			drop(push, item, v->reason);
		break;
	}
}

/* ---- what is sent next ------------------------------------------------------------------- */

/* An item that is due among those to be tried again. */
static struct push_item *take_again(struct push *push, __u64 now)
{
	for (struct push_item **p = &push->again.head, *last = NULL; *p;
	     last = *p, p = &(*p)->next) {
		struct push_item *item = *p;

		if (item->not_before_ns > now)
			continue;
		*p = item->next;
		if (push->again.tail == item)
			push->again.tail = last;
		return item;
	}
	return NULL;
}

static struct push_item *take_spooled(struct push *push, __u64 now)
{
	struct push_item *item = peek_spool(push);

	if (!item || item->not_before_ns > now)
		return NULL;
	push->spool_item = NULL;
	push->spool_busy = true;
	return item;
}

static struct push_item *take_next(struct push *push, __u64 now)
{
	struct push_item *item = take_again(push, now);

	push->spool_first = !push->spool_first;
	if (!item && push->spool_first)
		item = take_spooled(push, now);
	if (!item)
		item = take_queued(push);
	if (!item && !push->spool_first)
		item = take_spooled(push, now);
	return item;
}

/* What is known to fail is not sent. True when the item was disposed of. */
static bool settle_unsent(struct push *push, struct push_item *item, __u64 now)
{
	__u64 real = push_real_now(push), age = push->settings->spool.max_age_ns;
	__u64 refused = __atomic_load_n(&push->refused_bytes, __ATOMIC_RELAXED);

	if (item->time_ns < real && real - item->time_ns >= age) {
		drop(push, item, PUSH_REASON_TOO_OLD);
		return true;
	}
	if (now < push->series_closed_until_ns && !series_known(push, item->series)) {
		drop(push, item, PUSH_REASON_SERIES_LIMIT);
		return true;
	}
	if ((refused && item->len >= refused) ||
	    (push->refused_raw_bytes && item->raw_bytes >= push->refused_raw_bytes)) {
		split(push, item);
		return true;
	}
	return false;
}

/* One at a time until the server is known to take profiles, since each that it refuses is lost, and
 * while it limits us, since several would only take turns at being refused. */
static unsigned allowed_requests(const struct push *push)
{
	bool careful = is_away(push) || !push->proven || push_now(push) < push->paced_until_ns;

	return careful ? 1 : push->settings->concurrency;
}

static void start_requests(struct push *push)
{
	__u64 now = push_now(push);
	unsigned allowed = allowed_requests(push);

	if (!push->settings->url || push->changing || now < push->hold_until_ns)
		return;
	while (push->n_busy < allowed) {
		struct push_item *item = take_next(push, now);

		if (!item)
			return;
		if (settle_unsent(push, item, now))
			continue;
		if (push_send(push, item)) {
			log_limited(push, LOG_LEVEL_WARN, "no memory for a request");
			try_again(push, item, now + NS_PER_S, PUSH_REASON_MEMORY);
			return;
		}
	}
}

/* ---- the thread -------------------------------------------------------------------------- */

static void adopt_settings(struct push *push)
{
	struct push_settings *fresh;
	bool password, token;

	pthread_mutex_lock(&push->lock);
	push->changing = push->pending && push->n_busy; /* requests under way use the old ones */
	fresh = push->changing ? NULL : push->pending;
	if (fresh)
		push->pending = NULL;
	pthread_mutex_unlock(&push->lock);
	if (fresh) {
		push_settings_free(push->settings);
		push->settings = fresh;
		push->refused_raw_bytes = 0;
		__atomic_store_n(&push->refused_bytes, 0, __ATOMIC_RELAXED);
		push->series_closed_until_ns = 0;
		push->hold = PUSH_HOLD_NONE;
		push->hold_until_ns = 0;
		push->failures = 0;
		push->proven = false;
		part_set_state(&push->part, fresh->url ? PART_OK : PART_OFF,
			       fresh->url ? NULL : "pyroscope.url is not set");
		if (push->spool && fresh->spool.max_bytes)
			spool_set_limits(push->spool, &fresh->spool);
	}
	password = secret_refresh(&push->settings->password, clock_monotonic_ns());
	token = secret_refresh(&push->settings->token, clock_monotonic_ns());
	if (password || token)
		push->hold_until_ns = 0; /* a new secret is worth a try at once */
}

void push_step(struct push *push)
{
	adopt_settings(push);
	open_spool(push);
	push_poll(push);
	spool_waiting(push);
	start_requests(push);
	push_poll(push);
	spool_waiting(push); /* what has just ended may say that the server is away */
	if (push->spool)
		count_spool_losses(push);
	pthread_mutex_lock(&push->lock);
	push->n_series_copy = push->series.len;
	pthread_mutex_unlock(&push->lock);
}

__u64 push_next_ns(const struct push *push)
{
	__u64 next = UINT64_MAX;

	if (!push->settings->url || push->changing || push->n_busy >= allowed_requests(push))
		return UINT64_MAX;
	for (const struct push_item *item = push->again.head; item; item = item->next)
		next = MIN(next, item->not_before_ns);
	if (push->queue.head)
		next = 0;
	if (push->spool_item)
		next = MIN(next, push->spool_item->not_before_ns);
	else if (push->spool && !push->spool_busy)
		next = MIN(next, push->spool_look_ns);
	return next == UINT64_MAX ? next : MAX(next, push->hold_until_ns);
}

/* Milliseconds to wait; at most a second while secrets are to be looked at. */
static int wait_ms(struct push *push)
{
	const struct push_settings *settings = push->settings;
	int max_ms = settings->password.path || settings->token.path ? 1000 : MAX_WAIT_MS;
	__u64 now = push_now(push), next;

	pthread_mutex_lock(&push->lock);
	next = push_next_ns(push);
	if (push->stopping)
		next = MIN(next, push->stop_at_ns);
	pthread_mutex_unlock(&push->lock);
	if (next <= now)
		return 0;
	return (int)MIN((next - now) / NS_PER_MS + 1, (__u64)max_ms);
}

/* True when the thread should end: told to, and nothing more can be sent in time. */
static bool is_over(struct push *push)
{
	bool over;

	pthread_mutex_lock(&push->lock);
	over = push->stopping &&
	       (push_now(push) >= push->stop_at_ns || push->hold || !push->settings->url ||
		(!push->queue.head && !push->again.head && !push->n_busy));
	pthread_mutex_unlock(&push->lock);
	return over;
}

void push_finish(struct push *push)
{
	struct push_item *item;

	push_abort(push);
	while ((item = push->again.head ? push_list_take(&push->again) : take_queued(push)))
		if (!push->spool || !spool_item(push, item))
			push_item_drop(push, item,
				       push->spool ? PUSH_REASON_SPOOL_DISK : PUSH_REASON_STOPPED);
	push_item_free(push, push->spool_item); /* its record stays */
	push->spool_item = NULL;
	if (push->spool)
		count_spool_losses(push);
	spool_close(push->spool);
	push->spool = NULL;
}

void *push_run(void *arg)
{
	struct push *push = arg;

	for (;;) {
		push_step(push);
		if (is_over(push))
			break;
		curl_multi_poll(push->multi, NULL, 0, wait_ms(push), NULL);
	}
	push_finish(push);
	return NULL;
}
