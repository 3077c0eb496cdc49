/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the functions without a name are: a stripped file's .eh_frame still tells where each
 * function begins, so that a profile shows one frame a function, not one an address.
 */
#pragma once

#include "symbolize/elf.h"
#include "symbolize/index_build.h"

/* Add the file's functions by its call frame information; the builder takes them where no symbol
 * is. 0 or -ENOMEM. */
MUST_CHECK int unnamed_read(struct elf *elf, struct index_builder *b);
