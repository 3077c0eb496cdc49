// SPDX-License-Identifier: Apache-2.0
/*
 * GET /api/v1/processes: every living process that was seen; GET /api/v1/containers: the containers
 * among them, by what /proc says (names from a runtime's socket are not asked for). The router copies its table; what no
 * event told (comm, parent, who a process is that nobody asked for yet) is read from /proc, by the
 * lister: tens of thousands of processes, or a /proc that does not answer, must not hold the agent's
 * thread, nor the names of profiles the list. Bounds: LISTINGS_MAX at a time; LISTING_NS from the
 * request on, its waiting for others included (what is left then is counted in "left_out");
 * LISTING_MAX_BYTES.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/agent.h"
#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/base/json.h"
#include "profiler/base/vec.h"
#include "profiler/builder.h"
#include "profiler/cgroup.h"
#include "profiler/engine.h"
#include "profiler/http/http.h"
#include "profiler/identity.h"
#include "profiler/process.h"

#define LISTINGS_MAX	  4
#define LISTING_NS	  (5 * NS_PER_S)
#define LISTING_MAX_BYTES ((size_t)64 << 20)
#define PF_KTHREAD	  0x00200000u /* include/linux/sched.h: field 9 of /proc/PID/stat */

struct row {
	__u32 pid, parent;
	char comm[COMM_BYTES + 1];
	bool kernel_thread, in_kernel;
	struct identity *identity; /* referenced; NULL: nobody asked for it yet */
	__u64 cgroup_id;
	size_t mappings, loading;
};

/* A request and the job that it waits for. */
struct listing {
	struct builder_job job;
	struct http_request *req; /* NULL: the client went away */
	const char *controller;
	void (*put)(struct listing *listing, struct json *j); /* the rows that are complete */
	VEC(struct row) rows;
	struct buf body;
};

static unsigned n_listings; /* under way; the agent thread's */

/* Router thread, which stands still meanwhile: only copies. */
static bool copy_process(void *arg, struct process *process)
{
	const struct image *image = process->image;
	struct listing *listing = arg;
	struct row row = {
		.pid = process->pid,
		.in_kernel = process->in_kernel,
		.mappings = process->maps ? process->maps->n : 0,
		.loading = process->maps ? process->maps->waiting : 0,
	};

	if (process->exit_ns)
		return true;
	if (image) {
		struct identity *identity = atomic_load(&image->identity);

		row.cgroup_id = image->cgroup_id;
		row.identity = identity ? identity_ref(identity) : NULL;
	}
	listing->body.err = vec_push(&listing->rows, row);
	if (listing->body.err)
		identity_unref(row.identity);
	return !listing->body.err;
}

static void copy_processes(void *arg, struct resolver *resolver)
{
	process_each(resolver_processes(resolver), copy_process, arg);
}

/* ---- in the lister --------------------------------------------------------------------------- */

/* What no event told, from /proc: "PID (COMM) STATE PPID ... FLAGS"; COMM may hold anything. False
 * when the process is gone. */
static bool read_stat(struct row *row)
{
	char path[48], text[512], *open_paren, *close_paren, state;
	unsigned parent, flags;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/stat", row->pid);
	n = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	open_paren = n > 0 ? strchr(text, '(') : NULL;
	close_paren = n > 0 ? strrchr(text, ')') : NULL;
	if (!open_paren || !close_paren || close_paren < open_paren ||
	    sscanf(close_paren + 1, " %c %u %*d %*d %*d %*d %u", &state, &parent, &flags) != 3)
		return false;
	row->parent = parent;
	row->kernel_thread = flags & PF_KTHREAD;
	*close_paren = 0;
	snprintf(row->comm, sizeof(row->comm), "%s", open_paren + 1);
	return true;
}

static bool complete(struct row *row, const char *controller)
{
	struct identity_hint hint = {.exe = row->comm};

	if (!read_stat(row))
		return false;
	hint.kernel_thread = row->kernel_thread;
	if (!row->identity)
		row->identity = identity_read("/proc", row->pid, controller, &hint);
	return true;
}

static void put_row(struct json *j, const struct row *row)
{
	const struct identity *identity = row->identity;

	json_object(j, NULL);
	json_u64(j, "pid", row->pid);
	json_u64(j, "parent", row->parent);
	json_str(j, "comm", row->comm);
	json_bool(j, "kernel_thread", row->kernel_thread);
	json_str(j, "exe", identity ? identity->exe : "");
	json_str(j, "service_name", identity ? identity->service : "");
	json_str(j, "container", identity ? identity->container : "");
	json_str(j, "unit", identity ? identity->unit : "");
	json_str(j, "cgroup", identity ? identity->cgroup : "");
	json_u64(j, "cgroup_id", row->cgroup_id);
	json_u64(j, "mappings", row->mappings);
	json_u64(j, "mappings_loading", row->loading);
	json_bool(j, "in_kernel_tables", row->in_kernel);
	json_end(j);
}

static int by_pid(const void *a, const void *b)
{
	__u32 x = ((const struct row *)a)->pid, y = ((const struct row *)b)->pid;

	return x < y ? -1 : x > y;
}

static void put_processes(struct listing *listing, struct json *j)
{
	if (listing->rows.len)
		qsort(listing->rows.data, listing->rows.len, sizeof(*listing->rows.data), by_pid);
	json_array(j, "processes");
	vec_for_each (row, &listing->rows)
		put_row(j, row);
	json_end(j);
}

static const char *container_of_row(const struct row *row)
{
	return row->identity ? row->identity->container : "";
}

static int by_container(const void *a, const void *b)
{
	int order = strcmp(container_of_row(a), container_of_row(b));

	return order ? order : by_pid(a, b);
}

static void put_container(struct json *j, const struct row *first, size_t n)
{
	json_object(j, NULL);
	json_str(j, "id", container_of_row(first));
	json_str(j, "service_name", first->identity->service);
	json_str(j, "cgroup", first->identity->cgroup);
	json_u64(j, "cgroup_id", first->cgroup_id);
	json_u64(j, "first_pid", first->pid);
	json_u64(j, "processes", n);
	json_end(j);
}

static void put_containers(struct listing *listing, struct json *j)
{
	const struct row *rows = listing->rows.data;
	size_t n = listing->rows.len;

	if (n)
		qsort(listing->rows.data, n, sizeof(*rows), by_container);
	json_array(j, "containers");
	for (size_t i = 0, k; i < n; i = k) {
		for (k = i + 1;
		     k < n && !strcmp(container_of_row(&rows[k]), container_of_row(&rows[i])); k++)
			;
		if (*container_of_row(&rows[i]))
			put_container(j, &rows[i], k - i);
	}
	json_end(j);
}

static void list(struct builder_job *job, struct naming *naming UNUSED)
{
	struct listing *listing = container_of(job, struct listing, job);
	__u64 until_ns = job->submitted_ns + LISTING_NS;
	struct json j = json_into(&listing->body);
	size_t left_out = 0, kept = 0;

	vec_for_each (row, &listing->rows) {
		bool late = clock_monotonic_ns() > until_ns;

		left_out += late;
		if (!late && !atomic_load(&job->cancelled) && complete(row, listing->controller))
			listing->rows.data[kept++] = *row;
		else
			identity_unref(row->identity);
	}
	listing->rows.len = kept;
	json_object(&j, NULL);
	listing->put(listing, &j);
	json_u64(&j, "left_out", left_out);
	json_end(&j);
	buf_char(&listing->body, '\n');
}

/* ---- the request ----------------------------------------------------------------------------- */

static void free_listing(struct listing *listing)
{
	if (!listing)
		return;
	vec_for_each (row, &listing->rows)
		identity_unref(row->identity);
	vec_free(&listing->rows);
	buf_fini(&listing->body);
	free(listing);
}

static void listed(struct builder_job *job)
{
	struct listing *listing = container_of(job, struct listing, job);

	if (listing->req)
		http_reply(listing->req, 200, "application/json", &listing->body);
	free_listing(listing);
	n_listings--;
}

static void client_gone(void *arg)
{
	struct listing *listing = arg;

	listing->req = NULL;
	atomic_store(&listing->job.cancelled, true);
}

static void start(struct http_request *req, void (*put)(struct listing *listing, struct json *j))
{
	struct engine *engine = agent_engine(req->agent);
	struct listing *listing;

	if (!engine) {
		http_error(req, 503, "not_sampling", "sampling is off; /readyz says why");
		return;
	}
	if (n_listings == LISTINGS_MAX) {
		http_error(req, 429, "too_many",
			   "%d lists of processes are being made already; try again when one is",
			   LISTINGS_MAX);
		return;
	}
	listing = calloc(1, sizeof(*listing));
	if (!listing) {
		http_error(req, 500, "no_memory", "no memory for the list; try again later");
		return;
	}
	listing->req = req;
	listing->controller = cgroup_controller(engine_hierarchy(engine));
	listing->body.limit = LISTING_MAX_BYTES;
	listing->put = put;
	listing->job.run = list;
	listing->job.done = listed;
	listing->job.urgent = true;
	n_listings++;
	router_visit(engine_router(engine), copy_processes, listing);
	http_suspend(req, "application/json", client_gone, listing);
	builder_submit(agent_lister(req->agent), &listing->job);
}
static void handle_processes(struct http_request *req)
{
	start(req, put_processes);
}
HTTP_ROUTE(processes, .method = "GET", .path = "/api/v1/processes",
	   .help = "every living process that has been seen: names, cgroup, unwind state",
	   .handle = handle_processes);

static void handle_containers(struct http_request *req)
{
	start(req, put_containers);
}
HTTP_ROUTE(containers, .method = "GET", .path = "/api/v1/containers",
	   .help = "containers with living processes: id, cgroup, how many",
	   .handle = handle_containers);
