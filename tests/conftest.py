"""Fixtures for the tests that talk to a running server, over loopback, as strangers would."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from ringside import Server, sanitizer, wait_until  # noqa: E402  (needs the line above)
from secure import SecureServer  # noqa: E402

LONGEST = ("test_bench_lies.py", "test_bench_socketless.py", "test_bench_h2.py")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "alone: needs the machine for itself, as it holds something against a clock")
    config.addinivalue_line(
        "markers", "not_in(*sanitizers, why): what a sanitizer does there is something else")


def pytest_collection_modifyitems(config, items):
    """Whole runs of the bench take longest, so their files come first, and LONGEST before the
    others. The order within each stays, since its tests share what they have run."""
    left_out = [item for item in items for marker in item.iter_markers("not_in")
                if sanitizer() in marker.args]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: (not item.path.name.startswith("test_bench"),
                                 item.path.name not in LONGEST))


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
