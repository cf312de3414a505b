from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from sentimm.plots import draw_confusion


def test_a_confusion_matrix_is_a_picture_with_dark_cells_where_posts_are(tmp_path: Path) -> None:
    draw_confusion(np.array([[9, 1], [0, 0]]), ("negative", "positive"), tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.format == "PNG"
        grey = np.asarray(picture.convert("L"))
    assert (grey < 110).mean() > 0.05
    assert (grey > 250).mean() > 0.3


def test_any_label_can_be_drawn(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_confusion(np.eye(3, dtype=np.int64), ("$a_$", "_b", "中性"), tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.format == "PNG"
