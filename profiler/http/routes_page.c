/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page and its files (profiler/web), as they are embedded. They are served without the token,
 * since they hold nothing of this host: the page asks for it, and sends it with its queries.
 */
#include "profiler/http/http.h"
#include "profiler/web/web.h"

static void serve(struct http_request *req, const char *name)
{
	const struct web_file *file = web_file_find(name);

	if (!file) {
		http_error(req, 404, "not_found", "the page has no file '%s'", name);
		return;
	}
	http_reply_file(req, &(struct http_file){.content_type = file->content_type,
						 .data = file->data,
						 .size = file->len});
}

static void handle_page(struct http_request *req)
{
	serve(req, "index.html");
}
HTTP_ROUTE(page, .method = "GET", .path = "/", .help = "the page", .open = true,
	   .handle = handle_page);

static void handle_page_file(struct http_request *req)
{
	serve(req, req->rest);
}
HTTP_ROUTE(page_file, .method = "GET", .path = "/web/*", .open = true, .handle = handle_page_file);
