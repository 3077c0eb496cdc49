#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Pyroscope that only checks: push.v1 over HTTP/1.1 with the protocol, limits and messages of the
real server, and a report of what the real one would take with 200 and then get wrong.

    pyroscope_stub.py [--port N] [--multitenant] [--basic USER:PASSWORD] [--bearer TOKEN]
                      [--storage v1|v2] [--tls CERT KEY]

prints `PORT N` once it listens. Under /control (never authenticated):
    POST /control/faults   a list of faults; each request takes the first one that is left:
        {"status": 429, "headers": {...}, "body": "...", "times": N}   answer so; nothing is stored
        {"hang": SECONDS, "store": bool}          no answer for so long, then the connection closes
        {"reset": "before"|"after"|"answer"}      RST before reading, after storing, within the answer
        {"slow": SECONDS}                         store, answer byte by byte over so long
        {"endless": STATUS}                       a body without end
        {"gzip": true, ...status...}              the status' body gzip-coded
    POST /control/limits   {"rate", "burst", "series", "body", "samples", "profile_bytes", ...}
    GET  /control/report   {"profiles", "violations", "duplicates", "requests", "statuses", ...}
    POST /control/reset
Standard library only."""

import argparse
import gzip
import hashlib
import http.server
import json
import os
import re
import socket
import ssl
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pprof_wire  # noqa: E402

LIMITS = {
    "rate": 4 << 20, "burst": 2 << 20, "series": 5000, "body": 256 << 20, "proxy_body": 0,
    "profile_bytes": 4 << 20, "samples": 16000, "sample_labels": 100, "depth": 1000,
    "names": 30, "name_bytes": 1024, "value_bytes": 2048, "older": 3600, "newer": 600,
    "quota_reset": "",
}
STATUS = {
    "invalid_argument": 400, "unauthenticated": 401, "permission_denied": 403, "not_found": 404,
    "already_exists": 409, "aborted": 409, "resource_exhausted": 429, "unknown": 500,
    "unimplemented": 501, "unavailable": 503, "deadline_exceeded": 504,
}


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


class State:
    def __init__(self):
        self.lock = threading.Lock()
        self.limits = dict(LIMITS)
        self.reset()

    def reset(self):
        self.faults, self.profiles, self.violations = [], [], []
        self.statuses, self.ids, self.bodies, self.v1_keys = {}, {}, {}, {}
        self.series = set()
        self.requests = self.duplicates = self.v1_dropped = 0
        self.busy = self.most_busy = 0
        self.tokens, self.filled = float(self.limits["burst"]), time.monotonic()
        self.headers = {}

    def take_fault(self):
        for fault in self.faults:
            if fault.get("times", 1) != 0:
                if fault.get("times", 1) > 0:
                    fault["times"] = fault.get("times", 1) - 1
                return fault
        return None

    def allow(self, size):
        now = time.monotonic()
        rate, burst = self.limits["rate"], self.limits["burst"]
        self.tokens = min(burst, self.tokens + (now - self.filled) * rate)
        self.filled = now
        if size > self.tokens:
            return False
        self.tokens -= size
        return True


def ibytes(n):
    """As the server's messages show sizes."""
    if n < 10:
        return "%d B" % n
    unit = 0
    value = float(n)
    while value >= 1024 and unit < 5:
        value /= 1024
        unit += 1
    value = int(value * 10 + 0.5) / 10
    name = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]
    return ("%.1f %s" if value < 10 else "%.0f %s") % (value, name)


def label_text(labels):
    return "{" + ", ".join('%s="%s"' % pair for pair in sorted(labels)) + "}"


def check_labels(limits, labels, extra):
    """Series labels with the string labels of one sample."""
    names = [n for n, _ in labels] + [n for n in extra if n not in dict(labels)]
    text = label_text(labels)
    if len(names) > limits["names"]:
        raise Refused("invalid_argument", "profile series '%s' has %d label names; limit %d"
                      % (text, len(names), limits["names"]))
    have = dict(labels)
    if not have.get("__name__"):
        raise Refused("invalid_argument",
                      "invalid labels '%s' with error: invalid metric name" % text)
    if "service_name" in have and not have["service_name"]:
        raise Refused("invalid_argument",
                      "invalid labels '%s' with error: service name is not provided" % text)
    seen = set()
    for name, value in list(labels) + list(extra.items()):
        if len(name.encode()) > limits["name_bytes"]:
            raise Refused("invalid_argument",
                          "profile with labels '%s' has label name too long: '%s'" % (text, name))
        if len(value.encode()) > limits["value_bytes"]:
            raise Refused("invalid_argument",
                          "profile with labels '%s' has label value too long: '%s'"
                          % (text, value))
    for name, _ in labels:
        if not name:
            raise Refused("invalid_argument",
                          "invalid labels '%s' with error: invalid label name ''" % text)
        if name in seen:
            raise Refused("invalid_argument",
                          "profile with labels '%s' has duplicate label name: '%s'"
                          % (text, name))
        seen.add(name)


def check_tables(p):
    """Ids and string indexes: what makes the server answer 400 (or panic)."""
    def bad(what):
        raise Refused("invalid_argument", what)

    if not p.strings or p.strings[0] != b"":
        bad("string_table[0] must be empty")
    n = len(p.strings)
    indexes = [t.type for t in p.sample_types] + [t.unit for t in p.sample_types]
    for f in p.functions:
        if f.id == 0:
            bad("function id is 0")
        indexes += [f.name, f.system_name, f.filename]
    for loc in p.locations:
        if loc.id == 0:
            bad("location id is 0")
    for m in p.mappings:
        indexes += [m.filename, m.build_id]
    for s in p.samples:
        if len(s.values) != len(p.sample_types):
            bad("sample value count does not match the sample types")
        for lb in s.labels:
            indexes += [lb.key, lb.str]
            if not 0 <= lb.num_unit < n:
                raise Refused("unknown", "runtime error: index out of range")
    if any(not 0 <= i < n for i in indexes):
        bad("string index out of range")
    for text in p.strings:
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            bad("invalid utf8 string hex: %s" % text.hex())
    for t in p.sample_types:
        if "-" in p.text(t.type):
            bad("sample type contains -")


def check_profile(limits, labels, raw, now):
    """A profile through the distributor's checks, in its order."""
    if not raw:
        raise Refused("unknown", "failed to decode profile: empty")
    try:
        data = pprof_wire.unpack(raw)
        if len(data) > limits["profile_bytes"]:
            raise Refused("invalid_argument",
                          "the profile with labels '%s' exceeds the size limit "
                          "(max_profile_size_byte, actual: %d, limit: %d)"
                          % (label_text(labels), len(data), limits["profile_bytes"]))
        p = pprof_wire.Profile(data)
    except pprof_wire.WireError as e:
        raise Refused("unknown", "failed to decode profile: %s" % e)
    if not p.sample_types:
        raise Refused("invalid_argument", "empty profile")
    t = p.time_nanos / 1e9
    if p.time_nanos > 0 and not now - limits["older"] < t < now + limits["newer"]:
        raise Refused("invalid_argument",
                      "profile with labels '%s' is outside of ingestion window (profile "
                      "timestamp: %s, the ingestion window starts at %s and ends at %s)"
                      % (label_text(labels), t, now - limits["older"], now + limits["newer"]))
    if len(p.samples) > limits["samples"]:
        raise Refused("invalid_argument",
                      "the profile with labels '%s' exceeds the samples count limit "
                      "(max_profile_stacktrace_samples, actual: %d, limit: %d)"
                      % (label_text(labels), len(p.samples), limits["samples"]))
    for s in p.samples:
        if len(s.labels) > limits["sample_labels"]:
            raise Refused("invalid_argument",
                          "the profile with labels '%s' exceeds the sample labels limit "
                          "(max_profile_stacktrace_sample_labels, actual: %d, limit: %d)"
                          % (label_text(labels), len(s.labels), limits["sample_labels"]))
    check_tables(p)
    for s in p.samples:
        check_labels(limits, labels,
                     {p.text(lb.key): p.text(lb.str) for lb in s.labels if lb.str})
    return p


def wrong_with_200(limits, labels, p):
    """What the server takes and then stores wrongly or not at all: sentences."""
    out = []
    functions, locations, mappings = {}, {}, {}
    for table, items, what in ((functions, p.functions, "function"),
                               (locations, p.locations, "location"),
                               (mappings, p.mappings, "mapping")):
        for item in items:
            if item.id in table:
                out.append("duplicate %s id %d" % (what, item.id))
            table[item.id] = item
    for f in p.functions:
        if not p.strings[f.name]:
            out.append("function %d has no name" % f.id)
    for loc in p.locations:
        if not loc.lines:
            out.append("location %d has no line: an invisible frame" % loc.id)
        if any(f not in functions for f in loc.lines):
            out.append("location %d has a line of an unknown function" % loc.id)
        if loc.mapping and loc.mapping not in mappings:
            out.append("location %d has an unknown mapping" % loc.id)
    for i, s in enumerate(p.samples):
        if not s.locations:
            out.append("sample %d has no location" % i)
        if any(at not in locations for at in s.locations):
            out.append("sample %d has an unknown location" % i)
        if any(v < 0 for v in s.values):
            out.append("sample %d has a negative value" % i)
        if not any(s.values):
            out.append("sample %d has only zeros" % i)
        if len(s.locations) > limits["depth"]:
            out.append("sample %d is deeper than %d: its leaf side is cut off"
                       % (i, limits["depth"]))
        for lb in s.labels:
            if lb.str and p.text(lb.key) not in ("span_id", "trace_id", "profile_id"):
                out.append("sample %d has the string label '%s': a series of its own"
                           % (i, p.text(lb.key)))
    if not p.samples:
        out.append("no sample: nothing is stored")
    if p.period_type is None or not p.strings[p.period_type.type]:
        out.append("no period type: the type's id ends in ::")
    types = [(p.text(t.type), p.text(t.unit)) for t in p.sample_types]
    if len(set(types)) != len(types):
        out.append("two equal sample types")
    if any(":" in part for pair in types for part in pair):
        out.append("a colon in a type or unit: no query can name it")
    if any(len(s) > 65535 for s in p.strings):
        out.append("a string longer than 65535 bytes is cut")
    if p.time_nanos <= 0:
        out.append("no time: the server takes its own")
    have = dict(labels)
    if "service_name" not in have:
        out.append("no service_name: it becomes unknown_service")
    for name, value in labels:
        if not value:
            out.append("label '%s' is empty: dropped" % name)
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
            out.append("label name '%s' is hidden from clients" % name)
        if name.startswith("__") and name not in ("__name__", "__delta__"):
            out.append("label '%s' is the server's own" % name)
    if have.get("__name__") == "memory" and have.get("__delta__") != "false":
        out.append("allocations without __delta__=false: v1 takes differences of them")
    return out


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # set by serve():
    state, args = None, None

    def log_message(self, *_):
        pass

    # ---- answers

    def answer(self, status, body=b"", content_type=None, headers=None, compress=False):
        with self.state.lock:
            key = str(status)
            self.state.statuses[key] = self.state.statuses.get(key, 0) + 1
        if compress:
            body = gzip.compress(body)
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        if compress:
            self.send_header("Content-Encoding", "gzip")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code, message):
        body = json.dumps({"code": code, "message": message}).encode()
        self.answer(STATUS[code], body, "application/json")

    def reset(self):
        """Close with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    # ---- control

    def control(self, body):
        state = self.state
        with state.lock:
            if self.path == "/control/report":
                out = {k: getattr(state, k) for k in
                       ("profiles", "violations", "duplicates", "requests", "statuses",
                        "v1_dropped", "most_busy", "headers")}
                out["series"] = len(state.series)
            elif self.path == "/control/faults":
                state.faults = json.loads(body)
                out = {}
            elif self.path == "/control/limits":
                state.limits.update(json.loads(body))
                state.tokens = float(state.limits["burst"])
                out = {}
            elif self.path == "/control/reset":
                state.limits = dict(LIMITS)
                state.reset()
                out = {}
            else:
                out = None
        data = json.dumps(out).encode()
        self.send_response(404 if out is None else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    # ---- push.v1

    def authenticated(self):
        """What a proxy before the server does."""
        given = self.headers.get("Authorization", "")
        if self.args.basic:
            import base64
            want = "Basic " + base64.b64encode(self.args.basic.encode()).decode()
        elif self.args.bearer:
            want = "Bearer " + self.args.bearer
        else:
            return True
        if given == want:
            return True
        self.answer(401, b"<html>401 Authorization Required</html>", "text/html",
                    {"WWW-Authenticate": 'Basic realm="x"'})
        return False

    def tenant(self):
        tenant = self.headers.get("X-Scope-OrgID")
        if not self.args.multitenant:
            return "anonymous"
        if not tenant or len(tenant) > 150 or tenant in (".", "..") or \
                not re.fullmatch(r"[0-9A-Za-z!\-_.*'()]+", tenant):
            raise Refused("unauthenticated", "no org id")
        return tenant

    def protocol(self, body):
        """The Connect layer. The decoded message."""
        version = self.headers.get("Connect-Protocol-Version")
        if version not in (None, "1"):
            raise Refused("invalid_argument",
                          'connect-protocol-version must be "1": got "%s"' % version)
        timeout = self.headers.get("Connect-Timeout-Ms")
        if timeout is not None and not re.fullmatch(r"[0-9]{1,10}", timeout):
            raise Refused("invalid_argument", "parse timeout: invalid")
        coding = self.headers.get("Content-Encoding", "identity")
        if coding not in ("gzip", "identity"):
            raise Refused("unimplemented", 'unknown compression "%s": supported encodings are '
                          'gzip' % coding)
        if coding == "gzip":
            body = gzip.decompress(body)
        if len(body) > self.state.limits["body"]:
            raise Refused("resource_exhausted", "message size %d is larger than configured max %d"
                          % (len(body), self.state.limits["body"]))
        try:
            if self.headers.get("Content-Type", "").startswith("application/json"):
                return self.from_json(json.loads(body))
            return pprof_wire.push_request(body)
        except (pprof_wire.WireError, ValueError, KeyError) as e:
            raise Refused("invalid_argument", "unmarshal message: %s" % e)

    @staticmethod
    def from_json(root):
        import base64
        return [([(lb["name"], lb["value"]) for lb in s.get("labels", [])],
                 [(base64.b64decode(p.get("rawProfile", p.get("raw_profile", ""))),
                   p.get("ID", "")) for p in s.get("samples", [])])
                for s in root.get("series", [])]

    def push(self, body, store=True):
        state = self.state
        self.tenant()
        series = self.protocol(body)
        profiles = [(labels, raw, ident) for labels, samples in series for raw, ident in samples]
        if not profiles:
            raise Refused("invalid_argument", "no profiles received")
        with state.lock:
            if len(profiles) > 1:
                state.violations.append("%d profiles in one request" % len(profiles))
            for labels, raw, ident in profiles:
                self.push_one(state, labels, raw, ident)

    def push_one(self, state, labels, raw, ident):
        limits = state.limits
        if limits["quota_reset"]:
            raise Refused("resource_exhausted", "limit of 1.0 MiB/hour reached, next reset at %s"
                          % limits["quota_reset"])
        p = check_profile(limits, labels, raw, time.time())
        size = p.raw_bytes + sum(len(n.encode()) + len(v.encode()) for n, v in labels)
        if not state.allow(size):
            raise Refused("resource_exhausted", "push rate limit (%s) exceeded while adding %s"
                          % (ibytes(limits["rate"]), ibytes(size)))
        check_labels(limits, labels, {})
        key = label_text(labels)
        fresh = {(key, p.text(t.type)) for t in p.sample_types} - state.series
        if self.args.storage == "v1" and fresh and \
                len(state.series) + len(fresh) > limits["series"]:
            raise Refused("resource_exhausted",
                          "Maximum active series limit exceeded (%d/%d), reduce the number of "
                          "active streams (reduce labels or reduce label values), or contact "
                          "your administrator to see if the limit can be increased"
                          % (len(state.series) + len(fresh), limits["series"]))
        state.series |= fresh
        for text in wrong_with_200(limits, labels, p):
            if len(state.violations) < 1000:
                state.violations.append(text)
        digest = hashlib.sha256(raw + key.encode()).hexdigest()
        state.duplicates += digest in state.bodies
        state.bodies[digest] = True
        if not re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                            r"[0-9a-f]{12}", ident):
            state.violations.append("ID '%s' is no UUID" % ident)
        moment = (key, p.time_nanos // 1000000)
        if moment in state.v1_keys and state.v1_keys[moment] != digest:
            state.v1_dropped += 1
            if self.args.storage == "v1":
                state.violations.append("two profiles of one label set in one millisecond: v1 "
                                        "storage drops the second")
        state.v1_keys[moment] = digest
        state.profiles.append({"labels": dict(labels), "time_ms": p.time_nanos // 1000000,
                               "samples": len(p.samples), "total": p.total(),
                               "raw_bytes": p.raw_bytes, "id": ident})

    def success(self):
        # As the server does: gzip when the client takes it, 20 bytes of nothing.
        self.answer(200, b"", "application/proto", None,
                    "gzip" in self.headers.get("Accept-Encoding", ""))

    def inject(self, fault, body):
        """Carry out a fault. True when the request is dealt with."""
        if "status" in fault:
            self.answer(fault["status"], fault.get("body", "").encode(),
                        fault.get("content_type", "application/json"), fault.get("headers"),
                        fault.get("gzip", False))
            return True
        if "hang" in fault:
            if fault.get("store"):
                self.push(body)
            time.sleep(fault["hang"])
            self.close_connection = True
            return True
        if fault.get("reset") == "after":
            self.push(body)
            self.reset()
            return True
        if fault.get("reset") == "answer":
            self.push(body)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            self.wfile.flush()
            self.reset()
            return True
        if "endless" in fault:
            self.wfile.write(b"HTTP/1.1 %d X\r\n\r\n" % fault["endless"])
            self.close_connection = True
            while True:
                self.wfile.write(b"x" * 65536)
        if "slow" in fault:
            self.push(body)
            text = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            for i in range(len(text)):
                self.wfile.write(text[i:i + 1])
                self.wfile.flush()
                time.sleep(fault["slow"] / len(text))
            return True
        return False

    def do_POST(self):
        state = self.state
        if self.path.startswith("/control/"):
            self.control(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            return
        with state.lock:
            state.requests += 1
            state.busy += 1
            state.most_busy = max(state.most_busy, state.busy)
            state.headers = dict(self.headers)
            fault = state.take_fault()
        try:
            self.serve_post(fault)
        finally:
            with state.lock:
                state.busy -= 1

    def serve_post(self, fault):
        state = self.state
        if fault and fault.get("reset") == "before":
            self.reset()
            return
        if fault and fault.get("reset") == "upload":
            self.rfile.read(10)
            self.reset()
            return
        length = int(self.headers.get("Content-Length", 0))
        if state.limits["proxy_body"] and length > state.limits["proxy_body"]:
            self.rfile.read(length)
            self.answer(413, b"<html>413 Request Entity Too Large</html>", "text/html")
            return
        body = self.rfile.read(length)
        if not self.authenticated():
            return
        if self.path != "/push.v1.PusherService/Push":
            self.answer(404, b"404 page not found\n", "text/plain; charset=utf-8")
            return
        if self.headers.get("Content-Type") not in (
                "application/proto", "application/json", "application/json; charset=utf-8"):
            self.answer(415, b"", None, {"Accept-Post": "application/proto, application/json"})
            return
        try:
            if fault and self.inject(fault, body):
                return
            self.push(body)
            self.success()
        except Refused as e:
            self.refuse(e.code, e.message)

    def do_GET(self):
        if self.path.startswith("/control/"):
            self.control(b"")
        elif self.path == "/ready":
            self.answer(200, b"ready\n", "text/plain")
        elif self.path == "/push.v1.PusherService/Push":
            self.answer(405, b"", None, {"Allow": "POST"})
        else:
            self.answer(404, b"404 page not found\n", "text/plain; charset=utf-8")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass  # a client that goes away is part of the tests


def make_server(args):
    handler = type("BoundHandler", (Handler,), {"state": State(), "args": args})
    server = Server(("127.0.0.1", args.port), handler)
    if args.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.tls[0], args.tls[1])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def parse_args(argv):
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--multitenant", action="store_true")
    parser.add_argument("--basic")
    parser.add_argument("--bearer")
    parser.add_argument("--storage", choices=("v1", "v2"), default="v1")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    return parser.parse_args(argv)


if __name__ == "__main__":
    the_server = make_server(parse_args(sys.argv[1:]))
    print("PORT %d" % the_server.server_address[1], flush=True)
    try:
        the_server.serve_forever()
    except KeyboardInterrupt:
        pass
