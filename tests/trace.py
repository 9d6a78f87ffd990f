"""TCP as it passes through a network namespace: runs a command, and writes what was seen as JSON.

    unshare -n -- sh -c 'ip link set lo up; exec "$@"' sh python3 trace.py OUT COMMAND ...

On loopback each packet is seen leaving and arriving, behind a TUN device once: of loopback what
leaves counts."""

import ipaddress
import json
import socket
import struct
import subprocess
import sys
import threading

EVERYTHING = 0x0003  # ETH_P_ALL
FLAGS = ((2, "S"), (1, "F"), (4, "R"), (16, "A"))


def options(raw):
    """Kinds and values of TCP's options, without the padding: RFC 9293 section 3.1."""
    found = {}
    while raw and raw[0] != 0:
        if raw[0] == 1:
            raw = raw[1:]
            continue
        found[raw[0]] = raw[2:raw[1]].hex()
        raw = raw[raw[1]:]
    return found


def segment(packet):
    """None where it is no TCP over IPv4."""
    if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
        return None
    head = 4 * (packet[0] & 15)
    total, = struct.unpack_from("!H", packet, 2)
    source, target, seq, ack, offset, flags, window = struct.unpack_from("!HHIIBBH", packet, head)
    start = head + 4 * (offset >> 4)
    return {"from": f"{ipaddress.ip_address(packet[12:16])}:{source}",
            "to": f"{ipaddress.ip_address(packet[16:20])}:{target}",
            "seq": seq, "ack": ack, "window": window, "ttl": packet[8],
            "dont_fragment": bool(packet[6] & 0x40),
            "flags": "".join(name for bit, name in FLAGS if flags & bit),
            "options": options(packet[head + 20:start]),
            "payload": packet[start:total].decode("latin-1")}


def listen(tap, seen, over):
    while not over.is_set():
        try:
            packet, (name, _, kind, *_) = tap.recvfrom(65536)
        except TimeoutError:
            continue
        if name == "lo" and kind != socket.PACKET_OUTGOING:
            continue
        found = segment(packet)
        if found:
            seen.append(found)


def main(out, *command):
    seen, over = [], threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERYTHING)) as tap:
        tap.settimeout(0.1)
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        thread = threading.Thread(target=listen, args=(tap, seen, over))
        thread.start()
        status = subprocess.run(command, check=False).returncode
        over.set()
        thread.join()
    with open(out, "w", encoding="utf-8") as file:
        json.dump(seen, file)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
