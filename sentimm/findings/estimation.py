"""Shares of labels in a corpus, by group and period, with intervals from a labelled sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl

from sentimm.errors import UsageError
from sentimm.findings.designs import LabelledSample
from sentimm.findings.options import Compare, SharesOptions
from sentimm.findings.population import (
    AnswerSums,
    divide,
    find_cells,
    list_columns,
    place_strata,
    sum_answers,
    sum_points,
    sum_population,
)
from sentimm.findings.question import NO_VALUE, Question
from sentimm.findings.scored import ScoredPosts, open_scored
from sentimm.findings.sheets.labels import read_labelled_sample
from sentimm.findings.sheets.random_sheets import read_random_sample
from sentimm.findings.statistics.estimators import (
    Floats,
    Sample,
    choose_coefficient,
    estimate_shares,
    find_margins,
)
from sentimm.findings.statistics.prior_shift import MOST_POINTS, MOST_ROWS, place_point, read_prior, shift_shares
from sentimm.findings.statistics.strata import check_labelled, note_few_labels
from sentimm.findings.tables import (
    LEVEL,
    Shares,
    tabulate_differences,
    tabulate_estimate,
    tabulate_sums,
    write_table,
)

_PRIOR_SHIFT = (
    "These shares hold only if nothing but the labels' shares has changed since the model was trained, and if its "
    "probabilities are calibrated. Elsewhere they may be further off than what is counted; no post here was labelled."
)
_DRAWN_AT_RANDOM = (
    "The intervals hold only if the labelled posts were drawn at random, each with the same chance, from all posts: no "
    "design file says so."
)


@dataclass(frozen=True)
class Answer:
    """What one `shares` command found.

    Attributes:
        shares: the estimates.
        scored: the posts.
        labelled: rows of the sheets that have a label; None: no sheet.
        unsure: judgements that were marked as unsure.
    """

    shares: Shares
    scored: ScoredPosts
    labelled: int | None = None
    unsure: int = 0

    def to_json(self) -> dict[str, object]:
        """Return the estimates as JSON has them."""
        shares, differences = self.shares, self.shares.differences
        return {
            "format": 1,
            "shares": shares.table.to_dicts(),
            "differences": None if differences is None else differences.to_dicts(),
            "lambda": shares.coefficient,
            "level": shares.level,
            "widest_margin": shares.widest_margin,
            "notes": list(shares.notes),
        }


def run_shares(options: SharesOptions) -> Answer:
    """Estimate what was asked, and write the table where that is wanted.

    Raises:
        SentimmError: see `open_scored`, `read_labelled_sample` and `estimate_corpus`.
        OutputError: the table can't be written.
    """
    scored = open_scored(options.inputs)
    if options.assume == "prior-shift":
        prior = read_prior(options.prior, scored.labels)
        answer = Answer(shift_corpus(scored, options.question, prior), scored)
    elif not options.sheets.labels:
        answer = Answer(count_corpus(scored, options.question), scored)
    else:
        is_assumed = options.assume == "random"
        sample, labels = (read_random_sample if is_assumed else read_labelled_sample)(options.sheets, scored)
        found = estimate_corpus(
            scored, options.question, sample, compare=options.compare, simultaneous=options.simultaneous
        )
        found = replace(found, notes=(*labels.notes, *found.notes))
        if is_assumed:
            table = found.table.with_columns(method=pl.lit("GREG, assuming a random sample"))
            found = replace(found, table=table, notes=(_DRAWN_AT_RANDOM, *found.notes))
        answer = Answer(found, scored, labels.votes["sheet_id"].n_unique(), labels.unsure)
    if options.output is not None:
        write_table(options.output, answer.shares)
    return answer


def estimate_corpus(
    scored: ScoredPosts,
    question: Question,
    sample: LabelledSample,
    *,
    compare: Compare | None = None,
    simultaneous: bool = False,
) -> Shares:
    """Estimate the shares of labels in all posts of a corpus, and in its groups and periods.

    Args:
        scored: the corpus.
        question: which posts, and how they are divided.
        sample: labels of posts that were drawn from the corpus.
        compare: differences to the first domain, to the one before, or between all.
        simultaneous: make the intervals so wide that all of them hold together with 95%.

    Raises:
        UsageError: the labels can't speak for the corpus.
        InputError: no post is asked about.
    """
    frame = sample.design.frame
    posts, placed = divide(scored, question, frame.question), place_strata(frame.strata, frame.question)
    population, domains = sum_population(posts, placed, frame.sizes, frame.means, question)
    drawn = _find_labelled(scored, question, sample, domains)
    labels = drawn.count_drawn(len(frame.sizes))
    check_labelled(frame.sizes, labels)
    coefficient = choose_coefficient(population.whole, drawn.whole)
    left_out, domains = (
        _note_left_out(scored, domains, question),
        replace(domains, cells=question.name_missing(domains.cells)),
    )
    parts = [(domains.whole, population.whole, drawn.whole)]
    if question.keys:
        parts.append((domains, population, drawn))
    pairs = _list_pairs(domains, question, compare)
    shown = len(pairs) + sum(len(sums.cells) for sums, *_ in parts)
    intervals = shown * len(scored.labels) if simultaneous else 1
    tables = []
    for sums, own, labelled in parts:
        found, alone = (estimate_shares(own, labelled, each) for each in (coefficient, 0.0))
        margins = find_margins(found.strata_variance, found.drawn, LEVEL, intervals)
        tables.append(tabulate_estimate(scored.labels, sums, found, alone, margins))
    differences = tabulate_differences(scored.labels, domains.cells, found, pairs, intervals) if pairs else None
    notes = (*left_out, *note_few_labels(frame.sizes, labels))
    return Shares(pl.concat(tables), differences, coefficient, question, LEVEL, notes)


def count_corpus(scored: ScoredPosts, question: Question) -> Shares:
    """Count a corpus by the model's labels, without any labels by hand: no interval can be given.

    Raises:
        InputError: no post is asked about.
    """
    sums, notes = _count(scored, question)
    parts = [sums.whole, *([sums] if question.keys else [])]
    table = pl.concat(tabulate_sums(scored.labels, part) for part in parts)
    return Shares(table, None, None, question, notes=notes)


def shift_corpus(scored: ScoredPosts, question: Question, prior: Floats) -> Shares:
    """Estimate shares without labels by hand, as if only they had changed since the model was trained: no interval.

    Args:
        scored: the corpus.
        question: which posts, and how they are divided.
        prior: the labels' shares in training, float64 (labels,).

    Raises:
        InputError: no post is asked about.
    """
    posts, labels = divide(scored, question), len(scored.labels)
    sums, left_out = _count(scored, question)
    key = place_point(labels, min(MOST_POINTS, max(labels, MOST_ROWS // len(sums.cells))))
    points = sum_points(posts, key, sums, question)
    whole = np.concatenate([p for p, _ in points]), np.concatenate([rows for _, rows in points])
    parts = [(sums.whole, [whole]), *([(sums, points)] if question.keys else [])]
    tables = [
        tabulate_sums(scored.labels, part).with_columns(
            share=np.concatenate([shift_shares(p, rows, prior) for p, rows in own]),
            method=pl.lit("EMQ, assuming prior shift"),
            note=pl.lit("no interval: it rests on an assumption"),
        )
        for part, own in parts
    ]
    return Shares(pl.concat(tables), None, None, question, notes=(*left_out, _PRIOR_SHIFT))


def _count(scored: ScoredPosts, question: Question) -> tuple[AnswerSums, tuple[str, ...]]:
    """Count what the model says, and return what a reader must know of the posts that are left out."""
    sums = sum_answers(divide(scored, question), len(scored.labels), question)
    return replace(sums, cells=question.name_missing(sums.cells)), tuple(_note_left_out(scored, sums, question))


def _note_left_out(scored: ScoredPosts, sums: AnswerSums, question: Question) -> tuple[str, ...]:
    """Return sentences on posts without a time, and without an answer.

    Raises:
        UsageError: no post has a time that can be read.
    """
    notes = _note_times(sums, question)
    # With a condition, nobody knows which of the posts without an answer are asked about.
    unanswered = 0 if question.where is not None else scored.count_rows() - int(sums.posts.sum())
    if unanswered:
        notes.append(f"{unanswered:,} posts have no answer of the model (see their status), so no share counts them.")
    return tuple(notes)


def _note_times(sums: AnswerSums, question: Question) -> list[str]:
    """Return a sentence on posts without a time.

    Raises:
        UsageError: no post has one that can be read.
    """
    if question.time is None:
        return []
    missing = sum(int(posts) for (_, period), posts in zip(sums.cells, sums.posts, strict=True) if period is None)
    if missing == sums.posts.sum():
        raise UsageError(
            f"--time names {question.time!r}, none of whose values can be read as a date or time: write them as "
            "2024-05-31 or 2024-05-31T12:00:00."
        )
    return (
        [f"{missing:,} posts have no time that can be read, so they are in the period {NO_VALUE}."] if missing else []
    )


def _find_labelled(scored: ScoredPosts, question: Question, sample: LabelledSample, domains: AnswerSums) -> Sample:
    """Join the labels to the cells of their posts."""
    posts = sample.design.posts.join(sample.votes, on="place", how="inner", maintain_order="left")
    if not len(posts):
        raise UsageError("The sheet has no labels yet: label some posts first.")
    asked = list_columns(question)
    taken = scored.take(posts["place"].to_numpy(), asked)  # in the order of the design, which has the probabilities
    names = zip(scored.name_probabilities(), scored.labels, strict=True)
    known = [posts[f"p_{label}"].alias(name) for name, label in names if name not in asked]
    found = divide(replace(taken, frame=taken.frame.with_columns(known)), question).collect()
    p = posts.select(f"p_{label}" for label in scored.labels).to_numpy().astype(np.float64)
    y = posts.select(f"y_{label}" for label in scored.labels).to_numpy().astype(np.float64)
    return Sample(
        posts["stratum"].to_numpy().astype(np.int64),
        find_cells(domains, found, question),
        p,
        y / y.sum(axis=1, keepdims=True),
    )


def _list_pairs(domains: AnswerSums, question: Question, compare: Compare | None) -> list[tuple[int, int]]:
    """List the domains that are compared: periods within a group, else groups."""
    if compare is None:
        return []
    numbers = range(len(domains.cells))
    lines: list[list[int]] = [list(numbers)]
    if len(question.keys) > 1:
        groups = dict.fromkeys(group for group, _ in domains.cells)
        lines = [[n for n in numbers if domains.cells[n][0] == group] for group in groups]
    if compare == "first":
        return [(n, line[0]) for line in lines for n in line[1:]]
    if compare == "previous":
        return [(n, before) for line in lines for before, n in pairwise(line)]
    return [(n, before) for line in lines for index, n in enumerate(line) for before in line[:index]]
