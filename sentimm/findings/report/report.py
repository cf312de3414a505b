"""What one `report` command does."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from sentimm import __version__
from sentimm.findings.designs import Design
from sentimm.findings.drawing import draw_from
from sentimm.findings.estimation import count_corpus, estimate_corpus
from sentimm.findings.options import ReportOptions
from sentimm.findings.question import Question
from sentimm.findings.report.charts import export_svg
from sentimm.findings.report.page import FEWEST, KEY, Facts, Page, hide_small, list_charts, render_page
from sentimm.findings.report.posts import choose_posts
from sentimm.findings.report.trust import measure_trust
from sentimm.findings.scored import ScoredPosts, open_scored
from sentimm.findings.sheets.labels import read_labelled_sample
from sentimm.findings.sheets.spreadsheets import disarm_cells
from sentimm.storage import is_remote
from sentimm.storage.atomic import commit_file

_EXAMPLES = 200  # posts that are drawn to be looked at, where no sheet was labelled


@dataclass(frozen=True)
class Report:
    """What was written: the page, its bytes, and the figures beside it."""

    page: Path
    bytes: int
    figures: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return what was written as JSON has it."""
        return {"format": 1, "page": str(self.page), "bytes": self.bytes, "figures": list(map(str, self.figures))}


def write_report(options: ReportOptions) -> Report:
    """Write the page, and its figures where they are wanted.

    Raises:
        SentimmError: see `open_scored`, `read_labelled_sample` and `estimate_corpus`.
        OutputError: something can't be written.
    """
    scored = open_scored(options.inputs)
    page = make_page(scored, options)
    content = render_page(page).encode()
    with commit_file(options.output) as temporary:
        temporary.write_bytes(content)
    figures = [] if options.figures is None else write_figures(options.figures, page)
    return Report(options.output, len(content), tuple(figures))


def make_page(scored: ScoredPosts, options: ReportOptions) -> Page:
    """Return what the page shows.

    Raises:
        SentimmError: see `write_report`.
    """
    trust, notes = None, tuple[str, ...]()
    if options.sheets.labels:
        sample, labels = read_labelled_sample(options.sheets, scored)
        shares, design = estimate_corpus(scored, options.question, sample), sample.design
        trust, notes = measure_trust(sample, labels), (*labels.notes, *shares.notes)
    else:
        shares, design = count_corpus(scored, options.question), _draw_to_show(scored, options.seed)
    posts = {} if options.public else choose_posts(scored, design, options)
    table = shares.table
    if options.public:
        table = hide_small(table)
        trust = None if trust is None else trust.hide_small(FEWEST)
    title = options.title or f"Sentiment of {Path(scored.names[0]).name}"
    facts = _list_facts(scored, options)
    return Page(title, scored.labels, table, bool(options.sheets.labels), trust, posts, facts, notes, options.public)


def write_figures(folder: Path, page: Page) -> list[Path]:
    """Write each chart of a page as SVG, and beside it the table that it draws, as CSV.

    Raises:
        OutputError: one can't be written.
    """
    if not is_remote(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (chart, table) in list_charts(page).items():
        with commit_file(folder / f"{name}.svg") as temporary:
            key = KEY if page.has_labels and name != "reliability" else ""
            temporary.write_text(export_svg([chart], key), encoding="utf-8")
        with commit_file(folder / f"{name}.csv") as temporary:
            disarm_cells(table).write_csv(temporary)
        written += [folder / f"{name}.svg", folder / f"{name}.csv"]
    return written


def _draw_to_show(scored: ScoredPosts, seed: int) -> Design:
    return draw_from(scored, _EXAMPLES, Question(), None, seed)


def _list_facts(scored: ScoredPosts, options: ReportOptions) -> Facts:
    entries = [("sentimm", __version__), ("model", scored.bundle or "not stated")]
    if not options.public:
        entries += [("scored posts", ", ".join(Path(name).name for name in scored.names[:3]))]
        sheets = ", ".join(Path(name).name for name in options.sheets.labels)
        entries += [("labelled sheets", sheets)] if sheets else []
    question = options.question
    for name, value in (("where", question.where), ("groups", question.by), ("times", question.time)):
        if value is not None:
            entries.append((name, value if name != "times" else f"{value}, by {question.every}"))
    entries.append(("command", _write_command(scored, options)))
    entries += [("seed", str(options.seed)), ("fingerprint", (scored.fingerprint or "none")[:16])]
    return Facts(tuple(entries))


def _write_command(scored: ScoredPosts, options: ReportOptions) -> str:
    """Return the command that makes the page again: files without their folders, and none of them on a public page."""
    question = options.question
    files = ["SCORED"] if options.public else [Path(name).name for name in scored.names]
    sheets = ["SHEET" if options.public else Path(name).name for name in options.sheets.labels]
    named = {
        "--labels": ",".join(sheets),
        "--where": question.where,
        "--by": question.by,
        "--time": question.time,
        "--every": question.every if question.time else None,
        "--dates": question.dates,
        "--seed": None if options.seed == ReportOptions.seed else str(options.seed),
    }
    given = [each for name, value in named.items() if value for each in (name, value)]
    return shlex.join(["sentimm", "report", *files, *given, *(["--public"] if options.public else [])])
