"""Measure models by language: a labelled table with the columns `lang` and `source`, through `sentimm evaluate`.

    python benchmarks/languages.py DATA/multilingual_tweets/val.csv --models default world --without hi orm tir

Prints a table for each source: a line for each language, and the means over the languages. The figures are macro F1,
F1 weighted by the labels' posts (by which AfriSenti ranks), both with their 95% intervals, and the calibration error.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

FIGURES = ("macro_f1", "weighted_f1")


def evaluate(model: str, table: Path) -> dict[str, dict[str, Any]]:
    """Return the reports of a model by language."""
    command = [sys.executable, "-m", "sentimm", "evaluate", str(table), "--model", model, "--by", "lang", "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    values: dict[str, dict[str, Any]] = json.loads(done.stdout)["values"]
    return values


def write_table(models: list[str], found: list[dict[str, dict[str, Any]]], without: list[str]) -> list[str]:
    """Return the lines of a table of languages, and of their means, also of all but those in `without`."""
    names = [f"{figure.replace('_', ' ').replace('f1', 'F1')}, `{model}`" for model in models for figure in FIGURES]
    names += [f"calibration error, `{model}`" for model in models]
    lines = [f"| language | posts | {' | '.join(names)} |", "|---|" + "---|" * (len(names) + 1)]
    languages = sorted(found[-1])
    for lang in languages:
        cells = [_write_interval(values[lang][figure]) for values in found for figure in FIGURES]
        cells += [f"{values[lang]['calibration_error']:.3f}" for values in found]
        lines.append(f"| {lang} | {found[-1][lang]['posts']:,} | {' | '.join(cells)} |")
    lines.append(f"| **mean** | | {_write_means(found, languages)} |")
    if out := [lang for lang in languages if lang in without]:
        lines.append(
            f"| **mean without {', '.join(out)}** | | {_write_means(found, sorted(set(languages) - set(out)))} |"
        )
    return lines


def _write_means(found: list[dict[str, dict[str, Any]]], languages: list[str]) -> str:
    means = [np.mean([values[lang][figure]["value"] for lang in languages]) for values in found for figure in FIGURES]
    means += [np.mean([values[lang]["calibration_error"] for lang in languages]) for values in found]
    return " | ".join(f"{each:.3f}" for each in means)


def _write_interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def main() -> None:
    """Evaluate the models on each source of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--models", nargs="+", default=["default", "world"], help="names or folders")
    parser.add_argument("--without", nargs="+", default=[], help="languages to leave out of a second mean")
    arguments = parser.parse_args()
    posts = pl.read_csv(arguments.table, infer_schema=False)
    with tempfile.TemporaryDirectory() as folder:
        for (source,), rows in posts.group_by("source", maintain_order=True):
            part = Path(folder) / f"{source}.csv"
            rows.write_csv(part)
            found = [evaluate(model, part) for model in arguments.models]
            print(
                f"{source}, {len(rows):,} posts:\n",
                *write_table(arguments.models, found, arguments.without),
                "",
                sep="\n",
            )


if __name__ == "__main__":
    main()
