/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope guards: a local that owns something says so where it is declared, and gives it up with
 * take()/take_fd(). For whole objects write x_free(NULL-safe) instead (HOUSE: errors, cleanup).
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _free_	 _cleanup_(cleanup_free)
#define _close_	 _cleanup_(cleanup_close)
#define _fclose_ _cleanup_(cleanup_fclose)

/* Transfer ownership out of a guarded local. */
#define take(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
