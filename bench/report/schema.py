"""The schema of run.json as code; docs/RESULTS.md is the same in words."""

import re

SCHEMA = "ringside-run/2"  # written now
SCHEMAS = ("ringside-run/1", SCHEMA)  # read; what differs is in docs/RESULTS.md
REQUIRED_PERCENTS = (50, 90, 99, 99.9, 99.99)

KINDS = ("transport", "ceiling", "peer")
SIDES = ("server", "client", "both", "neither")
VERDICTS = ("holds", "fails", "depends", "derived", "not measured")


class Faults:
    """Collects what is wrong, each with the place where it is."""

    def __init__(self, strict):
        self.strict = strict
        self.found = []

    def add(self, place, text):
        self.found.append(f"{place or 'run'}: {text}")


def _named(value):
    names = {dict: "an object", list: "a list", str: "text", bool: "a bool", type(None): "null"}
    return names.get(type(value), "a number")


class Text:
    def __init__(self, pattern=None, choices=None, hint=""):
        self.pattern, self.choices, self.hint = pattern, choices, hint

    def check(self, value, place, faults):
        if not isinstance(value, str):
            faults.add(place, f"must be text, is {_named(value)}")
        elif self.choices and value not in self.choices:
            faults.add(place, f"is {value!r}, must be one of {', '.join(self.choices)}")
        elif self.pattern and not re.fullmatch(self.pattern, value):
            faults.add(place, f"is {value!r}, must be {self.hint}")


class Bool:
    def check(self, value, place, faults):
        if not isinstance(value, bool):
            faults.add(place, f"must be true or false, is {_named(value)}")


class Number:
    def __init__(self, whole=False):
        self.whole = whole

    def check(self, value, place, faults):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            faults.add(place, f"must be a number, is {_named(value)}")
        elif not 0 <= value < float("inf"):
            faults.add(place, f"is {value}, must be 0 or more and finite")
        elif self.whole and value != int(value):
            faults.add(place, f"is {value}, must be a whole number")


class Scalar:
    """What a setting may be."""

    def check(self, value, place, faults):
        if not isinstance(value, (str, int, float, bool)):
            faults.add(place, f"must be text, a number or a bool, is {_named(value)}")


class List:
    def __init__(self, of):
        self.of = of

    def check(self, value, place, faults):
        if not isinstance(value, list):
            faults.add(place, f"must be a list, is {_named(value)}")
            return
        for i, item in enumerate(value):
            self.of.check(item, f"{place}[{i}]", faults)


class Map:
    def __init__(self, of):
        self.of = of

    def check(self, value, place, faults):
        if not isinstance(value, dict):
            faults.add(place, f"must be an object, is {_named(value)}")
            return
        for key, item in value.items():
            self.of.check(item, f"{place}.{key}", faults)


class Object:
    def __init__(self, required, optional=None, also=None):
        self.required, self.optional, self.also = required, optional or {}, also
        self.fields = {**self.required, **self.optional}

    def check(self, value, place, faults):
        if not isinstance(value, dict):
            faults.add(place, f"must be an object, is {_named(value)}")
            return
        before = len(faults.found)
        for name in self.required:
            if value.get(name) is None:
                faults.add(place, f"{name!r} is missing")
        for name, item in value.items():
            if name not in self.fields:
                if faults.strict:
                    faults.add(place, f"{name!r} is not in the schema")
            elif item is not None:
                self.fields[name].check(item, f"{place}.{name}".lstrip("."), faults)
        if self.also and len(faults.found) == before:
            self.also(value, place, faults)


class Percentiles:
    """A rising list of [percent, ns]."""

    def check(self, value, place, faults):
        pairs = Number()
        if not isinstance(value, list) or not all(
                isinstance(p, list) and len(p) == 2 for p in value):
            faults.add(place, "must be a list of [percent, ns]")
            return
        for i, pair in enumerate(value):
            for number in pair:
                pairs.check(number, f"{place}[{i}]", faults)
        if any(a[0] >= b[0] or a[1] > b[1] for a, b in zip(value, value[1:])):
            faults.add(place, "must rise")
        missing = [p for p in REQUIRED_PERCENTS if p not in (pair[0] for pair in value)]
        if missing:
            faults.add(place, f"has no {', '.join(map(str, missing))}")


def _spread_in_order(value, place, faults):
    order = [value[k] for k in ("min", "p25", "median", "p75", "max")]
    if order != sorted(order):
        faults.add(place, "must have min <= p25 <= median <= p75 <= max")


def _ledger_adds_up(value, place, faults):
    if value["delivered"] + value["lost"] != value["expected"]:
        faults.add(place, "delivered + lost is not expected")


def _requests_add_up(value, place, faults):
    if value["empty"] > value["answered"]:
        faults.add(place, "more answers are empty than there are answers")


def _contestants_are_unique(value, place, faults):
    seen = set()
    for i, item in enumerate(value["contestants"]):
        key = (item["name"], item.get("workload"))
        if key in seen:
            faults.add(f"contestants[{i}]", f"{key[0]!r} under {key[1]!r} is there twice")
        seen.add(key)
        ceiling = (item.get("ratio") or {}).get("ceiling")
        if ceiling and not any(
                c["name"] == ceiling and c["kind"] == "ceiling"
                and c.get("workload") == item.get("workload") for c in value["contestants"]):
            faults.add(f"contestants[{i}].ratio", f"there is no ceiling {ceiling!r} beside it")


TEXT, BOOL, NUMBER, COUNT = Text(), Bool(), Number(), Number(whole=True)

SPREAD = Object({k: NUMBER for k in ("median", "min", "p25", "p75", "max")} | {"n": COUNT},
                also=_spread_in_order)

HISTOGRAM = Object({"count": COUNT, "min_ns": COUNT, "max_ns": COUNT, "mean_ns": NUMBER,
                    "percentiles": Percentiles()}, {"hdr": TEXT})

TURN = Object(
    {"round": COUNT, "elapsed_s": NUMBER, "deliveries": COUNT, "down_bytes": COUNT,
     "up_bytes": COUNT, "server_cpu_s": NUMBER, "client_cpu_s": NUMBER},
    {"start_s": NUMBER, "server_process_cpu_s": NUMBER, "server_softirqd_s": NUMBER,
     "server_others_s": NUMBER, "server_waited_s": NUMBER, "client_waited_s": NUMBER,
     "p50_ns": COUNT, "p99_ns": COUNT,
     "publishes": COUNT, "requests": COUNT, "empty_answers": COUNT, "handshakes": COUNT})

MEMORY = Object(
    {"user_bytes_per_connection": NUMBER},
    {"peak_user_bytes_per_connection": NUMBER,
     "kernel_bytes_per_connection": NUMBER, "kernel_ends": COUNT, "user_bytes": COUNT,
     "kernel_bytes": COUNT,
     "slab": List(Object({"cache": TEXT, "objects": COUNT, "bytes": COUNT}))})

STEP = Object(
    {"value": NUMBER, "held": BOOL, "p99_ns": COUNT},
    {"repeat": BOOL, "client_bound": BOOL, "deliveries_per_s": NUMBER, "p50_ns": COUNT,
     "p99_uncorrected_ns": COUNT, "missing": COUNT, "server_cpu_share": NUMBER,
     "client_cpu_share": NUMBER})

KNEE = Object(
    {"of": Text(choices=("rate", "subscribers")), "bound_ns": COUNT, "client_limited": BOOL,
     "steps": List(STEP)},
    {"closed": COUNT, "value": NUMBER, "failed": NUMBER, "rate_per_s": NUMBER,
     "closed_loop": Object({"rate_per_s": NUMBER, "p99_ns": COUNT})})

STALL = Object(
    {"policy": TEXT} | {k: COUNT for k in (
        "readers", "turns", "queue_bytes_max", "bound_bytes", "queue_bytes", "rss_bytes",
        "tcp_bytes", "queue_left", "closed", "dropped", "lost", "duplicate", "out_of_order",
        "returned", "unrecovered", "latest")},
    {"p99_ratio": SPREAD, "corrupt": COUNT, "trickling": COUNT, "trickled": COUNT,
     "trickling_returned": COUNT})

ABUSE = Object(
    {"about": TEXT, "alive": BOOL, "elapsed_s": NUMBER, "attacker_cpu_s": NUMBER,
     "attacker_waited_s": NUMBER,
     "broken": List(Text(choices=("alive", "memory", "p99", "closed", "newcomers", "recovery"))),
     "cpu_calm": NUMBER, "cpu_during": NUMBER, "reasons": Map(COUNT)}
    | {k: COUNT for k in (
        "attackers", "visits", "refused", "ended", "sent_bytes", "received_bytes", "bound_bytes",
        "tcp_bytes", "closed", "lost", "duplicate", "out_of_order", "newcomers",
        "newcomers_served")},
    {k: COUNT for k in (
        "rss_before_bytes", "rss_peak_bytes", "rss_after_bytes", "p50_before_ns", "p99_before_ns",
        "p50_ns", "p99_ns", "p50_after_ns", "p99_after_ns", "newcomer_slowest_ns", "corrupt")}
    | {"recovered_s": NUMBER, "said": TEXT})

MOMENT = Object({"when": TEXT}, {"rss_bytes": COUNT, "kernel_bytes": COUNT})

HANDSHAKES = Object(
    {"kind": Text(choices=("plain", "full P-256", "full X25519", "resumed"))},
    {"per_s": SPREAD, "server_cpu_ns": SPREAD, "client_cpu_ns": SPREAD, "tls_cpu_ns": NUMBER,
     "versus": TEXT, "versus_per_s": SPREAD, "versus_server_cpu": SPREAD})

CONTESTANT = Object(
    {"name": TEXT, "kind": Text(choices=KINDS), "connections": COUNT, "turns": List(TURN)},
    {"workload": TEXT, "version": TEXT, "scenario": TEXT, "quoted_latency_ns": COUNT,
     "subscribers": COUNT,
     "informed": COUNT,
     "deliveries_per_s": SPREAD,
     "server_cpu_ns_per_delivery": SPREAD,
     "client_cpu_ns_per_delivery": SPREAD,
     "ratio": Object({"ceiling": TEXT, "deliveries_per_s": SPREAD},
                     {"server_cpu_per_delivery": SPREAD}),
     "tls": Object({"cipher": TEXT, "full": COUNT, "resumed": COUNT},
                   {"plain": TEXT, "deliveries_per_s": SPREAD,
                    "server_cpu_per_delivery": SPREAD}),
     "wire": Object({"down_bytes_per_delivery": NUMBER, "up_bytes_per_delivery": NUMBER,
                     "payload_bytes": NUMBER}),
     "requests": Object({"sent": COUNT, "answered": COUNT, "empty": COUNT}, also=_requests_add_up),
     "handshakes": HANDSHAKES,
     "connect": Object({"opened": COUNT, "failed": COUNT, "elapsed_s": NUMBER}),
     "reconnect": Object({"dropped": COUNT, "recovered": COUNT, "retries": COUNT,
                          "elapsed_s": NUMBER},
                         {"shed": COUNT, "missed": COUNT, "unrecovered": COUNT,
                          "server_cpu_s": NUMBER, "client_cpu_s": NUMBER}),
     "leave": Object({"connections": COUNT, "elapsed_s": NUMBER}),
     "memory": MEMORY,
     "ledger": Object({k: COUNT for k in
                       ("expected", "delivered", "lost", "duplicate", "out_of_order")},
                      {"corrupt": COUNT}, also=_ledger_adds_up),
     "latency": Object({}, {"corrected": HISTOGRAM, "uncorrected": HISTOGRAM}),
     "idle": Object({"elapsed_s": NUMBER, "server_cpu_s": NUMBER}),
     "knee": KNEE,
     "stall": STALL,
     "abuse": ABUSE,
     "reaped": Object({"reason": TEXT, "closed": COUNT, "bound_s": NUMBER},
                      {"first_s": NUMBER, "last_s": NUMBER}),
     "course": List(MOMENT),
     "saturated": Text(choices=SIDES),
     "client_bound": BOOL,
     **{f"{side}_{what}_share": NUMBER for side in ("server", "client")
        for what in ("cpu", "waited", "steal", "softirq")},
     "server_others_share": NUMBER,
     "errors": Map(COUNT), "counters": Map(COUNT), "notes": List(TEXT)})

MACHINE = Object(
    {"kernel": TEXT, "cpu_model": TEXT, "cores": COUNT, "memory_bytes": COUNT},
    {"os": TEXT, "nofile_soft": COUNT, "nofile_hard": COUNT, "server_cpus": TEXT,
     "client_cpus": TEXT, "sysctls": Map(TEXT), "load_average": NUMBER,
     "governor": TEXT, "transparent_hugepage": TEXT, "hypervisor": TEXT, "clocksource": TEXT,
     "lab": TEXT, "mitigations": Map(TEXT), "namespace": BOOL,
     "io_uring": Object({}, {"liburing": TEXT, "features": List(TEXT)})})

SAMPLE = Object(
    {"t_s": NUMBER},
    {"phase": TEXT, "contestant": TEXT, "connections": COUNT, "deliveries_per_s": NUMBER,
     "server_cpu": NUMBER, "client_cpu": NUMBER, "rss_bytes": COUNT, "slab_bytes": COUNT,
     "p50_ns": NUMBER, "p99_ns": NUMBER})

VERDICT = Object({"claim": TEXT, "measured": TEXT, "verdict": Text(choices=VERDICTS)},
                 {"source": TEXT, "scenario": TEXT})

SCENARIO = Object(
    {"name": TEXT, "title": TEXT, "experiment": TEXT, "command": TEXT, "elapsed_s": NUMBER},
    {"about": TEXT, "failed": TEXT, "settings": Map(Scalar()), "timeline": List(SAMPLE),
     "notes": List(TEXT)})

RUN = Object(
    {"schema": TEXT,
     "experiment": Text(r"[a-z0-9-]+", hint="lower case letters, digits and '-'"),
     "command": TEXT,
     "started_at": Text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", hint="UTC like 2026-11-03T14:05:22Z"),
     "duration_s": NUMBER, "interrupted": BOOL,
     "build": Object({"version": TEXT, "commit": TEXT, "dirty": BOOL},
                     {"compiler": TEXT, "type": TEXT, "server": TEXT}),
     "machine": MACHINE, "settings": Map(Scalar()), "contestants": List(CONTESTANT)},
    {"title": TEXT, "headline": TEXT, "scenarios": List(SCENARIO), "timeline": List(SAMPLE),
     "verdicts": List(VERDICT), "notes": List(TEXT)},
    also=_contestants_are_unique)
