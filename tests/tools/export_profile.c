// SPDX-License-Identifier: Apache-2.0
/*
 * Any encoder on any input: export_profile [-f FORMAT] [-o FILE] [-g comm|pid|tid|none] [-t TITLE]
 * [-n MAX_NODES] [-s] [-p PREFIX] (INPUT.folded | @nasty | @made-up,STACKS,DEPTH | @empty).
 * -s: string labels. -p: pprof in parts of Pyroscope's limits, PREFIX0.pb.gz and so on.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/base/fs.h"
#include "profiler/export/export.h"
#include "profiler/export/pprof.h"
#include "profiler/export/sink.h"
#include "profiler/profile.h"
#include "tests/support/profiles.h"

static struct profile *empty_profile(void)
{
	struct profile *p = profile_new(NULL);

	if (p)
		profile_add_type(p, "samples", "count");
	return p;
}

static struct profile *load(const char *what)
{
	struct buf text = {0};
	struct profile *p;
	unsigned n, depth;
	int err;

	if (!strcmp(what, "@nasty"))
		return profile_nasty();
	if (!strcmp(what, "@empty"))
		return empty_profile();
	if (sscanf(what, "@made-up,%u,%u", &n, &depth) == 2)
		return profile_made_up(n, depth);
	err = fs_read(AT_FDCWD, what, (size_t)1 << 30, &text);
	if (err) {
		fprintf(stderr, "export_profile: %s: %s\n", what, strerror(-err));
		return NULL;
	}
	p = profile_of_folded(text.data ? text.data : "", text.len);
	buf_fini(&text);
	return p;
}

static int write_to(const char *path, const struct export_format *format, const struct profile *p,
		    const struct export_options *options)
{
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : STDOUT_FILENO;
	struct sink_fd sink;
	int err;

	if (fd < 0)
		return -errno;
	sink_fd_init(&sink, fd);
	err = format->write(p, options, &sink.sink);
	if (!err)
		err = sink_finish(&sink.sink);
	if (path)
		close(fd);
	return err;
}

static int write_parts(const char *prefix, const struct profile *p,
		       const struct export_options *options)
{
	struct pprof_split split = {0};
	int err = 0;

	while (!err && !split.done) {
		struct sink_fd sink;
		char path[512];
		int fd;

		snprintf(path, sizeof(path), "%s%u.pb.gz", prefix, split.n_parts);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (fd < 0)
			return -errno;
		sink_fd_init(&sink, fd);
		err = pprof_write_part(p, options, &PPROF_PUSH_LIMITS, &split, &sink.sink);
		if (!err)
			err = sink_finish(&sink.sink);
		close(fd);
	}
	return err;
}

static enum export_group group_of(const char *name)
{
	static const char *const names[] = {"comm", "pid", "tid", "none"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return (enum export_group)i;
	return EXPORT_GROUP_COMM;
}

int main(int argc, char **argv)
{
	struct export_options options = EXPORT_OPTIONS_DEFAULT;
	const char *out = NULL, *format = NULL, *prefix = NULL;
	const struct export_format *f;
	struct profile *p;
	int opt, err;

	while ((opt = getopt(argc, argv, "+f:o:g:t:n:sp:h:")) != -1) {
		switch (opt) {
		case 'f':
			format = optarg;
			break;
		case 'o':
			out = optarg;
			break;
		case 'g':
			options.group = group_of(optarg);
			break;
		case 't':
			options.title = optarg;
			break;
		case 'h':
			options.host = optarg;
			break;
		case 'n':
			options.max_nodes = (__u32)atoi(optarg);
			break;
		case 's':
			options.string_labels = true;
			break;
		case 'p':
			prefix = optarg;
			break;
		default:
			return 2;
		}
	}
	f = format ? export_format_find(format) : out ? export_format_of_path(out) : NULL;
	if (optind + 1 != argc || (!f && !prefix)) {
		fprintf(stderr, "export_profile: see the head of tests/tools/export_profile.c\n");
		return 2;
	}
	p = load(argv[optind]);
	if (!p)
		return 1;
	if (prefix)
		options.max_frames = PPROF_PUSH_FRAMES;
	err = prefix ? write_parts(prefix, p, &options) : write_to(out, f, p, &options);
	profile_free(p);
	if (err)
		fprintf(stderr, "export_profile: %s\n", strerror(-err));
	return err ? 1 : 0;
}
