/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in a column of a terminal. What a long C++ or Rust name says stands outside its brackets:
 * the contents of brackets become `…`, long ones and innermost ones first, until the
 * name fits (`std::map<…>::find(…)`); what is still too long is cut behind.
 */
#pragma once

#include <stddef.h>

struct buf;

/* Columns that plain text (plain.h) takes; ideographs take two. */
size_t text_columns(const char *text);
/* Append text in at most so many columns (at least 1). */
void name_fit(struct buf *out, const char *name, size_t columns);
