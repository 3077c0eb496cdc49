// SPDX-License-Identifier: Apache-2.0
/* Secrets from files, see secret.h. */
#include "profiler/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/base/clock.h"
#include "profiler/base/fs.h"
#include "profiler/base/log.h"

/* The value's length within len bytes of a file: without the line end. -errno for what is none. */
static ssize_t trim(const char *text, size_t len)
{
	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return -EINVAL;
	return len ? (ssize_t)len : -ENODATA;
}

static void wipe(char *text, size_t len)
{
	if (text)
		explicit_bzero(text, len);
	free(text);
}

/* The file as it is now. */
static int look(const char *path, struct stat *ret_stat)
{
	struct stat now;

	if (stat(path, &now))
		return -errno;
	if (now.st_mode & (S_IROTH | S_IWOTH))
		return -EPERM;
	*ret_stat = now;
	return 0;
}

static int read_value(const char *path, char **ret_value, size_t *ret_len)
{
	struct buf buf = {0};
	int err = buf_reserve(&buf, SECRET_MAX_BYTES + 8192); /* no growth leaves copies behind */
	ssize_t len = 0;

	if (!err)
		err = fs_read(AT_FDCWD, path, SECRET_MAX_BYTES, &buf);
	if (!err) {
		len = trim(buf.data ? buf.data : "", buf.len);
		err = len < 0 ? (int)len : 0;
	}
	if (!err) {
		*ret_value = strndup(buf.data, (size_t)len);
		*ret_len = (size_t)len;
		err = *ret_value ? 0 : -ENOMEM;
	}
	if (buf.data)
		explicit_bzero(buf.data, buf.cap);
	buf_fini(&buf);
	return err;
}

static void explain(int err, const char *path, char *error, size_t size)
{
	const char *why =
		err == -ENODATA	 ? "it is empty; write the secret into it, on one line"
		: err == -EINVAL ? "it is not one line of text; leave only the secret in it"
		: err == -EFBIG	 ? "it is larger than 16 KiB; is it the right file?"
		: err == -EPERM	 ? "every user of this host can read or write it; chmod it to "
				   "0600"
		: err == -EACCES ? "permission denied; run as root or change its owner"
		: err == -ENOENT ? "there is no such file; make it (mode 0600), or mend the "
				   "path"
				 : strerror(-err);

	snprintf(error, size, "no secret can be read from '%.200s': %s", path, why);
}

int secret_open(struct secret *secret, const char *path, char *error, size_t size)
{
	struct secret fresh = {.path = strdup(path)};
	int err = fresh.path ? 0 : -ENOMEM;

	if (!err)
		err = look(path, &fresh.seen);
	if (!err)
		err = read_value(path, &fresh.value, &fresh.len);
	if (err) {
		explain(err, path, error, size);
		secret_close(&fresh);
		return err;
	}
	*secret = fresh;
	return 0;
}

int secret_check(const char *path, char *error, size_t size)
{
	struct secret secret;
	int err = secret_open(&secret, path, error, size);

	if (!err)
		secret_close(&secret);
	return err;
}

int secret_await(struct secret *secret, const char *path)
{
	struct secret fresh = {.path = strdup(path),
			       .complained = true}; /* the caller has said it */

	if (!fresh.path)
		return -ENOMEM;
	*secret = fresh;
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool secret_refresh(struct secret *secret, __u64 now_ns)
{
	struct stat now;
	char *value = NULL, error[512];
	size_t len = 0;
	bool changed;
	int err;

	if (!secret->path || now_ns < secret->next_look_ns)
		return false;
	secret->next_look_ns = now_ns + NS_PER_S;
	err = look(secret->path, &now);
	if (!err && same_file(&now, &secret->seen))
		return false;
	if (!err)
		err = read_value(secret->path, &value, &len);
	if (err) {
		explain(err, secret->path, error, sizeof(error));
		if (!secret->complained)
			log_warn(config, "%s; the old one stays in use", error);
		secret->complained = true;
		return false;
	}
	changed = !secret->value || len != secret->len || memcmp(value, secret->value, len);
	wipe(secret->value, secret->len);
	secret->value = value;
	secret->len = len;
	secret->seen = now;
	secret->complained = false;
	return changed;
}

bool secret_equals(const struct secret *secret, const char *text, size_t len)
{
	unsigned char differ = len != secret->len;

	if (!secret->value)
		return false;
	/* As many steps as the caller's text has bytes, whatever the secret is. */
	for (size_t i = 0; i < len; i++)
		differ |= (unsigned char)(text[i] ^ secret->value[i % secret->len]);
	return !differ;
}

void secret_close(struct secret *secret)
{
	wipe(secret->value, secret->len);
	free(secret->path);
	memset(secret, 0, sizeof(*secret));
}
