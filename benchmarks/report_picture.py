"""Make the picture of a report page: labelled tweets are scored, some are drawn, and their own labels fill the sheet.

python benchmarks/report_picture.py DATA/semeval_tweets/dev.csv -o docs/images/report.png

The page shows aggregates alone. It needs Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

LABELS = 400
SIZE = "760,500"


def run(*arguments: object, folder: Path) -> None:
    """Run a command of sentimm in `folder`."""
    subprocess.run([sys.executable, "-m", "sentimm", *map(str, arguments)], check=True, cwd=folder)


def main() -> None:
    """Write the picture, and print the true shares beside."""
    parser = argparse.ArgumentParser(description="Make the picture of a report page.")
    parser.add_argument("table", type=Path, help="with columns id, text, label and source (whose year is the group)")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("There is no chromium here.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        posts = pl.read_csv(options.table, infer_schema=False)
        posts.with_columns(year=pl.col("source").str.head(4)).drop("source").write_csv(folder / "tweets.csv")
        run("score", "tweets.csv", "--quiet", folder=folder)
        drawn = ("--labels", LABELS, "--by", "year", "--per-group", 40, "-o", "sheet.csv")
        run("sample", "tweets.scored.parquet", *drawn, folder=folder)
        design = pl.read_parquet(folder / "sheet.design.parquet")
        labels = dict(zip(design["sheet_id"], posts["label"].gather(design["row"]), strict=True))
        sheet = pl.read_csv(folder / "sheet.csv", infer_schema=False)
        sheet.with_columns(label=pl.col("sheet_id").replace_strict(labels)).write_csv(folder / "sheet.csv")
        asked = ("--labels", "sheet.csv", "--by", "year", "--public", "-o", "page.html")
        run("report", "tweets.scored.parquet", *asked, folder=folder)
        picture = f"--screenshot={options.output.absolute()}"
        page = (folder / "page.html").as_uri()
        flags = ("--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={SIZE}")
        subprocess.run([chromium, *flags, picture, page], check=True, capture_output=True)
    print(posts["label"].value_counts(normalize=True, sort=True))


if __name__ == "__main__":
    main()
