// SPDX-License-Identifier: Apache-2.0
/* The stub server for C tests, see stub.h. */
#include <jansson.h>

#include "tests/unit/push/stub.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/export/pprof.pb-c.h"
#include "profiler/export/sink.h"
#include "tests/unit/test.h"

bool stub_start(struct stub *stub, unsigned port, const char *const *args)
{
	const char *argv[16] = {"python3", "tests/mock/pyroscope_stub.py", "--port"};
	char number[16], line[64] = "";
	int out[2], n = 4;
	FILE *from;

	snprintf(number, sizeof(number), "%u", port);
	argv[3] = number;
	while (args && *args && n < 15)
		argv[n++] = *args++;
	CU_ASSERT_FATAL(pipe(out) == 0);
	stub->pid = fork();
	if (stub->pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(out[1]);
	from = fdopen(out[0], "r");
	if (!fgets(line, sizeof(line), from))
		line[0] = 0;
	fclose(from);
	if (sscanf(line, "PORT %u", &stub->port) == 1)
		return true;
	waitpid(stub->pid, NULL, 0);
	stub->pid = 0;
	return false;
}

void stub_stop(struct stub *stub)
{
	if (!stub->pid)
		return;
	kill(stub->pid, SIGKILL);
	waitpid(stub->pid, NULL, 0);
	stub->pid = 0;
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	buf_add(arg, data, size * n);
	return size * n;
}

static json_t *ask(const struct stub *stub, const char *what, const char *body)
{
	CURL *e = curl_easy_init();
	struct buf got = {0};
	char url[128];
	json_t *root;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/control/%s", stub->port, what);
	curl_easy_setopt(e, CURLOPT_URL, url);
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, &got);
	if (body)
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, body);
	ASSERT_INT(curl_easy_perform(e), CURLE_OK);
	curl_easy_cleanup(e);
	root = json_loadb(got.data ? got.data : "", got.len, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL(root);
	buf_fini(&got);
	return root;
}

void stub_control(const struct stub *stub, const char *what, const char *body)
{
	json_decref(ask(stub, what, body));
}

long stub_count(const struct stub *stub, const char *field)
{
	json_t *root = ask(stub, "report", NULL), *value = json_object_get(root, field);
	long n = json_is_integer(value)	 ? (long)json_integer_value(value)
		 : json_is_array(value)	 ? (long)json_array_size(value)
		 : json_is_object(value) ? (long)json_object_size(value)
					 : -1;

	json_decref(root);
	return n;
}

long stub_status(const struct stub *stub, unsigned status)
{
	json_t *root = ask(stub, "report", NULL);
	char key[16];
	long n;

	snprintf(key, sizeof(key), "%u", status);
	n = (long)json_integer_value(json_object_get(json_object_get(root, "statuses"), key));
	json_decref(root);
	return n;
}

static const char *keep(const char *text)
{
	static char kept[512];

	snprintf(kept, sizeof(kept), "%s", text ? text : "");
	return kept;
}

const char *stub_violation(const struct stub *stub)
{
	json_t *root = ask(stub, "report", NULL);
	const char *text =
		keep(json_string_value(json_array_get(json_object_get(root, "violations"), 0)));

	json_decref(root);
	return text;
}

const char *stub_header(const struct stub *stub, const char *name)
{
	json_t *root = ask(stub, "report", NULL);
	const char *text =
		keep(json_string_value(json_object_get(json_object_get(root, "headers"), name)));

	json_decref(root);
	return text;
}

const char *stub_label(const struct stub *stub, size_t i, const char *name)
{
	json_t *root = ask(stub, "report", NULL);
	json_t *profile = json_array_get(json_object_get(root, "profiles"), i);
	const char *text =
		keep(json_string_value(json_object_get(json_object_get(profile, "labels"), name)));

	json_decref(root);
	return text;
}

long long stub_total(const struct stub *stub)
{
	json_t *root = ask(stub, "report", NULL), *profile;
	long long total = 0;
	size_t i;

	json_array_foreach(json_object_get(root, "profiles"), i, profile) total +=
		json_integer_value(json_array_get(json_object_get(profile, "total"), 0));
	json_decref(root);
	return total;
}

/* ---- a profile --------------------------------------------------------------------------- */

#define DEPTH 3

size_t make_pprof(unsigned n_samples, unsigned name_bytes, __u64 time_ns, struct buf *out)
{
	unsigned n = n_samples * DEPTH;
	Pprof__Profile p = PPROF__PROFILE__INIT;
	Pprof__ValueType type = PPROF__VALUE_TYPE__INIT, *types = &type;
	Pprof__Sample *samples = calloc(n_samples, sizeof(*samples)), **sample_list;
	Pprof__Location *locations = calloc(n, sizeof(*locations)), **location_list;
	Pprof__Line *lines = calloc(n, sizeof(*lines)), **line_list;
	Pprof__Function *functions = calloc(n, sizeof(*functions)), **function_list;
	uint64_t *ids = calloc(n, sizeof(*ids));
	int64_t value = 1000;
	char **strings = calloc(n + 3, sizeof(*strings));
	struct sink_gzip gzip;
	struct sink_buf to;
	__u8 *raw;

	sample_list = calloc(n_samples, sizeof(*sample_list));
	location_list = calloc(n, sizeof(*location_list));
	line_list = calloc(n, sizeof(*line_list));
	function_list = calloc(n, sizeof(*function_list));
	strings[0] = strdup("");
	strings[1] = strdup("cpu");
	strings[2] = strdup("nanoseconds");
	type.type = 1;
	type.unit = 2;
	for (unsigned i = 0; i < n; i++) {
		pprof__location__init(&locations[i]);
		pprof__line__init(&lines[i]);
		pprof__function__init(&functions[i]);
		strings[i + 3] = calloc(1, name_bytes + 16);
		snprintf(strings[i + 3], name_bytes + 16, "f%u_%0*u", i, (int)name_bytes,
			 i * 7919u);
		ids[i] = i + 1;
		functions[i].id = i + 1;
		functions[i].name = i + 3;
		lines[i].function_id = i + 1;
		line_list[i] = &lines[i];
		locations[i].id = i + 1;
		locations[i].n_line = 1;
		locations[i].line = &line_list[i];
		location_list[i] = &locations[i];
		function_list[i] = &functions[i];
	}
	for (unsigned i = 0; i < n_samples; i++) {
		pprof__sample__init(&samples[i]);
		samples[i].n_location_id = DEPTH;
		samples[i].location_id = &ids[(size_t)i * DEPTH];
		samples[i].n_value = 1;
		samples[i].value = &value;
		sample_list[i] = &samples[i];
	}
	p.n_sample_type = 1;
	p.sample_type = &types;
	p.n_sample = n_samples;
	p.sample = sample_list;
	p.n_location = p.n_function = n;
	p.location = location_list;
	p.function = function_list;
	p.n_string_table = n + 3;
	p.string_table = strings;
	p.time_nanos = (int64_t)time_ns;
	p.period_type = &type;
	p.period = 10000000;
	raw = malloc(pprof__profile__get_packed_size(&p));
	value = 1000;
	sink_buf_init(&to, out);
	CU_ASSERT_FATAL(sink_gzip_init(&gzip, &to.sink, 1) == 0);
	sink_add(&gzip.sink, raw, pprof__profile__pack(&p, raw));
	ASSERT_INT(sink_finish(&gzip.sink), 0);
	sink_gzip_fini(&gzip);
	ASSERT_INT(sink_finish(&to.sink), 0);
	for (unsigned i = 0; i < n + 3; i++)
		free(strings[i]);
	free(samples), free(sample_list), free(locations), free(location_list), free(lines);
	free(line_list), free(functions), free(function_list), free(ids), free(strings), free(raw);
	return gzip.sink.n_bytes;
}
