// SPDX-License-Identifier: Apache-2.0
/* The loader thread, see loader.h. */
#include "profiler/loader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "profiler/base/clock.h"
#include "profiler/base/hmap.h"
#include "profiler/base/log.h"
#include "profiler/base/thread.h"
#include "profiler/base/vec.h"
#include "profiler/identity.h"
#include "profiler/proc_maps.h"

#define MAX_CGROUPS 65536u
#define MAX_IN_ROW  64u /* requests served before, and within, one step of a slow file */

enum request_kind { LOAD_OBJECT, READ_MAPS, IDENTIFY, OPEN_JIT };

struct request {
	enum request_kind kind;
	__u32 pid, object_id;
	struct object_source source;
	char *path;	     /* owned: the source's; IDENTIFY: the program's name */
	struct image *image; /* IDENTIFY, OPEN_JIT: referenced; the router writes on in it */
	__u64 cgroup_id;     /* IDENTIFY: as the image had it */
	bool kernel_thread;
	struct request *next;
};

/* A large file whose rows are not cached. */
struct slow {
	__u32 object_id;
	struct object_image *image;
};

/* Paths seen for cgroup ids, for processes that end before they are asked about. */
struct cgroup_path {
	__u64 id;
	char *path;
};

struct loader {
	struct loader_options o;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct request *first, **last;
	struct loader_answer *answers, **last_answer;
	bool scan_wanted, stopping;
	int fd;
	struct loader_stats stats;
	/* the thread's own */
	VEC(__u32) scan; /* pids still to be read, when nothing else is asked for */
	bool scanning;
	struct slow slow[LOADER_MAX_SLOW]; /* oldest first */
	size_t n_slow;
	unsigned in_row; /* requests since a slow file had its turn */
	VEC(struct cgroup_path) cgroups;
	struct hmap cgroup_index;
};

/* ---- queues ---------------------------------------------------------------------------------- */

static void request_free(struct request *request)
{
	free(request->path);
	image_unref(request->image);
	free(request);
}

/* Queues a copy; takes what the request owns, also when it is refused. */
static bool ask(struct loader *loader, const struct request *request)
{
	struct request *copy = malloc(sizeof(*copy));
	bool queued = false;

	pthread_mutex_lock(&loader->lock);
	if (copy && loader->stats.queued < LOADER_MAX_QUEUED) {
		*copy = *request;
		copy->next = NULL;
		*loader->last = copy;
		loader->last = &copy->next;
		loader->stats.queued++;
		queued = true;
		pthread_cond_signal(&loader->wake);
	} else {
		loader->stats.refused_total++;
	}
	pthread_mutex_unlock(&loader->lock);
	if (!queued) {
		free(copy);
		free(request->path);
		image_unref(request->image);
	}
	return queued;
}

/* Under the lock. NULL: none waits. */
static struct request *pop_request(struct loader *loader)
{
	struct request *request = loader->first;

	if (request) {
		loader->first = request->next;
		if (!loader->first)
			loader->last = &loader->first;
		loader->stats.queued--;
	}
	return request;
}

/* The next request, NULL when it is a slow file's turn, the scan may go on or the end has come. */
static struct request *next_request(struct loader *loader, bool *ret_stopping)
{
	struct request *request;

	pthread_mutex_lock(&loader->lock);
	while (!loader->first && !loader->stopping && !loader->scan_wanted && !loader->scanning &&
	       !loader->n_slow)
		pthread_cond_wait(&loader->wake, &loader->lock);
	*ret_stopping = loader->stopping;
	request = loader->stopping || (loader->n_slow && loader->in_row >= MAX_IN_ROW)
			  ? NULL
			  : pop_request(loader);
	pthread_mutex_unlock(&loader->lock);
	return request;
}

static void answer(struct loader *loader, const struct loader_answer *from)
{
	struct loader_answer *a = malloc(sizeof(*a));
	__u64 one = 1;

	if (!a) {
		struct loader_answer lost = *from;

		log_limited(process, LOG_LEVEL_ERROR,
			    "out of memory: an answer of the loader is lost");
		object_image_free(lost.image, loader->o.segments);
		identity_unref(lost.identity);
		image_unref(lost.asked);
		free(lost.maps);
		free(lost.text);
		return;
	}
	*a = *from;
	a->next = NULL;
	pthread_mutex_lock(&loader->lock);
	*loader->last_answer = a;
	loader->last_answer = &a->next;
	loader->stats.objects_total += a->kind == LOADER_OBJECT;
	loader->stats.maps_total += a->kind == LOADER_MAPS;
	loader->stats.identities_total += a->kind == LOADER_IDENTITY;
	pthread_mutex_unlock(&loader->lock);
	if (write(loader->fd, &one, sizeof(one)) < 0) {
		/* the counter is full: the router has been woken often enough */
	}
}

struct loader_answer *loader_take(struct loader *loader)
{
	struct loader_answer *answers;

	pthread_mutex_lock(&loader->lock);
	answers = loader->answers;
	loader->answers = NULL;
	loader->last_answer = &loader->answers;
	pthread_mutex_unlock(&loader->lock);
	return answers;
}

void loader_answer_free(struct loader_answer *a, struct segments *segments)
{
	object_image_free(a->image, segments);
	identity_unref(a->identity);
	image_unref(a->asked);
	free(a->maps);
	free(a->text);
	free(a);
}

/* ---- cgroup paths by id ---------------------------------------------------------------------- */

static const char *known_cgroup(const struct loader *loader, __u64 id)
{
	__u32 i;

	hmap_for_each_match (&loader->cgroup_index, hash_u64(id), i) {
		if (loader->cgroups.data[i].id == id)
			return loader->cgroups.data[i].path;
	}
	return NULL;
}

static void learn_cgroup(struct loader *loader, __u64 id, const char *path)
{
	char *copy;

	if (!id || !*path || known_cgroup(loader, id))
		return;
	if (loader->cgroups.len >= MAX_CGROUPS) { /* ids are not reused; start anew */
		vec_for_each (c, &loader->cgroups)
			free(c->path);
		loader->cgroups.len = 0;
		hmap_clear(&loader->cgroup_index);
	}
	copy = strdup(path);
	if (copy && !vec_push(&loader->cgroups, (struct cgroup_path){id, copy})) {
		if (!hmap_add(&loader->cgroup_index, hash_u64(id), (__u32)loader->cgroups.len - 1))
			return;
		loader->cgroups.len--;
	}
	free(copy);
}

/* ---- requests -------------------------------------------------------------------------------- */

static bool is_stopping(void *arg)
{
	struct loader *loader = arg;
	bool stopping;

	pthread_mutex_lock(&loader->lock);
	stopping = loader->stopping;
	pthread_mutex_unlock(&loader->lock);
	return stopping;
}

static void loaded(struct loader *loader, __u32 object_id, struct object_image *image)
{
	struct loader_answer a = {.kind = LOADER_OBJECT, .object_id = object_id, .image = image};

	answer(loader, &a);
	segments_make_room(loader->o.segments);
}

static void set_n_slow(struct loader *loader, size_t n)
{
	loader->n_slow = n;
	pthread_mutex_lock(&loader->lock);
	loader->stats.slow = (__u32)n;
	pthread_mutex_unlock(&loader->lock);
}

static struct object_loading loading_of(struct loader *loader, bool (*cancelled)(void *arg))
{
	return (struct object_loading){.segments = loader->o.segments,
				       .cache = loader->o.cache,
				       .cancelled = cancelled,
				       .arg = loader};
}

static void do_load(struct loader *loader, const struct request *r)
{
	struct object_loading loading = loading_of(loader, is_stopping);
	struct object_image *image = object_load_quick(&r->source, &loading);

	if (image && image->state == OBJECT_LOADING) {
		if (loader->n_slow < LOADER_MAX_SLOW) {
			loader->slow[loader->n_slow] = (struct slow){r->object_id, image};
			set_n_slow(loader, loader->n_slow + 1);
			return;
		}
		object_compile(image, &loading);
	}
	loaded(loader, r->object_id, image);
}

static void do_maps(struct loader *loader, __u32 pid)
{
	struct loader_answer a = {.kind = LOADER_MAPS, .pid = pid, .read_ns = clock_monotonic_ns()};

	a.err = proc_maps_read(loader->o.procfs, pid, &a.maps, &a.n_maps, &a.text);
	answer(loader, &a);
}

static void begin_scan(struct loader *loader)
{
	DIR *dir = opendir(loader->o.procfs);
	struct dirent *d;

	loader->scanning = true;
	loader->scan.len = 0;
	if (!dir)
		log_error(process,
			  "'%s' cannot be read (%s): processes that already run stay unknown",
			  loader->o.procfs, strerror(errno));
	while (dir && (d = readdir(dir))) {
		__u64 pid;

		if (!units_parse_u64(d->d_name, &pid) && pid <= UINT32_MAX &&
		    vec_push(&loader->scan, (__u32)pid))
			break;
	}
	if (dir)
		closedir(dir);
}

/* One process more, or the end of the scan: whatever else is asked for comes first. */
static void scan_step(struct loader *loader)
{
	bool wanted;

	pthread_mutex_lock(&loader->lock);
	wanted = loader->scan_wanted;
	loader->scan_wanted = false;
	pthread_mutex_unlock(&loader->lock);
	if (wanted)
		begin_scan(loader);
	if (loader->scan.len) {
		do_maps(loader, loader->scan.data[--loader->scan.len]);
	} else if (loader->scanning) {
		loader->scanning = false;
		answer(loader, &(struct loader_answer){.kind = LOADER_SCANNED});
	}
}

static void do_identify(struct loader *loader, const struct request *r)
{
	struct loader_answer a = {.kind = LOADER_IDENTITY, .asked = image_ref(r->image)};
	struct identity_hint hint = {
		.exe = r->path,
		.cgroup = known_cgroup(loader, r->cgroup_id),
		.kernel_thread = r->kernel_thread,
	};

	a.identity = identity_read(loader->o.procfs, r->image->pid, loader->o.controller, &hint);
	if (a.identity)
		learn_cgroup(loader, r->cgroup_id, a.identity->cgroup);
	answer(loader, &a);
}

/* The map of a process that is gone stays unknown here; naming may still find it. */
static void do_jit(struct loader *loader, const struct request *r)
{
	int err = identity_open_jit(loader->o.procfs, r->image->pid, r->image);

	if (err == -EPERM)
		log_limited(process, LOG_LEVEL_WARN,
			    "the perf map of pid %u belongs to somebody else and is not read",
			    r->image->pid);
	pthread_mutex_lock(&loader->lock);
	loader->stats.jits_total += !err;
	loader->stats.jits_refused_total += err == -EPERM || err == -EMFILE;
	pthread_mutex_unlock(&loader->lock);
}

static void serve(struct loader *loader, struct request *r)
{
	switch (r->kind) {
	case LOAD_OBJECT:
		do_load(loader, r);
		break;
	case READ_MAPS:
		do_maps(loader, r->pid);
		break;
	case IDENTIFY:
		do_identify(loader, r);
		break;
	case OPEN_JIT:
		do_jit(loader, r);
		break;
	}
	request_free(r);
	loader->in_row++;
}

/* ---- slow files ------------------------------------------------------------------------------ */

/* Asked by a compilation now and then: the place where others pass. None of them comes here. */
static bool let_others_pass(void *arg)
{
	struct loader *loader = arg;

	for (unsigned i = 0; i < MAX_IN_ROW && !is_stopping(loader); i++) {
		struct request *r;

		pthread_mutex_lock(&loader->lock);
		r = pop_request(loader);
		pthread_mutex_unlock(&loader->lock);
		if (r)
			serve(loader, r);
		else if (loader->scan.len)
			do_maps(loader, loader->scan.data[--loader->scan.len]);
		else
			break;
	}
	return is_stopping(loader);
}

static void compile_slow(struct loader *loader)
{
	struct object_loading loading = loading_of(loader, let_others_pass);
	struct slow slow = loader->slow[0];

	memmove(loader->slow, loader->slow + 1, (loader->n_slow - 1) * sizeof(slow));
	set_n_slow(loader, loader->n_slow - 1);
	object_compile(slow.image, &loading);
	loaded(loader, slow.object_id, slow.image);
	loader->in_row = 0;
}

static void *run(void *arg)
{
	struct loader *loader = arg;
	bool stopping = false;

	thread_raise(); /* until a program is known, each of its samples is a copy */
	while (!stopping) {
		struct request *r = next_request(loader, &stopping);

		if (r)
			serve(loader, r);
		else if (!stopping && loader->n_slow)
			compile_slow(loader);
		else if (!stopping)
			scan_step(loader);
	}
	return NULL;
}

/* ---- the router's side ----------------------------------------------------------------------- */

bool loader_load_object(struct loader *loader, __u32 object_id, const struct object_source *source)
{
	struct request r = {.kind = LOAD_OBJECT,
			    .object_id = object_id,
			    .source = *source,
			    .path = strdup(source->path)};

	r.source.path = r.path;
	return r.path && ask(loader, &r);
}

bool loader_read_maps(struct loader *loader, __u32 pid)
{
	return ask(loader, &(struct request){.kind = READ_MAPS, .pid = pid});
}

void loader_scan(struct loader *loader)
{
	pthread_mutex_lock(&loader->lock);
	loader->scan_wanted = true;
	pthread_cond_signal(&loader->wake);
	pthread_mutex_unlock(&loader->lock);
}

bool loader_identify(struct loader *loader, struct image *image)
{
	const struct object *exe = atomic_load(&image->exe);
	struct request r = {.kind = IDENTIFY,
			    .path = strdup(exe ? exe->name : image->comm),
			    .cgroup_id = image->cgroup_id,
			    .kernel_thread = image->kernel_thread};

	if (!r.path)
		return false;
	r.image = image_ref(image);
	return ask(loader, &r);
}

bool loader_open_jit(struct loader *loader, struct image *image)
{
	return ask(loader, &(struct request){.kind = OPEN_JIT, .image = image_ref(image)});
}

int loader_fd(const struct loader *loader)
{
	return loader->fd;
}

struct loader_stats loader_stats(struct loader *loader)
{
	struct loader_stats stats;

	pthread_mutex_lock(&loader->lock);
	stats = loader->stats;
	pthread_mutex_unlock(&loader->lock);
	return stats;
}

static void loader_free(struct loader *loader)
{
	struct loader_answer *a = loader->answers;

	while (loader->first) {
		struct request *next = loader->first->next;

		request_free(loader->first);
		loader->first = next;
	}
	while (a) {
		struct loader_answer *next = a->next;

		loader_answer_free(a, loader->o.segments);
		a = next;
	}
	for (size_t i = 0; i < loader->n_slow; i++)
		object_image_free(loader->slow[i].image, loader->o.segments);
	vec_for_each (c, &loader->cgroups)
		free(c->path);
	vec_free(&loader->cgroups);
	vec_free(&loader->scan);
	hmap_fini(&loader->cgroup_index);
	if (loader->fd >= 0)
		close(loader->fd);
	pthread_mutex_destroy(&loader->lock);
	pthread_cond_destroy(&loader->wake);
	free(loader);
}

int loader_start(const struct loader_options *options, struct loader **ret_loader)
{
	struct loader *loader = calloc(1, sizeof(*loader));
	int err;

	if (!loader)
		return -ENOMEM;
	loader->o = *options;
	loader->last = &loader->first;
	loader->last_answer = &loader->answers;
	pthread_mutex_init(&loader->lock, NULL);
	pthread_cond_init(&loader->wake, NULL);
	loader->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loader->fd < 0) {
		err = -errno;
		loader_free(loader);
		return err;
	}
	segments_make_room(loader->o.segments); /* not when the first program waits for it */
	err = thread_start(&loader->thread, "loader", run, loader);
	if (err) {
		loader_free(loader);
		return err;
	}
	*ret_loader = loader;
	return 0;
}

void loader_stop(struct loader *loader)
{
	if (!loader)
		return;
	pthread_mutex_lock(&loader->lock);
	loader->stopping = true;
	pthread_cond_signal(&loader->wake);
	pthread_mutex_unlock(&loader->lock);
	pthread_join(loader->thread, NULL);
	loader_free(loader);
}
