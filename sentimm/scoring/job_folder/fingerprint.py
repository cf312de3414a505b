"""The fingerprint of a job: what decides its output, so that only the same command resumes it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentimm.errors import TableError
from sentimm.images import IMAGE_SUFFIXES
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.storage import find_state, hide_secrets, is_folder, is_remote, list_folder, map_files
from sentimm.storage.archives import find_holder

if TYPE_CHECKING:
    from sentimm.bundle.bundle import Bundle
    from sentimm.corpus import Survey

Fingerprint = dict[str, Any]  # JSON

_EDGE_BYTES = 65_536  # of the head and of the tail of an input that are hashed

# How an option is named to a person who changed it.
_OPTIONS = {
    "images": "--images",
    "text_column": "--text-column",
    "image_column": "--image-column",
    "id_column": "--id-column",
    "columns": "--columns",
    "only": "--only",
    "limit": "--limit",
    "prefix": "--prefix",
    "no_infer_types": "--no-infer-types",
    "views": "--views",
    "null_values": "--null-values",
    "repairs": "what is repaired in the texts",
    "encoding": "--encoding",
    "no_header": "--no-header",
    "escaped_quotes": "--quotes, or which inputs escape quotes with a backslash",
    "union": "--union",
    "image_columns": "which columns of images are read",
    "partitions": "the columns that folders name",
}


def take_fingerprint(survey: Survey, options: ScoreOptions, bundle: Bundle, precision: str) -> Fingerprint:
    """Take the fingerprint of a job.

    Raises:
        TableError: an input can't be read.
    """
    corpus = options.corpus
    partitions = sorted({name for source in survey.sources for name in source.partitions})
    paths = [source.path for source in survey.sources]
    inputs = _describe_all(paths)
    if options.inputs == ("-",):
        # Standard input is spooled anew by every command: its time says nothing.
        inputs = [described | {"name": "standard input", "modified_ns": 0} for described in inputs]
        if is_remote(paths[0]):
            inputs = [{"name": "standard input", "state": [paths[0].name]}]  # which holds a hash of its content
    image = survey.choice.image
    escaped = [hide_secrets(source.path) for source in survey.sources if source.escaped_quotes]
    return {
        "inputs": inputs,
        "model": {"name": bundle.name, "digest": bundle.digest},
        "precision": precision,
        "options": {
            "images": _name_images(survey, corpus),
            "text_column": corpus.text_column,
            "image_column": corpus.image_column,
            "id_column": corpus.id_column,
            "columns": None if corpus.columns is None else list(corpus.columns),
            "only": corpus.only,
            "limit": corpus.limit,
            "prefix": corpus.prefix,
            "no_infer_types": not corpus.infer_types,
            # Left out where it is not asked for: jobs of earlier versions can be resumed.
            **({"views": True} if options.views else {}),
            **({"repairs": sorted(survey.repairs)} if survey.repairs else {}),
            **({} if corpus.null_values is None else {"null_values": list(corpus.null_values)}),
            **({"encoding": corpus.encoding} if corpus.encoding else {}),
            **({"no_header": True} if corpus.no_header else {}),
            **({"escaped_quotes": escaped} if escaped else {}),
            **({"union": True} if corpus.union else {}),
            # Jobs of earlier versions did not see these columns.
            **({"image_columns": image} if image and "*" in image and corpus.image_column is None else {}),
            **({"partitions": partitions} if partitions else {}),
        },
    }


def _name_images(survey: Survey, corpus: CorpusOptions) -> str | None:
    if corpus.images is None:
        return "beside the table" if any(source.images for source in survey.sources) else None
    return _name_folder(corpus.images)


def _name_folder(folder: Path) -> str:
    return hide_secrets(folder) if is_remote(folder) else str(folder.resolve())


def adopt_inputs(stored: Mapping[str, Any], own: Fingerprint) -> Fingerprint:
    """Return the fingerprint `own`, with those inputs as `stored` describes them whose content is the same.

    A copy of a file has another time; jobs of earlier versions know nothing of the content but its edges.
    """
    before, now = stored.get("inputs", []), own["inputs"]
    if len(before) != len(now):
        return own
    inputs = [old if _is_same_file(old, new) else new for old, new in zip(before, now, strict=True)]
    return {**own, "inputs": inputs}


def _is_same_file(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if "sha256" not in old or "sha256" not in new:
        return old == {name: value for name, value in new.items() if name != "sha256"}
    return all(old.get(name) == new[name] for name in ("name", "bytes", "sha256"))


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return, in clauses for a person, how the fingerprint `now` differs from `before`; none: they are equal."""
    changes = [*_describe_inputs(before.get("inputs", []), now["inputs"])]
    if before.get("model") != now["model"]:
        names = before.get("model", {}).get("name"), now["model"]["name"]
        changes.append(
            f"the model was {names[0]} and is {names[1]}" if names[0] != names[1] else f"the model {names[0]} changed"
        )
    if before.get("precision") != now["precision"]:
        changes.append(f"the precision was {before.get('precision')} and is {now['precision']}")
    options = before.get("options", {})
    for name, option in _OPTIONS.items():
        if options.get(name) != now["options"].get(name):
            changes.append(f"{option} was {_show(options.get(name))} and is {_show(now['options'].get(name))}")
    if before.get("retry") != now.get("retry"):
        changes.append(f"--retry was {_show(before.get('retry'))} and is {_show(now.get('retry'))}")
    return changes


def _describe_inputs(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[str]:
    names_before, names_now = [each["name"] for each in before], [each["name"] for each in now]
    if len(before) != len(now):
        return [f"the number of inputs was {len(before)} and is {len(now)}"]
    if names_before != names_now:
        old, new = next((old, new) for old, new in zip(names_before, names_now, strict=True) if old != new)
        return [f"the input was {old} and is {new}"]
    return [f"{new['name']} changed" for old, new in zip(before, now, strict=True) if old != new]


def _describe_all(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Describe inputs; a file in an archive has the state of the archive, which is read once."""
    holders = [find_holder(path) for path in paths]
    distinct = list(dict.fromkeys(holders))
    found = dict(zip(distinct, map_files(_describe_input, distinct), strict=True))
    return [
        found[holder] if holder == path else found[holder] | {"name": hide_secrets(path)}
        for path, holder in zip(paths, holders, strict=True)
    ]


def _describe_input(path: Path) -> dict[str, Any]:
    try:
        if is_folder(path):
            return {"name": str(path), "names_sha256": _hash_names(path)}
        if is_remote(path):
            return {"name": hide_secrets(path), "state": list(find_state(path) or ())}
        status = path.stat()
        with path.open("rb") as file:
            edges = hashlib.sha256(file.read(_EDGE_BYTES))
            file.seek(max(0, status.st_size - _EDGE_BYTES))
            edges.update(file.read(_EDGE_BYTES))
            file.seek(0)
            content = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise TableError(f"{path} can't be read: {error.strerror or error}.") from error
    return {
        "name": str(path),
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "edges_sha256": edges.hexdigest(),
        "sha256": content.hexdigest(),
    }


def _hash_names(folder: Path) -> str:
    """Hash the names of a folder's posts (its time would change with an output that is written beside them)."""
    names = [entry.name for entry in list_folder(folder) if entry.name.lower().endswith((*IMAGE_SUFFIXES, ".txt"))]
    return hashlib.sha256("\0".join(names).encode(errors="surrogateescape")).hexdigest()


def _show(value: object) -> str:
    if value in (None, "", False):
        return "not given"
    if value is True:
        return "given"
    return ",".join(value) if isinstance(value, list) else str(value)
