"""What packaging/monitoring asks for is there: by a Prometheus that reads a server."""

import json
import re
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from ringside import hold_port, port_of, wait_until
from wire import RawWebSocket

FOLDER = Path(__file__).resolve().parent.parent.parent / "packaging" / "monitoring"
NAME = re.compile(r"ringside_[a-z0-9_]+")


class Prometheus:
    def __init__(self, folder, target):
        self.held = hold_port()
        self.port = port_of(self.held)
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
            f"rule_files: [{FOLDER / 'alerts.yml'}]\n"
            "scrape_configs:\n"
            "  - job_name: ringside\n"
            f"    static_configs: [{{targets: ['{target}']}}]\n")
        self.held.close()
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=subprocess.DEVNULL, stderr=(folder / "prometheus.log").open("wb"))

    def get(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def ask(self, expression):
        return self.get("query", query=expression)["result"]

    def has_read(self, expression):
        try:
            return self.ask(expression)
        except OSError:
            return None

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def server(start_server, tmp_path):
    """With webhooks, of which there are rules, too."""
    return start_server(config={"webhook_queue": str(tmp_path / "queue.db")})


@pytest.fixture
def prometheus(server, tmp_path):
    """It has read a server twice on which something happened between."""
    made = Prometheus(tmp_path, server.address)
    try:
        subscriber = RawWebSocket(server, "/ws?channel=a")
        wait_until(lambda: made.has_read("ringside_streams_websocket == 1"), "the first reading")
        server.publish("a", "hello")
        server.get("/nowhere")
        wait_until(lambda: made.has_read("ringside_published_total == 1"), "the second reading")
        yield made
        subscriber.close()
    finally:
        made.stop()


def panels():
    """(title, expression) of all that the dashboard shows."""
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    return [(panel["title"], target["expr"])
            for panel in dashboard["panels"] for target in panel["targets"]]


def test_each_panel_has_something_to_show(prometheus):
    empty = [title for title, expression in panels()
             if not prometheus.ask(expression.replace("$instance", ".*")
                                   .replace("$__rate_interval", "1m"))]
    assert not empty


def test_the_rules_are_read_and_know_the_server(prometheus):
    groups = prometheus.get("rules")["groups"]
    assert [group["name"] for group in groups] == ["ringside", "ringside-webhooks"]
    assert len(groups[0]["rules"]) >= 10
    for rule in [rule for group in groups for rule in group["rules"]]:
        assert rule["health"] in ("ok", "unknown"), rule
        for name in set(NAME.findall(rule["query"])):
            assert prometheus.ask(name), f"{rule['name']} asks for {name}"
    assert prometheus.ask('up{job="ringside"} == 1')


def test_an_alert_when_the_server_is_gone(server, prometheus):
    server.stop()
    wait_until(lambda: prometheus.ask('up{job="ringside"} == 0'), "word that it is gone")
