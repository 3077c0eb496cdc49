#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Good inputs for the fuzzers of pushing, made here: seed_push.py CORPUS (make fuzz's build/fuzz/corpus).
Answers as the server words them, profiles plain and gzip'd, records and whole segments of a spool."""

import gzip
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mock"))
import pyroscope_stub_test as made  # noqa: E402

MESSAGES = [
    ("resource_exhausted", "push rate limit (4.0 MiB) exceeded while adding 2.1 MiB"),
    ("resource_exhausted", "Maximum active series limit exceeded (5000/5000), reduce"),
    ("resource_exhausted", "message size 9 is larger than configured max 8"),
    ("resource_exhausted", "limit of 1 GiB/hour reached, next reset at 2023-11-14T22:15:00Z"),
    ("invalid_argument", "x exceeds the size limit (y"),
    ("invalid_argument", "x exceeds the samples count limit (y"),
    ("invalid_argument", "x is outside of ingestion window (y"),
] + [(c, "") for c in ("unknown", "internal", "unavailable", "deadline_exceeded", "canceled", "aborted",
                       "already_exists", "not_found", "unimplemented", "permission_denied",
                       "unauthenticated", "data_loss", "out_of_range", "failed_precondition")]


def put(corpus, fuzzer, name, data):
    folder = os.path.join(corpus, fuzzer)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "seed_" + name), "wb") as f:
        f.write(data)


def answers(corpus):
    afters = [b"", b"7", b"Tue, 14 Nov 2023 22:13:50 GMT"]
    for i, (code, text) in enumerate(MESSAGES):
        after = afters[i % 3]
        body = ('{"code":"%s","message":"%s"}' % (code, text)).encode()
        put(corpus, "push_verdict_fuzz", str(i),
            struct.pack("<HIB", 0x8000 | i, 1 << 20, len(after)) + after + body)


def record(pprof, depth=0):
    """As push_item.h lays it out."""
    return struct.pack("<IBBBBQQ", 1, depth, 0, 0, 0, 1000, 42) + made.request([pprof])


def profiles(corpus):
    several = made.profile(samples=[([1], [3], b""), ([2, 1], [4], made.data(3, made.num(1, 4) +
                                                                         made.num(2, 5))),
                                    ([2], [5], b"")],
                           locations=[(1, [1], 1), (2, [2, 1], 1)], functions=[(1, 3), (2, 4)])
    for i, p in enumerate((made.profile(), several, gzip.compress(several), several * 2)):
        put(corpus, "push_split_fuzz", "plain%d" % i, b"\0" + p)
        put(corpus, "push_split_fuzz", "record%d" % i, b"\1" + record(p, i))


def segments(corpus):
    now = 1700000000 * 10 ** 9
    chain = b"BQSPOOL1" + struct.pack("<II", 1, 0)
    for i in range(4):
        payload = b"x" * (i * 9)
        chain += struct.pack("<IIQQ", 0x43455251, len(payload), now - i * 10 ** 9, 0)
        chain += payload + bytes(-len(payload) % 8)
    ack = struct.pack("<QQQQQQ", 1, 40, 0, 2, 16, 0)

    def files(*parts):
        return b"".join(struct.pack("<BHB", which, len(b), 1) + b for which, b in parts)

    put(corpus, "spool_fuzz", "one", b"\0" + files((1, chain)))
    put(corpus, "spool_fuzz", "two", b"\1" + files((1, chain), (2, chain[:-3]), (0, ack)))
    put(corpus, "spool_fuzz", "torn", b"\0" + files((3, chain[:50]), (0, ack[:30])))


if __name__ == "__main__":
    answers(sys.argv[1])
    profiles(sys.argv[1])
    segments(sys.argv[1])
