"""`import tunedsl` beside `import numpy, attrs, toolz`, each in a new interpreter."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.measure import seconds, show

BASE = "import numpy, attrs, toolz"


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def main() -> None:
    run("import tunedsl")  # warm the byte code
    base, ours = seconds(lambda: run(BASE), 9), seconds(lambda: run(f"{BASE}, tunedsl"), 9)
    show(BASE, f"{base:.3f} s")
    show("the same and tunedsl", f"{ours:.3f} s, {ours - base:+.3f} s")


if __name__ == "__main__":
    main()
