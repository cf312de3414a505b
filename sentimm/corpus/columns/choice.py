"""Which columns of a corpus hold the text, the image and the id of a post."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from sentimm.corpus.columns.several import find_member_type, find_members, find_numbered_images
from sentimm.corpus.columns.values import find_root, find_type, suggest_path
from sentimm.corpus.text_repairs import TextRepairs
from sentimm.corpus.wording import list_names
from sentimm.errors import ColumnError
from sentimm.options import CorpusOptions

TEXT_NAMES = ("text", "tweet", "full_text", "content", "message", "body", "caption")
IMAGE_NAMES = ("image", "image_path", "image_file", "filename", "media", "photo")
BYTES_NAMES = ("jpg", "png", "webp")  # of columns that hold images themselves, as img2dataset calls them
ID_NAMES = ("id", "tweet_id", "post_id", "guid")

# Taken where there is none of those above.
OTHER_TEXT_NAMES = (
    "tweet_text",
    "post_text",
    "comment_text",
    "raw_content",
    "selftext",
    "video_description",
    "desc",
    "comment",
    "review",
    "sentence",
    "hit_sentence",
    "original_tweet",
    "clean_text",
    "review_text",
    "review_content",
    "review_body",
    "review_text_published",
    "text_original",
    "text_display",
    "contents",
    "post_message",
    "share_commentary",
    *("texto", "contenido", "comentario", "mensaje", "mensagem"),
    *("texte", "contenu", "commentaire", "testo", "inhalt", "kommentar", "nachricht"),
    *("текст", "正文", "微博正文", "内容", "评论内容"),
)
OTHER_IMAGE_NAMES = (
    *("images", "image_name", "file_name", "photos", "attachment_filename", "media_files"),
    *("img", "img_path", "img_name"),
)
OTHER_ID_NAMES = ("id_str", "status_id", "comment_id")
# Beside the first stands a longer text, or another one where it is empty: X cuts `text` off; a post may be its title.
_PAIRS = (("text", "full_text", "text"), ("selftext", "selftext", "title"))
# By itself a description may be of anything, such as a post's author; beside a title it is a post's.
_DESCRIPTION, _TITLE = "description", "title"
_IMAGE_WORDS = re.compile(r"(?i)image|media|photo|picture|attachment|foto|bild|图片")
_NO_IMAGE_WORDS = re.compile(r"(?i)num|count|type|width|height|video|alt|text")
_MOST_NAMES = 8  # in a reason
_BETWEEN = re.compile(r"[\s_-]+")


def simplify_name(name: str) -> str:
    """Return what is compared of a column's name: `Tweet Text` is `tweet_text`."""
    return _BETWEEN.sub("", name).casefold()


_PLAIN_TEXT_NAMES = frozenset(map(simplify_name, (*TEXT_NAMES, *OTHER_TEXT_NAMES)))
_USUAL_NAMES = _PLAIN_TEXT_NAMES.union(
    map(simplify_name, (*IMAGE_NAMES, *OTHER_IMAGE_NAMES, *ID_NAMES, *OTHER_ID_NAMES))
)


@dataclass(frozen=True)
class ColumnChoice:
    """The columns that are used, and why.

    Attributes:
        text: the column of texts; None: no text is used.
        short_text: the column that is read where `text` is empty; None: there is none.
        full_texts: the columns that have a text in full where that in `text` is cut off.
        image: the column of image names or bytes, or the name of several (see `find_members`); None: images are looked
            up by id, or not used.
        id: the column of ids.
        by_id: images are looked up in the folder by id.
        ignored_image: a column of image names that is not used, as there is no folder.
        reasons: the choice in sentences for a person.
        repairs: what is repaired in the texts.
        roots: of names that are paths (`record.text`) or stand for several columns, the columns that are read.
        null_words: what else than NA and the like names no image, and is no id to look one up by.
    """

    text: str | None
    image: str | None
    id: str | None
    by_id: bool = False
    ignored_image: str | None = None
    short_text: str | None = None
    reasons: tuple[str, ...] = ()
    repairs: TextRepairs = field(default_factory=TextRepairs)
    roots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    null_words: tuple[str, ...] = ()
    full_texts: tuple[str, ...] = ()


def choose_columns(types: Mapping[str, pl.DataType], options: CorpusOptions, has_folder: bool) -> ColumnChoice:
    """Choose among the columns of a corpus, given with their types in the files (String for text formats).

    Args:
        types: the columns, in order.
        options: what was asked for.
        has_folder: there is a folder of images to look names up in.

    Raises:
        ColumnError: a column that was named is not there, or there is neither text nor image to use.
    """
    types, roots = _add_paths(types, options)
    text, short, why_text = _choose_text(types, options)
    image, why_image = _choose_image(types, options, has_folder)
    if image is not None and image not in types:
        members = find_members(image, list(types))
        types, roots = {**types, image: find_member_type(types, members)}, {**roots, image: members}
    ids = [name for name, dtype in types.items() if _can_name(dtype)]
    id_, why_id = _choose("id", options.id_column, ID_NAMES, ids, list(types))
    if id_ is None:
        id_, why_id = _choose("id", None, OTHER_ID_NAMES, ids)
    ignored = None
    if text is not None and not _can_name(types[text]):
        path = suggest_path(text, types[text], TEXT_NAMES)
        instead = f"name the text in it with --text-column {path}" if path else "choose another one with --text-column"
        raise ColumnError(f"The column {text!r} holds {types[text]}, not text: {instead}.")
    if image is not None and not _may_hold_images(types[image]):
        raise ColumnError(
            f"The column {image!r} holds {types[image]}, not images: choose another one with --image-column."
        )
    if id_ is not None and id_ not in ids:
        raise ColumnError(f"The column {id_!r} holds {types[id_]}, not ids: choose another one with --id-column.")
    if options.only == "image":
        text = short = None
    if image and not has_folder and not holds_bytes(types[image]):
        ignored, image = image, None
    by_id = image is None and id_ is not None and has_folder
    if options.only == "text":
        image, by_id, ignored = None, False, None
    if text is None and image is None and not by_id:
        raise ColumnError(_explain_nothing(types, options))
    reasons = [why_text] if text else []
    reasons += [why_image] if image else []
    reasons += [f"image: looked up in the folder by id; {why_id}"] if by_id else []
    words = options.null_values or ()
    return ColumnChoice(text, image, id_, by_id, ignored, short, tuple(reasons), roots=roots, null_words=words)


def choose_ids_for_images(choice: ColumnChoice) -> ColumnChoice:
    """Make a choice that looks images up by id rather than by the names in a column."""
    reason = f"image: looked up in the folder by id (column {choice.id!r}); no name in column {choice.image!r} is there"
    reasons = (*(each for each in choice.reasons if not each.startswith("image")), reason)
    return replace(choice, image=None, by_id=True, reasons=reasons)


def list_used(choice: ColumnChoice) -> list[str]:
    """List the columns of the tables that a choice reads."""
    names = (choice.text, choice.short_text, *choice.full_texts, choice.image, choice.id, choice.ignored_image)
    return list(dict.fromkeys(each for name in names if name is not None for each in choice.roots.get(name, (name,))))


def list_image_columns(columns: Sequence[str]) -> list[str]:
    """List the columns that may name images, by their names."""
    return [name for name in columns if _IMAGE_WORDS.search(name) and not _NO_IMAGE_WORDS.search(name)]


def is_there(name: str | None, types: Mapping[str, pl.DataType]) -> bool:
    """Check whether `name` is a column, a path into one, or stands for several."""
    return name is not None and (name in types or bool(find_root(name, types) or find_members(name, list(types))))


def is_text_name(name: str) -> bool:
    """Check whether a column that is called so is taken for texts."""
    return simplify_name(name) in _PLAIN_TEXT_NAMES


def is_list(dtype: pl.DataType) -> bool:
    """Check whether a column of this type holds several values for a row."""
    return isinstance(dtype, pl.List | pl.Array)


def holds_bytes(dtype: pl.DataType) -> bool:
    """Check whether a column of this type holds images themselves, one or a list of them.

    They are binary, or the {bytes, path} of Hugging Face.
    """
    if isinstance(dtype, pl.List | pl.Array):
        return isinstance(dtype.inner, pl.DataType) and holds_bytes(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(field.name == "bytes" and field.dtype == pl.Binary for field in dtype.fields)
    return dtype == pl.Binary


def require_column(name: str, columns: Sequence[str], option: str) -> None:
    """Check that `name`, given with `option`, is one of the columns.

    Raises:
        ColumnError: it is not; the message lists the columns.
    """
    if name in columns:
        return
    close = difflib.get_close_matches(name, columns, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise ColumnError(f"{option} names {name!r}, but the columns are {list_names(columns)}{hint}")


def is_usual_name(name: str) -> bool:
    """Check whether a column with this name is taken for texts, images or ids."""
    return simplify_name(name.strip()) in _USUAL_NAMES


def _can_name(dtype: pl.DataType) -> bool:
    """Check whether values of this type can be written as a text, a name or an id."""
    return not (dtype.is_nested() or dtype in (pl.Duration, pl.Object))


def _may_hold_images(dtype: pl.DataType) -> bool:
    """Check whether values of this type can be an image, the name of one, or a list of such."""
    is_names = isinstance(dtype, pl.List | pl.Array) and dtype.inner == pl.String
    return _can_name(dtype) or is_names or holds_bytes(dtype)


def _choose(
    kind: str, named: str | None, names: Sequence[str], columns: Sequence[str], there: Sequence[str] = ()
) -> tuple[str | None, str]:
    """Choose the column that is `named`, which may be any that is `there`, or the first of `names` in `columns`."""
    plain = {simplify_name(column): column for column in reversed(columns)}
    if named is not None:
        alike = [column for column in there or columns if simplify_name(column) == simplify_name(named)]
        if named not in (there or columns) and len(alike) == 1:
            named = alike[0]
        require_column(named, there or columns, f"--{kind}-column")
        return named, f"{kind}: column {named!r} (--{kind}-column)"
    for name in names:
        column = name if name in columns else plain.get(simplify_name(name))
        if column is not None:
            listed = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
            return column, f"{kind}: column {column!r} (first match among {listed})"
    return None, ""


def _choose_image(types: Mapping[str, pl.DataType], options: CorpusOptions, has_folder: bool) -> tuple[str | None, str]:
    """Choose the column of images, or the name of several (see `find_members`), and tell why."""
    named = options.image_column
    if named is not None and named not in types and (members := find_members(named, list(types))):
        return named, f"image: columns {list_names(members)} (--image-column)"
    names = [name for name, dtype in types.items() if _may_hold_images(dtype)]
    image, why = _choose("image", named, IMAGE_NAMES, names, list(types))
    if image is None or not (named or has_folder or holds_bytes(types[image])):
        held = [name for name in names if holds_bytes(types[name])]
        found, why_found = _choose("image", None, BYTES_NAMES, held)
        image, why = (found, why_found) if found is not None else (image, why)
    if image is None:
        image, why = _choose("image", None, OTHER_IMAGE_NAMES, names)
    numbered = None if named else find_numbered_images(list(types))
    members = find_members(numbered, list(types)) if numbered else ()
    if members and (image is None or image in members) and _hold_alike([types[name] for name in members]):
        return numbered, f"image: columns {list_names(members)} (numbered)"
    return image, why


def _hold_alike(types: Sequence[pl.DataType]) -> bool:
    """Check whether columns of these types, which nobody named, all hold names, or all images of one kind."""
    return len(set(types)) == 1 and (types[0] == pl.String or (holds_bytes(types[0]) and not is_list(types[0])))


def _choose_text(types: Mapping[str, pl.DataType], options: CorpusOptions) -> tuple[str | None, str | None, str]:
    """Choose the column of texts, the one that is read where it is empty, and tell why."""
    text, why = _choose("text", options.text_column, TEXT_NAMES, list(types))
    if text is None:
        text, why = _choose("text", None, OTHER_TEXT_NAMES, list(types))
    if text is None and (title := _find_column(_TITLE, types)) is not None:
        text = _find_column(_DESCRIPTION, types)
        return (text, title, f"text: column {text!r}, and where that is empty {title!r}") if text else (None, None, "")
    if text is None or options.text_column:
        return text, None, why
    for found, *names in _PAIRS:
        first, second = (_find_column(name, types) for name in names)
        if simplify_name(text) == simplify_name(found) and first is not None and (second or first != text):
            return (
                first,
                second,
                f"text: column {first!r}" + (f", and where that is empty {second!r}" if second else ""),
            )
    return text, None, why


def _find_column(name: str, types: Mapping[str, pl.DataType]) -> str | None:
    """Find the column of texts that is called `name`."""
    return next(
        (each for each, dtype in types.items() if simplify_name(each) == simplify_name(name) and _can_name(dtype)), None
    )


def _add_paths(
    types: Mapping[str, pl.DataType], options: CorpusOptions
) -> tuple[Mapping[str, pl.DataType], dict[str, tuple[str, ...]]]:
    """Add the paths that `options` name to the columns; return them, and the column that each path is in."""
    named = (options.text_column, options.image_column, options.id_column)
    nested = [name for name in named if name and name not in types and not find_members(name, list(types))]
    paths = {name: root for name in nested if (root := find_root(name, types))}
    found = {name: dtype for name in paths if (dtype := find_type(name, types)) is not None}
    return {**types, **found}, {name: (root,) for name, root in paths.items()}


def _explain_nothing(types: Mapping[str, pl.DataType], options: CorpusOptions) -> str:
    columns = f"(columns: {list_names(list(types))})"
    if options.only == "image":
        return f"No image column found {columns}: use --images, and --image-column or --id-column."
    if options.only == "text":
        return f"No text column found {columns}: name it with --text-column."
    if options.images is None:
        return f"No text column found {columns}: name it with --text-column (images need --images)."
    return (
        f"No column of texts, images or ids found {columns}: name one with --text-column, --image-column or "
        "--id-column."
    )
