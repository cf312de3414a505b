"""Named facts about one thing, such as a bundle or a machine."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.text import Text

from sentimm.console.terminal import make_console, make_line, printable

Fact = tuple[str, Sequence[str]]  # its name, and its lines


def print_facts(title: str, facts: Iterable[Fact]) -> None:
    """Print a title and the facts below it on stdout."""
    console = make_console(sys.stdout)
    console.print(make_line(title, "bold"), soft_wrap=True)
    for line in draw_facts(facts):
        console.print(line, soft_wrap=True)


def draw_facts(facts: Iterable[Fact]) -> list[Text]:
    """Return the lines of all facts, each fact's name beside its first line; facts without lines are left out."""
    shown = [(name, lines) for name, lines in facts if lines]
    width = max((len(name) for name, _ in shown), default=0)
    drawn = []
    for name, lines in shown:
        for number, line in enumerate(lines):
            label = Text(f"  {'' if number else name:<{width}}  ", style="dim")
            drawn.append(label.append(Text(printable(line), style="default not dim")))
    return drawn
