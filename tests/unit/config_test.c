// SPDX-License-Identifier: Apache-2.0
#include "profiler/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/fs.h"
#include "profiler/config_core.h"
#include "tests/unit/test.h"

static struct buf errors;

/* Loads text as /tmp/.../c.yaml; the errors have that path cut down to "c.yaml". */
static struct config *load(const char *text, size_t len, const char *set)
{
	static char path[256];
	struct config_source source = {.path = path, .sets = &set, .n_sets = set ? 1 : 0};
	struct buf raw = {0};
	struct config *config;
	const char *p, *hit;

	snprintf(path, sizeof(path), "%s/c.yaml", test_dir());
	ASSERT_INT(fs_replace(path, text, len), 0);
	buf_reset(&errors);
	buf_str(&errors, "");
	config = config_load(&source, &raw);
	for (p = raw.data; p && (hit = strstr(p, path)); p = hit + strlen(path)) {
		buf_add(&errors, p, (size_t)(hit - p));
		buf_str(&errors, "c.yaml");
	}
	buf_str(&errors, p ? p : "");
	buf_fini(&raw);
	return config;
}

/* Expects exactly these errors ("" for none). */
static void expect(const char *text, const char *want)
{
	struct config *config = load(text, strlen(text), NULL);

	ASSERT_STR(errors.data, want);
	CU_ASSERT((config != NULL) == (*want == 0));
	config_free(config);
}

static void good_file(void)
{
	static const char text[] =
		"# comment\n"
		"agent:\n  labels: {env: prod, zone: \"a b\"}\n"
		"  cpu_budget_pct: 0.5\n"
		"profile:\n  hz: 99\n  window: 1m\n  labels:\n    - pid\n    - comm\n"
		"store:\n  # retention: 2h\n";
	struct config *config = load(text, strlen(text), NULL);
	const struct profile_config *p;
	const struct agent_config *a;

	ASSERT_STR(errors.data, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	p = config_get(config, &profile_section);
	a = config_get(config, &agent_section);
	ASSERT_INT(p->hz, 99);
	ASSERT_INT(p->labels.n, 2);
	ASSERT_STR(p->labels.items[1], "comm");
	ASSERT_INT(a->labels.n, 2);
	ASSERT_STR(a->labels.pairs[1].value, "a b");
	ASSERT_STR(a->state_dir, "/var/lib/bianque");
	config_free(config);
	expect("", "");
	expect("---\n", "");
	expect("profile:\n", "");
}

static void meaning_errors(void)
{
	expect("profile:\n  hx: 1\n",
	       "c.yaml:2:3: unknown key 'hx' in section 'profile'; did you mean 'hz'?\n");
	expect("profil:\n  hz: 1\n",
	       "c.yaml:1:1: unknown section 'profil'; did you mean 'profile'?\n");
	expect("hz: 1\n", "c.yaml:1:1: 'hz' is a key of section 'profile'; put it below that\n");
	expect("agent:\n  hz: 1\n", "c.yaml:2:3: unknown key 'hz' in section 'agent'; section "
				    "'profile' has it\n");
	expect("profile: {hz: 0}\n", "c.yaml:1:15: profile.hz: '0' is out of range: 1 to 997 Hz\n");
	expect("profile:\n  hz: 1\n  hz: 2\n",
	       "c.yaml:3:3: key 'hz' is there twice, first on line 2\n");
	expect("profile:\n  hz: 1\nprofile:\n  hz: 2\n",
	       "c.yaml:3:1: section 'profile' is there twice, first on line 1\n");
	expect("agent:\n  labels: {a: 1, a: 2}\n",
	       "c.yaml:2:21: agent.labels: 'a' is there twice\n");
	expect("agent:\n  labels: {a.b: 1}\n",
	       "c.yaml:2:17: agent.labels: label name 'a.b' may hold letters, digits and _ only\n");
}

static void shape_errors(void)
{
	expect("profile: 5\n",
	       "c.yaml:1:10: section 'profile' needs its keys below it, indented\n");
	expect("[1]\n",
	       "c.yaml:1:1: sections are needed here, like `profile:` with keys below it\n");
	expect("profile:\n  hz: [1]\n", "c.yaml:2:7: 'hz' needs a single value here\n");
	expect("profile:\n  hz:\n",
	       "c.yaml:2:6: 'hz' has no value; give it one, \"\" for none, or remove it\n");
	expect("profile:\n  kinds: cpu\n",
	       "c.yaml:2:10: 'kinds' needs a list, like [a, b], here\n");
	expect("profile:\n  kinds: []\n",
	       "c.yaml:2:10: 'kinds' needs at least one item; give it one, or remove the key for "
	       "its default\n");
	expect("profile:\n  kinds:\n  hz: 9\n",
	       "c.yaml:2:9: 'kinds' needs at least one item; give it one, or remove the key for "
	       "its default\n");
	expect("profile:\n  kinds:\n    - cpu\n  labels: []\n", "");
	expect("profile:\n  kinds: [[cpu]]\n",
	       "c.yaml:2:11: an item of this list must be a single value\n");
	expect("agent:\n  labels: [a]\n",
	       "c.yaml:2:11: 'labels' needs names with values, like {env: prod}, here\n");
	expect("agent:\n  labels: {a: {b: c}}\n", "c.yaml:2:15: a single value is needed here\n");
	expect("profile:\n  [a]: 1\n", "c.yaml:2:3: a key must be a short name\n");
	expect("profile:\n  hz: 1\n---\nstore:\n",
	       "c.yaml:3:1: a second document (---) is not supported\n");
	expect("agent:\n  labels: {a: \"b\\0c\"}\n", "c.yaml:2:15: a value may not contain \\0\n");
}

static void syntax_errors(void)
{
	expect("profile:\n\thz: 1\n",
	       "c.yaml:2:1: a tab stands here; YAML is indented with spaces\n");
	expect("a: &x 1\n", "c.yaml:1:1: unknown section 'a'; `bianque config` lists them\n"
			    "c.yaml:1:4: anchors and aliases are not supported; write the value "
			    "out\n");
	expect("agent:\n  labels: *x\n",
	       "c.yaml:2:11: anchors and aliases are not supported; write the value out\n");
	expect("profile:\n  hz: !!int 1\n",
	       "c.yaml:2:7: tags (!...) are not supported; write the plain value\n");
	expect("store:\n  retention: \xff\n",
	       "c.yaml:2:14: not readable as UTF-8 text (invalid leading UTF-8 octet, byte 0xff); "
	       "save the file as UTF-8\n");
	expect("profile:\n  hz: [1\n", "c.yaml:3:1: not valid YAML: did not find expected ',' or "
				       "']' while parsing a flow sequence\n");
	expect("profile: {hz: 1\n", "c.yaml:2:1: not valid YAML: did not find expected ',' or '}' "
				    "while parsing a flow mapping\n");
}

static void bounds(void)
{
	size_t size = (1 << 20) + 1;
	char *big = malloc(size + 1);
	struct config *config;
	size_t lines = 0;

	memset(big, '#', size);
	config = load(big, size, NULL);
	CU_ASSERT_PTR_NULL(config);
	ASSERT_STR(errors.data, "c.yaml: larger than 1 MiB; this is no configuration of ours\n");
	memset(big, '[', size - 1);
	CU_ASSERT_PTR_NULL(load(big, size - 1, NULL));
	CU_ASSERT_PTR_NOT_NULL(strstr(errors.data, "nested too deeply"));
	/* A thousand errors: twenty are shown, the rest counted. */
	strcpy(big, "agent:\n");
	for (int i = 0; i < 1000; i++)
		sprintf(big + strlen(big), "  k%d: 1\n", i);
	CU_ASSERT_PTR_NULL(load(big, strlen(big), NULL));
	for (const char *p = errors.data; (p = strchr(p, '\n')); p++)
		lines++;
	ASSERT_INT(lines, CONFIG_MAX_ERRORS + 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(errors.data, "c.yaml: 980 more errors\n"));
	free(big);
}

static void overrides(void)
{
	static const char text[] = "profile: {hz: 99}\nagent: {labels: {env: dev}}\n";
	struct config *config = load(text, strlen(text), "agent.labels.env=prod=1");
	const struct agent_config *a;

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	a = config_get(config, &agent_section);
	ASSERT_STR(a->labels.pairs[0].value, "prod=1");
	config_free(config);
	CU_ASSERT_PTR_NULL(load(text, strlen(text), "profile.hz=x"));
	ASSERT_STR(errors.data,
		   "--set: 'profile.hz=x': profile.hz: 'x' is not a whole number, not negative\n");
	CU_ASSERT_PTR_NULL(load(text, strlen(text), "agent.labels=x"));
	CU_ASSERT_PTR_NULL(load(text, strlen(text), "profile.hz.x=1"));
	CU_ASSERT_PTR_NULL(load(text, strlen(text), "hz=1"));
	CU_ASSERT_PTR_NULL(load(text, strlen(text), "profile.hertz=1"));
	CU_ASSERT_PTR_NULL(load(text, strlen(text), "profile.kinds=cpu,io"));
	CU_ASSERT_PTR_NOT_NULL(strstr(errors.data, "profile.kinds: 'io' is not one of cpu\n"));
	CU_ASSERT_PTR_NULL(load(text, strlen(text), "profile.kinds="));
	CU_ASSERT_PTR_NOT_NULL(strstr(errors.data, "profile.kinds: '' is an empty list: it needs "
						   "at least one item\n"));
	CU_ASSERT_PTR_NULL(load(text, strlen(text), "profile.labels=thread"));
	CU_ASSERT_PTR_NOT_NULL(strstr(errors.data, "'thread' is not one of pid, comm\n"));
	config = load(text, strlen(text), "profile.labels=pid,comm");
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	ASSERT_INT(((const struct profile_config *)config_get(config, &profile_section))->labels.n,
		   2);
	config_free(config);
}

/* With check_secrets: the file of a *_file key is looked at, and complained of at the key. */
static void secrets(void)
{
	char token[256], path[256], text[1024], set[512];
	const char *sets[] = {set};
	struct config_source source = {.path = path, .sets = sets, .check_secrets = true};
	struct config *config;
	struct buf out = {0};

	snprintf(path, sizeof(path), "%s/s.yaml", test_dir());
	snprintf(token, sizeof(token), "%s/token", test_dir());
	snprintf(text, sizeof(text),
		 "http:\n  token_file: %s\npyroscope: {user: u, password_file: %s}\n", token,
		 token);
	ASSERT_INT(fs_replace(path, text, strlen(text)), 0);
	CU_ASSERT_PTR_NULL(config_load(&source, &out));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "s.yaml:2:15: http.token_file: no secret can be "));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "s.yaml:3:37: pyroscope.password_file: no "));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "there is no such file; make it"));
	source.check_secrets = false; /* for those who may not read them */
	config = config_load(&source, &out);
	CU_ASSERT_PTR_NOT_NULL(config);
	config_free(config);
	source.check_secrets = true;
	ASSERT_INT(fs_replace(token, "t0ken\n", 6), 0);
	config = config_load(&source, &out);
	CU_ASSERT_PTR_NOT_NULL(config);
	config_free(config);
	buf_reset(&out);
	snprintf(set, sizeof(set), "http.token_file=%s.not", token);
	source.n_sets = 1;
	CU_ASSERT_PTR_NULL(config_load(&source, &out));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "http.token_file: no secret can be read"));
	CU_ASSERT_PTR_NULL(strstr(out.data, "t0ken"));
	buf_fini(&out);
}

/* What --dump prints loads back to what it came from. */
static void dump_round_trip(void)
{
	static const char text[] =
		"agent: {labels: {env: \"on\", b: 'x \"y\" \\z'}, "
		"cpu_budget_pct: 0.3}\n"
		"profile: {hz: 99, window: 90s, labels: [pid]}\n"
		"symbols: {inlines: false, debug_dirs: [], debuginfod_urls: [\"http://h:1/p\"]}\n";
	struct config *config = load(text, strlen(text), NULL);
	struct buf first = {0}, second = {0};

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	config_dump(config, &first);
	config_free(config);
	config = load(first.data, first.len, NULL);
	ASSERT_STR(errors.data, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	config_dump(config, &second);
	config_free(config);
	ASSERT_STR(second.data, first.data);
	CU_ASSERT_PTR_NOT_NULL(strstr(first.data, "\n  hz: 99\n"));
	buf_fini(&first);
	buf_fini(&second);
}

static void missing_file(void)
{
	struct config_source source = {.path = "/nonexistent/x.yaml"};
	struct config *config;
	struct buf out = {0};

	CU_ASSERT_PTR_NULL(config_load(&source, &out));
	ASSERT_STR(out.data, "/nonexistent/x.yaml: cannot be read: No such file or directory\n");
	source.may_be_missing = true;
	config = config_load(&source, &out);
	CU_ASSERT_PTR_NOT_NULL(config);
	config_free(config);
	buf_fini(&out);
}

/* Every row that any part registers: its default and bounds parse (else option_parse stops us), it
 * has a help line, and the described text names it. */
static void registered_rows(void)
{
	struct buf out = {0};
	size_t n;
	const struct config_section *const *list = config_sections(&n);

	CU_ASSERT(n >= 4);
	config_describe(&out);
	for (size_t i = 0; i < n; i++) {
		CU_ASSERT(list[i]->help && *list[i]->help);
		for (const struct option_row *row = list[i]->rows; row->name; row++) {
			struct arena arena = {0};
			char error[OPTION_ERROR_MAX];
			void *base = calloc(1, list[i]->size);

			CU_ASSERT(row->help && *row->help);
			CU_ASSERT(!row->help || !strpbrk(row->help, "\n"));
			CU_ASSERT_PTR_NOT_NULL(strstr(out.data, row->name));
			if (row->min)
				ASSERT_INT(option_parse(row, row->min, base, &arena, error,
							sizeof(error)),
					   0);
			if (row->max)
				ASSERT_INT(option_parse(row, row->max, base, &arena, error,
							sizeof(error)),
					   0);
			free(base);
			arena_fini(&arena);
		}
	}
	buf_fini(&out);
}

static void urls(void)
{
	char error[OPTION_ERROR_MAX];

	ASSERT_INT(config_check_url("", error, sizeof(error)), 0);
	ASSERT_INT(config_check_url("https://h.example:443/a/b", error, sizeof(error)), 0);
	ASSERT_INT(config_check_url("http://[::1]:4040", error, sizeof(error)), 0);
	for (const char *const *bad =
		     (const char *const[]){"h:1", "ftp://h", "http://", "http:///x", "http://h/?a",
					   "http://h x", NULL};
	     *bad; bad++)
		ASSERT_INT(config_check_url(*bad, error, sizeof(error)), -EINVAL);
	ASSERT_INT(config_check_url("http://u:secret@h", error, sizeof(error)), -EINVAL);
	CU_ASSERT_PTR_NULL(strstr(error, "secret"));
}

SUITE(config, {"good file", good_file}, {"errors of meaning", meaning_errors},
      {"errors of shape", shape_errors}, {"errors of syntax", syntax_errors}, {"bounds", bounds},
      {"--set", overrides}, {"secrets", secrets}, {"dump loads back", dump_round_trip},
      {"missing file", missing_file}, {"registered rows", registered_rows}, {"URLs", urls});
