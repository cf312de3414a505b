"""Scoring from Python: a frame of posts in, the same frame with its scores out."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TypedDict, Unpack

import polars as pl

from sentimm.bundle.bundle import load_bundle
from sentimm.corpus import chunk_frame
from sentimm.options import CorpusOptions, Modality
from sentimm.runtime.engine import Engine
from sentimm.scoring.output.columns import OutputColumns
from sentimm.scoring.pipeline.chunk_scorer import ChunkScorer
from sentimm.storage import to_path


class ColumnNames(TypedDict, total=False):
    """The columns to use, instead of those that are found."""

    text_column: str | None
    image_column: str | None
    id_column: str | None


class Scorer:
    """A model that scores frames of posts.

    >>> from sentimm import Scorer
    >>> Scorer().score(pl.DataFrame({"text": ["What a lovely day!"]}))["sentiment"]  # doctest: +SKIP

    Args:
        model: the bundle's folder, or its URL; None: the model that ships with sentimm.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "fp32", "fp16" or "int8".
        threads: threads of the model; None: as many as the machine has cores.
        batch_size: posts in a batch of the model; None: the engine's choice.
        views: add the labels of text and image alone, and how far they are apart.

    Raises:
        BundleNotFoundError, BundleError: see `load_bundle`.
        DeviceError, UsageError: see `Engine`; `views` of a model without heads for both.
    """

    def __init__(
        self,
        model: Path | str | None = None,
        device: str = "auto",
        *,
        precision: str = "auto",
        threads: int | None = None,
        batch_size: int | None = None,
        views: bool = False,
    ) -> None:
        self.bundle = load_bundle(model)
        self._views = views
        self.engine = Engine(self.bundle, device=device, precision=precision, threads=threads, batch_size=batch_size)
        self._chunks = ChunkScorer(self.bundle, self.engine, views=views)

    def score(
        self,
        frame: pl.DataFrame,
        images: Path | str | None = None,
        *,
        only: Modality | None = None,
        columns: str | tuple[str, ...] | None = None,
        prefix: str = "",
        allow_missing: bool = False,
        **names: Unpack[ColumnNames],
    ) -> pl.DataFrame:
        """Score the posts of `frame`: its columns, and those that `sentimm score` adds, in the same order.

        Args:
            frame: posts; the columns of text, image and id are found as `sentimm score` finds them.
            images: the folder of the posts' images, or its URL.
            only: use this modality alone.
            columns: the columns to keep; None: all.
            prefix: goes before the names of the added columns.
            allow_missing: score also where no post finds its image.
            names: `text_column`, `image_column`, `id_column`: the column to use, instead of the one that is found.

        Raises:
            TypeError: `frame` is not a polars DataFrame, or a keyword is unknown.
            UsageError: an added column has the name of an existing one, or no such URL can be reached.
            MissingExtraError: what is needed to reach it is not installed.
            InputError, ColumnError: see `chunk_frame`.
        """
        if unknown := names.keys() - ColumnNames.__annotations__.keys():
            raise TypeError(f"Scorer.score() got an unexpected keyword argument {min(unknown)!r}")
        if not isinstance(frame, pl.DataFrame):
            kind = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
            raise TypeError(
                f"Scorer.score takes a polars DataFrame, not a {kind}: convert a pandas frame with polars.from_pandas, "
                "a LazyFrame with collect()."
            )
        options = CorpusOptions(
            images=to_path(images) if isinstance(images, str) else images,
            only=only,
            columns=(columns,) if isinstance(columns, str) else columns,
            prefix=prefix,
            allow_missing=allow_missing,
            **names,
        )
        chunk, _ = chunk_frame(frame, options)
        has_several = any(isinstance(images, tuple) for images in chunk.images)
        added = OutputColumns(
            dict(chunk.frame.schema), self.bundle.labels, prefix, self._views, self._views or has_several
        )
        return added.add_scores(chunk.frame, self._chunks.score(chunk, lambda _share: None))

    def close(self) -> None:
        """End the scorer's threads and processes; it can't be used any more."""
        self._chunks.close()

    def __enter__(self) -> Scorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
