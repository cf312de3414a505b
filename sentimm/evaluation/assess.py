"""An evaluation: answers to labelled posts, by a model or as `score` wrote them, compared with the labels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sentimm.bundle.bundle import load_bundle
from sentimm.bundle.suggestion import suggest_model
from sentimm.corpus import leave_out_absent, survey_corpus
from sentimm.corpus.labels import IMAGE_LABEL, LABEL, NO_LABEL, TEXT_LABEL, describe_pairs, note_absent_labels
from sentimm.errors import InputError
from sentimm.evaluation.answers import (
    OWN_LABELS,
    Answers,
    answer_posts,
    find_scored_tables,
    join_answers,
    needs_views,
    read_answers,
)
from sentimm.evaluation.groups import measure_values
from sentimm.evaluation.labelled_posts import LabelledCorpus, LeftOut
from sentimm.evaluation.options import EvaluateOptions
from sentimm.evaluation.seen import SeenPosts
from sentimm.events import JobStarted, Listener, ModelReady, PostsScored, SurveyProgress
from sentimm.metrics.conflict import conflict_auc
from sentimm.metrics.intervals import Interval
from sentimm.metrics.report import Report, measure_answers, measure_probabilities
from sentimm.scoring.pipeline.chunk_scorer import ChunkScorer
from sentimm.scoring.scores import STATUSES, USED_MODALITIES

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Assessment:
    """The results of an evaluation.

    Attributes:
        inputs: the tables.
        model: the model's name, or where its answers were read.
        labels: the model's.
        label_values: what the tables' values stand for, where --labels says so.
        posts: labelled posts that have an answer; the figures are theirs.
        unanswered: labelled posts without one.
        unlabelled: posts without a label in the label's column.
        unreadable: records that can't be read as a row.
        notes: what else matters, in sentences.
        seen_in: the table whose posts were left out; None: none were.
        seen_texts, seen_images, seen: posts left out because of their text, their image, one or the other.
        images_compared: posts whose image was looked up in that table; None: the posts name no images.
        report: all posts.
        modalities, statuses: the posts by the modalities that were used, and by status.
        by, values: the column of --by, and the posts by its values, the one of most posts first.
        alone: answers to the text, or the image, alone, compared with its own label (`text_label`, `image_label`).
        conflict: area under the ROC curve of `conflict` for the posts whose two labels differ; None: no such labels.
        conflict_posts, conflict_differ: the posts that have both labels and a conflict; those whose labels differ.
    """

    inputs: tuple[str, ...]
    model: str
    labels: tuple[str, ...]
    label_values: dict[str, str]
    posts: int
    unanswered: int
    unlabelled: int
    unreadable: int
    notes: tuple[str, ...]
    seen_in: str | None
    seen_texts: int
    seen_images: int
    seen: int
    images_compared: int | None
    report: Report
    modalities: dict[str, Report]
    statuses: dict[str, Report]
    by: str | None
    values: dict[str, Report]
    alone: dict[str, Report]
    conflict: Interval | None
    conflict_posts: int
    conflict_differ: int

    def to_json(self) -> dict[str, Any]:
        """Return all fields as report.json and `sentimm evaluate --json` have them."""
        return {"format": 1, **asdict(self)}


def assess_corpus(options: EvaluateOptions, tell: Listener) -> Assessment:
    """Compare answers with labels; `tell` hears of the progress.

    Raises:
        InputError, ColumnError, TableError: see `survey_corpus` and `LabelledCorpus`; no labelled post is left, or none
            has an answer.
        UsageError: see `number_labels`.
        BundleNotFoundError, BundleError, DeviceError: see `load_bundle` and `Engine`.
    """
    tables = find_scored_tables(options.inputs) if options.model is None else None
    if tables is None:
        return _assess_model(options, tell)
    left_out = LeftOut()
    with _open_seen(options) as seen:
        answers = read_answers(tables, options, seen, left_out)
    return _conclude(options, f"the answers in {', '.join(options.inputs)}", tables.columns.labels, answers, left_out)


def _assess_model(options: EvaluateOptions, tell: Listener) -> Assessment:
    from sentimm.runtime.batch_sizes import open_engine

    bundle = load_bundle(options.model)
    survey = survey_corpus(options.inputs, options.corpus, lambda rows: tell(SurveyProgress(rows)))
    corpus = LabelledCorpus(survey, options, bundle.labels)
    engine = open_engine(bundle, options.device, options.precision, options.threads, options.batch_size)
    tell(ModelReady(bundle.name, options.model is None, engine.device, engine.precision, engine.note))
    parts = []
    views = needs_views(bundle, corpus.kinds)
    with _open_seen(options) as seen, ChunkScorer(bundle, engine, views=views) as scorer:
        tell(JobStarted(None, survey.rows, 0))
        for posts in corpus.read(seen):
            advance = _tell_share(tell, posts.chunk.start, posts.chunk.rows)
            parts.append(answer_posts(scorer, bundle, posts, options.by, advance))
    notes = (*survey.notes, *suggest_model(survey, options.corpus, options.model), *corpus.notes)
    return _conclude(options, bundle.name, bundle.labels, join_answers(parts), corpus.left_out, notes)


def _open_seen(options: EvaluateOptions) -> AbstractContextManager[SeenPosts | None]:
    if options.without_seen is None:
        return nullcontext()
    corpus = replace(
        options.corpus,
        images=options.seen_images or options.corpus.images,
        limit=None,
        only=None,
        allow_missing=True,
        required=(),
    )
    # The columns that were named are those of the posts.
    return SeenPosts(options.without_seen, leave_out_absent([options.without_seen], corpus))


def _tell_share(tell: Listener, before: int, rows: int) -> Callable[[float], None]:
    return lambda share: tell(PostsScored(before + int(share * rows)))


def _conclude(
    options: EvaluateOptions,
    model: str,
    labels: tuple[str, ...],
    answers: Answers,
    left_out: LeftOut,
    notes: tuple[str, ...] = (),
) -> Assessment:
    inputs = ", ".join(options.inputs)
    labelled = answers.true[LABEL] != NO_LABEL
    if not labelled.any() and not left_out.seen:
        raise InputError(
            f"No post of {inputs} has a label in the column {options.label_column!r}: name another one with "
            "--label-column."
        )
    counted = labelled & (answers.answers != NO_LABEL)
    if not counted.any():
        if left_out.seen:
            raise InputError(f"All labelled posts of {inputs} occur in {options.without_seen} too: none is left.")
        raise InputError(
            f"None of the {labelled.sum()} labelled posts of {inputs} has an answer: check that they have a text or an "
            "image that the model reads."
        )

    def measure(rows: BoolArray) -> Report:
        return measure_probabilities(answers.true[LABEL][rows], answers.probabilities[rows], labels)

    both = np.isfinite(answers.conflict)
    for kind in OWN_LABELS.values():
        both &= answers.true[kind] != NO_LABEL if kind in answers.true else False
    text_label, image_label = (answers.true.get(kind, answers.answers)[both] for kind in (TEXT_LABEL, IMAGE_LABEL))
    return Assessment(
        inputs=options.inputs,
        model=model,
        labels=labels,
        label_values=describe_pairs(options.label_values),
        posts=int(counted.sum()),
        unanswered=int((labelled & ~counted).sum()),
        unlabelled=left_out.unlabelled,
        unreadable=left_out.unreadable,
        notes=(*notes, *note_absent_labels(answers.true[LABEL][counted], labels, "post with a label and an answer")),
        seen_in=options.without_seen,
        seen_texts=left_out.seen_texts,
        seen_images=left_out.seen_images,
        seen=left_out.seen,
        images_compared=left_out.images_compared,
        report=measure(counted),
        modalities=_measure_groups(USED_MODALITIES, answers.modalities, counted, measure),
        statuses=_measure_groups(STATUSES, answers.statuses, counted, measure),
        by=options.by,
        values=measure_values(answers.values, counted, options.by, measure),
        alone=_measure_alone(answers, labels),
        conflict=conflict_auc(answers.conflict[both], text_label, image_label),
        conflict_posts=int(both.sum()),
        conflict_differ=int((text_label != image_label).sum()),
    )


def _measure_groups(
    names: tuple[str, ...], groups: npt.NDArray[np.int64], counted: BoolArray, measure: Callable[[BoolArray], Report]
) -> dict[str, Report]:
    rows = {name: counted & (groups == number) for number, name in enumerate(names)}
    return {name: measure(own) for name, own in rows.items() if own.any()}


def _measure_alone(answers: Answers, labels: tuple[str, ...]) -> dict[str, Report]:
    found = {}
    for modality, given in answers.alone.items():
        true = answers.true.get(OWN_LABELS[modality])
        if true is None or not (rows := (true != NO_LABEL) & (given != NO_LABEL)).any():
            continue
        probabilities = answers.alone_probabilities.get(modality)
        found[modality] = (
            measure_answers(true[rows], given[rows], labels)
            if probabilities is None
            else measure_probabilities(true[rows], probabilities[rows], labels)
        )
    return found
