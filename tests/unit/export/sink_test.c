// SPDX-License-Identifier: Apache-2.0
#include "profiler/export/sink.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/test.h"

static void gathers_and_counts(void)
{
	struct buf buf = {0};
	struct sink_buf sink;
	char big[SINK_BLOCK * 3];

	memset(big, 'x', sizeof(big));
	sink_buf_init(&sink, &buf);
	sink_str(&sink.sink, "a=");
	sink_u64(&sink.sink, UINT64_MAX);
	sink_printf(&sink.sink, " %600d", 7);
	ASSERT_INT(buf.len, 0);
	sink_add(&sink.sink, big, sizeof(big));
	sink_char(&sink.sink, '!');
	ASSERT_INT(sink_finish(&sink.sink), 0);
	ASSERT_INT(buf.len, 2 + 20 + 601 + sizeof(big) + 1);
	ASSERT_INT(sink.sink.n_bytes, buf.len);
	CU_ASSERT(!strncmp(buf.data, "a=18446744073709551615  ", 24));
	CU_ASSERT(buf.data[buf.len - 1] == '!' && buf.data[622] == '7');
	buf_fini(&buf);
}

static void an_error_sticks(void)
{
	struct buf buf = {.limit = 100};
	struct sink_buf sink;
	struct sink_fd fd;

	sink_buf_init(&sink, &buf);
	for (int i = 0; i < 3 * SINK_BLOCK; i++)
		sink_char(&sink.sink, 'x');
	ASSERT_INT(sink_finish(&sink.sink), -EFBIG);
	buf_fini(&buf);
	sink_fd_init(&fd, -1);
	sink_str(&fd.sink, "x");
	ASSERT_INT(sink_finish(&fd.sink), -EBADF);
	sink_str(&fd.sink, "y");
	ASSERT_INT(sink_finish(&fd.sink), -EBADF);
	fd.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	if (fd.fd < 0)
		SKIP("no /dev/full");
	sink_fd_init(&fd, fd.fd);
	sink_str(&fd.sink, "x");
	ASSERT_INT(sink_finish(&fd.sink), -ENOSPC);
	close(fd.fd);
}

static void gzip_comes_back(void)
{
	struct buf buf = {0}, plain = {0};
	struct sink_buf out;
	struct sink_gzip gz;
	z_stream z = {0};

	sink_buf_init(&out, &buf);
	ASSERT_INT(sink_gzip_init(&gz, &out.sink, 1), 0);
	for (int i = 0; i < 50000; i++)
		sink_printf(&gz.sink, "line %d\n", i * 7919);
	ASSERT_INT(sink_finish(&gz.sink), 0);
	ASSERT_INT(sink_finish(&out.sink), 0);
	CU_ASSERT(buf.len < gz.sink.n_bytes / 2);
	ASSERT_INT(buf_reserve(&plain, gz.sink.n_bytes), 0);
	ASSERT_INT(inflateInit2(&z, 31), Z_OK);
	z.next_in = (Bytef *)buf.data;
	z.avail_in = (uInt)buf.len;
	z.next_out = (Bytef *)plain.data;
	z.avail_out = (uInt)gz.sink.n_bytes + 1;
	ASSERT_INT(inflate(&z, Z_FINISH), Z_STREAM_END);
	ASSERT_INT(z.total_out, gz.sink.n_bytes);
	CU_ASSERT(!strncmp(plain.data, "line 0\nline 7919\n", 17));
	inflateEnd(&z);
	sink_gzip_fini(&gz);
	buf_fini(&buf);
	buf_fini(&plain);
}

/* The error of the thing below comes up through gzip. */
static void gzip_into_a_full_buf(void)
{
	struct buf buf = {.limit = 64};
	struct sink_buf out;
	struct sink_gzip gz;
	__u64 noise = 1;

	sink_buf_init(&out, &buf);
	ASSERT_INT(sink_gzip_init(&gz, &out.sink, 1), 0);
	for (int i = 0; i < 100000; i++) {
		noise = noise * 6364136223846793005ull + 1;
		sink_add(&gz.sink, &noise, sizeof(noise));
	}
	ASSERT_INT(sink_finish(&gz.sink), -EFBIG);
	sink_gzip_fini(&gz);
	buf_fini(&buf);
}

SUITE(sink, {"gathers and counts", gathers_and_counts}, {"an error sticks", an_error_sticks},
      {"gzip comes back", gzip_comes_back}, {"gzip into a full buf", gzip_into_a_full_buf});
