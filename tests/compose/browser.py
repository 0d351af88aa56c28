"""What a person sees in Flower, read from the rendered pages by a headless Chromium."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

#: How long a page of Flower may take to show its table, in milliseconds.
PATIENCE_MS = 20_000


def chromium() -> str | None:
    """Return the path of the system's Chromium: the browser that Playwright would download is not used."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextlib.contextmanager
def opened(address: str, user: str, password: str) -> Iterator[Page]:
    """Yield a page of a browser that answers Flower's login with this user."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            context = browser.new_context(
                base_url=address, http_credentials={"username": user, "password": password}
            )
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            yield page
        finally:
            browser.close()


def worker_names(page: Page) -> list[str]:
    """Return the names on the workers page that are shown as online."""
    page.goto("/workers")
    page.wait_for_selector("#workers-table tbody tr a.worker-name-link")
    rows = page.locator("#workers-table tbody tr:not(.worker-offline) a.worker-name-link")
    return rows.evaluate_all("links => links.map(link => link.title)")


def tasks(page: Page) -> list[dict[str, str]]:
    """Return every row of the tasks page, by leafing through it, as column name -> shown text."""
    page.goto("/tasks")
    with page.expect_response("**/tasks/datatable"):
        page.locator("#tasks-table_length select").select_option("100")
    found: list[dict[str, str]] = []
    while True:
        page.wait_for_selector("#tasks-table tbody tr td:nth-child(2)")
        found += page.evaluate(_ROWS)
        following = page.locator("#tasks-table_next")
        if "disabled" in (following.get_attribute("class") or ""):
            return found
        shown = page.locator("#tasks-table_info").inner_text()
        following.locator("a").or_(following).last.click()
        page.wait_for_function(
            "shown => document.querySelector('#tasks-table_info').innerText !== shown", arg=shown
        )


def api_tasks(page: Page) -> dict[str, dict[str, Any]]:
    """Return the tasks as Flower's API tells them, by uuid; asked from within the browser's login."""
    page.goto("/workers")
    return page.evaluate("() => fetch('/api/tasks?limit=5000').then(response => response.json())")


# The visible table has its header apart (it scrolls), so the names of columns come from the first header found.
_ROWS = """() => {
    const names = [...document.querySelectorAll('.tasks-page thead')][0].querySelectorAll('th');
    const columns = [...names].map(th => th.dataset.column || th.innerText.trim().toLowerCase());
    return [...document.querySelectorAll('#tasks-table tbody tr')].map(row => ({
        ...Object.fromEntries([...row.querySelectorAll('td')].map(
            (cell, place) => [columns[place], cell.innerText.replace(/\\n/g, '').trim()])),
        uuid: row.id,
    }));
}"""
