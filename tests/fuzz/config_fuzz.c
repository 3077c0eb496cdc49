// SPDX-License-Identifier: Apache-2.0
/* A configuration file of anybody's making: it loads and its dump loads back equal, or it is
 * refused with at least one error. */
#include <stdlib.h>
#include <string.h>

#include "profiler/config_core.h"
#include "profiler/config_yaml.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static struct config *load(const void *data, size_t size, struct buf *errors)
{
	char path[] = "/tmp/bianque-fuzz-XXXXXX";
	int fd = mkstemp(path);
	struct config *config;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
	config = config_load(&(struct config_source){.path = path}, errors);
	unlink(path);
	if (!config == !errors->len)
		abort();
	return config;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct buf errors = {0}, first = {0}, second = {0};
	struct config *config = load(data, size, &errors), *again;

	if (config) {
		config_dump(config, &first);
		again = load(first.data, first.len, &errors);
		config_dump(again, &second);
		if (strcmp(first.data, second.data))
			abort();
		config_free(again);
	}
	config_free(config);
	buf_fini(&errors);
	buf_fini(&first);
	buf_fini(&second);
	return 0;
}
