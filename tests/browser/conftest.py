"""The distribution's headless Chromium, one for the whole run, on pages of the server."""

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from chromium_flags import FLAGS, OLD_HELLO


def started(folder, flags):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in flags:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={folder}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_script_timeout(30)
    return driver


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    driver = started(tmp_path_factory.mktemp("chromium"), FLAGS)
    yield driver
    driver.quit()


@pytest.fixture
def old_chromium(tmp_path):
    """One whose hellos are short: without a key share against quantum computers."""
    driver = started(tmp_path / "chromium", [*FLAGS, OLD_HELLO])
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium, server):
    """The browser on a page of the server, so that its scripts are of the same origin."""
    chromium.get(server.url("/healthz"))
    yield chromium
    chromium.get("about:blank")
