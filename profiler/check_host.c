// SPDX-License-Identifier: Apache-2.0
/* The rows of `bianque check`, run and printed; see check_host.h. The probes stand in
 * check_rights.c (privileges and what limits them), check_kernel.c (BPF, perf, probes) and
 * check_agent.c (files, cgroups, the agent). */
#include "profiler/check_host.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "profiler/base/json.h"
#include "profiler/base/plain.h"

#define NAME_WIDTH 22

REGISTRY(host_checks, const struct host_check);

const char *host_state_name(enum host_state state)
{
	static const char *const names[HOST_STATES] = {"ok", "degraded", "off"};

	return names[state];
}

static PRINTF(3, 0) void print_into(char *out, size_t size, const char *fmt, va_list args)
{
	vsnprintf(out, size, fmt, args);
	out[plain_text(out, out, strlen(out))] = 0; /* parts come from files and from the kernel */
}

#define PRINT_INTO(field)                                                                          \
	do {                                                                                       \
		va_list args;                                                                      \
		va_start(args, fmt);                                                               \
		print_into(result->field, sizeof(result->field), fmt, args);                       \
		va_end(args);                                                                      \
	} while (0)

void host_found(struct host_result *result, const char *fmt, ...)
{
	PRINT_INTO(found);
}

void host_lost(struct host_result *result, const char *fmt, ...)
{
	PRINT_INTO(lost);
}

void host_fix(struct host_result *result, const char *fmt, ...)
{
	PRINT_INTO(fix);
}

static int by_order(const void *pa, const void *pb)
{
	const struct host_check *a = ((const struct host_row *)pa)->check;
	const struct host_check *b = ((const struct host_row *)pb)->check;

	return a->order != b->order ? (a->order < b->order ? -1 : 1) : strcmp(a->name, b->name);
}

static void run(const struct config *config, struct host_row *row)
{
	const struct host_check *c = row->check;
	struct host_result *r = &row->result;

	row->state = c->run(c, config, r);
	if (row->state == HOST_OK) {
		*r->lost = *r->fix = 0;
		return;
	}
	if (!*r->lost && c->lost)
		host_lost(r, "%s", c->lost);
	if (!*r->fix && c->fix)
		host_fix(r, "%s", c->fix);
}

int host_report_make(const struct config *config, struct host_report *ret_report)
{
	struct host_report report = {.works = true};

	report.rows = calloc(registry_len(host_checks) + 1, sizeof(*report.rows));
	if (!report.rows)
		return -ENOMEM;
	registry_for_each (host_checks, it)
		report.rows[report.n++].check = *it;
	qsort(report.rows, report.n, sizeof(*report.rows), by_order);
	for (size_t i = 0; i < report.n; i++) {
		struct host_row *row = &report.rows[i];

		run(config, row);
		report.n_by_state[row->state]++;
		if (row->check->required && row->state == HOST_OFF)
			report.works = false;
	}
	*ret_report = report;
	return 0;
}

void host_report_free(struct host_report *report)
{
	free(report->rows);
	*report = (struct host_report){0};
}

void host_report_text(const struct host_report *report, struct buf *out)
{
	for (size_t i = 0; i < report->n; i++) {
		const struct host_row *row = &report->rows[i];
		const struct host_result *r = &row->result;

		buf_printf(out, "%-9s %-*s %s\n", host_state_name(row->state), NAME_WIDTH,
			   row->check->name, r->found);
		if (*r->lost)
			buf_printf(out, "%*s lost: %s\n", 10 + NAME_WIDTH, "", r->lost);
		if (*r->fix)
			buf_printf(out, "%*s do:   %s\n", 10 + NAME_WIDTH, "", r->fix);
	}
	buf_printf(out, "\nprofiling %s on this host: %u ok, %u degraded, %u off\n",
		   report->works ? "works" : "does not work", report->n_by_state[HOST_OK],
		   report->n_by_state[HOST_DEGRADED], report->n_by_state[HOST_OFF]);
}

void host_report_json(const struct host_report *report, struct buf *out)
{
	struct json j = json_into(out);
	struct utsname uts = {0};

	uname(&uts);
	json_object(&j, NULL);
	json_str(&j, "version", BIANQUE_VERSION);
	json_str(&j, "kernel", uts.release);
	json_str(&j, "machine", uts.machine);
	json_bool(&j, "works", report->works);
	for (int state = 0; state < HOST_STATES; state++)
		json_u64(&j, host_state_name((enum host_state)state), report->n_by_state[state]);
	json_array(&j, "checks");
	for (size_t i = 0; i < report->n; i++) {
		const struct host_row *row = &report->rows[i];

		json_object(&j, NULL);
		json_str(&j, "name", row->check->name);
		json_str(&j, "state", host_state_name(row->state));
		json_bool(&j, "required", row->check->required);
		json_str(&j, "found", row->result.found);
		json_str(&j, "lost", row->result.lost);
		json_str(&j, "fix", row->result.fix);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	buf_char(out, '\n');
}
