"""The survey of a corpus: its inputs, posts and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sentimm.console.terminal import count_posts, make_line, make_lines

if TYPE_CHECKING:
    from sentimm.corpus import Survey


def describe_survey(survey: Survey) -> str:
    """Return a sentence on the posts."""
    names = [source.name for source in survey.sources]
    where = names[0] if len(names) == 1 else f"{len(names)} inputs"
    parts = [count_posts(survey.rows), f"{survey.texts:,} with text"]
    if survey.images_named:
        parts.append(f"{survey.images_found:,} of {survey.images_named:,} images found")
    return f"{where}: {', '.join(parts)}."


def draw_survey(survey: Survey) -> RenderableType:
    """Draw all facts of a survey."""
    inputs = Table.grid(padding=(0, 2))
    inputs.add_column()
    inputs.add_column(style="dim")
    inputs.add_column(justify="right")
    for source in survey.sources:
        inputs.add_row(make_line(source.name), source.format, count_posts(source.rows))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(justify="right")
    facts.add_column()
    facts.add_row(f"{survey.rows:,}", "posts to score")
    facts.add_row(f"{survey.texts:,}", f"with text, {survey.repeated_texts:,} of them repeated")
    if survey.images_named:
        facts.add_row(f"{survey.images_named:,}", f"with an image, {survey.images_found:,} of them found")
    if survey.several_images:
        facts.add_row(f"{survey.several_images:,}", "with several images")
    if survey.unreadable:
        facts.add_row(f"{survey.unreadable:,}", "unreadable rows")
    columns = Table.grid(padding=(0, 2))
    columns.add_column()
    columns.add_column(style="dim")
    for name, dtype in survey.schema.items():
        columns.add_row(make_line(name), make_line(str(dtype)))
    parts: list[RenderableType] = [inputs, Text(), facts, Text(), *make_lines(survey.choice.reasons)]
    if survey.notes:
        parts += [Text(), *make_lines([f"Note: {note}" for note in survey.notes], "yellow")]
    return Group(*parts, Text(), Text("Columns in the output", style="bold"), columns)
