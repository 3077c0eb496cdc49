/* SPDX-License-Identifier: Apache-2.0 */
/* The vDSO: one ELF image that the kernel maps into every 64-bit process; ours is everybody's. */
#pragma once

#include <stddef.h>

/* Its bytes and size; NULL when there is none. */
const void *vdso_image(size_t *ret_size);
