"""Which format a text has, by its first lines, where no name says it."""

from __future__ import annotations

from sentimm.corpus.columns.choice import is_usual_name
from sentimm.corpus.tables.json_files.document import is_document

_LOOK_BYTES = 1 << 16
_MOST_LINES = 30  # titles and comments may stand above a header


def recognize_text(head: bytes) -> str | None:
    """Return the format of a text that begins with `head`: ndjson, csv or tsv; None: it seems to be none of these."""
    head = head[:_LOOK_BYTES].lstrip()
    lines = [line.strip() for line in head.decode(errors="replace").splitlines()[:_MOST_LINES] if line.strip()]
    first, second = [*lines, "", ""][:2]
    if is_document(head) or first.startswith("{") or (second.startswith("{") and second.endswith("}")):
        return "ndjson"  # whose first line may be damaged
    for line in lines:
        if any(mark in line for mark in "\t,;|"):
            return "tsv" if "\t" in line else "csv"
    return "csv" if lines and is_usual_name(lines[0].strip('"')) else None
