/* SPDX-License-Identifier: Apache-2.0 */
/* Every route with its help, for people who look for one: /routes. */
#include <string.h>

#include "profiler/http/http.h"

static const char head[] =
	"<!doctype html>\n<html lang=en><meta charset=utf-8>"
	"<meta name=viewport content='width=device-width'><meta name=color-scheme "
	"content='light dark'><title>Bianque: routes</title>\n"
	"<style>body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 "
	"1rem}td{padding:.1rem 1rem .1rem 0;vertical-align:top}</style>\n"
	"<h1>Bianque</h1>\n<p><a href='.'>The page</a>. Where this host spends its CPU time, in "
	"the next ten seconds: "
	"<a href='/debug/pprof/profile?seconds=10&amp;format=html'>flame graph</a>, "
	"<a href='/debug/pprof/profile?seconds=10&amp;format=text'>table</a>, "
	"<a href='/debug/pprof/profile?seconds=10'>pprof</a>.</p>\n<table>\n";

/* A route's help is the program's own text. */
static void put_route(struct buf *body, const struct http_route *route)
{
	bool link = !strcmp(route->method, "GET") && !strchr(route->path, '*') && !route->query;

	if (!route->help)
		return;
	buf_printf(body, "<tr><td><code>%s ", route->method);
	if (link)
		buf_printf(body, "<a href='%s'>%s</a>", route->path, route->path);
	else
		buf_str(body, route->path);
	buf_printf(body, "</code><td>%s\n", route->help);
}

static void handle_routes(struct http_request *req)
{
	struct buf body = {0};

	buf_str(&body, head);
	registry_for_each (http_routes, it)
		put_route(&body, *it);
	buf_str(&body, "</table>\n");
	http_reply(req, 200, "text/html; charset=utf-8", &body);
}
HTTP_ROUTE(routes, .method = "GET", .path = "/routes", .help = "this list",
	   .handle = handle_routes);
