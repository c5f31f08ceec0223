"""What a new user does in the UI, by a real browser on a real instance: `sedi ui`, webserver and daemon.

    python tests/browser/walk.py                                  a fresh instance, the rehearsal, two rounds
    python tests/browser/walk.py --shots docs/images              and renew the screenshots
    python tests/browser/walk.py --url http://127.0.0.1:3000      on a UI that already runs

Needs the browser (`apt install chromium`, or SEDI_BROWSER) and `pip install playwright`; takes some minutes a round.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright

SECONDS = 120
"""For something of the UI to appear. A round has `--patience`."""
BROWSERS = ("chromium", "google-chrome")
SENSORS = ("round_ready_sensor", "weak_category_sensor")


class Walk:
    """One visit. Every step ends in what must be seen, and a screenshot."""

    def __init__(self, page: Page, url: str, shots: Path | None, patience: float) -> None:
        self.page, self._url, self._shots, self._patience = page, url, shots, patience
        page.set_default_timeout(SECONDS * 1000)
        page.set_default_navigation_timeout(SECONDS * 1000)
        expect.set_options(timeout=SECONDS * 1000)

    def go(self, path: str) -> None:
        self.page.goto(f"{self._url}{path}")

    def seen(self, name: str, *wanted: Locator) -> None:
        """Wait for what must be there, then take the picture."""
        for locator in wanted:
            expect(locator.first).to_be_visible()
        self.page.wait_for_timeout(1500)  # what moves into its place
        print(f"seen: {name}", flush=True)
        self._picture(self.page, name)

    def _picture(self, page: Page, name: str) -> None:
        """Take it, in few colours: a third of the size."""
        if self._shots:
            file = self._shots / f"{name}.png"
            page.screenshot(path=str(file))
            Image.open(file).convert("RGB").quantize(128).save(file, optimize=True)

    def text(self, text: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_text(text).filter(visible=True)

    def first_visit(self) -> None:
        """The graph before anything ran; a partition that is no round is refused."""
        self.go("/asset-groups")
        self.seen("ui_first_visit", self.text("Materialize all"), self.text("records"))
        self.go("/assets/filtered_batches")
        self.page.get_by_role("button", name="Materialize").first.click()
        self.page.get_by_role("button", name="Confirm").click()  # what it is made of is not there yet
        self.text("Add a partition").first.click()
        self.page.get_by_placeholder("name").fill("banana")
        self.page.get_by_role("button", name="Save").click()
        self.seen("ui_banana", self.text("'banana' is not a round"))

    def open_round(self) -> None:
        """The form of the job open_round: what may be said is listed beside it; the planner decides the rest."""
        self.go("/locations/sedi_dagster/jobs/open_round/playground")
        launch = self.page.get_by_role("button", name="Launch Run")
        self.seen("ui_open_round", launch)
        launch.click()
        self.page.wait_for_url(re.compile("/runs/"))
        self.seen("ui_opened", self.text(re.compile(r"Opened round-\d{4}")))

    def switch_sensors(self, *names: str, on: bool) -> None:
        self.go("/automation")
        for name in names:
            switch = self._switch(name)
            expect(switch.locator("input")).to_be_enabled()  # once its state is known
            if switch.locator("input").is_checked() != on:
                switch.locator("label").click()
            expect(switch.locator("input")).to_be_checked(checked=on)
        self.page.wait_for_load_state("networkidle")
        self.go("/automation")
        for name in names:  # as the daemon knows it
            expect(self._switch(name).locator("input")).to_be_checked(checked=on)

    def both_sensors_are_on(self) -> None:
        self.switch_sensors(*SENSORS, on=True)
        self.seen("ui_automation", *(self._switch(name).locator("label") for name in SENSORS))

    def _switch(self, name: str) -> Locator:
        """The controls at the end of a row; the box at its beginning chooses it."""
        return self.page.locator("[data-index]", has_text=name).locator("[class*=ListItem_right]")

    def next_round_appears(self, key: str) -> None:
        """By itself: the sensor opened it."""
        end = time.monotonic() + self._patience
        while True:
            self.go("/assets/generated_batches?view=partitions")
            with suppress(AssertionError):
                expect(self.text(key).first).to_be_visible(timeout=20_000)
                print(f"opened by itself: {key}", flush=True)
                return
            assert time.monotonic() < end, f"{key} was not opened in {self._patience:.0f} s."

    def round_finishes(self, key: str) -> None:
        """By itself: its report is served."""
        end = time.monotonic() + self._patience
        while not self._is_there(f"/sedi/reports/{key}.html"):
            if time.monotonic() > end:
                raise TimeoutError(f"{key} was not finished in {self._patience:.0f} s.")
            time.sleep(5)
        print(f"finished: {key}", flush=True)

    def _is_there(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}{path}", timeout=SECONDS):
                return True
        except urllib.error.HTTPError:
            return False

    def asset_page(self) -> None:
        """Scores by category with their decisions, SIMULATED, and the training plot whole, in place."""
        self.go("/assets/evaluation_scores")
        self.text("SIMULATED teacher").first.scroll_into_view_if_needed()
        self.seen("ui_asset", self.text("SIMULATED teacher"), self.text("pass_rate"))
        self.go("/assets/sft_checkpoint")
        picture = self.page.get_by_role("img", name="loss and gradient norm")
        picture.first.scroll_into_view_if_needed()
        self.seen("ui_checkpoint", picture)
        assert picture.first.evaluate("image => image.naturalWidth") > 300, "the plot is not shown"

    def plots(self) -> None:
        """Figures over rounds."""
        self.go("/assets/evaluation_scores")
        self.page.get_by_role("button", name="Plots").click()
        self.seen("ui_plots", self.page.locator("canvas"))

    def grid(self, rounds: int) -> None:
        """Category × round: nothing that was planned is missing, nothing that was not planned looks so."""
        self.go("/assets/generated_batches?view=partitions")
        self.seen("ui_grid", self.text(f"round-{rounds:04d}"), self.text(re.compile(r"Missing \(0\)")))

    def check(self) -> None:
        self.go("/assets/filtered_batches?view=checks")
        self.seen("ui_check", self.text("every_candidate_has_one_verdict"))

    def report(self) -> None:
        """The link in the metadata opens the page."""
        self.go("/assets/round_report")
        with self.page.context.expect_page(timeout=SECONDS * 1000) as opened:
            self.page.locator("a[href^='/sedi/reports/round-']").first.click()
        report = opened.value
        expect(report.get_by_role("heading", level=1)).to_contain_text("Round")
        expect(report.locator(".banner")).to_contain_text("SIMULATED")
        print("seen: report", flush=True)
        report.set_viewport_size({"width": 1100, "height": 1500})
        self._picture(report, "report")
        report.close()

    def graph(self) -> None:
        """With every asset, after a round; in a window that has room for all."""
        self.page.set_viewport_size({"width": 1500, "height": 1200})
        self.go("/asset-groups")
        expect(self.text("records").first).to_be_visible()
        self.page.wait_for_load_state("networkidle")
        self.page.get_by_role("button", name="Hide navigation").click()
        self.page.keyboard.press("Alt+e")  # expand all groups
        expect(self.text("sft_checkpoint").first).to_be_visible()
        self.page.mouse.dblclick(450, 1150)  # fits it into the window
        self.page.wait_for_timeout(20_000)  # the colours of the boxes come last
        self.seen("assets", self.text("sft_checkpoint"))


def walk(url: str, shots: Path | None, patience: float, rounds: int = 2) -> None:
    """From an empty instance to the round that opens by itself."""
    browser = os.environ.get("SEDI_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        visit = Walk(chromium.new_page(viewport={"width": 1500, "height": 950}), url, shots, patience)
        visit.first_visit()
        visit.both_sensors_are_on()
        visit.open_round()
        visit.round_finishes("round-0001")
        visit.report()
        visit.asset_page()
        visit.check()
        for number in range(2, rounds + 1):
            visit.next_round_appears(f"round-{number:04d}")
            if number == rounds:
                visit.switch_sensors("weak_category_sensor", on=False)  # no further one
            visit.round_finishes(f"round-{number:04d}")
        visit.grid(rounds)
        visit.plots()
        visit.graph()
        chromium.close()


@contextmanager
def started(project: Path) -> Iterator[str]:
    """`sedi ui` on folders of its own, as the rehearsal."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folders = {"DAGSTER_HOME": "home", "SEDI_DATA": "data", "SEDI_CACHE": "cache"}
    environment = os.environ | {name: str(project / folder) for name, folder in folders.items()}
    command = [sys.executable, "-m", "sedi_dagster.cli", "ui", "--profile", "rehearsal", "--port", str(port)]
    log = project / "ui.log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=environment) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_up(url, process, log)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=180)


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    body = json.dumps({"query": "{ version }"}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    for _ in range(SECONDS):
        try:
            urllib.request.urlopen(request, timeout=SECONDS).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(1)
    raise RuntimeError(f"The UI did not come up: {log.read_text()[-2000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", help="a UI that already runs, on an instance where nothing ran; else one is started")
    parser.add_argument("--shots", type=Path, help="folder for the screenshots")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--patience", type=float, default=1800, help="seconds for a round")
    given = parser.parse_args()
    if given.url:
        walk(given.url.rstrip("/"), given.shots, given.patience, given.rounds)
        return
    with tempfile.TemporaryDirectory(prefix="sedi-walk-") as folder, started(Path(folder)) as url:
        walk(url, given.shots, given.patience, given.rounds)


if __name__ == "__main__":
    main()
