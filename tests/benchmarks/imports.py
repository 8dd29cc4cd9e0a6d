"""`import tunedsl` beside `import numpy, attrs, toolz`, each in a new interpreter, from byte code as once installed."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from tests.benchmarks.measure import seconds, show

BASE = "import numpy, attrs, toolz"
TIMES = 21


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment = {**kept, "PYTHONPYCACHEPREFIX": folder}

        def run(code: str) -> None:
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)

        run(f"{BASE}, tunedsl")  # writes the byte code
        # In turn, so that a busy machine slows both alike.
        pairs = [(seconds(lambda: run(BASE), 1), seconds(lambda: run(f"{BASE}, tunedsl"), 1)) for _ in range(TIMES)]
    base, ours = (statistics.median(found) for found in zip(*pairs, strict=True))
    show(BASE, f"{base:.3f} s")
    show("the same and tunedsl", f"{ours:.3f} s, {ours - base:+.3f} s")


if __name__ == "__main__":
    main()
