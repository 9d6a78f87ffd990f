"""What is said of each contestant, a column for each figure: on the terminal, and in the page."""

from dataclasses import dataclass

import series
import units
from series import get, label


@dataclass
class Cell:
    text: str
    side: str = ""       # said beside it, smaller
    tone: str | None = None

    def __str__(self):
        return self.text + (f" ({self.side})" if self.side else "")


@dataclass
class Table:
    caption: str
    header: list
    rows: list           # of text and Cell


@dataclass
class Column:
    name: str
    cell: object         # run, contestant -> text, Cell or None
    on_page: bool = True  # where a figure shows it as well, and room is short
    on_terminal: bool = True


def _number(form, *path):
    """A column of one field, or of the median where it is a spread."""
    def cell(_run, c):
        value = get(c, *path)
        return None if value is None else form(
            value["median"] if isinstance(value, dict) else value)
    return cell


def _derived(form, figure):
    def cell(_run, c):
        value = figure(c)
        return None if value is None else form(value)
    return cell


def _rate(*path):
    """Likewise; where the client was the limit, a lower bound."""
    def cell(_run, c):
        spread = get(c, *path)
        return spread and bound(c, units.rate(spread["median"]))
    return cell


def bound(contestant, value):
    return f"≥\u00a0{value}" if series.client_bound(contestant) else value


def _middle(spread, value):
    return Cell(value, f"{units.digits(spread['p25'])} – {units.digits(spread['p75'])}")


def _ratio(run, c):
    ratio = get(c, "ratio", "deliveries_per_s")
    if ratio:
        return _middle(ratio, bound(c, units.times(ratio["median"])))
    return "1 = ceiling" if c["kind"] == "ceiling" and c.get("deliveries_per_s") else None


def _to(other_of, figure):
    """A column of quotients to another contestant of the run, one per round."""
    def cell(run, c):
        other = other_of(run, c)
        spread = other and series.quotients(c, other, figure)
        return spread and _middle(spread, units.times(spread["median"]))
    return cell


def _ours(run, c):
    """Beside peers: ours of the same transport under the same workload."""
    if not c.get("deliveries_per_s") or all(x["kind"] != "peer" for x in run["contestants"]):
        return None
    ours = series.find(run, c.get("transport", "websocket"), c.get("workload"))
    return ours if ours is not c else None


def _epoll(run, c):
    if run["experiment"] != "engines" or not c["name"].startswith("io_uring"):
        return None
    return series.find(run, c["name"].replace("io_uring", "epoll", 1), c.get("workload"))


def _calls(run, c):
    calls = get(c, "counters", "server:system_calls")
    made = sum(turn["deliveries"] for turn in c["turns"])
    return f"{calls / made:.3f}" if run["experiment"] == "engines" and calls and made else None


def _ledger(_run, c):
    if series.ledger_faults(c) is None:
        return None
    told = ", ".join(f"{units.count(c['ledger'][fault])} {fault.replace('_', ' ')}"
                     for fault in series.LEDGER_FAULTS if c["ledger"].get(fault))
    if told:
        return Cell(told, tone="bad")
    superseded = c["ledger"].get("superseded")
    return Cell(f"clean, {units.count(superseded)} superseded" if superseded else "clean",
                tone="good")


def _wire_total(c):
    w = c.get("wire")
    return w and w["down_bytes_per_delivery"] + w["up_bytes_per_delivery"]


def _handshakes_done(_run, c):
    tls = c.get("tls")
    return tls and tls["full"] + tls["resumed"] > 0 and (
        f"{units.count(tls['full'])}, {units.count(tls['resumed'])}") or None


def _limit(_run, c):
    return "client-bound" if series.client_bound(c) else c.get("saturated")


def _found(_run, c):
    reaped = c.get("reaped")
    return reaped and f"{units.count(reaped['closed'])} by {reaped['reason']}"


def _broadcast(run, c):
    """How long one message takes until all have it."""
    if run["experiment"] not in ("hold", "capacity") or not c["turns"]:
        return None
    return units.duration(max(turn["elapsed_s"] for turn in c["turns"]))


def _step(run, c):
    """Whatever a step of a climb breaks by is noted; without a broadcast it was cut short."""
    if run["experiment"] != "capacity":
        return None
    return "broke" if c.get("notes") else "held" if c["turns"] else "cut short"


def _churned(*path):
    """Of churn, where connections end and come back all the time."""
    def cell(c):
        churned = "reconnect" in c and "leave" not in c and "shed" not in c["reconnect"]
        return get(c, "reconnect", *path) if churned else None
    return cell


def _chaos(name):
    """Of clients whose connections end at random."""
    return lambda c: get(c, "ledger", name) if "chaos" in c else None


def _reopened_per_s(c):
    count, elapsed_s = _churned("recovered")(c), _churned("elapsed_s")(c)
    return count / elapsed_s if elapsed_s else None


# In the order of what matters: where there is not room for all, the last are left out, but for the
# ledger.
COLUMNS = (
    Column("Step", _step, on_page=False),
    Column("Connections", lambda run, c: units.count(c["connections"]), on_page=False),
    Column("Subscribers", _number(units.count, "subscribers"), on_page=False),
    Column("Publishes", _rate("cluster", "publishes_per_s")),
    Column("× the engine's own", _number(units.times, "cluster", "of_ceiling")),
    Column("Engine CPU per publish", _number(units.time_ns, "cluster",
                                             "engine_cpu_ns_per_publish")),
    Column("Engine CPU", _number(units.share, "cluster", "engine_cpu_share")),
    Column("Accepted", _rate("webhooks", "accepted_per_s")),
    Column("Arrived", _rate("webhooks", "arrived_per_s")),
    Column("× straight", _number(units.times, "webhooks", "of_straight")),
    Column("Server CPU per event", _number(units.time_ns, "webhooks", "server_cpu_ns_per_event")),
    Column("Events", _number(units.count, "deliveries", "accepted")),
    Column("Tries", _number(units.count, "deliveries", "tries")),
    Column("Repeated", _number(units.count, "deliveries", "repeated")),
    Column("Acknowledged", _number(units.count, "trouble", "acknowledged")),
    Column("Meanwhile", _number(units.count, "trouble", "meanwhile")),
    Column("Refused", _number(units.count, "trouble", "refused")),
    Column("In doubt", _number(units.count, "trouble", "doubts")),
    Column("Got by replay", _number(units.count, "trouble", "missed")),
    Column("Not recovered", _number(units.count, "trouble", "unrecovered")),
    Column("Page and resource", _number(units.duration, "push", "load_s")),
    Column("Pushed", _number(units.count, "push", "pushes")),
    Column("Streams asked for", _number(units.count, "page", "asked")),
    Column("Open", _number(units.count, "page", "open")),
    Column("Knee", lambda run, c: series.knee_value(c)),
    Column("Deliveries", _rate("deliveries_per_s")),
    Column("Handshakes", _rate("handshakes", "per_s")),
    Column("Server CPU per handshake", _number(units.time_ns, "handshakes", "server_cpu_ns")),
    Column("Of it TLS", _number(units.time_ns, "handshakes", "tls_cpu_ns")),
    Column("Per second and core", _derived(units.rate, series.handshakes_per_core)),
    Column("CPU, × Ringside", _number(units.times, "handshakes", "versus_server_cpu")),
    Column("× Ringside", _number(units.times, "handshakes", "versus_per_s"), on_page=False),
    Column("× ceiling", _ratio),
    Column("× Ringside", _to(_ours, series.turn_rate), on_page=False),
    Column("× epoll", _to(_epoll, series.turn_rate), on_page=False),
    Column("× plain", _number(units.times, "tls", "deliveries_per_s"), on_page=False),
    Column("Server CPU per delivery", _number(units.time_ns, "server_cpu_ns_per_delivery")),
    Column("CPU, × ceiling", _number(units.times, "ratio", "server_cpu_per_delivery"),
           on_page=False),
    Column("CPU, × Ringside", _to(_ours, series.turn_server_cpu), on_page=False),
    Column("CPU, × epoll", _to(_epoll, series.turn_server_cpu), on_page=False),
    Column("CPU, × plain", _number(units.times, "tls", "server_cpu_per_delivery"),
           on_page=False),
    Column("System calls each", _calls, on_page=False),
    Column("Opened again", _derived(units.count, _churned("recovered")), on_page=False),
    Column("Of each per second", _derived(units.rate, _reopened_per_s), on_page=False),
    Column("Attempts that failed", _derived(units.count, _churned("retries")), on_page=False),
    Column("Received", _derived(units.count, _chaos("delivered")), on_page=False),
    Column("Of it by replay", _number(units.count, "chaos", "missed"), on_page=False),
    Column("Told otherwise", _number(units.count, "chaos", "unrecovered"), on_page=False),
    Column("Bytes on the wire", _derived(units.size_bytes, _wire_total), on_terminal=False),
    Column("p50", _derived(units.time_ns, lambda c: series.latency_ns(c, 50))),
    Column("p99", _derived(units.time_ns, lambda c: series.latency_ns(c, 99))),
    Column("Slowest", _derived(units.time_ns, series.slowest_ns), on_page=False),
    Column("Found", _found, on_page=False),
    Column("First", _number(units.duration, "reaped", "first_s"), on_page=False),
    Column("Last", _number(units.duration, "reaped", "last_s"), on_page=False),
    Column("Documented", _number(units.duration, "reaped", "bound_s"), on_page=False),
    Column("Limit", _limit, on_page=False),
    Column("Server CPU used", _number(units.share, "server_cpu_share"), on_page=False),
    Column("Client CPU used", _number(units.share, "client_cpu_share"), on_page=False),
    Column("User memory each", _number(units.size_bytes, "memory", "user_bytes_per_connection")),
    Column("At the peak",
           _number(units.size_bytes, "memory", "peak_user_bytes_per_connection"), on_page=False),
    Column("Kernel memory each",
           _number(units.size_bytes, "memory", "kernel_bytes_per_connection")),
    Column("Ends per GiB", _derived(units.count, series.per_gib), on_page=False),
    Column("Connects", _derived(units.rate, series.connects_per_s)),
    Column("Server CPU per connect", _derived(units.time_ns, series.cpu_ns_per_connect)),
    Column("Idle server CPU", _derived(units.share, series.idle_cpu)),
    Column("Broadcast to all", _broadcast, on_page=False),
    Column("Empty answers", _derived(units.share, series.empty_share)),
    Column("Requests", _number(units.count, "requests", "sent"), on_page=False),
    Column("Had the state", _number(units.count, "informed"), on_page=False),
    Column("Bytes down", _number(units.size_bytes, "wire", "down_bytes_per_delivery"),
           on_page=False),
    Column("Bytes up", _number(units.size_bytes, "wire", "up_bytes_per_delivery"),
           on_page=False),
    Column("Payload", _number(units.size_bytes, "wire", "payload_bytes"), on_page=False),
    Column("Segments in", _number(units.rate, "segments", "in_per_s"), on_page=False),
    Column("Segments out", _number(units.rate, "segments", "out_per_s"), on_page=False),
    Column("Sent needlessly", _number(units.share, "segments", "needless_share"), on_page=False),
    Column("Handshakes, resumed", _handshakes_done, on_page=False),
    Column("Ledger", _ledger),
)
PAGE_COLUMNS_MAX = 8


def used(run, columns):
    """Those that anybody has a figure for."""
    return [column for column in columns
            if any(column.cell(run, c) is not None for c in run["contestants"])]


def _page_columns(run):
    found = used(run, [column for column in COLUMNS if column.on_page])
    while len(found) > PAGE_COLUMNS_MAX:
        del found[-2]
    return found


def cells(run, c, columns):
    found = (column.cell(run, c) for column in columns)
    return [units.UNKNOWN if cell is None else cell for cell in found]


def tables(run):
    """For the page: one for each workload, or one whose lines are the workloads."""
    columns = _page_columns(run)
    names = [column.name for column in columns]
    found = series.groups(run)
    if (len(found) > 1 and all(len(members) == 1 for _, members in found)
            and len({c["name"] for c in run["contestants"]}) == 1):
        return [Table(label(run["contestants"][0]["name"]), ["", *names],
                      [[workload[:1].upper() + workload[1:], *cells(run, c, columns)]
                       for workload, (c,) in found])]
    return [Table(workload[:1].upper() + workload[1:], ["Contestant", *names],
                  [[Cell(label(c["name"]), c.get("version") or ""), *cells(run, c, columns)]
                   for c in members]) for workload, members in found]
