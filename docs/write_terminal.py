"""Write docs/images/terminal.svg, the picture in the README: run `python docs/write_terminal.py`.

It scores the sample posts in a temporary folder, and draws what the command printed.
"""

from __future__ import annotations

import html
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
WIDTH = 100  # characters in a line
SPEED = "in 0.3 s, 140 posts/s"  # on two idle cores; fixed, so that the picture changes with the output alone

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
    printed = re.sub(r"\x1b\[\?25l.*?\x1b\[\?25h\n", "", done.stdout)  # lines where a progress bar was
    return re.sub(r"in [\d.]+ s, [\d,]+ posts/s", SPEED, printed)


def draw_terminal(printed: str) -> str:
    """Return an SVG of a terminal that shows the command and what it printed."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ sentimm {' '.join(COMMAND)}", style="bold"))
    console.print(Text.from_ansi(printed.rstrip()))
    picture = console.export_svg(title="sentimm", unique_id="sentimm")
    # Without fonts from the network: the reader's own will do.
    return place_words(re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL))


def place_words(picture: str) -> str:
    """Return the SVG with each text cut to its words: some programs drop the spaces around them, and shift them."""

    def cut(match: re.Match[str]) -> str:
        x, width, content = float(match["x"]), float(match["width"]), html.unescape(match["content"])
        words = content.strip()
        if not words:
            return ""
        cell = width / len(content)
        x += cell * (len(content) - len(content.lstrip()))
        attributes = f'{match["style"]} x="{x:g}"{match["y"]} textLength="{cell * len(words):g}"{match["rest"]}'
        return f"<text{attributes}>{html.escape(words)}</text>"

    return re.sub(
        r'<text(?P<style> class="[^"]*") x="(?P<x>[^"]*)"(?P<y> y="[^"]*") textLength="(?P<width>[^"]*)"'
        r"(?P<rest>[^>]*)>(?P<content>[^<]*)</text>",
        cut,
        picture,
    )


def main() -> None:
    """Score the samples and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "samples", Path(folder) / "samples")
        FILE.write_text(draw_terminal(run_command(Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main()
