"""Measure how far labels follow texts, by language: cross-validation of a plain classifier on pieces of words.

    python benchmarks/label_signal.py DATA/multilingual_tweets/train.csv --source umsab

Prints the macro F1 of logistic regression over 1 to 4 characters, five folds, and the same with shuffled labels. Where
the two are close, the labels hardly follow the texts, and no model can be measured by them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline


def measure(texts: list[str], labels: list[str]) -> float:
    """Return the macro F1 of answers to texts that the classifier has not seen."""
    words = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, min_df=2)
    answers = cross_val_predict(make_pipeline(words, LogisticRegression(C=3, max_iter=500)), texts, labels, cv=5)
    return float(f1_score(labels, answers, average="macro"))


def main() -> None:
    """Print a line for each language."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--source", help="posts of this source alone")
    arguments = parser.parse_args()
    posts = pl.read_csv(arguments.table, infer_schema=False)
    if arguments.source is not None:
        posts = posts.filter(pl.col("source") == arguments.source)
    rng = np.random.default_rng(0)
    print("| language | posts | macro F1 | with shuffled labels |\n|---|---|---|---|")
    for (lang,), rows in sorted(posts.group_by("lang")):
        texts, labels = rows["text"].to_list(), rows["label"].to_list()
        shuffled = rng.permutation(labels).tolist()
        print(f"| {lang} | {len(rows):,} | {measure(texts, labels):.3f} | {measure(texts, shuffled):.3f} |")


if __name__ == "__main__":
    main()
