/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: the one to listen on, and which Host headers may name it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "profiler/base/check.h"

struct http_config;

struct http_address {
	struct sockaddr_storage addr;
	socklen_t len;
	bool loopback;
};

/* ADDRESS:PORT, [IPV6]:PORT or localhost:PORT. 0, or -EINVAL with why in error. */
MUST_CHECK int http_address_parse(const char *text, struct http_address *ret_address, char *error,
				  size_t size);
/* A bound, listening, non-blocking socket, or -errno with what to do about it in error. */
int http_listen(const struct http_config *config, char *error, size_t size);

/* Whether a page of a foreign site could not have made its browser send this Host header:
 * addresses, localhost, this machine's name and http.allowed_hosts pass; a foreign name that
 * resolves to us (DNS rebinding) does not. NULL (no header: no browser) passes. */
bool http_host_allowed(const char *host, const struct http_config *config);
