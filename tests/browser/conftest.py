"""The distribution's headless Chromium, one for the whole run, on pages of the server."""

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from chromium_flags import FLAGS


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_script_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium, server):
    """The browser on a page of the server, so that its scripts are of the same origin."""
    chromium.get(server.url("/healthz"))
    yield chromium
    chromium.get("about:blank")
