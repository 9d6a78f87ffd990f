"""The histograms of run.json: the compressed encoding (V2) of HdrHistogram, in base64.

    base64( cookie | length | zlib( header | counts ) )      numbers big-endian
    counts: zigzag LEB128; a negative one is so many empty buckets

The bench's histograms have the buckets of HdrHistogram with three digits, so every count is kept in
some kilobytes, and other programs read it."""

import base64
import binascii
import struct
import zlib

HALF = 1024  # buckets of an octave: three digits
COOKIE, COOKIE_COMPRESSED = 0x1c849303, 0x1c849304
HEADER = struct.Struct(">iiiiqqd")
HIGHEST = 2 ** 40 - 1  # HISTOGRAM_VALUE_LIMIT of core/histogram.h, less one
BEST_COMPRESSION = 9


def text_of(pairs):
    """Of [(low_ns, count)] of the buckets that are not empty, rising."""
    counts, after = bytearray(), 0
    for low, count in pairs:
        octave = max(low.bit_length() - HALF.bit_length(), 0)
        index = octave * HALF + (low >> octave)
        if index > after:
            counts += _leb128(after - index)
        counts += _leb128(count)
        after = index + 1
    plain = HEADER.pack(COOKIE | 0x10, len(counts), 0, 3, 1, HIGHEST, 1.0) + counts
    packed = zlib.compress(plain, BEST_COMPRESSION)
    return base64.b64encode(struct.pack(">ii", COOKIE_COMPRESSED | 0x10, len(packed)) + packed
                            ).decode("ascii")


def _leb128(count):
    """Zigzag, seven bits a byte, the low ones first; the ninth byte has eight."""
    left, out = (count << 1) ^ (count >> 63), bytearray()
    while len(out) < 8 and left > 0x7f:
        out.append(left & 0x7f | 0x80)
        left >>= 7
    return out + bytes([left])


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
