// SPDX-License-Identifier: Apache-2.0
/*
 * Halving a pprof on the wire, see push_split.h. Field numbers: profile.proto (google/pprof). Wire
 * format: protobuf's encoding document; only varints and length-delimited fields occur in pprof,
 * the two fixed widths are copied where they stand.
 */
#include "profiler/push/push_split.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#include "profiler/base/cursor.h"
#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"
#include "profiler/export/sink.h"

enum { /* of Profile */
       F_SAMPLE_TYPE = 1,
       F_SAMPLE = 2,
       F_MAPPING = 3,
       F_LOCATION = 4,
       F_FUNCTION = 5,
       F_STRING = 6,
       F_DROP_FRAMES = 7,
       F_KEEP_FRAMES = 8,
       F_TIME = 9,
       F_PERIOD_TYPE = 11,
       F_COMMENT = 13,
       F_DEFAULT_TYPE = 14,
       F_DOC_URL = 15,
};

/* One field of a message: a number, or the bytes of a string or message. */
struct field {
	__u32 number;
	__u64 value;	    /* of a varint */
	struct cursor body; /* of what has a length; empty otherwise */
	const __u8 *start;  /* the whole field, tag included */
	size_t len;
};

/* The next field; false at the end, or with c->bad for what is none. */
static bool next_field(struct cursor *c, struct field *ret)
{
	__u64 tag;

	if (!cursor_left(c))
		return false;
	*ret = (struct field){.start = c->pos};
	tag = cursor_uleb(c);
	ret->number = (__u32)(tag >> 3);
	switch (tag & 7) {
	case 0:
		ret->value = cursor_uleb(c);
		break;
	case 1:
		cursor_skip(c, 8);
		break;
	case 2:
		ret->body = cursor_sub(c, cursor_uleb(c));
		break;
	case 5:
		cursor_skip(c, 4);
		break;
	default:
		cursor_fail(c);
	}
	if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
		cursor_fail(c);
	ret->len = (size_t)(c->pos - ret->start);
	return !c->bad;
}

/* A set of ids that may be any 64-bit numbers. */
struct id_set {
	struct hmap map;
	VEC(__u64) ids;
};

static bool has_id(const struct id_set *set, __u64 id)
{
	__u32 i;

	hmap_for_each_match (&set->map, hash_u64(id), i) {
		if (set->ids.data[i] == id)
			return true;
	}
	return false;
}

static int add_id(struct id_set *set, __u64 id)
{
	int err;

	if (has_id(set, id))
		return 0;
	err = vec_push(&set->ids, id);
	return err ? err : hmap_add(&set->map, hash_u64(id), (__u32)set->ids.len - 1);
}

static void id_set_fini(struct id_set *set)
{
	hmap_fini(&set->map);
	vec_free(&set->ids);
}

/* What the samples of one half use. */
struct half {
	struct cursor profile;
	__u64 first, last; /* samples [first, last) */
	__u64 shift_ns;
	struct id_set locations, functions;
	__u8 *strings; /* by index: used */
	__u64 n_strings;
};

static void use_string(struct half *h, __u64 index)
{
	if (index < h->n_strings)
		h->strings[index] = 1;
}

/* Mark the strings that the varint fields of a message name (a bit mask of field numbers). */
static void use_strings(struct half *h, struct cursor message, __u32 fields)
{
	struct field f;

	while (next_field(&message, &f))
		if (f.number < 32 && fields & 1u << f.number)
			use_string(h, f.value);
}

static int use_sample(struct half *h, struct cursor sample)
{
	struct field f;
	int err = 0;

	while (!err && next_field(&sample, &f)) {
		if (f.number == 3) {
			use_strings(h, f.body, 1u << 1 | 1u << 2 | 1u << 4);
		} else if (f.number == 1 && f.body.pos == NULL) {
			err = add_id(&h->locations, f.value);
		} else if (f.number == 1) {
			while (!err && cursor_left(&f.body))
				err = add_id(&h->locations, cursor_uleb(&f.body));
		}
	}
	return err ? err : sample.bad ? -EINVAL : 0;
}

/* The id (field 1) of a location or function. */
static __u64 id_of(struct cursor message)
{
	struct field f;
	__u64 id = 0;

	while (next_field(&message, &f))
		if (f.number == 1)
			id = f.value;
	return id;
}

static int use_location(struct half *h, struct cursor location)
{
	struct field f, line;
	int err = 0;

	if (!has_id(&h->locations, id_of(location)))
		return 0;
	while (!err && next_field(&location, &f))
		while (f.number == 4 && !err && next_field(&f.body, &line))
			if (line.number == 1)
				err = add_id(&h->functions, line.value);
	return err;
}

/* First samples, then locations, then functions: each names the next. */
static int mark(struct half *h)
{
	int err = 0;

	use_string(h, 0);
	for (int round = 0; round < 3 && !err; round++) {
		struct cursor c = h->profile;
		struct field f;
		__u64 sample = 0;

		while (!err && next_field(&c, &f)) {
			if (round == 0 && f.number == F_SAMPLE) {
				if (sample >= h->first && sample < h->last)
					err = use_sample(h, f.body);
				sample++;
			} else if (round == 1 && f.number == F_LOCATION) {
				err = use_location(h, f.body);
			} else if (round == 2 && f.number == F_FUNCTION) {
				if (has_id(&h->functions, id_of(f.body)))
					use_strings(h, f.body, 1u << 2 | 1u << 3 | 1u << 4);
			} else if (round == 2 && f.number == F_MAPPING) {
				use_strings(h, f.body, 1u << 5 | 1u << 6);
			} else if (round == 2 &&
				   (f.number == F_SAMPLE_TYPE || f.number == F_PERIOD_TYPE)) {
				use_strings(h, f.body, 1u << 1 | 1u << 2);
			} else if (round == 2 && f.number == F_COMMENT && f.body.pos) {
				while (cursor_left(&f.body))
					use_string(h, cursor_uleb(&f.body));
			} else if (round == 2 &&
				   (f.number == F_DROP_FRAMES || f.number == F_KEEP_FRAMES ||
				    f.number == F_COMMENT || f.number == F_DEFAULT_TYPE ||
				    f.number == F_DOC_URL)) {
				use_string(h, f.value);
			}
		}
	}
	return err;
}

static void put_varint(struct sink *out, __u64 value)
{
	for (; value >= 0x80; value >>= 7)
		sink_char(out, (char)(value | 0x80));
	sink_char(out, (char)value);
}

static void emit(const struct half *h, struct sink *out)
{
	struct cursor c = h->profile;
	__u64 sample = 0, string = 0;
	struct field f;

	while (next_field(&c, &f)) {
		bool keep = true;

		if (f.number == F_SAMPLE) {
			keep = sample >= h->first && sample < h->last;
			sample++;
		} else if (f.number == F_LOCATION) {
			keep = has_id(&h->locations, id_of(f.body));
		} else if (f.number == F_FUNCTION) {
			keep = has_id(&h->functions, id_of(f.body));
		} else if (f.number == F_STRING && !h->strings[string++]) {
			put_varint(out, F_STRING << 3 | 2);
			put_varint(out, 0);
			keep = false;
		} else if (f.number == F_TIME && f.value) {
			put_varint(out, F_TIME << 3);
			put_varint(out, f.value + h->shift_ns);
			keep = false;
		}
		if (keep)
			sink_add(out, f.start, f.len);
	}
}

static int make_half(struct half *h, struct push_half *ret)
{
	struct sink_gzip gzip;
	struct sink_buf to;
	int err = mark(h);

	if (err)
		return err;
	sink_buf_init(&to, &ret->pprof);
	err = sink_gzip_init(&gzip, &to.sink, 1);
	if (err)
		return err;
	emit(h, &gzip.sink);
	err = sink_finish(&gzip.sink);
	ret->raw_bytes = gzip.sink.n_bytes;
	sink_gzip_fini(&gzip);
	return err ? err : sink_finish(&to.sink);
}

/* pprof is gzip or plain. 0, -EINVAL, -EFBIG or -ENOMEM. */
static int unpack(const __u8 *data, size_t len, struct buf *out)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len};
	int status = Z_OK, err = 0;

	out->limit = PUSH_SPLIT_MAX_BYTES;
	if (len < 2 || data[0] != 0x1f || data[1] != 0x8b) {
		buf_add(out, data, len);
		return out->err;
	}
	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return -ENOMEM;
	while (status == Z_OK && !err) {
		err = buf_reserve(out, MAX(out->len, (size_t)65536));
		if (err)
			break;
		z.next_out = (Bytef *)out->data + out->len;
		z.avail_out = (uInt)(out->cap - out->len - 1);
		status = inflate(&z, Z_NO_FLUSH);
		out->len = z.total_out;
	}
	inflateEnd(&z);
	if (!err && status != Z_STREAM_END)
		err = -EINVAL;
	return err;
}

/* Count samples and strings; false for what is no protobuf. */
static bool count(struct cursor c, __u64 *ret_samples, __u64 *ret_strings)
{
	struct field f;

	*ret_samples = *ret_strings = 0;
	while (next_field(&c, &f)) {
		*ret_samples += f.number == F_SAMPLE;
		*ret_strings += f.number == F_STRING;
	}
	return !c.bad;
}

int push_split(const void *pprof, size_t len, __u64 shift_ns, struct push_half ret_halves[2])
{
	struct push_half halves[2] = {0};
	struct buf raw = {0};
	__u64 n_samples = 0, n_strings = 0;
	int err = len > PUSH_SPLIT_MAX_BYTES ? -EFBIG : unpack(pprof, len, &raw);
	struct cursor c = cursor_of(raw.data, raw.len);

	if (!err && (!raw.len || !count(c, &n_samples, &n_strings)))
		err = -EINVAL;
	if (!err && n_samples < 2)
		err = -E2BIG;
	for (int i = 0; i < 2 && !err; i++) {
		struct half h = {.profile = c,
				 .first = i ? n_samples / 2 : 0,
				 .last = i ? n_samples : n_samples / 2,
				 .shift_ns = i ? shift_ns : 0,
				 .strings = calloc(n_strings + 1, 1),
				 .n_strings = n_strings};

		err = h.strings ? make_half(&h, &halves[i]) : -ENOMEM;
		free(h.strings);
		id_set_fini(&h.locations);
		id_set_fini(&h.functions);
	}
	buf_fini(&raw);
	if (err) {
		buf_fini(&halves[0].pprof);
		buf_fini(&halves[1].pprof);
		return err;
	}
	memcpy(ret_halves, halves, sizeof(halves));
	return 0;
}
