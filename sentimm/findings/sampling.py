"""Sheets of posts to label, drawn from a scored corpus so that their labels can speak for all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from sentimm.corpus.chunks import Chunk, chunk_frame
from sentimm.corpus.columns.choice import choose_columns, list_used
from sentimm.corpus.images.image_lookup import ImageFile
from sentimm.corpus.images.post_images import list_images
from sentimm.errors import ColumnError, ImageError, UsageError
from sentimm.findings.designs import Design, check_design, read_design, write_design
from sentimm.findings.drawing import choose_numbers, draw_from, draw_posts, frame_unsure, make_frame
from sentimm.findings.options import SampleOptions
from sentimm.findings.population import divide, sum_answers
from sentimm.findings.power import Plan, count_labels, find_margin, list_plans, measure_variance
from sentimm.findings.question import Question
from sentimm.findings.scored import PLACE, ScoredPosts, open_scored
from sentimm.findings.sheets.files import check_replaceable, name_design, name_sheets, write_sheet
from sentimm.findings.sheets.labels import find_design
from sentimm.findings.sheets.rows import SheetRow
from sentimm.findings.statistics.estimators import Ints
from sentimm.images import read_image
from sentimm.options import CorpusOptions
from sentimm.text import normalize_texts


@dataclass(frozen=True)
class Sheet:
    """A sheet to label, and how its posts were drawn; the rows are in the order in which they are labelled."""

    rows: tuple[SheetRow, ...]
    design: Design


@dataclass(frozen=True)
class Sampled:
    """What one `sample` command did.

    Attributes:
        plans: what numbers of labels give; only these where nothing was written.
        sheets: the files or folders that were written.
        design: the design file.
        contents: distinct contents to label.
        posts: posts that were drawn.
        margin: half the width of a 95% interval of the corpus that they are likely to give, in points; None: of a sheet
            to train on.
        corpus: posts of the corpus that have an answer.
        notes: what the person who labels must know, in sentences.
    """

    plans: tuple[Plan, ...]
    sheets: tuple[Path, ...] = ()
    design: Path | None = None
    contents: int = 0
    posts: int = 0
    margin: float | None = None
    corpus: int = 0
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return what was done as JSON has it."""
        paths = {"sheets": list(map(str, self.sheets)), "design": None if self.design is None else str(self.design)}
        return {"format": 1, **asdict(self), **paths}


def run_sample(options: SampleOptions) -> Sampled:
    """Draw a sheet, and write it with its design file; or only plan.

    Raises:
        SentimmError: see `open_scored`, `draw_sheet`, `check_replaceable` and `write_sheet`.
    """
    scored = open_scored(options.inputs)
    if options.plan:
        frame = make_frame(scored, 1, Question())  # in the fewest strata, as small sheets are drawn
        return Sampled(
            tuple(list_plans(frame, _find_smallest(scored, options.question))), corpus=int(frame.sizes.sum())
        )
    assert options.output is not None
    sheets, design = name_sheets(options.output, options.annotators), name_design(options.output)
    check_replaceable(sheets, design)
    sheet = _choose_draw(scored, options, design)
    parts = [list(sheet.rows)]
    if options.annotators:
        parts = divide_rows(sheet.rows, len(options.annotators), options.overlap, options.seed)
    write_design(design, sheet.design)
    for path, rows in zip(sheets, parts, strict=True):
        write_sheet(path, rows, scored.labels, options.sheet_format, design)
    posts, corpus = len(sheet.design.posts), int(sheet.design.frame.sizes.sum())
    margin = find_margin(posts, measure_variance(sheet.design.frame), corpus)
    margin_or_none = None if options.for_training else margin
    notes = tuple(_note_images(scored, sheet, options))
    return Sampled((), tuple(sheets), design, len(sheet.rows), posts, margin_or_none, corpus, notes)


def _note_images(scored: ScoredPosts, sheet: Sheet, options: SampleOptions) -> list[str]:
    """Return a sentence where images are scored that the sheet does not show."""
    shown = sum(row.image is not None for row in sheet.rows)
    if shown and options.sheet_format == "doccano":
        return [
            f"doccano shows no images beside texts, so it leaves out those of {shown:,} rows: a spreadsheet or Label "
            "Studio shows both."
        ]
    modality = f"{scored.prefix}modality"
    if shown or modality not in scored.columns:
        return []
    found = scored.take(sheet.design.posts["place"].to_numpy(), [modality]).frame.collect()
    scored_images = int(found[modality].cast(pl.String).str.contains("image").sum())
    if not scored_images:
        return []
    return [
        f"{scored_images:,} of the drawn posts were scored with an image, and the sheet shows none: name their folder "
        "with --images, and draw it again."
    ]


def _choose_draw(scored: ScoredPosts, options: SampleOptions, design: Path) -> Sheet:
    """Draw what was asked for; `design` is where the new design will lie."""
    if options.add is not None:
        path = find_design([options.add], options.design)
        earlier = read_design(path)
        check_design(earlier, scored, path)
        if path.absolute() == design.absolute():
            raise UsageError(f"{options.output} is the sheet that is added to: name another one with -o.")
        return extend_sheet(scored, earlier, options)
    if options.for_training:
        return draw_for_training(scored, options)
    if options.margin is not None:
        frame = make_frame(scored, options.labels, Question())
        wanted = count_labels(options.margin, measure_variance(frame), int(frame.sizes.sum()))
        options = replace(options, labels=wanted)
    return draw_sheet(scored, options)


def draw_for_training(scored: ScoredPosts, options: SampleOptions) -> Sheet:
    """Draw posts that the model is unsure of, as many of each predicted label: to train on, not to estimate from."""
    frame, numbers = frame_unsure(scored, options.labels)
    design = draw_posts(scored, frame, numbers, options.seed)
    return _make_sheet(scored, replace(design, is_random=False), options, earlier=None)


def _find_smallest(scored: ScoredPosts, question: Question) -> float | None:
    """Return the share of the posts that the smallest group or period has."""
    if not question.keys:
        return None
    posts = sum_answers(divide(scored, question), len(scored.labels), question).posts
    return float(posts.min() / posts.sum())


def draw_sheet(scored: ScoredPosts, options: SampleOptions) -> Sheet:
    """Draw a sheet.

    Raises:
        InputError: there is nothing to draw from.
        ColumnError: the posts have neither text nor image.
    """
    design = draw_from(scored, options.labels, options.question, options.per_group, options.seed)
    return _make_sheet(scored, design, options, earlier=None)


def extend_sheet(scored: ScoredPosts, earlier: Design, options: SampleOptions) -> Sheet:
    """Draw more posts of the corpus in the strata of an earlier sheet; the rows are the new contents alone.

    `options.labels` is how many more.

    Raises:
        UsageError: all posts are in the sheet already.
    """
    drawn = earlier.drawn
    wanted = int(drawn.sum()) + options.labels
    numbers = np.maximum(drawn, choose_numbers(earlier.frame, wanted, None))
    if (numbers == drawn).all():
        raise UsageError("The sheet holds all posts that can be drawn: there is nothing to add.")
    design = draw_posts(scored, earlier.frame, numbers, earlier.seed)
    return _make_sheet(scored, design, options, earlier)


def divide_rows(rows: Sequence[SheetRow], annotators: int, overlap: int, seed: int) -> list[list[SheetRow]]:
    """Share rows out to people: `overlap` of them to all, the others to one each; each in an order of their own.

    Raises:
        UsageError: more are to overlap than there are.
    """
    if overlap > len(rows):
        raise UsageError(f"--overlap is {overlap}, but the sheet has {len(rows)} rows: choose a smaller number.")
    own = [[*rows[:overlap], *rows[overlap + number :: annotators]] for number in range(annotators)]
    shuffled = []
    for number, each in enumerate(own):
        order = np.random.default_rng([seed, number]).permutation(len(each))
        shuffled.append([each[index] for index in order])
    return shuffled


def _make_sheet(scored: ScoredPosts, design: Design, options: SampleOptions, earlier: Design | None) -> Sheet:
    """Read the drawn posts, and number their contents."""
    places = design.posts["place"]
    texts, images = read_contents(scored, places.to_numpy(), options.images, options.text_column, options.image_column)
    contents = name_contents(texts, images)
    ids = {} if earlier is None else dict(earlier.posts.select("content", "sheet_id").iter_rows())
    earlier_contents = len(set(ids.values()))
    new = [content for content in dict.fromkeys(contents) if content not in ids]
    order = np.random.default_rng([options.seed, earlier_contents]).permutation(len(new))
    draw = _name_draw(contents)
    for number, index in enumerate(order, earlier_contents + 1):
        ids[new[index]] = f"{draw}-{number:04d}"
    first = {content: row for row, content in reversed(list(enumerate(contents)))}
    rows = tuple(SheetRow(ids[new[index]], texts[first[new[index]]], images[first[new[index]]]) for index in order)
    posts = design.posts.with_columns(
        *_find_origin(scored, places.to_numpy()),
        sheet_id=pl.Series([ids[content] for content in contents], dtype=pl.String),
        content=pl.Series(contents, dtype=pl.String),
    )
    return Sheet(rows, replace(design, posts=posts))


def _find_origin(scored: ScoredPosts, places: Ints) -> tuple[pl.Series, pl.Series]:
    """Return the input that each post comes from, and its row there: as `score` wrote them where it had several."""
    types = scored.frame.collect_schema()
    if types.get("source") == pl.String and types.get("row") == pl.Int64:
        found = scored.take(places, ["source", "row"]).frame.collect()
        return found["source"], found["row"]
    firsts = np.cumsum([0, *map(sum, scored.groups)])[: len(scored.names)]
    number = np.searchsorted(firsts, places, side="right") - 1
    return pl.Series("source", [scored.names[each] for each in number], pl.String), pl.Series(
        "row", places - firsts[number]
    )


def read_contents(
    scored: ScoredPosts, places: Ints, folder: Path | None, text_column: str | None, image_column: str | None
) -> tuple[list[str | None], list[ImageFile | None]]:
    """Return the texts and images of posts, in the columns that `score` took unless others are named.

    `places` are the posts' numbers in the corpus, int64 (posts,), in order.

    Raises:
        ColumnError: there is neither.
        InputError: the folder is not there.
    """
    used = scored.options
    asked = CorpusOptions(
        images=folder,
        text_column=text_column or used.get("text_column"),
        image_column=image_column or used.get("image_column"),
        id_column=used.get("id_column"),
        allow_missing=True,
    )
    try:
        schema = scored.frame.select(scored.columns).collect_schema()
        choice = replace(choose_columns(dict(schema), asked, folder is not None), ignored_image=None)
        if not choice.by_id:  # ids are long to read, and not shown
            choice, asked = replace(choice, id=None), replace(asked, id_column=None)
        chunk, _ = chunk_frame(scored.take(places, list_used(choice)).frame.drop(PLACE).collect(), asked)
    except ColumnError as error:
        raise ColumnError(f"{error} A sheet shows the posts' texts: score with --columns that keep them.") from error
    return list_contents(chunk)


def list_contents(chunk: Chunk) -> tuple[list[str | None], list[ImageFile | None]]:
    """Return the texts of posts and their (first) images, None where there is none."""
    texts: list[str | None] = [text if text and text.strip() else None for text in chunk.texts.to_list()]
    there = ([image for image in list_images(post) if isinstance(image, ImageFile)] for post in chunk.images)
    return texts, [next(iter(images), None) for images in there]


def _name_draw(contents: Sequence[str]) -> str:
    """Return four letters for these contents, so that no sheet has the ids of another one."""
    digest = hashlib.sha256("".join(contents).encode()).digest()
    return "".join("abcdefghijklmnop"[byte % 16] for byte in digest[:4])


def name_contents(texts: Sequence[str | None], images: Sequence[ImageFile | None]) -> list[str]:
    """Return a digest of each post's normalised text and image: the same for retweets."""
    normalized = normalize_texts(pl.Series("text", texts, dtype=pl.String)).to_list()
    names = []
    for text, image in zip(normalized, images, strict=True):
        digest = hashlib.sha256((text or "").encode())
        digest.update(b"\0" + _read_content(image))
        names.append(digest.hexdigest()[:32])
    return names


def _read_content(image: ImageFile | None) -> bytes:
    if image is None:
        return b""
    try:
        return image if isinstance(image, bytes) else read_image(image)
    except ImageError:
        return str(image).encode()
