"""A redis-server of the tests' own, on loopback and a port of the kernel's choice."""

import subprocess
from pathlib import Path

from ringside import HOST, PATIENCE_S, ServerFault, hold_port, port_of, wait_until

CERTIFICATES = Path(__file__).resolve().parent / "certificates"


class Redis:
    """One redis-server. With `durable` it acknowledges only what is on the disk. `before` is what
    comes first on its command line: the file of a sentinel. With `tls` it speaks nothing else, by
    that certificate, and trusts clients with tests/certificates/local.pem: --tls-auth-clients is
    "yes" unless `args` say otherwise."""

    name = "redis"

    def __init__(self, folder, durable=False, args=(), before=(), tls=None):
        self.held = hold_port()
        self.port = port_of(self.held)
        self.address = f"{HOST}:{self.port}"
        self.settings = {"redis": self.address}
        self.log = folder / "redis.log"
        self.tls = []
        ports = ["--port", str(self.port)]
        if tls:
            own, local = CERTIFICATES / tls, CERTIFICATES / "local"
            ports = ["--port", "0", "--tls-port", str(self.port), "--tls-cert-file", f"{own}.pem",
                     "--tls-key-file", f"{own}.key.pem", "--tls-ca-cert-file", f"{local}.pem"]
            self.tls = ["--tls", "--insecure", "--cert", f"{local}.pem", "--key",
                        f"{local}.key.pem"]
            self.settings |= {"redis_tls": "on", "redis_ca": f"{own}.pem",
                              "redis_certificate": f"{local}.pem",
                              "redis_key": f"{local}.key.pem"}
        self.command = ["redis-server", *before, *ports, "--bind", HOST, "--dir", str(folder),
                        *args]
        if not before:
            self.command += ["--save", ""]
        if durable:
            self.command += ["--appendonly", "yes", "--appendfsync", "always"]
        self.password = None
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        wait_until(self.is_up, "a Redis that answers")
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise ServerFault(self.log.read_text(errors="replace"))
        return self.ask("PING") in ("PONG", "NOAUTH Authentication required.")

    def ask(self, *words):
        command = ["redis-cli", "-h", HOST, "-p", str(self.port), *self.tls, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S,
                              check=False)
        return (done.stdout + done.stderr).strip()

    def has(self, slot):
        """Of a cluster: whether it is the master of that."""
        own = next(line for line in self.ask("CLUSTER", "NODES").splitlines() if "myself" in line)
        ranges = [word.split("-") for word in own.split()[8:] if "[" not in word]
        return "master" in own and any(int(r[0]) <= slot <= int(r[-1]) for r in ranges)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE_S)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def release(self):
        self.held.close()


class Several:
    """Several of them, which share the channels: `of(channel)` is the one that has it."""

    name = "redis"

    def __init__(self, folder, count=3, **options):
        self.all = []
        for i in range(count):
            (folder / str(i)).mkdir()
            self.all.append(Redis(folder / str(i), **options))
        self.settings = {**self.all[0].settings,
                         "redis": " ".join(redis.address for redis in self.all)}

    def start(self):
        for redis in self.all:
            redis.start()
        return self

    def of(self, channel, prefix="ringside"):
        (redis,) = [one for one in self.all
                    if one.ask("EXISTS", f"{prefix}:{{{channel}}}:m") == "1"]
        return redis

    def stop(self):
        for redis in self.all:
            redis.stop()

    def release(self):
        for redis in self.all:
            redis.release()


class Cluster(Several):
    """A Redis Cluster of masters, and so many replicas of each: `of(channel)` is the one that has
    its slot."""

    def __init__(self, folder, masters=3, replicas=0, args=(), **options):
        self.masters, self.replicas = masters, replicas
        args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
                "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", *args]
        self.all = []
        for i in range(masters * (1 + replicas)):
            (folder / str(i)).mkdir()
            self.all.append(Redis(folder / str(i), args=args, **options))
        self.settings = {**self.all[0].settings, "redis_cluster": "on",
                         "redis": " ".join(redis.address for redis in self.all[:2])}

    def start(self):
        for redis in self.all:
            redis.bus = hold_port()
            redis.command += ["--cluster-port", str(port_of(redis.bus))]
            redis.start()
        said = self.all[0].ask("--cluster", "create", *(redis.address for redis in self.all),
                               "--cluster-replicas", str(self.replicas), "--cluster-yes")
        assert "All 16384 slots covered" in said, said
        wait_until(lambda: all("cluster_state:ok" in redis.ask("CLUSTER", "INFO")
                               for redis in self.all), "a cluster that all agree on")
        return self

    def slot(self, channel):
        return int(self.all[0].ask("CLUSTER", "KEYSLOT", f"{{{channel}}}"))

    def of(self, channel):
        """By its own word, as others may not know yet."""
        slot = self.slot(channel)
        (redis,) = [one for one in self.all if one.process.poll() is None and one.has(slot)]
        return redis

    def move(self, slot, target, keys=1):
        """As redis-cli does it: the keys one after the other, then the slot."""
        source = next(one for one in self.all if one.process.poll() is None and one.has(slot))
        ours, theirs = (one.ask("CLUSTER", "MYID") for one in (source, target))
        assert target.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", ours) == "OK"
        assert source.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", theirs) == "OK"
        while names := source.ask("CLUSTER", "GETKEYSINSLOT", str(slot), str(keys)).split():
            for name in names:
                assert source.ask("MIGRATE", HOST, str(target.port), name, "0", "5000") in (
                    "OK", "NOKEY")
        for one in (target, source):
            assert one.ask("CLUSTER", "SETSLOT", str(slot), "NODE", theirs) == "OK"

    def release(self):
        super().release()
        for redis in self.all:
            redis.bus.close()
