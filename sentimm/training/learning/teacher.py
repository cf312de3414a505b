"""The teacher: a run or a bundle whose answers to the posts are learned beside their labels.

Knowledge distillation at temperature 1: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator

from sentimm.bundle.bundle import Bundle, list_shipped, load_bundle
from sentimm.bundle.manifest import MANIFEST
from sentimm.errors import DeviceError, InputError, RunNotFoundError, UsageError
from sentimm.models.sentiment_model import FUSIONS, SentimentModel
from sentimm.runtime.engine import Engine
from sentimm.text import TextTokenizer
from sentimm.training.data.batches import Batcher, index_present, tokenize_posts
from sentimm.training.data.frozen_features import digest_weights
from sentimm.training.data.pictures import Pictures
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.learning.optimizer import speed_up_convolutions
from sentimm.training.learning.processes import share_result
from sentimm.training.learning.validation import score_posts
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run, Weights, is_run, open_run

_log = logging.getLogger(__name__)

_BATCH = 64
_PIECE = 256  # posts that a thread asks a bundle about: texts of like length make a batch among them

Floats = npt.NDArray[np.float32]


class Teacher(ABC):
    """A model that answers posts.

    Attributes:
        path: the folder that it is in, or the name of a model that ships with sentimm.
        labels: what its answers are shares of.
        modalities: what it reads of a post.
        fusion: how it puts them together.
        normalization: how it reads texts.
    """

    path: str
    labels: tuple[str, ...]
    modalities: tuple[str, ...]
    fusion: str
    normalization: str

    @abstractmethod
    def check(self) -> None:
        """Check that its weights can be read.

        Raises:
            RunError, BundleError: they can't.
        """

    @abstractmethod
    def identify(self, accelerator: Accelerator) -> str:
        """Return a digest, in hexadecimal digits, of all that its answers depend on beside the posts.

        All processes of `accelerator` must call this together.
        """

    @abstractmethod
    def answer(self, posts: LabelledPosts, accelerator: Accelerator, tell: Callable[[int], None]) -> Floats:
        """Return its probabilities for posts that have what it reads, of several images the mean.

        All processes of `accelerator` must call this together. `tell` gets the numbers of posts that are answered.

        Returns:
            float32 (posts, labels).
        """

    @abstractmethod
    def close(self) -> None:
        """Free the memory that its answers took; it may be asked again."""


class RunTeacher(Teacher):
    """A run, which answers in the precision of training; its processes share the work."""

    def __init__(self, run: Run, weights: Weights = "best") -> None:
        self.path = str(run.path)
        self.labels = run.labels
        self.modalities = FUSIONS[run.fusion.name].modalities
        self.fusion = run.fusion.name
        self.normalization = run.normalization
        self._run = run
        self._weights: Weights = weights
        self._model: SentimentModel | None = None

    def check(self) -> None:
        """Check that its weights can be read.

        Raises:
            RunError: they can't.
        """
        self._run.build_model(self._weights)

    def identify(self, accelerator: Accelerator) -> str:
        """Return a digest of its weights, its fusion and the precision."""
        return digest_weights(self._load(), f"{self._run.fusion} {accelerator.mixed_precision}").hexdigest()

    def answer(self, posts: LabelledPosts, accelerator: Accelerator, tell: Callable[[int], None]) -> Floats:
        """Return its probabilities: float32 (posts, labels)."""
        model = self._load().to(accelerator.device)
        speed_up_convolutions(model, accelerator.mixed_precision, accelerator.device)
        tokenizer = None if model.text is None else TextTokenizer(self._run.tokenizer, model.text.config.max_tokens)
        pictures = Pictures(posts, 0 if model.image is None else model.image.config.size)
        pad_id = 0 if tokenizer is None else tokenizer.pad_id
        tokens = tokenize_posts(posts, tokenizer)
        batcher = Batcher(posts, tokens, None, None, pictures, pad_id, accelerator.device)
        scores = score_posts(
            model, batcher, _BATCH, accelerator, lambda scored: tell(scored * accelerator.num_processes)
        )
        return np.asarray(torch.from_numpy(scores).softmax(dim=1).numpy())

    def close(self) -> None:
        """Free the network."""
        self._model = None

    def _load(self) -> SentimentModel:
        if self._model is None:
            self._model = self._run.build_model(self._weights)
        return self._model


class BundleTeacher(Teacher):
    """A bundle, which answers as `score` does, by ONNX Runtime in the main process."""

    def __init__(self, path: str, bundle: Bundle) -> None:
        self.path = path
        self.labels = bundle.labels
        self.modalities = bundle.modalities
        self.fusion = bundle.fusion.name
        self.normalization = "none" if bundle.text is None else bundle.text.normalization
        self._bundle = bundle
        self._engine: Engine | None = None

    def check(self) -> None:
        """Do nothing: a bundle is checked as it is loaded."""

    def identify(self, accelerator: Accelerator) -> str:
        """Return a digest of its files, the kind of device and the precision.

        Raises:
            BundleError: a graph can't be loaded.
        """

        def describe() -> str:
            engine = self._open(accelerator.device)
            kind = engine.device.partition(":")[0]
            return blake2b(f"{self._bundle.digest} {kind} {engine.precision}".encode()).hexdigest()

        return share_result(accelerator, describe)

    def answer(self, posts: LabelledPosts, accelerator: Accelerator, tell: Callable[[int], None]) -> Floats:
        """Return its probabilities: float32 (posts, labels).

        Raises:
            BundleError, DeviceError, OutOfMemoryError: a graph can't be run.
        """
        return share_result(accelerator, lambda: self._answer(posts, self._open(accelerator.device), tell))

    def close(self) -> None:
        """Free the graphs."""
        self._engine = None

    def _open(self, device: torch.device) -> Engine:
        """Return the engine: on the device that is trained on, or, where ONNX Runtime can't use that, on the CPU."""
        if self._engine is None and device.type != "cpu":
            try:
                self._engine = Engine(self._bundle, device=f"cuda:{device.index or 0}")
            except (DeviceError, UsageError) as error:
                _log.warning("The teacher %s answers on the CPU: %s", self.path, error)
        if self._engine is None:
            self._engine = Engine(self._bundle, device="cpu")
        return self._engine

    def _answer(self, posts: LabelledPosts, engine: Engine, tell: Callable[[int], None]) -> Floats:
        tokenizer = None if self._bundle.text is None else self._bundle.text.load_tokenizer()
        tokens = tokenize_posts(posts, tokenizer)
        pictures = Pictures(posts, 0 if self._bundle.image is None else self._bundle.image.size)
        pairs, post_of = posts.pair_images()
        answers = np.empty((len(pairs), len(self.labels)), np.float32)

        def answer_piece(start: int) -> int:
            texts, images = (values[start : start + _PIECE] for values in (pairs.text, pairs.image))
            text_rows, text_index = index_present(texts)
            image_rows, image_index = index_present(images)
            answers[start : start + _PIECE] = engine.fuse(
                engine.encode_texts([tokens[row] for row in text_rows]) if len(text_rows) and tokenizer else None,
                engine.encode_images(pictures.load(image_rows, 0)) if len(image_rows) and pictures.size else None,
                text_index if tokenizer else None,
                image_index if pictures.size else None,
            )
            return len(texts)

        with ThreadPoolExecutor(engine.workers) as pool:
            for answered in pool.map(answer_piece, range(0, len(pairs), _PIECE)):
                tell(answered)
        sums = np.zeros((len(posts), len(self.labels)))
        np.add.at(sums, post_of, answers)
        return (sums / np.bincount(post_of, minlength=len(posts))[:, None]).astype(np.float32)


def open_teachers(options: TrainOptions) -> dict[str, Teacher]:
    """Open the runs and bundles of `options.teacher`, by name.

    Raises:
        RunNotFoundError, BundleNotFoundError, RunError, BundleError: one is none of them, or damaged.
        UsageError: it has other labels, or no modality in common with the model; or a name is both that of a model
            that ships and of one in the working directory.
    """
    teachers = {name: _open(name) for name in options.teacher}
    for teacher in teachers.values():
        if teacher.labels != options.labels:
            raise UsageError(
                f"The teacher {teacher.path} has the labels {', '.join(teacher.labels)}, not "
                f"{', '.join(options.labels)}: name one with the same labels in the same order."
            )
        if not set(teacher.modalities) & set(FUSIONS[options.fusion].modalities):
            raise UsageError(
                f"The teacher {teacher.path} ({teacher.fusion}) and {options.fusion} have no modality in common: name "
                "another model."
            )
    return teachers


def _open(name: str) -> Teacher:
    path, shipped = Path(name), list_shipped()
    if name in shipped and is_run(path):
        raise UsageError(
            f"{name} is a model that ships with sentimm, and a training run here: write ./{name} for the one here, or "
            "rename that to use the other."
        )
    if name in shipped or (path / MANIFEST).is_file():
        return BundleTeacher(name, load_bundle(name))
    if not (path / "config.json").is_file():
        raise RunNotFoundError(
            f"The teacher {name} is neither a training run nor a bundle: name a folder that `sentimm train`, `export` "
            f"or `import` wrote, or a model that ships with sentimm ({', '.join(shipped)})."
        )
    return RunTeacher(open_run(path))


def check_teachers(
    teachers: Mapping[str, Teacher], posts: LabelledPosts, options: TrainOptions, heads: Sequence[str]
) -> None:
    """Check that each teacher answers some of the posts that it teaches, or trains one of the model's heads.

    Raises:
        InputError: it reads no whole post, and no head's modality.
        RunError: its weights can't be read.
    """
    for name, teacher in teachers.items():
        teacher.check()
        modalities = teacher.modalities
        taught = np.isin(posts.table, options.list_taught(name))
        has = {"text": posts.text >= 0, "image": posts.image >= 0}
        useful = [_flag_whole_posts(modalities, posts), *(has[each] for each in set(heads) & set(modalities))]
        if taught.any() and not (taught & np.any(useful, axis=0)).any():
            raise InputError(
                f"The teacher {teacher.path} ({teacher.fusion}) reads {modalities[0]}s alone, and none of the "
                f"{taught.sum():,} posts that it is to teach is one: name a teacher that reads both, or use --heads "
                f"{modalities[0]}."
            )


def _flag_whole_posts(modalities: Sequence[str], posts: LabelledPosts) -> npt.NDArray[np.bool_]:
    """Return which posts have no other than the `modalities`: bool (posts,)."""
    reads_text, reads_image = "text" in modalities, "image" in modalities
    return (reads_text | (posts.text < 0)) & (reads_image | (posts.image < 0))
