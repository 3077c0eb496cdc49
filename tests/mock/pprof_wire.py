# SPDX-License-Identifier: Apache-2.0
"""pprof and push.v1 decoded from their wire format by hand, for tests: nothing here shares code or
generated files with the encoders under test. Field numbers: google/pprof profile.proto; push.v1."""

import gzip
import zlib


class WireError(Exception):
    pass


def varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("bad varint")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def fields(data):
    """(number, wire type, value) of a message; value is an int or bytes."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise WireError("field 0")
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 2:
            size, at = varint(data, at)
            if at + size > len(data):
                raise WireError("field beyond the end")
            value, at = bytes(data[at:at + size]), at + size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            if at + size > len(data):
                raise WireError("field beyond the end")
            value, at = int.from_bytes(data[at:at + size], "little"), at + size
        else:
            raise WireError("wire type %d" % wire)
        yield number, wire, value


def numbers(value, wire):
    """A repeated number field: packed or not."""
    if wire == 0:
        return [value]
    out, at = [], 0
    while at < len(value):
        n, at = varint(value, at)
        out.append(n)
    return out


class Message:
    pass


def value_type(data):
    m = Message()
    m.type = m.unit = 0
    for number, _, value in fields(data):
        if number == 1:
            m.type = signed(value)
        elif number == 2:
            m.unit = signed(value)
    return m


def label(data):
    m = Message()
    m.key = m.str = m.num = m.num_unit = 0
    names = {1: "key", 2: "str", 3: "num", 4: "num_unit"}
    for number, _, value in fields(data):
        if number in names:
            setattr(m, names[number], signed(value))
    return m


def sample(data):
    m = Message()
    m.locations, m.values, m.labels = [], [], []
    for number, wire, value in fields(data):
        if number == 1:
            m.locations += numbers(value, wire)
        elif number == 2:
            m.values += [signed(v) for v in numbers(value, wire)]
        elif number == 3:
            m.labels.append(label(value))
    return m


def mapping(data):
    m = Message()
    names = {1: "id", 2: "start", 3: "limit", 4: "offset", 5: "filename", 6: "build_id",
             7: "has_functions", 8: "has_filenames", 9: "has_line_numbers",
             10: "has_inline_frames"}
    for name in names.values():
        setattr(m, name, 0)
    for number, _, value in fields(data):
        if number in names:
            setattr(m, names[number], value)
    return m


def location(data):
    m = Message()
    m.id = m.mapping = m.address = 0
    m.lines = []
    for number, _, value in fields(data):
        if number == 1:
            m.id = value
        elif number == 2:
            m.mapping = value
        elif number == 3:
            m.address = value
        elif number == 4:
            function = 0
            for n, _, v in fields(value):
                if n == 1:
                    function = v
            m.lines.append(function)
    return m


def function(data):
    m = Message()
    m.id = m.name = m.system_name = m.filename = 0
    names = {1: "id", 2: "name", 3: "system_name", 4: "filename"}
    for number, _, value in fields(data):
        if number in names:
            setattr(m, names[number], value if number == 1 else signed(value))
    return m


class Profile:
    def __init__(self, data):
        self.sample_types, self.samples, self.mappings = [], [], []
        self.locations, self.functions, self.strings = [], [], []
        self.time_nanos = self.duration_nanos = self.period = self.default_type = 0
        self.period_type = None
        self.raw_bytes = len(data)
        for number, _, value in fields(data):
            if number == 1:
                self.sample_types.append(value_type(value))
            elif number == 2:
                self.samples.append(sample(value))
            elif number == 3:
                self.mappings.append(mapping(value))
            elif number == 4:
                self.locations.append(location(value))
            elif number == 5:
                self.functions.append(function(value))
            elif number == 6:
                self.strings.append(value)
            elif number == 9:
                self.time_nanos = signed(value)
            elif number == 10:
                self.duration_nanos = signed(value)
            elif number == 11:
                self.period_type = value_type(value)
            elif number == 12:
                self.period = signed(value)
            elif number == 14:
                self.default_type = signed(value)

    def text(self, index):
        return self.strings[index].decode("utf-8")

    def total(self):
        return [sum(s.values[i] for s in self.samples) for i in range(len(self.sample_types))]


def unpack(raw):
    """gzip or plain bytes of a profile; WireError when damaged."""
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as e:
        raise WireError("gzip: %s" % e) from e


def push_request(data):
    """[(labels [(name, value)], [(raw_profile, id)])] of a PushRequest."""
    series = []
    for number, _, body in fields(data):
        if number != 1:
            continue
        labels, samples = [], []
        for n, _, value in fields(body):
            if n == 1:
                pair = {1: b"", 2: b""}
                for k, _, v in fields(value):
                    pair[k] = v
                labels.append((pair[1].decode("utf-8"), pair[2].decode("utf-8")))
            elif n == 2:
                raw, ident = b"", b""
                for k, _, v in fields(value):
                    if k == 1:
                        raw = v
                    elif k == 2:
                        ident = v
                samples.append((raw, ident.decode("utf-8")))
        series.append((labels, samples))
    return series
