"""Named facts about one thing, such as a bundle or a machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.text import Text

from sentimm.console.terminal import make_console, printable


def print_facts(title: str, facts: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Print a title and, under it, named facts of some lines each on stdout; facts without lines are left out."""
    console = make_console(sys.stdout)
    shown = [(name, lines) for name, lines in facts if lines]
    width = max((len(name) for name, _ in shown), default=0)
    console.print(Text(printable(title), style="bold"), soft_wrap=True)
    for name, lines in shown:
        for number, line in enumerate(lines):
            label = Text(f"  {'' if number else name:<{width}}  ", style="dim")
            console.print(label.append(Text(printable(line), style="default not dim")), soft_wrap=True)
