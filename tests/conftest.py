"""Fixtures for the tests that talk to a running server, over loopback, as strangers would."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
# An assertion in what tests share is to say what it saw, as one in a test does.
pytest.register_assert_rewrite(*(path.stem for path in HERE.glob("*.py")))

from ringside import Server, sanitizer, wait_until  # noqa: E402  (needs the line above)
from secure import SecureServer  # noqa: E402

# What takes longest, in this order: what begins last is to be short.
LONGEST = [f"test_{name}.py" for name in (
    "bench_lies", "kafka", "bench_abuse", "bench_socketless", "rtc_trouble", "bench_slow_readers",
    "kafka_broker", "bench_h2", "rtc", "bench_h3", "cluster_api", "cluster_chaos", "tls_bounds",
    "http2_bounds", "cluster_proxies", "bench_claims", "centrifuge_go", "bench_small", "tokens",
    "bench_mix", "bench_cluster", "centrifuge_sdk", "drain", "bench_trace", "deflate",
    "proxy_hooks", "webhooks_trouble", "bench_view", "redis_cluster", "monitoring", "cluster")]


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "alone: needs the machine for itself, as it holds something against a clock")
    config.addinivalue_line(
        "markers", "not_in(*sanitizers, why): what a sanitizer does there is something else")


def pytest_collection_modifyitems(config, items):
    """The files of LONGEST come first, and whole runs of the bench before the others. The order
    within each stays, since its tests share what they have run."""
    left_out = [item for item in items for marker in item.iter_markers("not_in")
                if sanitizer() in marker.args]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (place.get(item.path.name, len(LONGEST)),
                                 not item.path.name.startswith("test_bench")))


@pytest.fixture
def start_server(tmp_path_factory):
    """start_server(shards=, args=, config=, secure=) -> Server; all are stopped and checked at the
    end. With `secure` clients go to its TLS port."""
    servers = []

    def start(secure=False, **options):
        server = (SecureServer if secure else Server)(tmp_path_factory.mktemp("server"), **options)
        servers.append(server)
        return server.start()

    yield start
    for server in reversed(servers):
        server.release()
        server.stop()


@pytest.fixture
def server(start_server):
    """A server with defaults and two shards."""
    return start_server()


@pytest.fixture
def eventually():
    """eventually(condition, what): waits for what the server does in its own time."""
    return wait_until
