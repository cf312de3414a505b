"""The notes of a survey: sentences about what a person should know before scoring."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from sentimm.corpus.columns.choice import IMAGE_NAMES, ColumnChoice, holds_bytes, list_used
from sentimm.corpus.survey.image_counter import ImageCounter
from sentimm.corpus.survey.long_cells import MAX_LINES
from sentimm.corpus.survey.post_counter import PostCounter
from sentimm.corpus.tables.base import Table
from sentimm.corpus.tables.formats import find_compression, find_format
from sentimm.corpus.wording import shorten_name, to_utf8
from sentimm.storage import hide_secrets
from sentimm.storage.archives import find_holder


def note_mixed_types(tables: Sequence[Table], schema: Mapping[str, pl.DataType]) -> Iterator[str]:
    """Yield a note for each column whose types in the tables have nothing in common but text."""
    for name, dtype in schema.items():
        found = {str(table.types[name]): table.path for table in tables if name in table.types}
        if dtype == pl.String and len(found) > 1 and str(pl.String()) not in found:
            listed = " and ".join(f"{each} in {path}" for each, path in list(found.items())[:2])
            yield f"The column {name!r} is {listed}: it is written as text, so that no value changes."


def note_text_files(tables: Sequence[Table]) -> Iterator[str]:
    """Yield a note for each file that is called a text (.txt), and is a table or JSON."""
    for table in tables:
        if table.format != "text" and find_format(table.path.name) == "text":
            yield f"{table.path} is read as {table.format.upper()}, for its first lines are written so."


def note_unused_images(
    table: Table, choice: ColumnChoice, columns: Mapping[str, pl.DataType], images: ImageCounter, uses_images: bool
) -> Iterator[str]:
    """Yield notes about columns that name or hold images, none of which is used.

    Args:
        table: the first table.
        choice: the columns used.
        columns: all columns of the tables.
        images: the images that were counted.
        uses_images: images were not left out on purpose.
    """
    ignored, has_names = choice.ignored_image, bool(images.names)
    if ignored is not None and has_names:
        yield f"The column {ignored!r} names images, which are not used: give their folder with --images."
    if uses_images and choice.image is None:
        used = list_used(choice)
        for name, dtype in ((name, dtype) for name, dtype in columns.items() if name not in used):
            if holds_bytes(dtype):
                yield f"The column {name!r} holds bytes: if these are images, name it with --image-column."
            elif name.lower() in IMAGE_NAMES and dtype.is_nested():
                what = f"The column {name!r} holds {dtype}, which is not used"
                yield f"{what}: an image is a name, a list of names, or its bytes."
    if has_names and images.only_urls and (ignored or choice.image):
        yield _suggest_download(table, choice.text, str(ignored or choice.image))


def note_several_images(posts: int) -> Iterator[str]:
    """Yield a note about posts that have several images."""
    if posts:
        have = "1 post has" if posts == 1 else f"{posts:,} posts have"
        yield f"{have} several images: all are used, and a post's answer is the mean of those to its images."


def note_stray_images(strays: Mapping[Path, Sequence[str]]) -> Iterator[str]:
    """Yield a note about each folder's images that belong to no post."""
    for folder, names in strays.items():
        first, where = shorten_name(to_utf8(min(names))), hide_secrets(folder)
        if len(names) == 1:
            yield f"1 image in {where} belongs to no post: {first}."
        else:
            yield f"{len(names):,} images in {where} belong to no post; the first: {first}."


def note_near_images(images: ImageCounter, choice: ColumnChoice) -> Iterator[str]:
    """Yield notes about images that were found by names which are not quite theirs, and about ids that are none."""
    if count := images.near["names"]:
        found = f"{count:,} images are" if count > 1 else "1 image is"
        yield (
            f"{found} found by the last part of a path or URL in the column {choice.image!r}, or without regard to "
            "suffix and case: the exact name is not there."
        )
    if images.near["shared"]:
        yield (
            f"Different paths in the column {choice.image!r} find one image, by their last parts alone. "
            "Check that --images is the folder that they start from."
        )
    if count := images.near["ids"]:
        found = f"{count:,} images are" if count > 1 else "1 image is"
        yield f"{found} found by an id in the column {choice.id!r} that lost or gained a .0."
    if count := images.near["foreign"]:
        posts = f"{count:,} posts" if count > 1 else "1 post"
        yield (
            f"For {posts} the folder has no image under the id in the column {choice.id!r}, but a video, a web page or "
            "the like: image_unreadable."
        )
    column = str(choice.id if choice.by_id else choice.image)
    if count := images.rounded[column]:
        ids = f"{count:,} ids" if count > 1 else "1 id"
        yield (
            f"A spreadsheet rounded {ids} in the column {column!r} (such as 1.59E+18), which find no image: export "
            "the table again with that column as text."
        )


def note_damage(counter: PostCounter) -> Iterator[str]:
    """Yield notes about cells that may hold many posts, and about records that can't be read."""
    if count := counter.long_cells.count:
        cells = f"{count} cells have" if count > 1 else "1 cell has"
        yield (
            f"{cells} more than 1 MB or {MAX_LINES:,} lines; the first: {counter.long_cells.first}. Check the quotes "
            "there: one that is not closed merges the posts below into its cell."
        )
    if count := counter.boosts:
        boosts = f"{count:,} posts are boosts" if count > 1 else "1 post is a boost"
        yield f"{boosts}, of which a Mastodon archive has the URL alone: no text."
    if 0 < (count := counter.nested_texts) < counter.texts:
        texts = f"{count} texts are" if count > 1 else "1 text is"
        yield f"{texts} JSON, and scored as written; the first: {counter.first_nested[:80]}"
    if count := counter.unreadable:
        records = f"{count} records" if count > 1 else "1 record"
        yield f"{records} can't be read as a row; the first: {counter.first_unreadable}."


def _suggest_download(table: Table, text: str | None, urls: str) -> str:
    """Return the command that downloads images which are named by URLs."""
    begin = f"The images in the column {urls!r} are URLs, which are not downloaded."
    compression = find_compression(table.path)
    is_packed = compression not in (None, "gzip") or find_holder(table.path) != table.path
    if table.format not in ("csv", "tsv", "ndjson", "parquet") or is_packed or table.escaped_quotes:
        return f"{begin} img2dataset downloads those of a CSV or Parquet table: convert this one."
    kind = {"ndjson": "jsonl"}.get(table.format, table.format) + (".gz" if compression == "gzip" else "")
    others = [name for name in table.columns if name not in (urls, text)]
    folder = f"{table.path.name.split('.')[0]}-images"
    words = ["img2dataset", "--url_list", str(table.path), "--input_format", kind, "--url_col", urls]
    words += ["--caption_col", text] if text else []
    words += ["--save_additional_columns", json.dumps(others, ensure_ascii=False)] if others else []
    words += ["--resize_mode", "no", "--output_format", "webdataset", "--output_folder", folder]
    return (
        f"{begin} `{shlex.join(words)}` downloads them into a folder that can be scored (sentimm score "
        f"{shlex.quote(folder)}); posts whose image can't be downloaded are left out."
    )
