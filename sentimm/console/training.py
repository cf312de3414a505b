"""The progress of training: a bar or plain lines, a line for each epoch, and a table of all epochs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from sentimm.console.terminal import make_console, printable
from sentimm.training.events import (
    EpochTrained,
    FeaturesExtracted,
    PostsLoaded,
    StepTrained,
    StoppedEarly,
    TeacherScored,
    ThumbnailsMade,
    TrainingEvent,
)

if TYPE_CHECKING:
    from sentimm.training.run_folder import Run, TrainingStopped

_PLAIN_EVERY_S = 30


class TrainingConsole:
    """Shows training on stderr: a bar for each batch on a terminal, plain lines elsewhere, a line for each epoch.

    Args:
        quiet: no progress.
        silent: nothing at all.
    """

    def __init__(self, *, quiet: bool = False, silent: bool = False) -> None:
        self._console = make_console(sys.stderr)
        self._quiet = quiet or silent
        self._silent = silent
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._said_s = float("-inf")
        self._epochs: list[EpochTrained] = []

    def tell(self, event: TrainingEvent) -> None:
        """Show one event."""
        if self._quiet:
            return
        if isinstance(event, PostsLoaded):
            self._show_posts(event)
        elif isinstance(event, FeaturesExtracted):
            self.advance(f"frozen {event.modality} encoder", event.done, event.total)
        elif isinstance(event, ThumbnailsMade):
            self.advance("thumbnails", event.done, event.total)
        elif isinstance(event, TeacherScored):
            self.advance("teacher", event.done, event.total)
        elif isinstance(event, StepTrained):
            stage = f"epoch {event.epoch}/{event.epochs}"
            self.advance(stage, event.step, event.steps, f"loss {event.loss:.3f}")
        elif isinstance(event, StoppedEarly):
            self._console.print(f"Stopping after epoch {event.epoch}: no improvement {_describe_stale(event.stale)}.")
        else:
            self.close()
            self._epochs.append(event)
            self._console.print(self._epoch_line(event))

    def say(self, words: str) -> None:
        """Show a line, also where progress is not shown."""
        if not self._silent:
            self._console.print(printable(words))

    def stop(self, stop: TrainingStopped) -> None:
        """Show where training stopped and how to resume it."""
        self.close()
        self.say(
            f"Stopped in epoch {stop.epoch}, after step {stop.step}. To resume: sentimm train --resume {stop.path}"
        )

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` are done, unless no progress is to be shown."""
        if self._quiet:
            return
        if not self._console.is_terminal:
            now = time.monotonic()
            if done == total or now - self._said_s >= _PLAIN_EVERY_S:
                self._said_s = now
                self._console.print(f"{stage}: {done:,}/{total:,} {note}".rstrip())
            return
        if self._progress is None or self._stage != stage:
            self.close()
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._console,
                transient=True,
            )
            self._task = self._progress.add_task(stage, total=total, note=note)
            self._stage = stage
            self._progress.start()
        assert self._task is not None
        self._progress.update(self._task, completed=done, total=total, note=note)

    def close(self) -> None:
        """Take the progress bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def finish(self, run: Run) -> None:
        """Show the table of epochs, the run's folder and the next command."""
        self.close()
        if not self._quiet and self._epochs:
            self._console.print(self._table())
        if self._silent:
            return
        path = printable(str(run.path))
        print(f"Run: {path}")
        print(f"Next: sentimm export {path}")

    def _show_posts(self, event: PostsLoaded) -> None:
        line = f"Training on {event.training:,} posts ({event.complete:,} with text and image), "
        line += f"validating on {event.validation:,}"
        if event.processes > 1:
            line += f", in {event.processes} processes"
        self._console.print(line)
        for reason, count in event.skipped.items():
            self._console.print(f"  {count:,} {printable(reason)}", style="yellow")
        for note in event.notes:
            self._console.print(f"Note: {printable(note)}", style="yellow", soft_wrap=True)
        if event.resumed_epoch:
            self._console.print(f"Resuming in epoch {event.resumed_epoch}, after step {event.resumed_step}.")

    def _epoch_line(self, event: EpochTrained) -> str:
        parts = [
            f"{printable(name)}: accuracy {table.accuracy:.1%}, macro F1 {table.macro_f1:.3f}"
            for name, table in event.metrics.items()
        ]
        best = " (best)" if event.is_best else ""
        figures = "; ".join(parts) + best
        time_spent = f"{event.seconds:.0f} s ({event.waiting:.0%} waiting for data)"
        return f"epoch {event.epoch}/{event.epochs}: loss {event.loss:.3f}, {figures}, {time_spent}"

    def _table(self) -> Table:
        table = Table(title="Validation", title_justify="left")
        for column in ("epoch", "table", "posts", "loss", "accuracy", "macro F1", "macro recall", "waiting"):
            table.add_column(column, justify="left" if column == "table" else "right")
        best = max(self._epochs, key=lambda event: event.score)
        for event in self._epochs:
            for name, figures in event.metrics.items():
                table.add_row(
                    str(event.epoch),
                    printable(name),
                    f"{figures.posts:,}",
                    f"{event.loss:.3f}",
                    f"{figures.accuracy:.1%}",
                    f"{figures.macro_f1:.3f}",
                    f"{figures.macro_recall:.3f}",
                    f"{event.waiting:.0%}",
                    style="bold" if event is best else "",
                )
        return table


def _describe_stale(epochs: int) -> str:
    return "in the last epoch" if epochs == 1 else f"in the last {epochs} epochs"
