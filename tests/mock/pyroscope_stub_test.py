#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stub held against its own rows: each thing it must refuse or report, once. Prints the
differences and how many checks passed; exit 1 when one did not. Requests are made here byte by byte,
with no code of the agent."""

import gzip
import http.client
import json
import os
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pyroscope_stub  # noqa: E402

FAILED, PASSED = [], []


def varint(n):
    n &= 0xFFFFFFFFFFFFFFFF
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def num(field, n):
    return varint(field << 3) + varint(n)


def data(field, b):
    if isinstance(b, str):
        b = b.encode()
    return varint(field << 3 | 2) + varint(len(b)) + b


def profile(strings=None, types=((1, 2),), samples=None, locations=None, functions=None,
            mappings=((1, 0),), period=(1, 2), when=None, extra=b""):
    """A good profile but for what is given. String 1 cpu, 2 nanoseconds, 3 main, 4 a key, 5 a value."""
    out = b"".join(data(1, num(1, t) + num(2, u)) for t, u in types)
    for locs, values, labels in samples if samples is not None else [([1], [10], b"")]:
        out += data(2, data(1, b"".join(varint(i) for i in locs)) +
                    data(2, b"".join(varint(v) for v in values)) + labels)
    for ident, name in mappings:
        out += data(3, num(1, ident) + num(5, name))
    for ident, lines, mapping in locations if locations is not None else [(1, [1], 1)]:
        out += data(4, num(1, ident) + num(2, mapping) + num(3, 0x1000) +
                    b"".join(data(4, num(1, f)) for f in lines))
    for ident, name in functions if functions is not None else [(1, 3)]:
        out += data(5, num(1, ident) + num(2, name))
    for s in strings or ["", "cpu", "nanoseconds", "main", "key", "value"]:
        out += data(6, s)
    out += num(9, int(time.time() * 1e9) if when is None else when)
    if period:
        out += data(11, num(1, period[0]) + num(2, period[1]))
    return out + extra


LABELS = [("__name__", "process_cpu"), ("service_name", "s")]


def request(profiles, labels=LABELS):
    pairs = b"".join(data(1, data(1, n) + data(2, v)) for n, v in labels)
    return b"".join(data(1, pairs + data(2, data(1, p) + data(2, str(uuid.uuid4()))))
                    for p in profiles)


class Client:
    def __init__(self, *argv):
        self.server = pyroscope_stub.make_server(pyroscope_stub.parse_args(list(argv)))
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def call(self, method, path, body=b"", headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        out = r.status, r.read(), dict(r.getheaders())
        c.close()
        return out

    def push(self, body, **headers):
        h = {"Content-Type": "application/proto"}
        h.update({k.replace("_", "-"): v for k, v in headers.items() if v is not None})
        return self.call("POST", "/push.v1.PusherService/Push", body, h)

    def report(self):
        return json.loads(self.call("GET", "/control/report")[1])

    def reset(self):
        self.call("POST", "/control/reset")


def check(what, good, text):
    PASSED.append(what) if good else FAILED.append("%s: %s" % (what, text))


def expect(what, got, want):
    check(what, got == want, "got %r, expected %r" % (got, want))


def refused(client, what, body, status, text, **headers):
    got = client.push(body, **headers)
    expect(what, got[0], status)
    check(what, text.encode() in got[1], "%r not in %r" % (text, got[1]))


def reported(client, what, body, text):
    client.reset()
    expect(what, client.push(body)[0], 200)
    violations = client.report()["violations"]
    check(what, any(text in v for v in violations), "%r not in %r" % (text, violations))


def protocol(c):
    good = request([profile()])
    expect("good", c.push(good)[0], 200)
    expect("good, gzip inside", c.push(request([gzip.compress(profile())]))[0], 200)
    status, body, headers = c.push(good, Accept_Encoding="gzip")
    expect("gzip answer", (status, len(body) >= 20, headers.get("Content-Encoding")),
           (200, True, "gzip"))
    for kind in ("application/proto; charset=utf-8", "application/x-protobuf", "text/plain"):
        expect(kind, c.push(good, Content_Type=kind)[0], 415)
    refused(c, "version", good, 400, "invalid_argument", Connect_Protocol_Version="2")
    refused(c, "timeout", good, 400, "invalid_argument", Connect_Timeout_Ms="12345678901")
    refused(c, "coding", good, 501, "unimplemented", Content_Encoding="zstd")
    expect("gzip envelope", c.push(gzip.compress(good), Content_Encoding="gzip")[0], 200)
    refused(c, "garbage", b"\xff\xff", 400, "invalid_argument")
    refused(c, "nothing", b"", 400, "no profiles received")
    expect("get", c.call("GET", "/push.v1.PusherService/Push")[0], 405)
    expect("path", c.call("POST", "/push.v1.PusherService/Pull", good,
                          {"Content-Type": "application/proto"})[0], 404)
    js = json.dumps({"series": [{"labels": [{"name": n, "value": v} for n, v in LABELS],
                                 "samples": [{"rawProfile":
                                              __import__("base64").b64encode(profile()).decode(),
                                              "ID": str(uuid.uuid4())}]}]}).encode()
    expect("json", c.push(js, Content_Type="application/json")[0], 200)


def distributor(c):
    def bad(what, p, status, text, labels=LABELS):
        refused(c, what, request([p], labels), status, text)

    bad("empty", b"", 500, "unknown")
    bad("damaged gzip", gzip.compress(profile())[:-5], 500, "unknown")
    bad("damaged pprof", profile()[:-1] + b"\xff", 500, "unknown")
    bad("no type", profile(types=(), samples=[]), 400, "empty profile")
    bad("old", profile(when=int((time.time() - 3700) * 1e9)), 400, "outside of ingestion window")
    bad("new", profile(when=int((time.time() + 700) * 1e9)), 400, "outside of ingestion window")
    bad("many samples", profile(samples=[([1], [1], b"")] * 16001), 400, "samples count limit")
    bad("many labels", profile(samples=[([1], [1], data(3, num(1, 4) + num(3, 1)) * 101)]), 400,
        "sample labels limit")
    bad("large", profile(extra=data(6, "x" * (4 << 20))), 400, "exceeds the size limit")
    bad("location 0", profile(locations=[(0, [1], 1)]), 400, "location id is 0")
    bad("function 0", profile(functions=[(0, 3)]), 400, "function id is 0")
    bad("value count", profile(samples=[([1], [1, 2], b"")]), 400, "value count")
    bad("string 0", profile(strings=["x", "cpu", "nanoseconds", "main"]), 400, "string_table[0]")
    bad("UTF-8", profile(strings=["", "cpu", "nanoseconds", "main", b"\xff"]), 400, "utf8")
    bad("dash", profile(strings=["", "a-b", "nanoseconds", "main"]), 400, "contains -")
    bad("index", profile(functions=[(1, 99)]), 400, "index")
    bad("label index", profile(samples=[([1], [1], data(3, num(1, 99)))]), 400, "index")
    bad("num_unit", profile(samples=[([1], [1], data(3, num(1, 4) + num(4, 99)))]), 500,
        "unknown")
    bad("names", profile(), 400, "label names",
        LABELS + [("l%d" % i, "v") for i in range(29)])
    bad("name length", profile(), 400, "name too long", LABELS + [("n" * 1025, "v")])
    bad("value length", profile(), 400, "value too long", LABELS + [("n", "v" * 2049)])
    bad("no name", profile(), 400, "invalid metric name", LABELS[1:])
    bad("empty service", profile(), 400, "service name", [LABELS[0], ("service_name", "")])
    bad("duplicate", profile(), 400, "duplicate label name", LABELS + [("a", "1"), ("a", "2")])


def accepted_and_wrong(c):
    def wrong(what, p, text, labels=LABELS):
        reported(c, what, request([p], labels), text)

    reported(c, "batch", request([profile(), profile(when=1 + int(time.time() * 1e9))]),
             "2 profiles in one request")
    wrong("unknown location", profile(samples=[([7], [1], b"")]), "unknown location")
    wrong("no location", profile(samples=[([], [1], b"")]), "has no location")
    wrong("unknown function", profile(locations=[(1, [9], 1)]), "unknown function")
    wrong("unknown mapping", profile(locations=[(1, [1], 9)]), "unknown mapping")
    wrong("no line", profile(locations=[(1, [], 1)]), "no line")
    wrong("negative", profile(samples=[([1], [-1], b"")]), "negative")
    wrong("zeros", profile(samples=[([1], [0], b"")]), "only zeros")
    wrong("duplicate", profile(locations=[(1, [1], 1)] * 2), "duplicate location")
    wrong("duplicate", profile(functions=[(1, 3)] * 2), "duplicate function")
    wrong("no name", profile(functions=[(1, 0)]), "has no name")
    wrong("deep", profile(samples=[([1] * 1001, [1], b"")]), "leaf side")
    wrong("string label", profile(samples=[([1], [1], data(3, num(1, 4) + num(2, 5)))]),
          "series of its own")
    wrong("nothing", profile(samples=[]), "no sample")
    wrong("no period type", profile(period=None), "no period type")
    wrong("equal types", profile(types=((1, 2), (1, 2)), samples=[([1], [1, 1], b"")]),
          "two equal")
    wrong("colon", profile(strings=["", "a:b", "nanoseconds", "main"]), "colon")
    wrong("long string", profile(strings=["", "cpu", "nanoseconds", "m" * 70000]), "65535")
    wrong("no time", profile(when=0), "no time")
    wrong("no service", profile(), "unknown_service", LABELS[:1])
    wrong("empty label", profile(), "is empty", LABELS + [("a", "")])
    wrong("hidden label", profile(), "hidden", LABELS + [("a.b", "c")])
    wrong("own label", profile(), "server's own", LABELS + [("__type__", "c")])
    wrong("delta", profile(), "__delta__", [("__name__", "memory"), LABELS[1]])
    c.reset()
    same = profile()
    c.push(request([same]))
    c.push(request([same]))
    expect("duplicates", c.report()["duplicates"], 1)
    c.push(request([same + num(12, 5)]))
    check("one millisecond", any("one millisecond" in v for v in c.report()["violations"]),
          "not reported")


def limits(c):
    c.reset()
    c.call("POST", "/control/limits", json.dumps({"series": 1}))
    expect("series", c.push(request([profile()]))[0], 200)
    other = [LABELS[0], ("service_name", "t")]
    refused(c, "series limit", request([profile()], other), 429, "Maximum active series limit")
    expect("known series", c.push(request([profile()]))[0], 200)
    c.reset()
    refused(c, "burst", request([profile(extra=data(6, "x" * (2100 << 10)))]), 429,
            "push rate limit (4.0 MiB) exceeded while adding 2.1 MiB")
    c.call("POST", "/control/limits", json.dumps({"body": 100}))
    refused(c, "message size", request([profile()]), 429, "is larger than configured max 100")
    c.reset()
    c.call("POST", "/control/limits", json.dumps({"proxy_body": 50}))
    expect("proxy", c.push(request([profile()]))[0], 413)
    c.reset()
    c.call("POST", "/control/faults", json.dumps([{"status": 503, "times": 2}]))
    expect("faults", [c.push(request([profile()]))[0] for _ in range(3)], [503, 503, 200])


def tenants():
    c = Client("--multitenant")
    good = request([profile()])
    refused(c, "no tenant", good, 401, "unauthenticated")
    for tenant in ("a|b", "..", "x" * 151, "a b"):
        refused(c, tenant, good, 401, "unauthenticated", X_Scope_OrgID=tenant)
    expect("tenant", c.push(good, X_Scope_OrgID="team-a")[0], 200)
    c = Client("--bearer", "t")
    expect("no token", c.push(good)[0], 401)
    expect("token", c.push(good, Authorization="Bearer t")[0], 200)


if __name__ == "__main__":
    stub = Client()
    protocol(stub)
    stub.reset()
    distributor(stub)
    accepted_and_wrong(stub)
    limits(stub)
    tenants()
    for line in FAILED:
        print("  " + line)
    print("%d passed, %d failed" % (len(PASSED), len(FAILED)))
    sys.exit(1 if FAILED else 0)
