// SPDX-License-Identifier: Apache-2.0
/* Whose file it is, and which package has its symbols, by a database of our own. */
#include "profiler/packages.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "tests/unit/test.h"

static char dir[512];

static void list(const char *name, const char *text)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	CU_ASSERT_FATAL(!fs_replace(path, text, strlen(text)));
}

static void make_database(void)
{
	snprintf(dir, sizeof(dir), "%s/info", test_dir());
	CU_ASSERT_FATAL(!mkdir(dir, 0755));
	list("libc6:amd64.list", "/.\n/lib\n/lib/x86_64-linux-gnu/libc.so.6\n");
	list("nginx.list", "/usr/sbin/nginx\n/usr/share/doc/nginx");
	list("openjdk-17-jre-headless:amd64.list", "/usr/lib/jvm/17/lib/server/libjvm.so\n");
	list("libpython3.11-minimal:amd64.list", "/usr/lib/python3.11/x.so\n");
	list("empty.list", "");
	list("nginx.md5sums", "/usr/bin/odd\n");
}

static void answers(void)
{
	static const struct {
		const char *path, *symbols;
	} cases[] = {
		{"/usr/lib/x86_64-linux-gnu/libc.so.6", "libc6-dbg"},
		{"/lib/x86_64-linux-gnu/libc.so.6", "libc6-dbg"},
		{"/usr/sbin/nginx", "nginx-dbgsym"},
		{"/usr/share/doc/nginx", "nginx-dbgsym"}, /* a last line without its end */
		{"/usr/lib/jvm/17/lib/server/libjvm.so", "openjdk-17-dbg"},
		{"/usr/lib/python3.11/x.so", "python3.11-dbg"},
		{"/usr/bin/odd", ""},
		{"/opt/app/bin/server", ""},
		{"", ""},
	};
	struct packages *p;

	make_database();
	p = packages_new(dir);
	CU_ASSERT_FATAL(p != NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CU_ASSERT(!packages_symbols_of(p, cases[i].path) || i == 1);
	packages_look(p, NS_PER_S);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ASSERT_STR(packages_symbols_of(p, cases[i].path), cases[i].symbols);
	CU_ASSERT(!packages_symbols_of(p, "/usr/sbin/later"));
	packages_look(p, 2 * NS_PER_S);
	CU_ASSERT(!packages_symbols_of(p, "/usr/sbin/later")); /* once a minute */
	packages_look(p, 62 * NS_PER_S);
	ASSERT_STR(packages_symbols_of(p, "/usr/sbin/later"), "");
	packages_free(p);
}

static void is_bounded(void)
{
	struct packages *p = packages_new("/nowhere");
	char path[32];

	CU_ASSERT_FATAL(p != NULL);
	for (unsigned i = 0; i < PACKAGES_MAX_PATHS + 10; i++) {
		snprintf(path, sizeof(path), "/bin/%u", i);
		CU_ASSERT(!packages_symbols_of(p, path));
	}
	packages_look(p, NS_PER_S);
	ASSERT_STR(packages_symbols_of(p, path), ""); /* the last ones are known */
	CU_ASSERT(!packages_symbols_of(p, "/bin/0")); /* the first were forgotten */
	packages_free(p);
}

SUITE(packages, {"answers", answers}, {"is bounded", is_bounded});
