// SPDX-License-Identifier: Apache-2.0
/*
 * GET /debug/pprof/profile: a profile of the next seconds, as `go tool pprof` asks for it (the
 * conventions of Go's net/http/pprof). Everything is checked before the wait; the client's own
 * limit is 1.5 times the seconds, plus 5.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/agent.h"
#include "profiler/base/clock.h"
#include "profiler/base/log.h"
#include "profiler/cgroup.h"
#include "profiler/engine.h"
#include "profiler/export/export.h"
#include "profiler/http/http.h"
#include "profiler/on_demand.h"

#define MAX_CGROUPS   4096
#define MIN_CONTAINER 4 /* characters of an id that is given in part */
#define TITLE_BYTES   256

struct profile_query {
	__u64 seconds, hz, pid; /* hz, pid 0: not given */
	const char *container, *cgroup, *format;
};

static const struct option_row profile_rows[] = {
	OPTION_ROW(U64, struct profile_query, seconds, .def = "30", .min = "1", .max = "600",
		   .unit = "s", .help = "how long"),
	OPTION_ROW(U64, struct profile_query, hz, .min = "1", .max = "997", .unit = "Hz",
		   .help = "a rate of its own (default: share the agent's samples)"),
	OPTION_ROW(U64, struct profile_query, pid, .min = "1", .max = "4194304",
		   .help = "only this process, all its threads"),
	OPTION_ROW(STRING, struct profile_query, container,
		   .help = "only this container: its id or the start of it"),
	OPTION_ROW(STRING, struct profile_query, cgroup,
		   .help = "only this cgroup and those below it: a folder under /sys/fs/cgroup"),
	OPTION_ROW(STRING, struct profile_query, format, .def = "pprof",
		   .help = "pprof, folded, html, svg, speedscope, json or text"),
	{0},
};

/* A request that waits for its profile. */
struct waiting {
	struct http_request *req;
	const struct export_format *format;
	struct on_demand *profile;
};

static void answer(void *arg, int err, struct buf *body)
{
	struct waiting *w = arg;

	if (err == -EFBIG || err == -E2BIG || body->err) {
		http_error(
			w->req, 413, "too_large",
			"the profile is larger than %zu MiB in this format: ask for fewer seconds, "
			"one process, or another format",
			ON_DEMAND_MAX_BYTES >> 20);
	} else if (err) {
		http_error(w->req, 500, "failed", "the profile cannot be made: %s", strerror(-err));
	} else {
		char disposition[64];

		snprintf(disposition, sizeof(disposition), "%s; filename=\"profile%s\"",
			 !strcmp(w->format->name, "html") || !strcmp(w->format->name, "svg")
				 ? "inline"
				 : "attachment",
			 w->format->ending);
		http_header(w->req, "Content-Disposition", disposition);
		http_reply(w->req, 200, w->format->content_type, body);
	}
	free(w);
}

static void client_gone(void *arg)
{
	struct waiting *w = arg;

	on_demand_cancel(w->profile);
	free(w);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static bool find_cgroups(struct http_request *req, const char *path,
			 struct on_demand_request *request)
{
	static __u64 ids[MAX_CGROUPS]; /* copied by the capture */
	enum cgroup_hierarchy hierarchy;
	__u64 id;
	int n = cgroup_is_below_mount(path) ? cgroup_find(path, &hierarchy, &id) : -EINVAL;

	if (n) {
		http_error(req, 404, "no_cgroup",
			   "'%s' is not a cgroup: give a folder under /sys/fs/cgroup", path);
		return false;
	}
	if (hierarchy != engine_hierarchy(agent_engine(req->agent))) {
		const char *name = cgroup_controller(engine_hierarchy(agent_engine(req->agent)));

		http_error(req, 422, "other_hierarchy",
			   "this agent follows the %s cgroup hierarchy, '%s' is in another",
			   name ? name : "v2", path);
		return false;
	}
	n = cgroup_tree_ids(path, ids, MAX_CGROUPS);
	if (n <= 0) {
		http_error(req, 404, "no_cgroup", "'%s' cannot be read: %s", path, strerror(-n));
		return false;
	}
	request->cgroup_ids = ids;
	request->n_cgroup_ids = (size_t)MIN(n, MAX_CGROUPS);
	if (n > MAX_CGROUPS)
		log_limited(http, LOG_LEVEL_WARN,
			    "'%s' has %d cgroups: a profile takes the first %d, samples of the "
			    "others are missing",
			    path, n, MAX_CGROUPS);
	return true;
}

static bool find_container(struct http_request *req, const char *id,
			   struct on_demand_request *request)
{
	char path[4096];
	int n;

	if (strlen(id) < MIN_CONTAINER) {
		http_error(req, 400, "short_id",
			   "'%s': give at least %d characters of the container's id", id,
			   MIN_CONTAINER);
		return false;
	}
	n = cgroup_of_container("/proc", id, path, sizeof(path));
	if (n == 1)
		return find_cgroups(req, path, request);
	if (n > 1)
		http_error(req, 422, "ambiguous", "'%s' fits %d containers: give more of the id",
			   id, n);
	else
		http_error(req, 404, "no_container", "there is no running container '%s'", id);
	return false;
}

/* False when an error was answered. */
static bool find_target(struct http_request *req, struct on_demand_request *request)
{
	const struct profile_query *q = req->query;

	if (!!q->pid + !!q->container[0] + !!q->cgroup[0] > 1) {
		http_error(req, 400, "many_targets", "only one of pid, container and cgroup");
		return false;
	}
	if (q->pid && kill((pid_t)q->pid, 0) && errno == ESRCH) {
		http_error(req, 404, "no_process", "there is no process %llu",
			   (unsigned long long)q->pid);
		return false;
	}
	request->pid = (__u32)q->pid;
	if (q->container[0])
		return find_container(req, q->container, request);
	return !q->cgroup[0] || find_cgroups(req, q->cgroup, request);
}

/* As `bianque record` names them: what tells saved files apart. NULL: the whole host. */
static const char *write_title(const struct profile_query *q, char title[TITLE_BYTES])
{
	if (q->pid)
		snprintf(title, TITLE_BYTES, "cpu of pid %llu", (unsigned long long)q->pid);
	else if (q->container[0])
		snprintf(title, TITLE_BYTES, "cpu of container %.200s", q->container);
	else if (q->cgroup[0])
		snprintf(title, TITLE_BYTES, "cpu of cgroup %.200s", q->cgroup);
	else
		return NULL;
	return title;
}

static void refuse(struct http_request *req, int err, const char *why)
{
	if (err == -EBUSY)
		http_error(req, 429, "too_many",
			   "%d profiles with a rate of their own run at once already, or %d in "
			   "all; try "
			   "again when one has ended, or leave out hz",
			   SOURCE_ON_DEMAND_MAX, ON_DEMAND_MAX);
	else
		http_error(req, 503, "not_sampling", "the profile cannot begin: %s",
			   why ? why : strerror(-err));
}

static void handle_profile(struct http_request *req)
{
	const struct profile_query *q = req->query;
	struct on_demand_request request = {
		.duration_ns = q->seconds * NS_PER_S,
		.hz = (unsigned)q->hz,
		.format = export_format_find(q->format),
	};
	char title[TITLE_BYTES], *why;
	struct waiting *w;
	int err;

	if (!request.format) {
		http_error(req, 400, "unknown_format",
			   "unknown format '%s'; there are pprof, folded, html, svg, speedscope, "
			   "json and "
			   "text",
			   q->format);
		return;
	}
	if (!agent_engine(req->agent)) {
		http_error(req, 503, "not_sampling", "sampling is off; /readyz says why");
		return;
	}
	if (!find_target(req, &request))
		return;
	if (req->head) {
		http_reply_head(req, request.format->content_type);
		return;
	}
	request.title = write_title(q, title);
	w = calloc(1, sizeof(*w));
	err = w ? on_demand_start(agent_on_demands(req->agent), &request, answer, w, &w->profile,
				  &why)
		: -ENOMEM;
	if (err) {
		refuse(req, err, w ? why : NULL);
		if (w)
			free(why);
		free(w);
		return;
	}
	w->req = req;
	w->format = request.format;
	http_suspend(req, request.format->content_type, client_gone, w);
}
HTTP_ROUTE(profile, .method = "GET", .path = "/debug/pprof/profile",
	   .help = "CPU profile of the next seconds, for go tool pprof", .query = profile_rows,
	   .query_size = sizeof(struct profile_query), .handle = handle_profile);

/* ---- what else is asked for under /debug/pprof ----------------------------------------------- */

static void handle_index(struct http_request *req)
{
	http_reply_text(
		req, 200,
		"profile\tCPU time of the whole host for ?seconds=30 "
		"[&hz=][&pid=|&container=|&cgroup=][&format=]\n\n"
		"  go tool pprof -http=: 'http://HOST:PORT/debug/pprof/profile?seconds=10'\n");
}
HTTP_ROUTE(pprof_index, .method = "GET", .path = "/debug/pprof/", .handle = handle_index);

/* pprof asks for it when functions lack names; ours have all the names there are. */
static void handle_symbol(struct http_request *req)
{
	http_reply_text(req, 200, "num_symbols: 1\n");
}
HTTP_ROUTE(pprof_symbol, .method = "GET", .path = "/debug/pprof/symbol", .handle = handle_symbol);

static void handle_other(struct http_request *req)
{
	http_error(req, 404, "no_profile",
		   "there is no profile '%.60s' here; /debug/pprof/ lists them", req->rest);
}
HTTP_ROUTE(pprof_other, .method = "GET", .path = "/debug/pprof/*", .handle = handle_other);
