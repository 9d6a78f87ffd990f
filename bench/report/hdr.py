"""Reads the histograms of run.json: the compressed encoding (V2) of HdrHistogram, in base64."""

import base64
import binascii
import struct
import zlib

HALF = 1024  # buckets of an octave: three digits
COOKIE, COOKIE_COMPRESSED = 0x1c849303, 0x1c849304
HEADER = struct.Struct(">iiiiqqd")


def buckets(text):
    """[(low_ns, high_ns, count)] of those that are not empty. ValueError: it is no histogram."""
    try:
        data = base64.b64decode(text, validate=True)
        cookie, length = struct.unpack_from(">ii", data)
        plain = zlib.decompress(data[8:8 + length])
        inner, counts_length, _offset, digits, *_limits = HEADER.unpack_from(plain)
    except (binascii.Error, struct.error, zlib.error) as error:
        raise ValueError(f"not a histogram: {error}") from None
    if (cookie & ~0xf0, inner & ~0xf0, digits) != (COOKIE_COMPRESSED, COOKIE, 3):
        raise ValueError("not a histogram of three digits in the encoding V2")
    return list(_rows(plain[HEADER.size:HEADER.size + counts_length]))


def _rows(data):
    index, at = 0, 0
    while at < len(data):
        count, at = _number(data, at)
        if count < 0:
            index -= count
            continue
        octave = max(index // HALF - 1, 0)
        low = (index - octave * HALF) << octave
        yield low, low + (1 << octave) - 1, count
        index += 1


def _number(data, at):
    """Zigzag LEB128, whose ninth byte has eight bits."""
    value = 0
    for i in range(9):
        byte = data[at]
        at += 1
        value |= (byte if i == 8 else byte & 0x7f) << 7 * i
        if byte < 0x80 or i == 8:
            break
    return (value >> 1) ^ -(value & 1), at
