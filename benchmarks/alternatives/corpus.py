"""The posts that the alternatives score: texts, and image files as pixels."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import Compose, PILToTensor, Resize

from sentimm.text import normalize_texts

BATCH = 32
LABELS = 3

Floats = np.ndarray[Any, np.dtype[np.float32]]


class Photos(Dataset[torch.Tensor]):
    """Image files as uint8 (3, size, size)."""

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        self.paths = paths
        self.prepare = Compose([Resize((size, size)), PILToTensor()])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels: torch.Tensor = self.prepare(Image.open(self.paths[index]).convert("RGB"))
        return pixels


class Corpus:
    """The posts of a table: normalised texts, and image files."""

    def __init__(self, options: argparse.Namespace) -> None:
        with options.table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))[: options.posts]
        self.texts = normalize_texts(pl.Series([row["text"] for row in rows], dtype=pl.String)).to_list()
        self.images = [options.images / row["image"] for row in rows] if options.images else []

    def __len__(self) -> int:
        return len(self.texts)
