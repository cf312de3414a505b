from __future__ import annotations

from pathlib import Path

import polars as pl

from sentimm.corpus import chunk_frame
from sentimm.evaluation.seen import SeenPosts
from sentimm.options import CorpusOptions
from tests.support.labelled_corpus import draw


def test_posts_are_recognised_by_their_text_or_their_image(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    draw(images / "old.png", 1)
    draw(images / "copy.jpg", 1, side=120)  # larger, and compressed
    draw(images / "new.png", 2)
    options = CorpusOptions(images=images)
    pl.DataFrame({"text": ["Hello  world", ""], "image": ["", "old.png"]}).write_csv(tmp_path / "train.csv")
    posts = pl.DataFrame({"text": [" Hello world", "other", "new", ""], "image": ["new.png", "copy.jpg", "", ""]})
    chunk, _ = chunk_frame(posts, options)
    with SeenPosts(str(tmp_path / "train.csv"), options) as seen:
        assert seen.has_images
        assert seen.flag_texts(chunk).tolist() == [True, False, False, False]
        assert seen.flag_images(chunk).tolist() == [False, True, False, False]
