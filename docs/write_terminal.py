"""Write docs/images/terminal.svg, the picture in the README: run `python docs/write_terminal.py`.

It scores the sample posts in a temporary folder, and draws what the command printed.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
FILE = Path(__file__).parent / "images" / "terminal.svg"
WIDTH = 120  # characters in a line

COMMAND = ("score", "samples/posts.csv", "--images", "samples/images", "-o", "scored.parquet")


def run_command(folder: Path) -> str:
    """Return what the command prints in a terminal of WIDTH characters, with its colours."""
    terminal = {"COLUMNS": str(WIDTH), "FORCE_COLOR": "1", "TTY_INTERACTIVE": "0"}  # colours, but no progress bars
    environment = {**os.environ, **terminal, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "sentimm", *COMMAND],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


def draw_terminal(printed: str) -> str:
    """Return an SVG of a terminal that shows the command and what it printed."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ sentimm {' '.join(COMMAND)}", style="bold"))
    console.print(Text.from_ansi(printed.rstrip()))
    picture = console.export_svg(title="sentimm", unique_id="sentimm")
    return re.sub(
        r"@font-face \{.*?\}", "", picture, flags=re.DOTALL
    )  # fonts from the network: the reader's own will do


def main() -> None:
    """Score the samples and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "samples", Path(folder) / "samples")
        FILE.write_text(draw_terminal(run_command(Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main()
