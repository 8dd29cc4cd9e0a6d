"""Makes the pictures of the pages from a real run: the live view on a terminal, the report and the dashboard.

    python -m tests.pictures.make

Runs `examples/digits.py` on a local Ray in a terminal of 100 columns, then opens its report in Chromium.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from tunedsl import load

ROOT: Final = Path(__file__).resolve().parents[2]
PICTURES: Final = ROOT / "tunedsl" / "docs" / "pictures"
COLUMNS: Final = 100
ROWS: Final = 40
MAX_BYTES: Final = 200_000
"""Of one picture."""

REDRAW = re.compile(r"(?:\r?\x1b\[2K|\x1b\[1A|\x1b\[\?25[lh])+\r?")
"""What the live view writes before it draws itself again."""
FONT_FACE = re.compile(r"@font-face \{.*?\}", re.DOTALL)
"""Rich's pictures load a font from the network; `monospace` does without."""


def run_in_terminal(command: list[str], folder: Path) -> str:
    """Everything that a command writes to a terminal.

    Raises:
        subprocess.CalledProcessError: when it fails.
    """
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=follower, stderr=follower)
    os.close(follower)
    chunks = []
    try:
        while chunk := os.read(leader, 65536):
            chunks.append(chunk)
    except OSError:
        pass  # Linux reports the end of a terminal as an error
    os.close(leader)
    text = b"".join(chunks).decode()
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command, text)
    return text


def frames(output: str) -> list[str]:
    """Each drawing of the live view, in order."""
    return [part.replace("\r\n", "\n") for part in REDRAW.split(output) if "workers busy" in part]


def live_svg(frame: str, file: Path) -> None:
    """Writes one drawing of the live view as a picture of a terminal."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(frame.rstrip()))
        svg = console.export_svg(title="python examples/digits.py")
    file.write_text(FONT_FACE.sub("", svg).replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")


def report_png(html: Path, file: Path) -> None:
    """Writes the first screen of a report as a picture."""
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_context(offline=True, viewport={"width": 1100, "height": 1500}).new_page()
        page.goto(html.as_uri())
        page.wait_for_selector(".figure[data-drawn=yes]")
        page.screenshot(path=file, animations="disabled")
        browser.close()


def dashboard_png(store: Path, file: Path) -> None:
    """Writes the first screen of a run on the dashboard as a picture."""
    from playwright.sync_api import sync_playwright

    from tests.served import serving

    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with serving(store) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        (run,) = (path.name for path in store.iterdir())
        page.goto(f"{address}#/run/{run}")
        page.wait_for_selector(".figure[data-drawn=yes]")
        page.screenshot(path=file, animations="disabled")
        browser.close()


def main() -> None:
    """Makes the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = frames(run_in_terminal([sys.executable, str(ROOT / "examples" / "digits.py")], folder))
        live_svg(drawn[len(drawn) * 2 // 3], PICTURES / "live.svg")
        (path,) = (folder / "tunedsl-results").glob("digits-*")
        load(path).report(folder / "report.html")
        report_png(folder / "report.html", PICTURES / "report.png")
        dashboard_png(path.parent, PICTURES / "dashboard.png")
    for picture in (PICTURES / "live.svg", PICTURES / "report.png", PICTURES / "dashboard.png"):
        size = picture.stat().st_size
        print(f"{picture.relative_to(ROOT)}: {size:,} bytes")
        if size > MAX_BYTES:
            raise SystemExit(f"{picture.name} is larger than {MAX_BYTES:,} bytes")


if __name__ == "__main__":
    main()
