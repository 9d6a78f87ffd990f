"""A run as a flat list of figures: what export writes."""

from dataclasses import dataclass

import series
from series import get


@dataclass
class Figure:
    contestant: str
    workload: str
    kind: str
    name: str       # with its unit at the end
    statistic: str  # median, p25, ...; or value, where there is only one
    value: float


_SPREADS = (
    ("deliveries_per_s", ("deliveries_per_s",)),
    ("deliveries_ratio", ("ratio", "deliveries_per_s")),
    ("server_cpu_ns_per_delivery", ("server_cpu_ns_per_delivery",)),
    ("server_cpu_ratio", ("ratio", "server_cpu_per_delivery")),
    ("client_cpu_ns_per_delivery", ("client_cpu_ns_per_delivery",)),
    ("handshakes_per_s", ("handshakes", "per_s")),
    ("server_cpu_ns_per_handshake", ("handshakes", "server_cpu_ns")),
    ("client_cpu_ns_per_handshake", ("handshakes", "client_cpu_ns")),
    ("handshakes_versus", ("handshakes", "versus_per_s")),
    ("server_cpu_versus", ("handshakes", "versus_server_cpu")),
)
_VALUES = (
    ("connections", ("connections",)),
    ("subscribers", ("subscribers",)),
    ("wire_down_bytes_per_delivery", ("wire", "down_bytes_per_delivery")),
    ("wire_up_bytes_per_delivery", ("wire", "up_bytes_per_delivery")),
    ("segments_needless_share", ("segments", "needless_share")),
    ("user_bytes_per_connection", ("memory", "user_bytes_per_connection")),
    ("kernel_bytes_per_connection", ("memory", "kernel_bytes_per_connection")),
    ("tls_cpu_ns_per_handshake", ("handshakes", "tls_cpu_ns")),
    ("ledger_expected", ("ledger", "expected")),
    ("ledger_delivered", ("ledger", "delivered")),
    ("ledger_lost", ("ledger", "lost")),
    ("ledger_superseded", ("ledger", "superseded")),
    ("ledger_duplicate", ("ledger", "duplicate")),
    ("ledger_out_of_order", ("ledger", "out_of_order")),
    ("ledger_corrupt", ("ledger", "corrupt")),
    ("server_cpu_share", ("server_cpu_share",)),
    ("client_cpu_share", ("client_cpu_share",)),
)
_DERIVED = (
    ("empty_answers_share", series.empty_share),
    ("connects_per_s", series.connects_per_s),
    ("server_cpu_ns_per_connect", series.cpu_ns_per_connect),
    ("idle_server_cpu", series.idle_cpu),
)
STATISTICS = ("median", "min", "p25", "p75", "max")


def figures(run):
    return [figure for contestant in run["contestants"] for figure in _of_contestant(contestant)]


def _of_contestant(contestant):
    def made(name, statistic, value):
        return Figure(contestant["name"], contestant.get("workload") or "", contestant["kind"],
                      name, statistic, value)

    for name, path in _SPREADS:
        spread = get(contestant, *path)
        if spread:
            yield from (made(name, s, spread[s]) for s in STATISTICS)
    for name, path in _VALUES:
        if get(contestant, *path) is not None:
            yield made(name, "value", get(contestant, *path))
    for name, derive in _DERIVED:
        if derive(contestant) is not None:
            yield made(name, "value", derive(contestant))
    for kind in ("corrected", "uncorrected"):
        for percent, value in get(contestant, "latency", kind, "percentiles") or []:
            yield made(f"latency_{kind}_ns", f"p{percent:g}", value)
