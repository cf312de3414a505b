"""Features of a corpus: each content encoded once, and written in one stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.bundle.bundle import Bundle, load_bundle
from sentimm.corpus import Chunk, CorpusReader, Survey, survey_corpus
from sentimm.errors import UsageError
from sentimm.events import JobStarted, Listener, ModelReady, PostsScored, SurveyProgress
from sentimm.findings.features.options import FeaturesOptions
from sentimm.findings.features.table import FeaturesWriter
from sentimm.findings.sampling import list_contents, name_contents
from sentimm.runtime.batch_sizes import open_engine
from sentimm.scoring.pipeline.chunk_scorer import ChunkScorer
from sentimm.scoring.scores import USED_MODALITIES, Scores
from sentimm.storage import exists, hide_secrets
from sentimm.storage.atomic import commit_file

_CHUNK_ROWS = 1024  # posts whose vectors are in memory at once


@dataclass(frozen=True)
class Features:
    """What one `features` command wrote.

    Attributes:
        output: the file.
        posts: posts of the corpus.
        contents: distinct contents of them, a row each.
        empty: distinct contents without anything to encode, which have no row.
        widths: of the vectors, by modality.
        model: the bundle's name.
    """

    output: Path
    posts: int
    contents: int
    empty: int
    widths: dict[str, int]
    model: str

    def to_json(self) -> dict[str, object]:
        """Return what was written as JSON has it."""
        return {"format": 1, **asdict(self), "output": str(self.output)}


def write_features(options: FeaturesOptions, tell: Listener) -> Features:
    """Write the features of a corpus; `tell` hears of the progress.

    Raises:
        UsageError: the file exists.
        InputError, ColumnError, TableError: see `survey_corpus`.
        BundleNotFoundError, BundleError, DeviceError: see `load_bundle` and `Engine`.
        OutputError: it can't be written.
    """
    if exists(options.output) and not options.overwrite:
        raise UsageError(f"{options.output} exists: name another file with -o, or replace it with --overwrite.")
    bundle = load_bundle(options.model)
    survey = survey_corpus(options.inputs, options.corpus, lambda rows: tell(SurveyProgress(rows)))
    engine = open_engine(bundle, options.device, options.precision, options.threads, options.batch_size)
    tell(ModelReady(bundle.name, options.model is None, engine.device, engine.precision, engine.note))
    tell(JobStarted(None, survey.rows, 0))
    specs = {"text": bundle.text, "image": bundle.image}
    widths = {name: spec.width for name, spec in specs.items() if spec is not None}
    facts = {"bundle": bundle.name, "digest": bundle.digest, "precision": engine.precision}
    contents = _NewContents(survey, options)
    rows = empty = 0
    with (
        commit_file(options.output) as temporary,
        FeaturesWriter(temporary, widths, facts) as writer,
        ChunkScorer(bundle, engine, features=True) as scorer,
    ):

        def advance(chunk: Chunk, share: float) -> None:
            tell(PostsScored(chunk.start + int(share * chunk.rows)))

        for chunk, scores in scorer.score_all(contents.read(), advance):
            written = _write_chunk(writer, chunk, scores, bundle)
            rows, empty = rows + written, empty + chunk.rows - written
    return Features(options.output, survey.rows, rows, empty, widths, bundle.name)


class _NewContents:
    """Reads posts whose content no earlier one has, of each of which it remembers a digest."""

    def __init__(self, survey: Survey, options: FeaturesOptions) -> None:
        self._survey, self._options = survey, options
        self._keys: set[bytes] = set()

    def read(self) -> Iterator[Chunk]:
        """Yield chunks of posts; their frames have the columns that features are told apart by."""
        reader = CorpusReader(self._survey, self._options.corpus)
        while (chunk := reader.read(_CHUNK_ROWS)) is not None:
            names = name_contents(*list_contents(chunk))
            is_new = np.zeros(chunk.rows, dtype=bool)
            for row, name in enumerate(names):
                key = bytes.fromhex(name)
                is_new[row] = not chunk.unreadable[row] and key not in self._keys
                if is_new[row]:
                    self._keys.add(key)
            if is_new.any():
                yield self._select(chunk, names, is_new)

    def _select(self, chunk: Chunk, names: list[str], rows: npt.NDArray[np.bool_]) -> Chunk:
        places = np.arange(chunk.start, chunk.start + chunk.rows)
        ends = np.cumsum([source.rows for source in self._survey.sources])
        source = np.searchsorted(ends, places, side="right")
        frame = pl.DataFrame(
            {
                "content": names,
                "id": [None] * chunk.rows if chunk.names is None else chunk.names["id"],
                "source": [hide_secrets(self._survey.sources[number].path) for number in source],
                "row": places - np.concatenate([[0], ends])[source],
            },
            schema={"content": pl.String, "id": pl.String, "source": pl.String, "row": pl.Int64},
        )
        return replace(
            chunk,
            frame=frame.filter(pl.Series(rows)),
            texts=chunk.texts.filter(pl.Series(rows)),
            images=[chunk.images[row] for row in np.flatnonzero(rows)],
            unreadable=chunk.unreadable[rows],
            problems=(),
            names=None,
        )


def _write_chunk(writer: FeaturesWriter, chunk: Chunk, scores: Scores, bundle: Bundle) -> int:
    """Write the contents that have a vector, and return how many these are."""
    used = [USED_MODALITIES[number].split("+") for number in scores.modalities]
    present = {name: np.array([name in each for each in used], dtype=bool) for name in bundle.modalities}
    some = np.any(list(present.values()), axis=0)
    frame = chunk.frame.filter(pl.Series(some))
    if some.any():
        writer.write(
            frame.to_dict(as_series=False),
            {name: vectors[some] for name, vectors in scores.features.items()},
            {name: each[some] for name, each in present.items()},
        )
    return len(frame)
