/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A choice of series, as Prometheus writes it: {service_name="nginx", container=~"web-.*", pid!="7"}.
 * All matchers must hold; a label that is not there is "". Regular expressions are anchored at both
 * ends. {} is everything.
 *
 * Values that are not UTF-8 (names of threads may be any bytes) are matched as listings show them, with
 * U+FFFD for such a byte; = and != take the bytes themselves, too (\xHH).
 *
 * Strings are quoted by ", ' (with \n \t \\ \" \' and \xHH) or ` (nothing is special). A comma may
 * stand at the end.
 *
 * Regular expressions run in PCRE2 with limits on steps and memory, so a hostile one is an error
 * ("too complex"), at once or when a value needs more than that (selector_error); the syntax is a
 * superset of RE2's.
 *
 * Labels of a series and of a thread are told apart: pid, tid and comm are the thread's, all others
 * the series'. One thread a selector.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "profiler/base/check.h"

#define SELECTOR_MAX_MATCHERS 32
#define SELECTOR_MAX_TEXT     4096

struct selector;

/* 0; -EINVAL: it does not parse, error says why and where; -ENOMEM. *ret_at: the place of the error,
 * counted from 0 (may be NULL). */
MUST_CHECK int selector_parse(const char *text, struct selector **ret_selector, char *error,
			      size_t size, size_t *ret_at);
void selector_free(struct selector *selector);

/* Both must hold from now on: `more` is taken. 0, or -E2BIG (then neither changes). */
MUST_CHECK int selector_and(struct selector *selector, struct selector *more);
/* Decide now what is about labels whose values are known: label answers NULL for others. What was
 * decided is gone from the selector; false: it does not hold. */
bool selector_decide(struct selector *selector, const char *(*label)(void *arg, const char *name),
		     void *arg);

/* label: the value of a name, "" or NULL for none. NULL selector: everything. */
bool selector_has_series(struct selector *selector,
			 const char *(*label)(void *arg, const char *name), void *arg);
bool selector_has_thread(struct selector *selector, __u32 pid, __u32 tid, const char *comm);
/* -EINVAL: an expression needed more steps than it may have; -ENOMEM. From then on nothing is chosen:
 * an answer made of it would lack something. 0 else, and for NULL. */
int selector_error(const struct selector *selector);
/* Whether there is anything about threads in it. */
bool selector_wants_thread(const struct selector *selector);
