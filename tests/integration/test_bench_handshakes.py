"""`bench handshakes` at smoke size: every kind of handshake is what its name says, on our server
and on another."""

import shutil

import pytest

from bench import bench
from ringside import server_binary

SMALL = ("handshakes", "--under-way", "4", "--turns", "2", "--turn-ms", "100",
         "--tls-cipher", "gcm")
WORKLOADS = {"plain": "plain", "full P-256, aes128-gcm": "full P-256",
             "full X25519, aes128-gcm": "full X25519", "resumed, aes128-gcm": "resumed"}

# Our own server in the place of another.
MANIFEST = """
[server]
command = {server}
command = --listen @address@ --tls-listen @tls_address@
command = --tls-certificate @chain@:@key@ --cpus 0 --shards 1
ready = /healthz

[handshake]
path = /healthz
"""


@pytest.fixture
def manifest(tmp_path):
    folder = tmp_path / "twin"
    folder.mkdir()
    (folder / "peer.ini").write_text(MANIFEST.format(server=server_binary()), encoding="utf-8")
    return folder / "peer.ini"


def nginx():
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")


def check(contestants):
    assert [c["workload"] for c in contestants] == list(WORKLOADS)
    for contestant in contestants:
        figures = contestant["handshakes"]
        done = sum(turn["handshakes"] for turn in contestant["turns"])
        assert figures["kind"] == WORKLOADS[contestant["workload"]]
        assert all(turn["handshakes"] > 0 for turn in contestant["turns"])
        assert figures["server_cpu_ns"]["n"] == 2
        assert "errors" not in contestant and "deliveries_per_s" not in contestant
        if figures["kind"] == "plain":
            assert "tls" not in contestant
        else:
            tls = contestant["tls"]
            seen, other = ("resumed", "full") if figures["kind"] == "resumed" else (
                "full", "resumed")
            assert tls[other] == 0
            assert tls[seen] == done


def of(run, name):
    return [c for c in run["contestants"] if c["name"] == name]


def test_beside_another(tmp_path, manifest):
    found = bench(tmp_path, *SMALL, "--peer", manifest)
    ours, theirs = of(found.run, "ringside"), of(found.run, "twin")
    check(ours)
    check(theirs)
    for contestant in theirs:
        assert contestant["handshakes"]["versus"] == "ringside"
        assert contestant["handshakes"]["versus_server_cpu"]["n"] == 2
    assert [v["claim"].split(":")[0] for v in found.run["verdicts"]] == list(WORKLOADS)[1:]
    assert "per second and core" in found.run["headline"]


@pytest.mark.skipif(not nginx(), reason="nginx is not installed: ./build.sh peers nginx-tls")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_beside_nginx(tmp_path, version):
    found = bench(tmp_path, *SMALL, "--tls-version", version)
    assert found.run["settings"]["tls_version"] == version
    check(of(found.run, "ringside"))
    check(of(found.run, "nginx-tls"))


def test_what_does_not_fit(tmp_path, manifest):
    found = bench(tmp_path, *SMALL, "--peer", "no-such", expect=1)
    assert "there is no peer 'no-such'" in found.complaints
    found = bench(tmp_path, "compare", "--peer", manifest, expect=1)
    assert "it is for `bench handshakes`" in found.complaints
    found = bench(tmp_path, *SMALL, "--tls-cipher", "gcm,gcm256,chacha20", "--peer", manifest,
                  "--peer", manifest, "--peer", manifest, expect=1)
    assert "too many for one run" in found.complaints
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("[handshake]", "[subscribe]") + "[publish]\nby = post\n",
                        encoding="utf-8")
    found = bench(tmp_path, *SMALL, "--peer", manifest, expect=1)
    assert "it is for `compare`" in found.complaints
    assert found.folder is None


def test_who_has_no_tls_says_so(tmp_path):
    found = bench(tmp_path, "ceiling", "--tls", expect=64)
    assert "this experiment has no TLS" in found.complaints
    found = bench(tmp_path, "compare", "--tls", "--peer", "nginx-tls", expect=1)
    assert "--tls and --peer do not go together" in found.complaints
