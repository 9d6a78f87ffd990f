"""Numbers as people read them: three significant digits and a unit."""

import math

_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns"))
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))
_COUNTS = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
UNKNOWN = "–"


def digits(value):
    """Three significant digits, never in scientific notation: 0.0123, 4.56, 78.9, 1,230."""
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    rounded = round(value, places)
    if abs(rounded) >= 100:
        return f"{rounded:,.0f}"
    return f"{rounded:.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"


def _scaled(value, steps, form):
    if value is None:
        return UNKNOWN
    for size, unit in steps:
        # 999.6 would be shown as "1,000" of the smaller unit.
        if abs(value) >= size * 0.9995 or size == 1:
            return f"{form(value / size)}\u00a0{unit}"
    raise AssertionError("the last step is 1")


def _round(value):
    return f"{value:.4g}"


def time_ns(value):
    return _scaled(value, _TIMES, digits)


def size_bytes(value):
    """118 B, 9.15 kB: there is no tenth of a byte worth telling."""
    if value is not None and 10 <= abs(value) < 999.5:
        return f"{value:.0f}\u00a0B"
    return _scaled(value, _BYTES, digits)


def axis_time(value):
    """For ticks, which are round numbers: 25 µs, where a measured one is 25.0 µs."""
    return "0" if value == 0 else _scaled(value, _TIMES, _round)


def axis_bytes(value):
    return "0" if value == 0 else _scaled(value, _BYTES, _round)


def memory_gib(value):
    return UNKNOWN if value is None else f"{value / 2**30:.3g}\u00a0GiB"


def short(value):
    """For axes: 120k, 1.5M."""
    if value is None:
        return UNKNOWN
    for size, unit in _COUNTS:
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def count(value):
    return UNKNOWN if value is None else f"{value:,.0f}"


def rate(value):
    """Rates are known to three digits at best: 105,321 is shown as 105,000."""
    if value is None:
        return UNKNOWN
    if value >= 1000:
        value = round(value, 2 - math.floor(math.log10(value)))
    return f"{digits(value)}/s" if value < 1000 else f"{value:,.0f}/s"


def times(value):
    return UNKNOWN if value is None else f"{digits(value)}×"


def share(value):
    """98.1 %. Only nothing is 0 and only all is 100."""
    if value is None:
        return UNKNOWN
    percent = value * 100
    if 0 < percent < 0.01:
        return "< 0.01\u00a0%"
    if 99.99 < percent < 100:
        return "> 99.99\u00a0%"
    if percent > 99.9 or percent < 1:
        return f"{percent:.2f}".rstrip("0").rstrip(".") + "\u00a0%"
    return f"{percent:.1f}".removesuffix(".0") + "\u00a0%"


def duration(value):
    if value is None:
        return UNKNOWN
    if value < 60:
        return f"{digits(value)}\u00a0s"
    whole = round(value)
    hours, minutes, seconds = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}\u00a0h {minutes}\u00a0min"
    return f"{minutes}\u00a0min {seconds}\u00a0s" if seconds else f"{minutes}\u00a0min"


def percent_name(percent):
    return {0: "min", 50: "p50", 100: "max"}.get(percent, f"p{percent:g}")


def setting(name, value):
    """A setting with its unit taken from the end of its name."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    written = f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    for suffix, unit in (("_per_s", "/s"), ("_bytes", "\u00a0B"), ("_ms", "\u00a0ms"),
                         ("_ns", "\u00a0ns"), ("_s", "\u00a0s")):
        if name.endswith(suffix):
            return written + unit
    return written


_SETTING_NAMES = {"rtt_ms": "round trip", "server_cpus": "server CPUs",
                  "client_cpus": "client CPUs", "warmup_rounds": "warm-up rounds",
                  "live": "who stays connected", "tls": "TLS", "tls_cipher": "TLS ciphers",
                  "tls_version": "TLS version", "tls_resume": "TLS sessions resumed",
                  "tls_resume_ramp": "TLS sessions resumed from the start"}


def setting_name(name):
    if name in _SETTING_NAMES:
        return _SETTING_NAMES[name]
    for suffix in ("_per_s", "_bytes", "_ms", "_ns", "_s"):
        name = name.removesuffix(suffix)
    return name.replace("_", " ")
