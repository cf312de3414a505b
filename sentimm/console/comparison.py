"""The progress of a comparison, and its tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from sentimm.console.terminal import make_console, make_line, make_table, print_block, print_json
from sentimm.console.training import TrainingConsole
from sentimm.training.comparison.results import Comparison, list_notes, list_tables
from sentimm.training.events import ComparedRun, ComparisonEvent, ImagesHashed

if TYPE_CHECKING:
    from sentimm.training.run_folder import TrainingStopped

_WIDTH = 120  # of the tables: in a narrower window their lines wrap, and no figure is cut off
_STATES = {"new": "", "interrupted": ": resuming", "finished": ": already done"}


class ComparisonConsole:
    """Shows each run's training on stderr, and the tables on stdout.

    Args:
        quiet: no progress.
        as_json: print the results as one JSON object.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self._quiet = quiet
        self._as_json = as_json
        self._training = TrainingConsole(quiet=quiet)

    def tell(self, event: ComparisonEvent) -> None:
        """Show one event."""
        if isinstance(event, ImagesHashed):
            self._training.advance("hashing images", event.done, event.total)
        elif not isinstance(event, ComparedRun):
            self._training.tell(event)
        elif not self._quiet:
            self._training.close()
            self.say(f"Run {event.number}/{event.planned}, {event.name}{_STATES[event.state]}")

    def say(self, words: str) -> None:
        """Show a line, also where progress is not shown."""
        self._training.say(words)

    def stop(self, stop: TrainingStopped) -> None:
        """Show where the comparison stopped and how to resume it."""
        self._training.close()
        where = f"{stop.path.name}, epoch {stop.epoch}, after step {stop.step}"
        self.say(f"Stopped in {where}. To resume, run the same command again.")

    def finish(self, comparison: Comparison, folder: Path) -> None:
        """Show the tables; `folder` is where they were written."""
        self._training.close()
        if self._as_json:
            print_json(comparison.to_json())
            return
        console = make_console(sys.stdout)
        console.width = max(console.width, _WIDTH)
        for note in list_notes(comparison):
            console.print(make_line(note), soft_wrap=True)
        for title, (header, *rows) in list_tables(comparison):
            console.print()
            console.print(make_line(title, "bold"), soft_wrap=True)
            table = make_table(*header)
            for row in rows:
                table.add_row(*map(Text, row))
            print_block(console, table)
        console.print()
        console.print(make_line(f"Written to {folder}: table.md, results.json, comparison.png"), soft_wrap=True)
