"""Sheets for the labelling tools Label Studio, doccano and Prodigy, and what they export."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import PIL.Image

from sentimm.errors import TableError
from sentimm.findings.sheets.rows import Judgement, SheetRow, make_thumbnail
from sentimm.findings.sheets.spreadsheets import read_rows
from sentimm.storage.atomic import commit_file

_SIDE_PIXELS = 800
_INLINE_PIXELS = 400
_LOCAL_FILES = "/data/local-files/?d="
_BLANK = "no-image.jpg"
_FIELDS = ("sheet_id", "label", "annotator", "unsure", "comment")

_LABEL_STUDIO_README = """# Labelling these posts in Label Studio

1. Start Label Studio with two environment variables, so that it may show the pictures:

       LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true
       LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root}

2. Make a project. Under Settings > Labeling Interface > Code, paste `config.xml`.
3. Under Settings > Cloud Storage, add a source storage of the type Local files with the path `{folder}`
   (do not synchronise it: it only allows the pictures to be shown).
4. Import `tasks.json`, and label.
5. Export as JSON or JSON-MIN, and give that file to sentimm:

       sentimm shares SCORED --labels export.json --design {design}
"""


def write_label_studio(folder: Path, rows: Sequence[SheetRow], labels: Sequence[str], design: Path) -> None:
    """Write `tasks.json`, `config.xml`, `README.md` and the pictures into a folder.

    Raises:
        OutputError: it can't be written.
    """
    pictures = {sheet_id: f"{sheet_id}.jpg" for sheet_id in write_pictures(folder, rows)}
    if pictures:  # Label Studio imports no task that lacks what the others have
        with commit_file(folder / _BLANK) as temporary:
            PIL.Image.new("RGB", (16, 16), "white").save(temporary, "JPEG")
    tasks = [
        {
            "data": {
                "sheet_id": row.sheet_id,
                "text": row.text or "",
                **({"image": f"{_LOCAL_FILES}{folder.name}/{pictures.get(row.sheet_id, _BLANK)}"} if pictures else {}),
            }
        }
        for row in rows
    ]
    _write(folder / "tasks.json", json.dumps(tasks, ensure_ascii=False, indent=1))
    choices = "".join(f"\n    <Choice value={quoteattr(label)}/>" for label in labels)
    picture = '\n  <Image name="image" value="$image" maxWidth="480px"/>' if pictures else ""
    _write(
        folder / "config.xml",
        f"""<View>
  <Text name="text" value="$text"/>{picture}
  <Choices name="label" toName="text" choice="single" showInline="true" required="true">{choices}
  </Choices>
  <Choices name="unsure" toName="text" choice="multiple" showInline="true">
    <Choice value="unsure"/>
  </Choices>
  <TextArea name="comment" toName="text" rows="1" maxSubmissions="1"/>
</View>
""",
    )
    root = folder.absolute().parent
    _write(folder / "README.md", _LABEL_STUDIO_README.format(root=root, folder=folder.absolute(), design=design))


def write_doccano(path: Path, rows: Sequence[SheetRow]) -> None:
    """Write JSONL for a project of doccano's kind text classification, which shows no pictures.

    Raises:
        OutputError: it can't be written.
    """
    _write_lines(path, [{"text": row.text or "", "label": [], "sheet_id": row.sheet_id} for row in rows])


def write_prodigy(path: Path, rows: Sequence[SheetRow], labels: Sequence[str]) -> None:
    """Write JSONL for Prodigy's interface `choice`, the pictures inside: a browser shows no local files.

    Raises:
        OutputError: it can't be written.
    """
    options = [{"id": label, "text": label} for label in labels]
    lines = [
        {
            "text": row.text or "",
            **({"image": picture} if (picture := _inline_picture(row)) else {}),
            "options": options,
            "meta": {"sheet_id": row.sheet_id},
        }
        for row in rows
    ]
    _write_lines(path, lines)


def _inline_picture(row: SheetRow) -> str | None:
    picture = None if row.image is None else make_thumbnail(row.image, _INLINE_PIXELS)
    return None if picture is None else f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def write_pictures(folder: Path, rows: Sequence[SheetRow]) -> set[str]:
    """Write the pictures of rows as `<sheet_id>.jpg` into a folder; returns the ids of those that have one.

    Raises:
        OutputError: one can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = set()
    for row in rows:
        picture = None if row.image is None else make_thumbnail(row.image, _SIDE_PIXELS)
        if picture is not None:
            with commit_file(folder / f"{row.sheet_id}.jpg") as temporary:
                temporary.write_bytes(picture)
            written.add(row.sheet_id)
    return written


def read_json(path: Path) -> list[Judgement]:
    """Read the labels of a tool's export: JSON of Label Studio, JSONL of doccano or Prodigy.

    Raises:
        TableError: it is none of these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if text.lstrip().startswith("["):
            content = json.loads(text)
        else:
            content = [json.loads(line) for line in text.split("\n") if line.strip()]
    except OSError as error:
        raise TableError(f"{path} can't be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise TableError(f"{path} can't be read as JSON: {error}.") from error
    found: list[Judgement] = []
    for number, record in enumerate(content, 1):
        judgements = _read_record(record) if isinstance(record, dict) else None
        if judgements is None:
            raise TableError(
                f"{path}, record {number}: this is no export of Label Studio, doccano or Prodigy that holds the "
                "`sheet_id` of `sentimm sample`."
            )
        found += judgements
    return found


def _read_record(record: dict[str, Any]) -> list[Judgement] | None:
    """Read one record; None where it is of no form that is understood."""
    data = record.get("data")
    if isinstance(data, dict) and isinstance(record.get("annotations"), list):
        return _read_label_studio(data, record["annotations"])
    meta = record.get("meta")
    if isinstance(meta, dict) and "sheet_id" in meta and "answer" in record:
        return _read_prodigy(record, meta)
    sheet_id = record.get("sheet_id") or _take_stem(record.get("filename"))
    if not sheet_id:
        return None
    if isinstance(record.get("label"), list):  # doccano
        return _read_doccano(str(sheet_id), record)
    return read_rows([_flatten(record) | {"sheet_id": sheet_id}], _FIELDS, Path())


def _read_label_studio(data: dict[str, Any], annotations: list[Any]) -> list[Judgement] | None:
    sheet_id = data.get("sheet_id")
    if not sheet_id:
        return None
    found = []
    for annotation in annotations:
        if annotation.get("was_cancelled"):
            continue
        who = annotation.get("completed_by")
        who = who.get("email") or who.get("id") if isinstance(who, dict) else who
        chosen: dict[str, list[str]] = {}
        for result in annotation.get("result") or ():
            value = result.get("value") or {}
            chosen.setdefault(str(result.get("from_name")), []).extend(value.get("choices") or value.get("text") or ())
        labels = chosen.get("label")
        found.append(
            Judgement(
                str(sheet_id),
                ", ".join(map(str, labels)) if labels else None,
                None if who is None else str(who),
                bool(chosen.get("unsure")),
                " ".join(chosen.get("comment") or ()),
            )
        )
    return found or [Judgement(str(sheet_id), None)]


def _read_doccano(sheet_id: str, record: dict[str, Any]) -> list[Judgement]:
    labels = record["label"]
    comments = record.get("Comments") or record.get("comments") or ()
    label = None if not labels else ", ".join(map(str, labels))
    return [Judgement(sheet_id, label, comment=" ".join(map(str, comments)))]


def _read_prodigy(record: dict[str, Any], meta: dict[str, Any]) -> list[Judgement]:
    accepted = record.get("accept") or []
    is_blank = record["answer"] != "accept" or not accepted
    label = None if is_blank else ", ".join(map(str, accepted))
    who = record.get("_annotator_id")
    return [Judgement(str(meta["sheet_id"]), label, None if who is None else str(who))]


def _flatten(record: dict[str, Any]) -> dict[str, Any]:
    """Take a single choice out of Label Studio's {"choices": [...]}."""
    flat = {}
    for name, value in record.items():
        value = value.get("choices", value) if isinstance(value, dict) else value
        flat[name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _take_stem(name: object) -> str | None:
    return Path(name).stem if isinstance(name, str) and name else None


def _write(path: Path, content: str) -> None:
    with commit_file(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def _write_lines(path: Path, records: Sequence[dict[str, Any]]) -> None:
    _write(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
