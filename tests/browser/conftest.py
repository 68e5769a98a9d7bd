"""Chromium without a window; these tests are skipped where it is not installed."""

import os
import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# As root in a container, and silent: nothing but the page may ask for anything.
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = {"width": 1280, "height": 900}
DRAWN = "[data-drawn=yes]"
PATIENCE = 180_000  # milliseconds: no test is about speed


@pytest.fixture(scope="session")
def chromium():
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = "no Chromium: apt-get install chromium"
        # Where the machine was set up for these tests, a browser that is missing is a fault.
        if os.environ.get("POPFLOW_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """A page that is open, and what went wrong on it."""

    def __init__(self, page):
        self.page, self.complaints, self.requests = page, [], []
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda r: self.requests.append(r.url))

    @property
    def foreign(self):
        """Requests for anything but the page itself."""
        inside = ("data:", "blob:")
        return [x for x in self.requests if not x.startswith(inside) and x != self.page.url]

    def drawn(self, count=1):
        """Wait until so many panels are drawn."""
        self.page.locator(DRAWN).nth(count - 1).wait_for(timeout=PATIENCE)

    def axe(self):
        """Violations that axe-core finds, in words."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [(v["id"], v["help"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found]


@pytest.fixture(scope="session")
def visit(chromium):
    """Open an address: a context manager, so that nothing of a visit is left to the next."""

    @contextmanager
    def opened(address, viewport=DESKTOP, scheme="light", **more):
        context = chromium.new_context(viewport=viewport, color_scheme=scheme, **more)
        context.set_default_timeout(PATIENCE)
        seen = Visit(context.new_page())
        try:
            seen.page.goto(address)
            yield seen
        finally:
            context.close()

    return opened
