"""The page: what was found, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from sentimm.findings.report.charts import Mark, draw_bars, draw_lines, draw_reliability
from sentimm.findings.report.html import escape, write_table, write_text
from sentimm.findings.report.posts import ShownPost
from sentimm.findings.report.style import PAGE_STYLE, hash_style
from sentimm.findings.report.trust import Trust

KEY = "Bars and dots: the estimate; whiskers and bands: 95% intervals; dashed: what the model counts."

FEWEST = 10  # posts of a cell of a public page, and labels of a bin


@dataclass(frozen=True)
class Facts:
    """How a page was made: names and values, in order."""

    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Page:
    """What a page shows.

    Attributes:
        title: its heading.
        labels: of the model.
        table: see `Shares.table`.
        has_labels: labelled posts were given.
        trust: what they say of the model.
        posts: posts to look at, by heading; none: a public page.
        facts: how it was made.
        notes: what a reader must know, in sentences.
        is_public: aggregates alone.
    """

    title: str
    labels: tuple[str, ...]
    table: pl.DataFrame
    has_labels: bool
    trust: Trust | None
    posts: Mapping[str, Sequence[ShownPost]]
    facts: Facts
    notes: tuple[str, ...] = ()
    is_public: bool = False


def render_page(page: Page) -> str:
    """Return the page as HTML that needs nothing else: no script, no network."""
    policy = f"default-src 'none'; img-src data:; style-src '{hash_style(PAGE_STYLE)}'"
    sections = [
        f"<h1>{escape(page.title)}</h1>",
        f'<p class="lead">{escape(describe_shares(page))}</p>',
        "" if page.is_public else _warn(page),
        *(f"<p>{escape(note)}</p>" for note in page.notes),
        *_show_shares(page),
        *_show_trust(page),
        *_show_posts(page),
        _show_limits(page),
        _show_facts(page),
    ]
    # The box stands before what it uncovers, so that a style sheet can do it.
    box = (
        ""
        if not _has_pictures(page)
        else ('<input type="checkbox" id="show-pictures"><label for="show-pictures">Show the pictures</label>')
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(page.title)}</title><style>{PAGE_STYLE}</style></head>"
        f"<body>{box}<main>{''.join(sections)}</main></body></html>\n"
    )


def list_charts(page: Page) -> dict[str, tuple[str, pl.DataFrame]]:
    """Return the charts of a page by name, each with the table that it draws."""
    charts = list_share_charts(page.table, page.labels)
    if page.trust is not None and page.trust.reliability:
        points = page.trust.reliability
        frame = pl.DataFrame(points, schema=["confidence", "right", "labels"], orient="row")
        charts["reliability"] = (draw_reliability(points, "How sure the model is, and how often it is right"), frame)
    return charts


def list_share_charts(table: pl.DataFrame, labels: Sequence[str]) -> dict[str, tuple[str, pl.DataFrame]]:
    """Return the charts of `Shares.table` by name, each with the part of it that it draws."""
    charts = {}
    whole = table.filter(pl.col("group").is_null() & pl.col("period").is_null())
    if len(whole):
        charts["shares"] = (draw_bars(_make_marks(whole, "label"), labels, "Shares of all posts"), whole)
    groups = table.filter(pl.col("group").is_not_null() & pl.col("period").is_null())
    if len(groups):
        ordered = groups.sort("label", maintain_order=True)
        charts["groups"] = (draw_bars(_make_marks(ordered, "group"), labels, "Shares by group"), groups)
    for name, title, rows in _split_periods(table):
        charts[name] = (draw_lines(_make_marks(rows, "period"), labels, title), rows)
    return charts


def hide_small(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table without groups and periods of so few posts that somebody might be told by them."""
    return table.filter(pl.col("posts") >= FEWEST)


def describe_shares(page: Page) -> str:
    """Return the result in a sentence."""
    whole = page.table.filter(pl.col("group").is_null() & pl.col("period").is_null()).to_dicts()
    if not whole:
        return "There are too few posts to say anything of them."
    posts = f"{whole[0]['posts']:,} posts"
    if not page.has_labels:
        parts = [f"{row['share_counted']:.0%} {row['label']}" for row in whole]
        counted = f"The model counts {', '.join(parts)} among {posts}."
        return f"{counted} No post is labelled, so nobody knows how far that is off."
    parts = [
        f"{row['share']:.0%} are {row['label']} ({row['low']:.0%} to {row['high']:.0%})"
        for row in whole
        if row["share"] is not None
    ]
    return f"Of {posts}, {', '.join(parts)}."


def _make_marks(rows: pl.DataFrame, name: str) -> list[Mark]:
    return [
        Mark(
            row["label"] if name == "label" else f"{row[name]}",
            row["label"],
            row["share"],
            row["low"],
            row["high"],
            row["share_counted"],
        )
        for row in rows.iter_rows(named=True)
    ]


def _split_periods(table: pl.DataFrame) -> list[tuple[str, str, pl.DataFrame]]:
    rows = table.filter(pl.col("period").is_not_null())
    if not len(rows):
        return []
    groups = rows["group"].unique(maintain_order=True).to_list()
    if groups == [None]:
        return [("time", "Shares over time", rows)]
    return [
        (f"time-{number}", f"Shares over time: {group}", rows.filter(pl.col("group").eq_missing(pl.lit(group))))
        for number, group in enumerate(groups, 1)
    ]


def _warn(page: Page) -> str:
    if not page.posts:
        return ""
    return (
        '<p class="banner"><strong>This page holds people\'s posts.</strong> Names and links are masked, pictures are '
        "blurred, but a text can be searched for. Do not publish it: <code>--public</code> makes a page without posts."
        "</p>"
    )


def _has_pictures(page: Page) -> bool:
    return any(post.picture for posts in page.posts.values() for post in posts)


def _show_shares(page: Page) -> list[str]:
    charts = list_charts(page)
    sections = []
    headings = {"shares": "Shares", "groups": "By group", "reliability": ""}
    for name, (chart, rows) in charts.items():
        if name == "reliability":
            continue
        heading = headings.get(name) or ("Over time" if name == "time" else f"Over time: {rows['group'][0]}")
        sections.append(f"<h2>{escape(heading)}</h2>{chart}{_tabulate(rows)}")
    return [*sections, f'<p class="meta">{escape(KEY)}</p>'] if page.has_labels else sections


def _tabulate(rows: pl.DataFrame) -> str:
    shown = [name for name in ("group", "period") if rows[name].null_count() < len(rows)]
    columns = [*shown, "label", "posts", "labels", "share", "95% interval", "counted"]
    body = []
    for row in rows.iter_rows(named=True):
        share = "" if row["share"] is None else f"{100 * row['share']:.1f}%"
        span = row["note"] or "" if row["low"] is None else f"{100 * row['low']:.1f} to {100 * row['high']:.1f}%"
        counted = f"{100 * row['share_counted']:.1f}%"
        names = [row[name] for name in shown]
        body.append([*names, row["label"], f"{row['posts']:,}", f"{row['labels']:,}", share, span, counted])
    return write_table(columns, body)


def _show_trust(page: Page) -> list[str]:
    if page.trust is None:
        return []
    trust, charts = page.trust, list_charts(page)
    sentences = [f"The model agrees with people on {trust.accuracy:.0%} of the posts, by {trust.labels:,} labels."]
    if trust.alpha is not None:
        ordinal = "" if trust.alpha_ordinal is None else f", {trust.alpha_ordinal:.2f} if neighbours count as nearer"
        sentences.append(
            f"{trust.people} people labelled; their agreement is {trust.alpha:.2f} (Krippendorff's alpha{ordinal}; 1 "
            "is perfect, 0 is chance)."
        )
    rows = [
        [label, *(f"{100 * share:.1f}%" for share in shares)]
        for label, shares in zip(page.labels, trust.confusion, strict=True)
    ]
    columns = ["people say \\ model says", *page.labels]
    table = write_table(columns, rows, "Shares of the corpus, by what people and the model say")
    chart = charts["reliability"][0] if "reliability" in charts else ""
    body = f"<h2>Can I trust it?</h2><p>{escape(' '.join(sentences))}</p>{table}{chart}"
    if chart:
        points = [(f"{100 * a:.0f}%", f"{100 * b:.0f}%", n) for a, b, n in trust.reliability]
        body += write_table(["the model is sure by", "is right in", "labelled posts"], points)
    return [body]


def _show_posts(page: Page) -> list[str]:
    sections = []
    for heading, posts in page.posts.items():
        items = "".join(map(_show_post, posts))
        sections.append(f'<h2>{escape(heading)}</h2><ul class="posts">{items}</ul>')
    return sections


def _show_post(post: ShownPost) -> str:
    picture = (
        ""
        if post.picture is None
        else f'<img alt="the picture of this post" src="data:image/jpeg;base64,{post.picture}">'
    )
    text = "" if post.text is None else write_text(post.text)
    stands = f"stands for {post.stands_for:,} post{'' if post.stands_for == 1 else 's'}"
    meta = f"{post.label}, {post.confidence:.0%}; {stands}"
    return f'<li>{picture}<div>{text}<div class="meta">{escape(meta)}</div></div></li>'


def _show_limits(page: Page) -> str:
    if page.has_labels:
        first = (
            "The intervals account for which posts were drawn to be labelled. They do not account for labels that are "
            "themselves wrong, nor for how the corpus was collected: they say nothing of posts that are not in it."
        )
    else:
        first = (
            "Without labelled posts nobody knows how far these counts are off. A model that is right on 75% of the "
            "posts can miss a share by up to 25 points. Draw a sheet with `sentimm sample`, label it, and make the "
            "page again."
        )
    second = "The label of a single post may be wrong. Do not use it to decide about a person."
    return f"<h2>What this can't say</h2><p>{escape(first)}</p><p>{escape(second)}</p>"


def _show_facts(page: Page) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(a)}</th><td class="text"><code>{escape(b)}</code></td></tr>'
        for a, b in page.facts.entries
    )
    return f'<h2>How it was made</h2><div class="scroll"><table>{rows}</table></div>'
