/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes rows in ascending order and packs them into parts (bpf/unwind.h): merges equal neighbours,
 * closes a part when it is full or a long gap follows, chooses its page size and writes its blob.
 */
#pragma once

#include "profiler/base/hmap.h"
#include "profiler/base/vec.h"
#include "symbolize/unwind.h"
#include "symbolize/unwind_arch.h"

struct unwind_packer {
	const struct unwind_arch *arch;
	struct unwind_table *table;
	VEC(struct unwind_part) parts;
	VEC(struct pack_row {
		__u32 rel; /* address - start of the part */
		__u32 code;
	})
	rows;
	VEC(struct unw_rule) rules;
	struct hmap rule_index;
	__u64 start;	      /* of the open part; valid while rows.len */
	__u64 end;	      /* first address that no row covers yet */
	struct unw_rule last; /* the rule in force at end - 1 */
	__u32 last_code;
	bool open;
};

/* Cover [start, end) with one rule; start >= the last end. A hole before start becomes a gap. 0 or
 * -ENOMEM. */
MUST_CHECK int unwind_pack_row(struct unwind_packer *packer, __u64 start, __u64 end,
			       const struct unw_rule *rule);
/* Cover [start, end) with a mark (UNW_CODE_ENTRY). */
MUST_CHECK int unwind_pack_mark(struct unwind_packer *packer, __u64 start, __u64 end, __u32 code);
/* Close the last part and hand the parts to the table. 0 or -ENOMEM. */
MUST_CHECK int unwind_pack_finish(struct unwind_packer *packer);
void unwind_pack_fini(struct unwind_packer *packer);
