"""What a person sees: the only module that imports rich. Progress goes to stderr, results to stdout."""

from __future__ import annotations

import json
import logging
import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from sentimm.events import (
    Counts,
    Event,
    JobFinished,
    JobStarted,
    ModelReady,
    OutputAssembled,
    PartCommitted,
    PostsScored,
    Surveyed,
    SurveyProgress,
)

if TYPE_CHECKING:
    from sentimm.scoring.progress import JobProgress

_BAR_WIDTH = 30
_PLAIN_EVERY_S = 10.0  # between lines of progress where stderr is no terminal
_COLORS = {"negative": "red", "neutral": "bright_black", "positive": "green"}
_OTHER_COLORS = ("cyan", "magenta", "blue", "yellow")
_DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")

_USED = {"text+image": "text and image", "text": "text", "image": "image", "none": "nothing"}
_WRONG = {
    "row_unreadable": ("record that can't be read as a row", "records that can't be read as rows"),
    "image_unreadable": ("image that can't be decoded", "images that can't be decoded"),
    "image_missing": ("image that is not there", "images that are not there"),
    "empty": ("post without text and image", "posts without text and image"),
    "unsupported": ("post with nothing that this model reads", "posts with nothing that this model reads"),
}


def printable(text: str) -> str:
    """Make `text` harmless to print: control and direction characters, which could rewrite a terminal, become `�`."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(character) else character for character in text)


def _is_control(character: str) -> bool:
    if character == "\n":
        return False
    return unicodedata.category(character) in ("Cc", "Cs") or character in _DIRECTION_MARKS


class _ConsoleLogHandler(logging.Handler):
    """Prints log records on stderr, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(self.format(record)), file=sys.stderr)


def make_log_handler() -> logging.Handler:
    """Make the log handler of `--verbose`."""
    handler = _ConsoleLogHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    return handler


def print_json(value: object) -> None:
    """Print a dataclass, or what JSON knows, as one JSON object on stdout."""
    content = value if isinstance(value, dict) else asdict(value)  # type: ignore[call-overload]
    print(json.dumps(content, ensure_ascii=False, default=str))


def print_progress(progress: JobProgress) -> None:
    """Print how far a job is."""
    console = _make_console(sys.stdout)
    if progress.counts is not None:
        console.print(_line(f"{progress.output} is done: {_posts(progress.rows)}.", "bold"), soft_wrap=True)
        console.print()
        _print_block(console, _draw_counts(progress.counts))
        return
    share = progress.scored / progress.rows if progress.rows else 1.0
    bar = Text.assemble(*_draw_bar(share, "cyan"), f" {share:4.0%}  {progress.scored:,} of {progress.rows:,} posts")
    state = "being written" if progress.state == "running" else "not finished"
    console.print(_line(f"{progress.output} is {state}.", "bold"), soft_wrap=True)
    console.print(bar)
    if progress.state == "stopped":
        console.print("No process works on it: the command that began it goes on with it.", soft_wrap=True)
        return
    details = []
    if progress.posts_per_second:
        left = (progress.rows - progress.scored) / progress.posts_per_second
        details.append(f"{_rate(progress.posts_per_second)}, {_duration(left)} left")
    if progress.last_part_s is not None:
        details.append(f"the last part {_duration(progress.last_part_s)} ago")
    console.print("; ".join(details) or "The first part is being scored.")


class ScoreConsole:
    """Shows how a `score` job goes, and its result.

    Args:
        quiet: show nothing.
        as_json: print the result as one JSON object.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self._quiet = quiet
        self._as_json = as_json
        self._err = _make_console(sys.stderr)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._doing = ""
        self._model: ModelReady | None = None
        self._started: JobStarted | None = None
        self._began = self._told = time.monotonic()

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
                source = "the built-in model" if event.embedded else "the model"
                self._say(f"Scoring with {source} {event.name}. {event.note}")
            case SurveyProgress(rows):
                self._advance("Surveying", rows, None)
            case Surveyed():
                self.close()
                self._say(_describe_posts(event))
                for sentence in event.reasons:
                    self._say(f"  {sentence}", "dim")
                for sentence in event.notes:
                    self._say(f"Note: {sentence}", "yellow")
            case JobStarted(rows=rows, done=done):
                self._started, self._began, self._told = event, time.monotonic(), time.monotonic()
                if done:
                    self._say(f"Going on where it stopped: {done:,} of {rows:,} posts are there.")
                self._advance("Scoring", done, rows)
            case PostsScored(rows) | PartCommitted(rows):
                self._advance("Scoring", rows, self._started.rows if self._started else None)
            case OutputAssembled(rows):
                self._advance("Writing", rows, self._started.rows if self._started else None)
            case JobFinished():
                self.close()
                self._show_result(event)

    def show_survey(self, survey: Surveyed) -> None:
        """Show the result of a dry run."""
        self.close()
        if self._as_json:
            print_json(survey)
        elif not self._quiet:
            _print_block(_make_console(sys.stdout), _draw_survey(survey))

    def _show_result(self, done: JobFinished) -> None:
        if self._as_json:
            print_json(self._describe_result(done))
            return
        if self._quiet:
            return
        console = _make_console(sys.stdout)
        console.print()
        if done.already:
            done_before = f"Already done: {done.output} holds {'all ' if done.rows > 1 else ''}{_posts(done.rows)}."
            console.print(_line(done_before, "bold"), soft_wrap=True)
        else:
            console.print(_line(_describe_speed(done), "bold"))
        console.print()
        _print_block(console, _draw_counts(done.counts))
        if not done.already:
            console.print()
            console.print(_line(f"Written to {done.output}"), soft_wrap=True)

    def _describe_result(self, done: JobFinished) -> dict[str, Any]:
        return {
            "output": str(done.output),
            "rows": done.rows,
            "scored": done.scored,
            "already_done": done.already,
            "seconds": round(done.seconds, 3),
            "posts_per_second": round(done.scored / done.seconds, 2) if done.seconds else None,
            **asdict(done.counts),
            "model": asdict(self._model) if self._model else None,
        }

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
        if now - self._told < _PLAIN_EVERY_S:
            return
        self._told = now
        line = f"{what}: {rows:,} posts" if total is None else f"{what}: {rows:,} of {total:,} posts"
        rate = self._rate_so_far(what, rows)
        if rate and total and self._started:
            left = (total - rows) * (now - self._began) / max(1, rows - self._started.done)
            line += f" ({rows / total:.0%}), {rate}, {_duration(left)} left"
        self._say(line)

    def _rate_so_far(self, what: str, rows: int) -> str:
        seconds = time.monotonic() - self._began
        if what != "Scoring" or self._started is None or rows <= self._started.done or seconds < 0.2:
            return ""
        return _rate((rows - self._started.done) / seconds)

    def _say(self, message: str, style: str = "") -> None:
        if not self._quiet:
            self._err.print(_line(message, style), soft_wrap=True)


def _make_console(file: Any) -> Console:
    return Console(file=file, highlight=False, markup=False, emoji=False)


def _print_block(console: Console, block: RenderableType) -> None:
    """Print what is drawn in columns, without the spaces that rich fills lines up with."""
    with console.capture() as capture:
        console.print(block)
    console.file.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _make_progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=_BAR_WIDTH, complete_style="cyan", finished_style="cyan"),
        TextColumn("{task.fields[posts]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )


def _line(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style)


def _describe_posts(survey: Surveyed) -> str:
    names = [name for name, _, _ in survey.sources]
    where = names[0] if len(names) == 1 else f"{len(names)} inputs"
    parts = [_posts(survey.rows), f"{survey.texts:,} with text"]
    if survey.images_named:
        parts.append(f"{survey.images_found:,} of {survey.images_named:,} images found")
    return f"{where}: {', '.join(parts)}."


def _describe_speed(done: JobFinished) -> str:
    rate = _rate(done.scored / done.seconds) if done.seconds and done.scored else ""
    now = f", {done.scored:,} of them now," if done.scored < done.rows else ""
    return f"{_posts(done.rows)}{now} in {_duration(done.seconds)}" + (f", {rate}" if rate else "")


def _draw_counts(counts: Counts) -> RenderableType:
    """Draw the share of each label as bars, what was used, and what went wrong."""
    if not any(counts.statuses.values()):
        return _line("  There were no posts: the output has all columns and no rows.")
    total = sum(counts.labels.values())
    bars = Table.grid(padding=(0, 2))
    bars.add_column()
    bars.add_column()
    bars.add_column(justify="right")
    bars.add_column(justify="right")
    for number, (label, posts) in enumerate(counts.labels.items()):
        share = posts / total if total else 0.0
        color = _COLORS.get(label, _OTHER_COLORS[number % len(_OTHER_COLORS)])
        bars.add_row(_line(label), Text.assemble(*_draw_bar(share, color)), f"{share:.1%}", f"{posts:,}")
    parts: list[RenderableType] = [bars, Text(), _draw_used(counts.modalities)]
    wrong = {status: number for status, number in counts.statuses.items() if number and status in _WRONG}
    if wrong:
        parts += [Text(), _draw_wrong(wrong)]
    return Padding(Group(*parts), (0, 0, 0, 2))


def _draw_used(modalities: Mapping[str, int]) -> Text:
    used = [f"{_USED[name]} {number:,}" for name, number in modalities.items() if number]
    return Text.assemble(("Used: ", "dim"), " · ".join(used) or "nothing")


def _draw_wrong(wrong: Mapping[str, int]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="yellow")
    table.add_column()
    table.add_column(style="dim")
    for status, number in wrong.items():
        one, many = _WRONG[status]
        table.add_row(f"{number:,}", one if number == 1 else many, f"status = {status}")
    advice = "Look for them by the column `status`; --log-file FILE tells what is wrong with each record and image."
    return Group(table, Text(advice, style="dim"))


def _draw_survey(survey: Surveyed) -> RenderableType:
    """Draw what a survey found, in full."""
    inputs = Table.grid(padding=(0, 2))
    inputs.add_column()
    inputs.add_column(style="dim")
    inputs.add_column(justify="right")
    for name, format_, rows in survey.sources:
        inputs.add_row(_line(name), format_, _posts(rows))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(justify="right")
    facts.add_column()
    facts.add_row(f"{survey.rows:,}", "posts to score")
    facts.add_row(f"{survey.texts:,}", f"with a text, {survey.repeated_texts:,} of them repeated")
    if survey.images_named:
        facts.add_row(f"{survey.images_named:,}", f"with an image, {survey.images_found:,} of these are there")
    if survey.unreadable:
        facts.add_row(f"{survey.unreadable:,}", "can't be read as a row")
    columns = Table.grid(padding=(0, 2))
    columns.add_column()
    columns.add_column(style="dim")
    for name, type_ in survey.columns:
        columns.add_row(_line(name), _line(type_))
    parts: list[RenderableType] = [inputs, Text(), facts, Text(), *_lines(survey.reasons)]
    if survey.notes:
        parts += [Text(), *_lines([f"Note: {note}" for note in survey.notes], "yellow")]
    return Group(*parts, Text(), Text("Columns that are kept", style="bold"), columns)


def _lines(sentences: Iterable[str], style: str = "") -> list[Text]:
    return [_line(sentence, style) for sentence in sentences]


def _draw_bar(share: float, color: str) -> Sequence[tuple[str, str]]:
    """Draw a bar of _BAR_WIDTH cells in eighths of a cell, where the terminal can show them."""
    if "utf" in (getattr(sys.stdout, "encoding", None) or "").lower():
        eighths = round(share * _BAR_WIDTH * 8)
        full = "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]
    else:
        full = "#" * round(share * _BAR_WIDTH)
    return [(full, color), (" " * (_BAR_WIDTH - len(full)), "")]


def _posts(number: int) -> str:
    return f"{number:,} post{'' if number == 1 else 's'}"


def _rate(posts_per_second: float) -> str:
    digits = 0 if posts_per_second >= 10 else 1
    return f"{posts_per_second:,.{digits}f} posts/s"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = int(seconds + 30) // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def print_facts(title: str, facts: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Print a title and, under it, named facts of some lines each on stdout; facts without lines are left out."""
    console = Console(highlight=False)
    shown = [(name, lines) for name, lines in facts if lines]
    width = max((len(name) for name, _ in shown), default=0)
    console.print(Text(printable(title), style="bold"), soft_wrap=True)
    for name, lines in shown:
        for number, line in enumerate(lines):
            label = Text(f"  {'' if number else name:<{width}}  ", style="dim")
            console.print(label.append(Text(printable(line), style="default not dim")), soft_wrap=True)
