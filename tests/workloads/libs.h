/* SPDX-License-Identifier: Apache-2.0 */
/* What the small libraries beside the truth programs export; each is built from one lib*.c. */
#pragma once

/* libtiny.so: one instruction and a return. */
unsigned long lib_tiny(unsigned long x);
/* libswap-one.so, libswap-two.so: a unit in one_outer;one_leaf or two_outer;two_leaf, with frames
 * of other sizes at the same offsets. */
unsigned long swap_one(unsigned long x);
unsigned long swap_two(unsigned long x);
