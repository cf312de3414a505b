"""Measure what each repair of texts costs: looking for it in clean texts, and repairing texts that need it.

python benchmarks/repairs.py FOLDER/distinct.csv --copies 50

CPU milliseconds for a million texts, the best of five; FOLDER is what `benchmarks/copies.py` writes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from sentimm.corpus.text_repairs import NULL_WORDS, RepairCounter, TextRepairs, find_words, read_again, repair_texts

NOTHING = TextRepairs(markup=False, placeholders=False)


def measure(work: Callable[[], object], texts: int) -> float:
    """Return CPU milliseconds for a million texts."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best * 1000 / texts * 1e6


def main() -> None:
    """Print a line for each repair."""
    parser = argparse.ArgumentParser(description="Measure what each repair of texts costs.")
    parser.add_argument("table", type=Path, help="a CSV with a column text")
    parser.add_argument("--copies", type=int, default=1)
    options = parser.parse_args()
    texts = pl.concat([pl.read_csv(options.table, infer_schema=False)["text"]] * options.copies)
    broken = pl.Series([text.encode().decode("latin-1") for text in texts.to_list()])
    cases: dict[str, tuple[pl.Series, TextRepairs]] = {
        "words for nothing": (pl.concat([texts[1:], pl.Series(["NA"])]), TextRepairs(NULL_WORDS, markup=False)),
        "broken UTF-8": (broken, TextRepairs(mojibake=True, markup=False, placeholders=False)),
        "HTML tags": ("<p>" + texts + "</p>", TextRepairs(placeholders=False)),
    }
    looks: dict[str, Callable[[], object]] = {
        "words for nothing": lambda: find_words(texts, NULL_WORDS),
        "broken UTF-8": lambda: read_again(texts.filter(texts.str.len_bytes() != texts.str.len_chars())),
        "HTML tags": lambda: texts.str.contains("<", literal=True),
    }
    print(f"{len(texts):,} texts; all that the survey looks for: "
          f"{measure(lambda: RepairCounter(None).add(texts), len(texts)):.0f} ms a million")  # fmt: skip
    print(f"the reader, where nothing is repaired: {measure(lambda: repair_texts(texts, NOTHING), len(texts)):.0f} ms")
    for name, (dirty, repairs) in cases.items():
        look = measure(looks[name], len(texts))
        mend = measure(lambda dirty=dirty, repairs=repairs: repair_texts(dirty, repairs), len(dirty))
        print(f"{name}: looking {look:.0f} ms, repairing {mend:.0f} ms")


if __name__ == "__main__":
    main()
