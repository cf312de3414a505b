"""The formats of tables: the suffixes of their files, their compressions, and the bytes that files begin with."""

from __future__ import annotations

from pathlib import Path, PurePath

TYPED_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".js": "ndjson",
    ".txt": "text",
    ".tar": "webdataset",
    ".xlsx": "excel",
    ".xlsm": "excel",
    **TYPED_FORMATS,
}
TEXT_FORMATS = ("csv", "tsv", "ndjson", "text")
COMPRESSIONS = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".tgz": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".bz2": "bzip2",
    ".xz": "xz",
}
UNPACKERS = {"gzip": "gunzip", "zstd": "unzstd", "bzip2": "bunzip2", "xz": "unxz"}


def _write_with(library: str, read: str, write: str, needs: str = "") -> str:
    """Return how to make a CSV of a table, in Python."""
    code = f'import sys, {library}; {library}.{read}(sys.argv[1]).{write}("posts.csv")'
    return f"make a CSV of it (`python3 -c '{code}' {{name}}`{f', with {needs}' if needs else ''})"


CONVERTERS = {  # of what is not read: how to make of it what is
    **dict.fromkeys(
        (".xls", ".xlsb", ".ods", ".numbers"), "save it as .xlsx or CSV (`soffice --headless --convert-to xlsx {name}`)"
    ),
    ".zip": "unpack it (`unzip {name}`), and name what is in it",  # within another one, or with a query in its URL
    ".car": "write what is in it to files (`goat repo unpack {name}`, by Bluesky), and its posts to one of them "
    "(`jq -c . did*/app.bsky.feed.post/*.json > posts.jsonl`)",
    ".7z": "unpack it (`7z x {name}`), and name what is in it",
    ".rar": "unpack it (`unrar x {name}`), and name what is in it",
    **dict.fromkeys((".sav", ".zsav"), _write_with("pandas", "read_spss", "to_csv", "pandas and pyreadstat")),
    ".dta": _write_with("pandas", "read_stata", "to_csv", "pandas"),
    ".sas7bdat": _write_with("pandas", "read_sas", "to_csv", "pandas"),
    ".xml": _write_with("pandas", "read_xml", "to_csv", "pandas and lxml"),
    **dict.fromkeys(
        (".pkl", ".pickle"), _write_with("pandas", "read_pickle", "to_csv", "pandas, for a file you trust")
    ),
    ".rds": "make a CSV of it (`Rscript -e 'write.csv(readRDS(commandArgs(TRUE)), \"posts.csv\")' {name}`)",
    **dict.fromkeys(
        (".rdata", ".rda"),
        "make a CSV of its first table (`Rscript -e 'all <- new.env(); names <- load(commandArgs(TRUE), all); "
        'write.csv(all[[names[1]]], "posts.csv")\' {name}`)',
    ),
    ".avro": _write_with("polars", "read_avro", "write_csv"),
    **dict.fromkeys(
        (".db", ".sqlite", ".sqlite3"),
        "write one of its tables to a CSV (`sqlite3 -header -csv {name} 'SELECT * FROM posts' > posts.csv`, if that is "
        "called posts)",
    ),
    **dict.fromkeys(
        (".html", ".htm"),
        "it is a web page; have the program export CSV or JSON instead (Telegram Desktop: Machine-readable JSON)",
    ),
}

ARROW_MAGIC, FEATHER_1_MAGIC = b"ARROW1", b"FEA1"
FOREIGN_MAGIC = {  # what is no text, and can't be compressed text
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"SQLite format 3": "an SQLite database",
    b"PAR1": "a Parquet file",
    b"$FL2": "a file of SPSS",
    b"<stata_dta>": "a file of Stata",
}
WEB_PAGE = (b"<!doctype html", b"<html")


def find_format(name: str) -> str | None:
    """Return the format of a file by its name; None: it is none of ours."""
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
        found = FORMATS.get(suffixes[-1]) if suffixes else None
        return found if found in TEXT_FORMATS else None
    return FORMATS.get(suffixes[-1]) if suffixes else None


def find_compression(path: Path) -> str | None:
    """Return the compression that a file's name tells: gzip, zstd, bzip2 or xz; None: none."""
    return COMPRESSIONS.get(path.suffix.lower())
