"""What a run says of claims: headline, verdicts, notes, from its figures alone.

    run ─► the row of its experiment ─► run["headline"], run["verdicts"], run["notes"]

An experiment without a row says nothing. One that was interrupted is not judged."""

import causes
import cluster
import derive
import series
import units
import webhooks
from series import get

CONNECT_MIN = 0.7  # of the bare connect rate, with a transport's handshake on top
IDLE_SHARE_MAX = 0.001  # of one CPU: below what the clock can tell apart
MATTERS = 1.05  # a difference between engines, in three of four rounds
SLOW_NOTICED = VANISH_NOTICED = 1.2  # times the p99 of the others
RATE_OVER_TLS = {"depth 1": 0.6, "depth 8": 0.5}
PARKED_OVER_TLS = {"aes128-gcm": 800, "chacha20-poly1305": 320}
QUIET_POLLS = 50  # of each client, for one message
# What the wheel's ticks, the kernel's timers and the looks at /metrics may add to a time.
REAP_SLACK_S = 1.5
# Of the kernel's memory for both ends, and a filter on one. The rest is slack: closed sockets are
# given back late, in whole slabs.
LEFT_WITH_ONE_END, LEFT_WITH_NONE = 0.8, 0.25
MEMORY_OF = 300  # fewer peers are lost in what other programs do
ORPHANS_OF = 100  # other programs have such sockets too: one in a hundred is not ours to judge
PUSH_SAVES = 0.8  # of a round trip
STREAMS_OF_PAGE = 6  # over HTTP/1.1
WEAK_FROM = 0.25  # of the time without a CPU that it wanted
BOUND, BOUND_ALL = "; the client was the bottleneck", "; the clients were the bottleneck"


def of_run(run):
    """Adds what is to be said; a run that says something itself keeps it."""
    run.setdefault("verdicts", [])
    run.setdefault("notes", [])
    judge = JUDGES.get(run["experiment"])
    if judge and not run["interrupted"]:
        _vanished(run)
        headline = judge(run)
        if headline:
            run["headline"] = headline


def say(run, claim, verdict, measured):
    run["verdicts"].append({"claim": claim, "measured": measured, "verdict": verdict})


def holds(is_so, otherwise="fails"):
    return "holds" if is_so else otherwise


# ---- reading --------------------------------------------------------------------------------

def p99(contestant):
    return series.percentile(get(contestant, "latency", "corrected"), 99) or 0


def faults(*contestants):
    return sum(series.ledger_faults(c) or 0 for c in contestants if c)


def ratio(contestant, other, figure=derive.rate):
    """The spread of one quotient for each round in which both had a turn; None without any."""
    return contestant and other and series.spread_of(derive.quotients(contestant, other, figure))


def cpu_each(contestant):
    return get(contestant, "server_cpu_ns_per_delivery", "median")


def cipher(contestant):
    return get(contestant, "tls", "cipher") or ""


def ways(run, name, workload):
    """[(suffix of the workload, suffix of the claim)]: plain, then over TLS with each cipher."""
    found = [c["workload"].removeprefix(workload) for c in run["contestants"]
             if c["name"] == name and c["workload"].partition(",")[0] == workload
             and c["workload"].rpartition(", ")[2] not in ("before", "without")]
    return [(way, f" (TLS, {way[2:]})" if way else "") for way in found]


# ---- transports -----------------------------------------------------------------------------

def _compare(run):
    if any(c["kind"] == "peer" for c in run["contestants"]):
        return _versus(run)
    rate = next((c["workload"] for c in run["contestants"]
                 if c["workload"].startswith("rate ")), None)
    find = {name: series.find(run, name, rate) for name in ("poll", "longpoll", "websocket")}
    _polling(run, find["poll"])
    for name in ("longpoll", "websocket"):
        if find[name] and find[name].get("wire"):
            _bytes(run, name, find[name]["wire"])
    told = []
    for name in dict.fromkeys(c["name"] for c in run["contestants"] if c["kind"] == "transport"):
        each = series.find(run, name, "quiet") or series.find(run, name, rate)
        if each and not cipher(each) and cpu_each(each) is not None:
            told.append(f"{name} {units.time_ns(cpu_each(each))}")
    return f"Server CPU per delivery: {', '.join(told)}" if told else None


def _polling(run, poll):
    quiet = series.find(run, "poll", "quiet")
    empty = quiet and series.empty_share(quiet)
    if empty is not None:
        say(run, "98 % of short polls bring nothing",
            "derived" if empty > 0.97 else "depends",
            f"{100 * empty:.1f} % of {quiet['requests']['answered']:,} answers were empty; news "
            f"once in {QUIET_POLLS} polls is what the run publishes")
    p50_ms = (series.percentile(get(poll, "latency", "corrected"), 50) or 0) / 1e6
    if p50_ms:
        interval_ms = 1000 * run["settings"]["poll_interval_s"]
        say(run, "Polling is late by half the interval",
            holds(0.4 * interval_ms < p50_ms < 0.6 * interval_ms, "depends"),
            f"median {p50_ms:.0f} ms at an interval of {interval_ms:.0f} ms")


def _bytes(run, name, wire):
    extra = wire["down_bytes_per_delivery"] - wire["payload_bytes"]
    if name == "longpoll":
        say(run, "An HTTP answer costs about 800 bytes around the payload",
            holds(600 < extra < 1000, "depends"),
            f"{extra:.0f} bytes around the payload of a long poll's answer, and "
            f"{wire['up_bytes_per_delivery']:.0f} of request; browsers and proxies add theirs")
    else:
        say(run, "A WebSocket frame costs 2 to 14 bytes", holds(1.99 <= extra <= 14),
            f"{extra:.1f} bytes around a payload of {wire['payload_bytes']}")


def _versus(run):
    first = run["contestants"][0].get("workload")
    told = []
    for c in run["contestants"]:
        ours = series.find(run, c.get("transport", "websocket"), first)
        if c["kind"] == "peer" and c.get("workload") == first and ratio(ours, c):
            told.append(f"{c['name']} {ratio(ours, c)['median']:.2f}")
    return f"Deliveries per second, Ringside to {', '.join(told)}" if told else None


def _vanished(run):
    for c in (c for c in run["contestants"] if "vanished" in c):
        seen = c["vanished"]
        say(run, "Clients that vanish are found by the server, by name",
            holds(seen["closed"] == seen["clients"] > 0),
            f"{seen['closed']} of {seen['clients']} within {seen['found_s']:.1f} s, by "
            f"{' and '.join(seen['reasons'])}; {faults(c)} faults in the ledger of the others")


def _fanout(run):
    for c in run["contestants"]:
        found, least = get(c, "tls", "deliveries_per_s"), RATE_OVER_TLS.get(c["workload"])
        if not found or not least:
            continue
        bound = series.client_bound(c)
        enough = found["median"] >= least
        say(run, f"{c['name']} at {c['workload']} reaches {least} of the rate without TLS",
            holds(enough, "not measured" if bound else "fails"),
            f"{'>= ' if bound else ''}{found['median']:.2f} ({found['p25']:.2f} to "
            f"{found['p75']:.2f}); server CPU per delivery "
            f"{get(c, 'tls', 'server_cpu_per_delivery', 'median') or 0:.2f} times that of plain"
            f"{BOUND if bound else ''}")


def _churn(run):
    lost = faults(*run["contestants"])
    rates = {c["name"]: c["reconnect"]["recovered"] / c["reconnect"]["elapsed_s"]
             for c in run["contestants"] if get(c, "reconnect", "elapsed_s")}
    limits = {c["name"]: c.get("saturated", "neither") for c in run["contestants"]}
    told = ", ".join(f"{name} {units.short(round(rate))}/s (limit: {limits[name]})"
                     for name, rate in rates.items())
    say(run, "Subscribers that come and go cost nobody a message", holds(lost == 0),
        f"connects, and as many disconnects: {told}; {lost} faults in the ledger")
    least = units.short(round(min(rates.values(), default=0)))
    return f"{least}/s come and as many go, {lost} faults in the ledger"


# ---- connections ----------------------------------------------------------------------------

def _connect(run):
    bare = run["contestants"][0]["connects_per_s"]
    for c in run["contestants"][1:]:
        if cipher(c):  # whose handshake is another experiment's matter
            continue
        found = series.spread_of([a / b for a, b in zip(c["connects_per_s"], bare) if b])
        if found:
            say(run, f"{c['name']} subscribers are let in at {CONNECT_MIN} of the bare connect "
                "rate", holds(found["median"] >= CONNECT_MIN),
                f"{found['median']:.2f} ({found['p25']:.2f} to {found['p75']:.2f}), median and "
                f"middle half of {found['n']} rounds")


def _hold(run):
    bare = series.find(run, "bare-connect", None)
    for c in run["contestants"]:
        if c["kind"] != "ceiling":
            _held(run, c, bare and series.connects_per_s(bare))


def _held(run, c, bare):
    idle = series.idle_cpu(c)
    if idle is not None:
        own = isinstance(run["settings"].get("heartbeat_ms"), str)  # the server's
        say(run, f"An idle server with {c.get('subscribers') or c['connections']} {c['name']} "
            "subscribers does not spin", holds(idle <= IDLE_SHARE_MAX, "depends"),
            f"{100 * idle:.3f} % of one CPU{', heartbeats included' if own else ''}")
    most, each = PARKED_OVER_TLS.get(cipher(c)), get(c, "memory", "user_bytes_per_connection")
    if most and each is not None:
        say(run, f"A parked {c['name']} takes at most {most} bytes of user memory",
            holds(each <= most), f"{each:.1f} bytes, with {c['connections']} connections")
    rate = series.connects_per_s(c)
    if bare and rate and not cipher(c) and not c.get("subscribers"):
        say(run, f"A ramp with {c['name']} handshakes reaches {CONNECT_MIN} of the bare connect "
            "rate", holds(rate / bare >= CONNECT_MIN),
            f"{rate / bare:.2f}: {rate:.0f}/s against {bare:.0f}/s")


def _capacity(run):
    headline = None
    for name in dict.fromkeys(c["name"] for c in run["contestants"]):
        said = _climb(run, [c for c in run["contestants"] if c["name"] == name])
        headline = headline or said  # the first transport's
    return headline


def _climb(run, contestants):
    """Of one transport: what its steps show, and what it says in a line."""
    held, slowed = 0, None
    for c in contestants:
        step = causes.Step(c)
        if step.seen["stage"] != "whole":
            return _broke(run, step, held)
        cause = causes.slowed(step)
        if cause and cause is not slowed:  # said once, where it begins
            slowed = cause
            run["notes"].append(
                f"{step.seen['wanted']:,} held, but slowed: {cause.says}{cause.moved_by()}. "
                f"{cause.remedy_for(step.seen['wanted'])} Evidence: {causes.evidence(step)}.")
        held = step.seen["wanted"]
    bound, name = contestants[-1]["bound"], contestants[-1]["name"]
    asked = held == run["settings"].get("to")
    say(run, f"{held:,} {name} connections hold here", "holds",
        f"Nothing broke, and that is where --to ends. The next bound is {bound['name']}: "
        f"{bound['connections']:,} connections ({bound['why']})." if asked else
        f"Nothing broke. They reached the bound that was computed before: {bound['name']} "
        f"({bound['why']}). {causes.filled(bound['remedy'], 2 * held)}")
    return (f"{held:,} {name} connections hold; then: "
            f"{'the end that was asked for' if asked else bound['name']}")


def _broke(run, step, held):
    cause, others = causes.of(step)
    name, wanted, what = step.contestant["name"], step.seen["wanted"], causes.what(step)
    hold = (f"{held:,} {name} connections hold" if held else
            f"Not even the first step held with {name}")
    say(run, f"{wanted:,} {name} connections hold here", "fails",
        f"{hold}. {what}: {cause.says}{cause.moved_by()}. {cause.remedy_for(wanted)} Evidence: "
        f"{causes.evidence(step)}.")
    step.contestant.setdefault("notes", []).append(f"{what}: {cause.says}.")
    # What was seen beside it may be the cause of the cause.
    run["notes"] += [f"Seen as well: {other.says}{': ' if other.setting else ''}{other.setting}."
                     for other in others]
    return f"{hold}; then: {cause.says}"


def _knee(run):
    first = run["contestants"][0]
    knee = first.get("knee") or {}
    least = ">= " if knee.get("client_limited") or not knee.get("failed") else ""
    if not knee.get("value"):
        told = "nothing that was tried held"
    elif knee["of"] == "subscribers":
        told = f"{least}{knee['value']:,.0f} subscribers at {knee['rate_per_s']:g} messages/s"
    else:
        told = (f"{least}{knee['value']:g} messages/s to {run['settings']['subscribers']:,} "
                "subscribers")
    return f"{first['name']}: {told}, p99 under {run['settings']['bound_ms']} ms"


# ---- those who come back, and those who do not ----------------------------------------------

def _storm(run):
    for way, suffix in ways(run, "connected", "admission"):
        admitted, at_once = (_Storm(run, variant + way) for variant in ("admission", "at once"))
        bound = admitted.bound or at_once.bound
        say(run, "A mass reconnect with resume loses nothing, publishing going on" + suffix,
            holds(admitted.whole),
            f"{admitted.back}{admitted.handshakes}; {admitted.sum('missed')} messages by replay, "
            f"{admitted.sum('unrecovered')} positions gone, {admitted.faults} faults in the ledger")
        told = [units.time_ns(ns) for s in (admitted, at_once) for ns in (s.before_ns, s.during_ns)]
        say(run, "Who stays connected notices less of a storm when it is let in at a rate" + suffix,
            "not measured" if bound or not (admitted.during_ns and at_once.during_ns) else
            holds(admitted.during_ns < at_once.during_ns),
            f"p99 {told[0]} before and {told[1]} during the storm with admission, {told[2]} and "
            f"{told[3]} without{BOUND_ALL if bound else ''}")
        say(run, "Reconnecting without jitter knocks the server over as it comes back" + suffix,
            "holds" if not at_once.whole else "not measured" if at_once.bound else "fails",
            f"{at_once.back}{at_once.handshakes}, without jitter and without admission; "
            f"{at_once.sum('retries')} attempts failed{BOUND_ALL if at_once.bound else ''}")


def _chaos(run):
    """Each message once and in order, or told that not; and everybody is there in the end."""
    lost = faults(*run["contestants"])
    clients = sum(c["chaos"]["clients"] for c in run["contestants"])
    away = clients - sum(c["chaos"]["up"] for c in run["contestants"])
    told = sum(c["chaos"]["unrecovered"] for c in run["contestants"])
    whole = lost == 0 and away == 0
    got = sum(c["ledger"]["delivered"] for c in run["contestants"])
    missed = sum(c["chaos"]["missed"] for c in run["contestants"])
    say(run, "Whatever ends its connection, a client sees every message once and in order, or is "
        "told that it cannot", holds(whole),
        f"{clients:,} clients over {len(run['contestants'])} transports, {got:,} messages, "
        f"{missed:,} of them by replay; told \"not recovered\" {told:,} times; {lost} faults in "
        f"the ledger, {away} clients away in the end")
    return (f"{clients:,} clients cut at random: "
            f"{'every message once and in order' if whole else f'{lost} faults, {away} away'}, "
            f"{told:,} times told otherwise")


class _Storm:
    """One storm: sums over its transports."""

    def __init__(self, run, workload):
        members = [c for c in run["contestants"] if c["workload"] == workload]
        self.came = [c for c in members if c.get("reconnect")]
        self.faults = faults(*members)
        self.bound = any(c.get("client_bound") for c in self.came)
        self.before_ns, self.during_ns = (p99(series.find(run, "connected", name)) for name in (
            f"{workload}, before", workload))
        dropped, recovered = self.sum("dropped"), self.sum("recovered")
        self.whole = (recovered == dropped and self.sum("unrecovered") == 0 and
                      self.faults == 0)
        elapsed_s = self.came[-1]["reconnect"]["elapsed_s"] if self.came else 0
        self.back = f"{recovered} of {dropped} back in {elapsed_s:.1f} s"
        full, resumed = (sum(get(c, "tls", k) or 0 for c in self.came)
                         for k in ("full", "resumed"))
        # Of those who came back, tries that were sent away among them.
        self.handshakes = (f", {full} handshakes in full, {resumed} resumed" if full + resumed
                           else "")

    def sum(self, name):
        return sum(c["reconnect"].get(name, 0) for c in self.came)


POLICIES = ("disconnect", "drop_oldest", "keep_latest")


def _slow_readers(run):
    worst = []
    for way, suffix in ways(run, "others", POLICIES[0]):
        others = [series.find(run, "others", policy + way) for policy in POLICIES]
        stalls = [get(c, "stall") for c in others]
        if not all(stall and stall.get("p99_ratio") for stall in stalls):
            continue
        _slow_delay(run, suffix, others)
        _slow_memory(run, suffix, stalls)
        without = [series.find(run, "others", f"{policy}{way}, without") for policy in POLICIES]
        lost = faults(*others, *without)
        told = [f"{s['policy']} closed {s['closed']}, dropped {s['dropped']}, lost {s['lost']}"
                for s in stalls]
        say(run, "Who reads too slowly loses what the policy says, and nobody else anything"
            + suffix, holds(all(map(_lost_as_said, stalls)) and lost == 0),
            f"{'; '.join(told)}; the others lost {lost}")
        told = [f"{s['policy']} {s['latest']} of {s['readers'] * s['turns']}" for s in stalls]
        say(run, "Who reads again ends with the latest message" + suffix,
            holds(all(s["latest"] == s["readers"] * s["turns"] for s in stalls)), "; ".join(told))
        worst.append(max(s["p99_ratio"]["median"] for s in stalls))
    settings = run["settings"]
    return worst and (f"{settings['stalled_percent']} % of {settings['subscribers']} readers stop "
                      f"or trickle: the others' p99 rises to {worst[0]:.2f}x at most")


def _slow_delay(run, suffix, others):
    ratios = {c["stall"]["policy"]: c["stall"]["p99_ratio"] for c in others}
    bound = any(series.client_bound(c) for c in others)
    told = "; ".join(f"{name} {r['median']:.2f}x ({r['min']:.2f} to {r['max']:.2f})"
                     for name, r in ratios.items())
    fails = any(r["p25"] >= SLOW_NOTICED for r in ratios.values())
    so = all(r["median"] < SLOW_NOTICED for r in ratios.values())
    say(run, f"Slow readers delay nobody else: p99 rises by less than {SLOW_NOTICED}x" + suffix,
        "not measured" if bound else holds(so, "fails" if fails else "depends"),
        f"p99 of the others, with them / without: {told}{BOUND if bound else ''}")


def _slow_memory(run, suffix, stalls):
    filled = all(s["closed"] + s["dropped"] > 0 for s in stalls)
    so = all(max(s["rss_bytes"], s["queue_bytes"]) <= s["bound_bytes"] for s in stalls)
    grew = [(s["policy"], *(units.size_bytes(s[of]) for of in ("rss_bytes", "tcp_bytes")))
            for s in stalls]
    told = "; ".join(f"{policy} +{rss} (sockets +{tcp})" for policy, rss, tcp in grew)
    say(run, "What is kept for slow readers is bounded by the configured queues" + suffix,
        holds(so) if filled else "not measured",
        f"server memory, of {units.size_bytes(stalls[-1]['bound_bytes'])} allowed: {told}"
        f"{'' if filled else '; not all queues were full'}")


def _lost_as_said(stall):
    """A policy loses what it says: disconnect nothing, the others what the server counts."""
    clean = not any(stall.get(k) for k in ("duplicate", "out_of_order", "corrupt", "unrecovered"))
    kept = (stall["returned"] == stall["closed"] and stall["lost"] == 0
            if stall["policy"] == "disconnect" else stall["closed"] == 0)
    return clean and stall["lost"] == stall["dropped"] and kept


def _half_open(run):
    last = 0
    for way, suffix in ways(run, "others", "during"):
        before, during = (series.find(run, "others", name + way) for name in ("before", "during"))
        reaped = [c for c in run["contestants"] if c["workload"] == f"vanished{way}"]
        _found(run, suffix, reaped)
        _unnoticed(run, suffix, before, during)
        _back(run, suffix, during["course"])
        if not way:
            last = max(c["reaped"].get("last_s", 0) for c in reaped)
    return (f"{run['settings']['vanished']} peers that vanished: the last was found after "
            f"{last:.1f} s")


def _found(run, suffix, reaped):
    told, so = [], True
    for c in reaped:
        r = c["reaped"]
        last = r.get("last_s", 0)
        told.append(f"{c['name']}: {r['closed']} of {c['connections']} by {r['reason']}, in "
                    f"{r.get('first_s', 0):.1f} to {last:.1f} s of {r['bound_s']:.1f}")
        so &= r["closed"] == c["connections"] and last <= r["bound_s"] + REAP_SLACK_S
    say(run, "Peers that vanish are found in the documented time, by name" + suffix, holds(so),
        "; ".join(told))


def _unnoticed(run, suffix, before, during):
    was, is_ = p99(before), p99(during)
    times, lost = is_ / was if was else 0, faults(before, during)
    closes = sum(c.get("closes", 0) for c in (before, during))
    say(run, "Nobody else notices peers that vanish" + suffix,
        holds(lost + closes == 0 and times < VANISH_NOTICED),
        f"p99 {units.time_ns(was)} before and {units.time_ns(is_)} during, {times:.2f}x; {lost} "
        "faults in the ledger")
    orphans = during["orphans"]
    say(run, "Nothing is left of peers that vanished" + suffix,
        holds(orphans * ORPHANS_OF <= run["settings"]["vanished"]),
        f"{orphans} sockets more on the machine that the kernel still tries to end")


def _back(run, suffix, course):
    """The server's lines stay, for the next who come. What the kernel had for them has to come
    back: the server's ends when they are found, their own when these are closed."""
    vanished = run["settings"]["vanished"]
    kernel = [moment.get("kernel_bytes", 0) for moment in course]
    known = vanished >= MEMORY_OF and kernel[1] > 0 and all("kernel_bytes" in m for m in course)
    kept = max(course[2].get("rss_bytes", 0) - course[0].get("rss_bytes", 0), 0)
    told = [units.size_bytes(n) for n in kernel]
    so = (kernel[2] < LEFT_WITH_ONE_END * kernel[1] and kernel[3] < LEFT_WITH_NONE * kernel[1])
    say(run, "The memory of peers that vanished comes back" + suffix,
        holds(so) if known else "not measured",
        f"kernel: +{told[1]} with them, +{told[2]} when all were found, +{told[3]} when their own "
        f"ends were closed; the server keeps {kept / vanished:.0f} B each, for those who come next")


# ---- engines, TLS, attacks ------------------------------------------------------------------

def _engines(run):
    told = []
    for uring in run["contestants"]:
        if not uring["name"].startswith("io_uring"):
            continue
        epoll = series.find(run, uring["name"].replace("io_uring", "epoll", 1), uring["workload"])
        if epoll and uring["turns"] and epoll["turns"]:
            _engine(run, uring, epoll)
        if epoll and uring.get("ratio") and not cipher(uring) and ratio(uring, epoll):
            told.append(f"{ratio(uring, epoll)['median']:.2f}x at {uring['workload']}")
    return f"io_uring against epoll, deliveries per second: {'; '.join(told)}"


def _engine(run, uring, epoll):
    """By the rate, where the servers set it; else by the CPU that a delivery costs."""
    rate, cpu = ratio(uring, epoll), ratio(uring, epoll, derive.server_cpu)
    if not rate or not cpu:
        return
    by_cpu = not uring.get("ratio") or any(map(series.client_bound, (uring, epoll)))
    better = cpu["p75"] * MATTERS < 1 if by_cpu else rate["p25"] > MATTERS
    same = cpu["p25"] * MATTERS > 1 if by_cpu else rate["p75"] < MATTERS
    calls = [get(c, "counters", "server:system_calls") or 0 for c in (uring, epoll)]
    each = [n / (sum(t["deliveries"] for t in c["turns"]) or 1)
            for n, c in zip(calls, (uring, epoll))]
    over = f" over TLS, {cipher(uring)}" if cipher(uring) else ""
    say(run, f"io_uring matters at {uring['workload']}{over}",
        holds(better, "fails" if same else "depends"),
        f"{rate['median']:.2f}x the deliveries of epoll ({rate['p25']:.2f} to {rate['p75']:.2f}), "
        f"{cpu['median']:.2f}x the CPU of each ({cpu['p25']:.2f} to {cpu['p75']:.2f}), "
        f"{each[0]:.3f} system calls each against {each[1]:.3f}"
        f"{'; judged by CPU' if by_cpu else ''}")


def _handshakes(run):
    if not any(c.get("handshakes") for c in run["contestants"]):
        return None
    for c in run["contestants"]:
        ours = series.find(run, "ringside", c["workload"])
        if c["kind"] == "peer" and c["handshakes"]["kind"] != "plain" and ours:
            _handshake(run, ours, c)
    told = []
    for name in dict.fromkeys(c["name"] for c in run["contestants"]):
        rates = {}
        for c in run["contestants"]:
            if c["name"] == name and c["handshakes"]["kind"] != "plain":
                rates.setdefault(c["handshakes"]["kind"], series.handshakes_per_core(c) or 0)
        told.append(f" {name} " + ", ".join(f"{kind} {int(n):,}" for kind, n in rates.items()))
    return "TLS handshakes per second and core:" + "".join(told)


def _handshake(run, ours, theirs):
    cpu = ratio(ours, theirs, derive.server_cpu)
    if not cpu or cpu["median"] <= 0:  # or our CPU time is unknown
        return
    said = [(units.time_ns(c["handshakes"]["server_cpu_ns"]["median"]),
             series.handshakes_per_core(c), c["handshakes"]["per_s"]["median"],
             " (client-bound)" if series.client_bound(c) else "") for c in (ours, theirs)]
    say(run, f"{ours['workload']}: a handshake costs Ringside no more CPU than {theirs['name']}",
        holds(cpu["p75"] <= 1, "fails" if cpu["p25"] > 1 else "depends"),
        f"{cpu['median']:.2f} times (quartiles {cpu['p25']:.2f} to {cpu['p75']:.2f}, {cpu['n']} "
        f"rounds): {said[0][0]} against {said[1][0]}, so {said[0][1]:.0f} against {said[1][1]:.0f} "
        f"per second and core; seen {said[0][2]:.0f}/s{said[0][3]} against {said[1][2]:.0f}/s"
        f"{said[1][3]}")


def _abuse(run):
    told = []
    for name in dict.fromkeys(c["name"] for c in run["contestants"]):
        members = [c for c in run["contestants"] if c["name"] == name]
        broken = [f"{c['workload']} ({_broken_bounds(c['abuse'])})" for c in members
                  if c["abuse"]["broken"]]
        stood, count = len(members) - len(broken), len(members)
        say(run, f"No attack harms {name} beyond the written bounds", holds(not broken),
            f"{stood} of {count} attacks"
            + (f" stayed within them; not {', '.join(broken)}" if broken else ""))
        told.append(f"{name} stands {stood} of {count}")
    # An attacker that is kept from the CPU attacks less than its row says.
    waited = [c["abuse"]["attacker_waited_s"] / c["abuse"]["elapsed_s"] for c in run["contestants"]
              if c["abuse"]["elapsed_s"] > 0]
    weak = [share for share in waited if share > WEAK_FROM]
    if weak:
        run["notes"].append(
            "Attacks that were weaker than written, as the attacker wanted a CPU and had none (for "
            f"up to {100 * max(weak):.0f} % of the time): {len(weak)}.")
    return f"Attacks: {', '.join(told)}" if told else None


def _cluster(run):
    for verdict in cluster.verdicts(run):
        say(run, *verdict)
    return cluster.headline(run)


def _webhooks(run):
    for verdict in webhooks.verdicts(run):
        say(run, *verdict)
    return webhooks.headline(run)


def _page(run):
    """Six connections to an origin are what browsers have agreed on."""
    old, new = (series.find(run, "chromium", name)["page"] for name in ("HTTP/1.1", "HTTP/2"))
    say(run, "On HTTP/1.1 a page has six event streams, and no more",
        holds(old["open"] == STREAMS_OF_PAGE) if old["asked"] > STREAMS_OF_PAGE else "not measured",
        f"{old['open']} of {old['asked']}")
    say(run, "On HTTP/2 it has them all, on one connection",
        holds(new["open"] == new["asked"] and new["connections"] == 1),
        f"{new['open']} of {new['asked']}, on {new['connections']}")
    return (f"Event streams of a page, {new['asked']} asked for: {old['open']} on HTTP/1.1, "
            f"{new['open']} on HTTP/2")


def _push(run):
    asked, pushed = (series.find(run, name, "a page and its resource")["push"]["load_s"]["median"]
                     for name in ("asked for", "pushed"))
    rtt_ms, saved_ms = run["settings"]["rtt_ms"], (asked - pushed) * 1e3
    say(run, "Server push saves a round trip",
        holds(saved_ms >= PUSH_SAVES * rtt_ms) if rtt_ms else "not measured",
        f"{saved_ms:.1f} ms of a round-trip time of {rtt_ms:g} ms")
    return (f"A page and its resource at a round trip of {rtt_ms:g} ms: {asked * 1e3:.1f} ms asked "
            f"for, {pushed * 1e3:.1f} ms pushed")


def _broken_bounds(abuse):
    """Of a server that has died, only that."""
    return "died" if not abuse["alive"] else ", ".join(abuse["broken"])


JUDGES = {
    "abuse": _abuse, "capacity": _capacity, "chaos": _chaos, "churn": _churn,
    "cluster": _cluster, "compare": _compare, "connect": _connect, "engines": _engines,
    "fanout": _fanout, "half-open": _half_open,
    "handshakes": _handshakes, "hold": _hold, "knee": _knee, "page": _page, "push": _push,
    "slow-readers": _slow_readers, "storm": _storm, "webhooks": _webhooks,
}
