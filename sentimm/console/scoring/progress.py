"""The progress of a `score` job on stderr, and its result on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sentimm.console.scoring.summary import draw_counts
from sentimm.console.scoring.survey import describe_survey, draw_survey
from sentimm.console.terminal import (
    BAR_WIDTH,
    count_posts,
    describe_duration,
    describe_rate,
    make_console,
    make_line,
    print_block,
    print_json,
)
from sentimm.events import (
    BatchesChosen,
    Event,
    JobFinished,
    JobStarted,
    ModelReady,
    OutputAssembled,
    PartCommitted,
    PostsScored,
    PostsStaged,
    Surveyed,
    SurveyProgress,
)

if TYPE_CHECKING:
    from sentimm.corpus import Survey

_PLAIN_EVERY_S = 10.0  # between lines of progress where stderr is no terminal


class ScoreConsole:
    """Shows the progress of a `score` job, and its result.

    Args:
        quiet: show nothing.
        as_json: print the result as one JSON object.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self._quiet = quiet
        self._as_json = as_json
        self._err = make_console(sys.stderr)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._doing = ""
        self._model: ModelReady | None = None
        self._started: JobStarted | None = None
        self._began = self._last_line_at = time.monotonic()

    def __enter__(self) -> ScoreConsole:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the progress bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def warn(self, message: str) -> None:
        """Print a sentence on stderr."""
        self._say(message)

    def hint(self, message: str) -> None:
        """Print a sentence on stderr that a person may want to know."""
        self._say(message, "dim")

    def show(self, event: Event) -> None:
        """Show an event."""
        match event:
            case ModelReady():
                self._model = event
                model = "the default model" if event.embedded else f"the model {event.name}"
                self._say(f"Scoring with {model}. {event.note}")
            case BatchesChosen(sizes, is_stored):
                self._say(_describe_batches(sizes, is_stored))
            case SurveyProgress(rows):
                self._advance("Surveying", rows, None)
            case Surveyed(survey):
                self.close()
                self._say(describe_survey(survey))
                for sentence in survey.choice.reasons:
                    self._say(f"  {sentence}", "dim")
                for sentence in survey.notes:
                    self._say(f"Note: {sentence}", "yellow")
            case JobStarted(rows=rows, done=done, damaged=damaged):
                self._started, self._began, self._last_line_at = event, time.monotonic(), time.monotonic()
                if damaged:
                    parts = "1 part is damaged: its" if damaged == 1 else f"{damaged} parts are damaged: their"
                    self._say(f"{parts} posts will be scored again.", "yellow")
                if done:
                    self._say(f"Resuming: {done:,} of {rows:,} posts are done.")
                self._advance("Scoring", done, rows)
            case PostsScored(rows) | PartCommitted(rows):
                self._advance("Scoring", rows, self._started.rows if self._started else None)
            case PostsStaged(rows):
                self._advance("Staging", rows, self._started.rows if self._started else None)
            case OutputAssembled(rows):
                self._advance("Writing", rows, self._started.rows if self._started else None)
            case JobFinished():
                self.close()
                self._show_result(event)

    def show_survey(self, survey: Survey) -> None:
        """Show the result of a dry run."""
        self.close()
        if self._as_json:
            print_json(survey.to_json())
        elif not self._quiet:
            print_block(make_console(sys.stdout), draw_survey(survey))

    def _show_result(self, done: JobFinished) -> None:
        if self._as_json:
            print_json(done.to_json(self._model))
            return
        if self._quiet:
            return
        console = make_console(sys.stdout)
        console.print()
        if done.already:
            every = "all " if done.rows > 1 else ""
            done_before = f"Already done: {done.output} holds {every}{count_posts(done.rows)}."
            console.print(make_line(done_before, "bold"), soft_wrap=True)
        else:
            console.print(make_line(_describe_speed(done), "bold"))
            if done.saved_texts or done.saved_images:
                console.print(make_line(_describe_savings(done), "dim"))
        console.print()
        print_block(console, draw_counts(done.counts))
        if done.problems is not None:
            console.print(make_line(f"  Each is listed with its reason in {done.problems}", "dim"), soft_wrap=True)
        if not done.already:
            console.print()
            console.print(make_line(f"Written to {done.output}"), soft_wrap=True)

    def _advance(self, what: str, rows: int, total: int | None) -> None:
        if self._quiet:
            return
        if not self._err.is_terminal:
            self._advance_plainly(what, rows, total)
            return
        if self._progress is None:
            self._progress = _make_progress(self._err)
            self._task = None
            self._progress.start()
        posts = f"{rows:,} posts" if total is None else f"{rows:,} of {total:,} posts"
        if self._task is None or self._doing != what:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(what, total=total, completed=rows, posts=posts, rate="")
            self._doing = what
        self._progress.update(self._task, completed=rows, posts=posts, rate=self._rate_so_far(what, rows))

    def _advance_plainly(self, what: str, rows: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._last_line_at < _PLAIN_EVERY_S:
            return
        self._last_line_at = now
        line = f"{what}: {rows:,} posts" if total is None else f"{what}: {rows:,} of {total:,} posts"
        rate = self._rate_so_far(what, rows)
        if rate and total and self._started:
            left = (total - rows) * (now - self._began) / max(1, rows - self._started.done)
            line += f" ({rows / total:.0%}), {rate}, {describe_duration(left)} left"
        self._say(line)

    def _rate_so_far(self, what: str, rows: int) -> str:
        seconds = time.monotonic() - self._began
        if what != "Scoring" or self._started is None or rows <= self._started.done or seconds < 0.2:
            return ""
        return describe_rate((rows - self._started.done) / seconds)

    def _say(self, message: str, style: str = "") -> None:
        if not self._quiet:
            self._err.print(make_line(message, style), soft_wrap=True)


def _make_progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=BAR_WIDTH, complete_style="cyan", finished_style="cyan"),
        TextColumn("{task.fields[posts]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )


def _describe_batches(sizes: Mapping[str, int], is_stored: bool) -> str:
    named = " and ".join(f"{size} {modality}{'s' if size > 1 else ''}" for modality, size in sizes.items())
    return f"Batches of {named}, {'as measured before' if is_stored else 'the fastest here'}."


def _describe_savings(done: JobFinished) -> str:
    saved = {"text": done.saved_texts, "image": done.saved_images}
    named = [f"{number:,} repeated {name}{'s' if number > 1 else ''}" for name, number in saved.items() if number]
    return f"  Reused the results of {' and '.join(named)}"


def _describe_speed(done: JobFinished) -> str:
    rate = describe_rate(done.scored / done.seconds) if done.seconds and done.scored else ""
    now = f", {done.scored:,} of them now," if done.scored < done.rows else ""
    return f"{count_posts(done.rows)}{now} in {describe_duration(done.seconds)}" + (f", {rate}" if rate else "")
