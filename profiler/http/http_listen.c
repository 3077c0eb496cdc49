// SPDX-License-Identifier: Apache-2.0
/* Listening and the Host header, see http_listen.h. */
#include "profiler/http/http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "profiler/base/cleanup.h"
#include "profiler/base/clock.h"
#include "profiler/http/http_config.h"

#define BACKLOG 128

static bool is_loopback(const struct http_address *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->addr;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->addr;

	if (address->addr.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127);
}

static void set_address(struct http_address *address, int family, const void *ip, unsigned port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address->addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->addr;

	memset(address, 0, sizeof(*address));
	address->addr.ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		v4->sin_port = htons((uint16_t)port);
		memcpy(&v4->sin_addr, ip, sizeof(v4->sin_addr));
		address->len = sizeof(*v4);
	} else {
		v6->sin6_port = htons((uint16_t)port);
		memcpy(&v6->sin6_addr, ip, sizeof(v6->sin6_addr));
		address->len = sizeof(*v6);
	}
	address->loopback = is_loopback(address);
}

int http_address_parse(const char *text, struct http_address *ret_address, char *error, size_t size)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	unsigned char ip[16];
	char host[64];
	__u64 port;

	if (!colon || !len || len >= sizeof(host)) {
		snprintf(error, size, "'%.60s' is not ADDRESS:PORT, like 127.0.0.1:19704", text);
		return -EINVAL;
	}
	if (units_parse_u64(colon + 1, &port) || port > 65535) {
		snprintf(error, size, "'%.60s' is no port: a number from 1 to 65535", colon + 1);
		return -EINVAL;
	}
	memcpy(host, text, len);
	host[len] = 0;
	if (!strcmp(host, "localhost"))
		strcpy(host, "127.0.0.1");
	if (inet_pton(AF_INET, host, ip) == 1) {
		set_address(ret_address, AF_INET, ip, (unsigned)port);
		return 0;
	}
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = 0;
		if (inet_pton(AF_INET6, host + 1, ip) == 1) {
			set_address(ret_address, AF_INET6, ip, (unsigned)port);
			return 0;
		}
	}
	snprintf(error, size,
		 "'%.60s' is no address of a host: use one like 127.0.0.1, 0.0.0.0 or [::]", text);
	return -EINVAL;
}

/* What to do about a failed bind. */
static void explain(int err, const char *listen, char *error, size_t size)
{
	const char *port = strrchr(listen, ':') + 1;

	switch (err) {
	case -EADDRINUSE:
		snprintf(
			error, size,
			"cannot listen on %s: another program has the port (`ss -ltnp sport = :%s` "
			"shows which); end it or set http.listen to another port",
			listen, port);
		break;
	case -EADDRNOTAVAIL:
	case -EAFNOSUPPORT:
		snprintf(error, size,
			 "cannot listen on %s: this host has no such address (`ip address` lists "
			 "them); set http.listen to one it has",
			 listen);
		break;
	case -EACCES:
		snprintf(error, size,
			 "cannot listen on %s: no permission for this port; set http.listen to one "
			 "above 1023",
			 listen);
		break;
	default:
		snprintf(error, size, "cannot listen on %s: %s; set http.listen to another address",
			 listen, strerror(-err));
	}
}

int http_listen(const struct http_config *config, char *error, size_t size)
{
	static const int on = 1;
	struct http_address address;
	_close_ int fd = -1;
	int err = http_address_parse(config->listen, &address, error, size);

	if (err)
		return err;
	fd = socket(address.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address.addr, address.len) || listen(fd, BACKLOG)) {
		err = -errno;
		explain(err, config->listen, error, size);
		return err;
	}
	return take_fd(&fd);
}

/* host without its port and brackets, cut into out; false for what is no host at all. */
static bool host_name(const char *host, char *out, size_t size)
{
	const char *end;
	size_t len;

	if (host[0] == '[') {
		end = strchr(++host, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
	} else {
		end = host + strcspn(host, ":");
	}
	len = (size_t)(end - host);
	if (!len || len >= size)
		return false;
	memcpy(out, host, len);
	out[len] = 0;
	return true;
}

bool http_host_allowed(const char *host, const struct http_config *config)
{
	unsigned char ip[16];
	char name[256], own[256];

	if (!host)
		return true;
	if (!host_name(host, name, sizeof(name)))
		return false;
	if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1 ||
	    !strcasecmp(name, "localhost"))
		return true;
	if (!gethostname(own, sizeof(own) - 1)) {
		own[sizeof(own) - 1] = 0;
		if (!strcasecmp(name, own))
			return true;
	}
	for (size_t i = 0; i < config->allowed_hosts.n; i++)
		if (!strcasecmp(name, config->allowed_hosts.items[i]))
			return true;
	return false;
}
