"""`bench page`: how many event streams a browser gives a page, by the server's own count, and the
claims that are made of it."""

import os

from bench import bench

ASKED = "8"


def test_a_page_has_six_streams_by_http_1_and_all_by_http_2(tmp_path):
    found = bench(tmp_path, "page", "--subscribers", ASKED, "--seconds", "3")
    pages = {c["workload"]: c["page"] for c in found.run["contestants"]}
    assert pages["HTTP/1.1"]["open"] == pages["HTTP/1.1"]["connections"] == 6
    assert pages["HTTP/2"]["open"] == int(ASKED) and pages["HTTP/2"]["connections"] == 1
    assert pages["HTTP/2"]["unwanted_pushes"] > 0 == pages["HTTP/1.1"]["unwanted_pushes"]
    assert [v["verdict"] for v in found.run["verdicts"]] == ["holds", "holds"]
    assert all("Chromium" in c["version"] for c in found.run["contestants"])
    assert not [name for name in os.listdir("/tmp") if name.startswith("ringside-browser-")]


def test_its_server_is_its_own(tmp_path):
    refused = bench(tmp_path, "page", "--address", "127.0.0.1:1", "--tls-address", "127.0.0.1:2",
                    expect=1)
    assert "--address is of no use" in refused.complaints
