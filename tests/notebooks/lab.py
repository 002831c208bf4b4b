"""JupyterLab on this machine, and a notebook in it as a person's browser shows it.

Needs the extra `browser` and Chromium: `make test-browser` gets both.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# No news from the network, every cell in the page at once, and no saving behind our back.
SETTINGS = {
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "notebook-extension/tracker": {"windowingMode": "none"},
    "docmanager-extension/plugin": {"autosave": False},
}
# JupyterLab shows what was raised as one or the other of these, by its version; warnings and
# progress bars are of the second kind, too.
OUTPUT = ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.{}']"
RAISED = re.compile(r"Traceback|^\w*(Error|Exception|Interrupt)\b", re.MULTILINE)
# What of the code cells has run, by JupyterLab itself: folded cells have no prompt in the page.
CELLS = """() => {
  const sheet = window.jupyterapp.shell.currentWidget.content;
  return sheet.widgets.filter(cell => cell.model.type === 'code').map(cell => ({
    line: cell.model.sharedModel.source.split('\\n')[0],
    ran: cell.model.executionCount !== null && cell.model.executionState !== 'running',
    running: cell.model.executionState === 'running',
  }));
}"""
LOOKS = (Path(__file__).parent / "looks.js").read_text(encoding="utf-8")
# What the browser says of JupyterLab itself, not of a notebook.
HARMLESS = re.compile(r"favicon|/api/me|Workspace|ResizeObserver loop", re.IGNORECASE)


def chromium() -> str | None:
    """The path of Debian's Chromium, or of a browser like it; None if there is none."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next(filter(None, found), None)


@contextlib.contextmanager
def jupyter_lab(folder: Path, notebooks: list[Path], widgets: Path | None = None) -> Iterator[str]:
    """Serve copies of `notebooks` out of a new folder, in the short mode; yields the address.

    The address ends in the token: `address.format(name)` opens a notebook. `widgets` is a folder
    with another ipywidgets and its part for JupyterLab, which are taken instead.
    """
    served, config = folder / "served", folder / "config"
    served.mkdir(parents=True)
    for path in notebooks:
        shutil.copy(path, served)
    for name, settings in SETTINGS.items():
        path = config / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    token = secrets.token_hex(16)
    environment = {
        **os.environ,
        "FAST_RUN": os.environ.get("FAST_RUN", "1"),
        "DEEPFAKE_OUTPUT": str(folder / "output"),
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(config / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(config / "workspaces"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--allow-root"]
    command += ["--LabApp.expose_app_in_browser=True"]
    if widgets is not None:
        before = [str(widgets), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(before)
        command += [f"--LabApp.extra_labextensions_path={widgets}/share/jupyter/labextensions"]
    log = folder / "server.log"
    with (
        log.open("w") as file,
        subprocess.Popen(
            [*command, f"--ServerApp.root_dir={served}"],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            port = _port(folder / "runtime", server, log)
            yield f"http://127.0.0.1:{port}/doc/tree/{{}}?token={token}"
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()


def _port(runtime: Path, server: subprocess.Popen, log: Path) -> int:
    """The port that the server chose, once it has written it down."""
    until = time.monotonic() + 240
    while time.monotonic() < until and server.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            with contextlib.suppress(json.JSONDecodeError):  # half written
                return json.loads(path.read_text())["port"]
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


class NotebookPage:
    """A notebook in the browser: run it, look at it, use what it shows.

    Args:
        page: of Playwright.
        address: of the notebook.
        pictures: where screenshots go.
    """

    def __init__(self, page: Page, address: str, pictures: Path) -> None:
        self.page, self.pictures = page, pictures
        self.complaints: list[str] = []
        page.route(lambda url: not url.startswith(address.split("/doc/")[0]), self._refuse)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(address, wait_until="domcontentloaded")
        page.locator(".jp-NotebookPanel-notebook .jp-Cell").first.wait_for(timeout=240_000)
        # Before the kernel is there, a cell that is run asks in a dialog which one to take.
        page.locator("#jp-main-statusbar", has_text="Python 3 (ipykernel) | Idle").wait_for(
            timeout=240_000
        )

    def _refuse(self, route: Any) -> None:
        """The badge is the only thing a notebook may want from elsewhere; here it is empty."""
        if "colab-badge.svg" in route.request.url:
            empty = '<svg xmlns="http://www.w3.org/2000/svg" width="117" height="20"/>'
            route.fulfill(body=empty, content_type="image/svg+xml")
        else:
            self.complaints.append(f"asked for {route.request.url}")
            route.abort()

    def _note(self, message: Any) -> None:
        told = f"{message.text} ({message.location.get('url', '')})"
        if message.type == "error" and not HARMLESS.search(told):
            self.complaints.append(told)

    def run_all(self, timeout_s: float = 900.0) -> None:
        """Run > Run All Cells, as a person does; returns when the last one has run."""

        def begun() -> bool:
            return any(cell["ran"] or cell["running"] for cell in self.page.evaluate(CELLS))

        def ask() -> bool:
            """Again if need be: a click is lost while the page is still busy with itself."""
            if not begun():
                self.page.get_by_role("menuitem", name="Run", exact=True).click()
                self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
                self.page.wait_for_timeout(1_000)
            return begun()

        self.until("the first cell to begin", ask, 120)
        self.until("every cell to have run", lambda: not self.waiting(), timeout_s)

    def waiting(self) -> list[str]:
        """The code cells that have not run yet, by their first line."""
        return [cell["line"] for cell in self.page.evaluate(CELLS) if not cell["ran"]]

    def errors(self) -> list[str]:
        """What cells show as errors."""
        raised = self.page.locator(OUTPUT.format("error")).all_text_contents()
        told = self.page.locator(OUTPUT.format("stderr")).all_text_contents()
        return raised + list(filter(RAISED.search, told))

    def command(self, name: str, **arguments: object) -> None:
        """Have JupyterLab do something that is in no menu, or deep in one."""
        how = "([name, given]) => window.jupyterapp.commands.execute(name, given)"
        self.page.evaluate(how, [name, arguments])

    def restart(self) -> None:
        """Restart the kernel, as when it was lost; what runs in it is gone."""
        how = "() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()"
        self.page.evaluate(how)

    def append(self, source: str) -> None:
        """Put a cell below the last one, and run it; nothing else is waited for."""
        self.page.evaluate(
            """async source => {
              const panel = window.jupyterapp.shell.currentWidget;
              const cells = panel.content.model.sharedModel;
              cells.insertCell(cells.cells.length, { cell_type: 'code', source });
              panel.content.activeCellIndex = cells.cells.length - 1;
              await window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            source,
        )

    def faults(self, widths: tuple[int, ...] = (1280, 900)) -> dict[str, list[str]]:
        """What is wrong with how panels and widgets look, by theme and width of the window.

        Scroll bars, texts that are cut off, what lies outside the box it is in, pictures without
        a picture, and texts that are hard to tell from the ground; see looks.js.
        """
        size, found = self.page.viewport_size, {}
        for theme in ("JupyterLab Dark", "JupyterLab Light"):
            self.command("apputils:change-theme", theme=theme)
            self.page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")
            for width in widths:
                self.page.set_viewport_size({"width": width, "height": size["height"]})
                self.page.wait_for_timeout(300)  # until it is laid out anew
                if seen := self.page.evaluate(LOOKS):
                    found[f"{theme}, {width} px"] = seen
        self.page.set_viewport_size(size)
        return found

    def cell(self, text: str) -> Locator:
        """The code cell whose source has `text` in it."""
        editor = self.page.locator(".cm-content", has_text=text)
        return self.page.locator(".jp-CodeCell", has=editor).first

    def slider(self, label: str) -> Locator:
        """The handle of the slider with that label."""
        named = self.page.locator(".widget-label", has_text=re.compile(f"^{re.escape(label)}$"))
        return self.page.locator(".widget-slider", has=named).first.get_by_role("slider")

    def move(self, label: str, key: str = "ArrowRight", presses: int = 3) -> tuple[float, float]:
        """Move a slider by keyboard; where it was and where it is, as it says itself."""
        handle = self.slider(label)
        handle.scroll_into_view_if_needed()
        before = float(handle.get_attribute("aria-valuenow"))
        for _ in range(presses):
            handle.press(key)
        return before, float(handle.get_attribute("aria-valuenow"))

    def press(self, text: str, inside: Locator | None = None) -> None:
        """Press a button by keyboard, as soon as it can be; the first one, or that of a part."""
        button = (inside or self.page).get_by_role("button", name=text, exact=True).first
        self.until(f"{text} to be free", button.is_enabled)
        button.press("Enter")

    def picture(self, image: Locator) -> str:
        """The SHA-256 of what an <img> shows now."""
        return image.evaluate(
            """async image => {
              const data = await (await fetch(image.src)).arrayBuffer();
              const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
              return [...hash].map(byte => byte.toString(16).padStart(2, '0')).join('');
            }"""
        )

    def until(self, what: str, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Wait for a condition, and say what was waited for if it does not come."""
        until = time.monotonic() + timeout_s
        while True:
            assert self.errors() == []
            assert self.page.locator(".jp-Dialog").all_inner_texts() == []
            if condition():
                return
            left = self.waiting()
            assert time.monotonic() < until, f"waited {timeout_s:.0f} s for {what}; at {left[:1]}"
            self.page.wait_for_timeout(100)

    def play(self, video: Locator) -> float:
        """Start a video; the seconds it has come to, once it has moved on."""
        video.scroll_into_view_if_needed()
        video.evaluate("video => video.play()")
        self.until("the video to move on", lambda: video.evaluate("v => v.currentTime") > 0.1, 20)
        return video.evaluate("video => { video.pause(); return video.currentTime; }")

    def screenshot(self, name: str, part: Locator) -> None:
        """A picture of a part of the page, on a screen that is high enough for it."""
        size, height = self.page.viewport_size, part.bounding_box()["height"]
        wanted = max(size["height"], int(height) + 200)
        self.page.set_viewport_size({"width": size["width"], "height": wanted})
        part.scroll_into_view_if_needed()
        part.screenshot(path=self.pictures / f"{name}.png")
        self.page.set_viewport_size(size)

    def screenshots(self, name: str, height: int = 1800) -> None:
        """The whole notebook from top to bottom, `height` pixels a picture."""
        size = self.page.viewport_size
        self.page.set_viewport_size({"width": size["width"], "height": height})
        sheet = self.page.locator(".jp-WindowedPanel-outer")
        shown, whole = sheet.evaluate("sheet => [sheet.clientHeight, sheet.scrollHeight]")
        for index in range(-(-whole // shown)):
            sheet.evaluate("(sheet, y) => { sheet.scrollTop = y; }", index * shown)
            self.page.wait_for_timeout(100)  # until it is drawn
            sheet.screenshot(path=self.pictures / f"{name}_{index:02d}.png")
        self.page.set_viewport_size(size)
