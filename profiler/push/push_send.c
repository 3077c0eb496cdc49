// SPDX-License-Identifier: Apache-2.0
/*
 * One request over libcurl (7.88 facts: CURLOPT_QUICK_EXIT keeps a hanging name look-up from
 * holding up the end; an empty Expect header spares the 100-continue round; a body is decoded only
 * when CURLOPT_ACCEPT_ENCODING is set, and proxies compress even errors; when a kept connection
 * breaks before the answer, curl sends the request again by itself, up to five times, unless the
 * body cannot be rewound: so it is read through a callback that cannot). The envelope is not
 * compressed: the pprof inside is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "profiler/base/clock.h"
#include "profiler/push/push_internal.h"

#define ANSWER_KEPT_BYTES (64u << 10) /* the server quotes whole label sets in its errors */
#define ANSWER_MAX_BYTES  (1u << 20)  /* a server that sends more is cut off */
#define CONNECT_MAX_MS	  5000

static size_t on_body(char *out, size_t size, size_t n, void *arg)
{
	struct push_slot *slot = arg;
	size_t len = MIN(size * n, slot->item->len - slot->body_read);

	memcpy(out, slot->item->body + slot->body_read, len);
	slot->body_read += len;
	return len;
}

/* A second sending is ours to decide, and to count. */
static int refuse_rewind(void *arg UNUSED, curl_off_t offset UNUSED, int origin UNUSED)
{
	return CURL_SEEKFUNC_FAIL;
}

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
	struct push_slot *slot = arg;
	size_t len = size * n;

	slot->answer_bytes += len;
	if (slot->answer_bytes > ANSWER_MAX_BYTES)
		return 0;
	if (slot->answer.len < ANSWER_KEPT_BYTES)
		buf_add(&slot->answer, data, MIN(len, ANSWER_KEPT_BYTES - slot->answer.len));
	return len;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	static const char name[] = "retry-after:";
	struct push_slot *slot = arg;
	size_t len = size * n, at = sizeof(name) - 1;

	if (len <= at || strncasecmp(data, name, at))
		return len;
	while (at < len && data[at] == ' ')
		at++;
	while (len > at && strchr("\r\n ", data[len - 1]))
		len--;
	snprintf(slot->retry_after, sizeof(slot->retry_after), "%.*s", (int)(len - at), data + at);
	return size * n;
}

static bool add_header(struct push_slot *slot, const char *name, const char *value)
{
	struct buf line = {0};
	struct curl_slist *list;

	buf_printf(&line, "%s: %s", name, value);
	list = line.err ? NULL : curl_slist_append(slot->headers, line.data);
	if (line.data)
		explicit_bzero(line.data, line.cap); /* it may hold the token */
	buf_fini(&line);
	if (list)
		slot->headers = list;
	return list != NULL;
}

static bool add_headers(struct push *push, struct push_slot *slot)
{
	const struct push_settings *s = push->settings;
	struct buf bearer = {0};
	char timeout[32];
	bool ok;

	snprintf(timeout, sizeof(timeout), "%llu", (unsigned long long)(s->timeout_ns / NS_PER_MS));
	ok = add_header(slot, "Content-Type", "application/proto") &&
	     add_header(slot, "Connect-Protocol-Version", "1") &&
	     add_header(slot, "Connect-Timeout-Ms", timeout) &&
	     curl_slist_append(slot->headers, "Expect:");
	if (ok && s->tenant)
		ok = add_header(slot, "X-Scope-OrgID", s->tenant);
	if (ok && s->token.path) {
		buf_printf(&bearer, "Bearer %s", s->token.value);
		ok = !bearer.err && add_header(slot, "Authorization", bearer.data);
		if (bearer.data)
			explicit_bzero(bearer.data, bearer.cap);
		buf_fini(&bearer);
	}
	return ok;
}

/* Every option anew: settings may have changed, and a handle keeps its connection all the same. */
static bool set_options(struct push *push, struct push_slot *slot)
{
	const struct push_settings *s = push->settings;
	long timeout_ms = (long)(s->timeout_ns / NS_PER_MS);
	CURL *e = slot->easy;
	CURLcode err = CURLE_OK;

#define SET(option, value) (err = err ? err : curl_easy_setopt(e, option, value))
	curl_easy_reset(e);
	SET(CURLOPT_URL, s->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_TIMEOUT_MS, timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, MIN(timeout_ms, (long)CONNECT_MAX_MS));
	SET(CURLOPT_ACCEPT_ENCODING, "gzip");
	SET(CURLOPT_USERAGENT, "bianque/" BIANQUE_VERSION);
	SET(CURLOPT_HTTPHEADER, slot->headers);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_READFUNCTION, on_body);
	SET(CURLOPT_READDATA, slot);
	SET(CURLOPT_SEEKFUNCTION, refuse_rewind);
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)slot->item->len);
	SET(CURLOPT_WRITEFUNCTION, on_answer);
	SET(CURLOPT_WRITEDATA, slot);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, slot);
	SET(CURLOPT_PRIVATE, slot);
	if (s->ca_file)
		SET(CURLOPT_CAINFO, s->ca_file);
	if (s->user) {
		SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		SET(CURLOPT_USERNAME, s->user);
		SET(CURLOPT_PASSWORD, s->password.value);
	}
#undef SET
	return err == CURLE_OK;
}

/* Clears a slot for its next request; the item has gone elsewhere. */
static void clear_slot(struct push *push, struct push_slot *slot)
{
	curl_slist_free_all(slot->headers);
	slot->headers = NULL;
	slot->item = NULL;
	slot->answer_bytes = 0;
	slot->body_read = 0;
	slot->retry_after[0] = 0;
	buf_reset(&slot->answer);
	push->n_busy--;
}

int push_send(struct push *push, struct push_item *item)
{
	struct push_slot *slot = push->slots;

	while (slot->item)
		slot++;
	BUG_ON(slot == push->slots + PUSH_MAX_SLOTS);
	if (!slot->easy)
		slot->easy = curl_easy_init();
	if (!slot->easy)
		return -ENOMEM;
	slot->item = item;
	slot->started_ns = push_now(push);
	push->n_busy++;
	if (!add_headers(push, slot) || !set_options(push, slot) ||
	    curl_multi_add_handle(push->multi, slot->easy) != CURLM_OK) {
		clear_slot(push, slot);
		return -ENOMEM;
	}
	return 0;
}

static void count_duration(struct push *push, __u64 took_ns)
{
	static const __u64 bounds_ms[PUSH_N_DURATION_BOUNDS] = {10,   30,   100,   300,
								1000, 3000, 10000, 30000};
	unsigned i = 0;

	while (i < PUSH_N_DURATION_BOUNDS && took_ns > bounds_ms[i] * NS_PER_MS)
		i++;
	push_count(&push->n.durations[i], 1);
	push_count(&push->n.duration_ns, took_ns);
}

/* Out of curl's hands and on to push_ended. */
static void finish(struct push *push, struct push_slot *slot, const struct push_verdict *verdict)
{
	struct push_item *item = slot->item;

	curl_multi_remove_handle(push->multi, slot->easy);
	clear_slot(push, slot);
	push_ended(push, item, verdict);
}

static void end_request(struct push *push, struct push_slot *slot, CURLcode code)
{
	const struct push_item *item = slot->item;
	struct push_verdict verdict;
	long status = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
	/* A status is an answer, even when its body was cut off or could not be decoded. */
	if (status >= 200)
		push_judge_answer((unsigned)status, slot->retry_after, slot->answer.data,
				  slot->answer.len, item->raw_bytes, push_real_now(push), &verdict);
	else
		push_judge_failure(code, slot->body_read == item->len, &verdict);
	count_duration(push, push_now(push) - slot->started_ns);
	push_count(&push->n.sent_bytes, slot->body_read);
	push_count(&push->n.answers[verdict.action == PUSH_SENT ? PUSH_N_REASONS : verdict.reason],
		   1);
	finish(push, slot, &verdict);
}

void push_poll(struct push *push)
{
	int running, left;
	CURLMsg *msg;

	curl_multi_perform(push->multi, &running);
	while ((msg = curl_multi_info_read(push->multi, &left))) {
		CURLcode code = msg->data.result;
		struct push_slot *slot;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&slot);
		end_request(push, slot, code);
	}
}

void push_abort(struct push *push)
{
	for (unsigned i = 0; i < PUSH_MAX_SLOTS; i++) {
		struct push_slot *slot = &push->slots[i];

		if (slot->item)
			finish(push, slot,
			       &(struct push_verdict){.action = PUSH_BACK_OFF,
						      .reason = PUSH_REASON_STOPPED,
						      .uncertain =
							      slot->body_read == slot->item->len});
	}
}

void push_slots_fini(struct push *push)
{
	for (unsigned i = 0; i < PUSH_MAX_SLOTS; i++) {
		BUG_ON(push->slots[i].item);
		if (push->slots[i].easy)
			curl_easy_cleanup(push->slots[i].easy);
		buf_fini(&push->slots[i].answer);
	}
}
