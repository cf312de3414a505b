"""The engine: a bundle's graphs on one device, from prepared posts to probabilities.

The encoders see each distinct text and image once; the fusion gathers their outputs by index. No answer depends on
which posts share a batch: the graphs hold fixed scales, and padding is masked. All methods may be called from several
threads at once: on CPUs that is how all cores are used (see `sessions`), on CUDA one graph runs at a time, and the
other threads prepare what it gets next.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from sentimm.bundle.bundle import Bundle, Precision
from sentimm.errors import BundleError, DeviceError, OutOfMemoryError, UsageError
from sentimm.options import Modality
from sentimm.runtime.correction import load_correction
from sentimm.runtime.encoded import Encoded, Views
from sentimm.runtime.sessions import place_bundle
from sentimm.runtime.temperatures import apply_temperatures, is_finite
from sentimm.text import pad_tokens

# Rows of a batch, by device and graph. On CPUs small batches stay in a core's cache: two workers on two cores (VNNI)
# ran 430, 413, 404, 381 and 365 images/s in batches of 2, 4, 8, 16 and 32, and 719, 655, 550 and 510 texts/s in batches
# of 8, 16, 32 and 64 (docs/benchmarks.md).
BATCHES = {
    "cpu": {"text": 8, "image": 4, "fusion": 1024},
    "cuda": {"text": 256, "image": 64, "fusion": 4096},
}
# Posts of a batch of a fusion that attends: cells times cells times heads of attention are in memory for each of them.
_ATTENDING_BATCHES = {"cpu": 64, "cuda": 256}
_NO_MEMORY = re.compile(r"(?i)out of memory|bad_?alloc|failed to allocate|alloc(ation)?_?failed")
_CUDA_TOKEN_STEP = 8  # lengths are padded up to multiples of it: few shapes to plan for, and what tensor cores like


_log = logging.getLogger(__name__)


class Engine:
    """Runs the graphs of a bundle.

    Args:
        bundle: from `load_bundle`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; `auto` is CUDA where it works and the bundle has graphs for it.
        precision: `auto`, or one of the bundle's; `auto` is fp16, else fp32, on CUDA, and int8, else fp32, on CPUs.
        threads: CPU threads; None: OMP_NUM_THREADS, else the CPUs that this process may use.
        batch_size: rows of an encoder's batch; None: what suits the device.

    Where the memory of the device or of the machine runs out, batches get smaller.

    Attributes:
        device: where it runs: `cpu` or `cuda:N`.
        precision: what it runs.
        threads: how many CPU threads.
        workers: from how many threads the methods are best called at once.
        note: why this device and precision, in a sentence.

    Raises:
        UsageError: there is no such device or precision, or the two don't go together, or no such batch.
        DeviceError: the device that was asked for can't be used; says why.
        BundleError: a graph can't be loaded, or is not as the manifest says.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise UsageError(f"--batch-size is {batch_size!r}, but it must be a number, and at least 1.")
        placement, self._sessions = place_bundle(bundle, device, precision, threads)
        self.bundle = bundle
        self._correction = load_correction(bundle)
        self.device: str = placement.device
        self.precision: Precision = placement.precision
        self.threads: int = placement.threads
        self.workers: int = placement.workers
        self.note: str = placement.note
        kind = "cpu" if placement.device == "cpu" else "cuda"
        self._batches = dict(BATCHES[kind])
        if bundle.fusion.attends:
            self._batches["fusion"] = _ATTENDING_BATCHES[kind]
        if batch_size is not None:
            self._batches |= {"text": batch_size, "image": batch_size}
        self._turn: AbstractContextManager[object] = nullcontext() if kind == "cpu" else threading.Lock()

    @property
    def batch_sizes(self) -> Mapping[str, int]:
        """Rows of a batch, for `text`, `image` and `fusion`."""
        return self._batches

    def use_batch_sizes(self, sizes: Mapping[str, int]) -> None:
        """Take other sizes for the graphs in `sizes`; not while another thread is in a method."""
        self._batches |= sizes

    def encode_texts(self, rows: Sequence[npt.NDArray[np.int64]]) -> Encoded:
        """Encode texts given as unpadded token ids, int64 (tokens,) each.

        Raises:
            ValueError: the model reads no texts.
            OutOfMemoryError: not even one fits into memory.
            BundleError, DeviceError: the graph fails.
        """
        spec = self.bundle.text
        if spec is None:
            raise ValueError(f"the model {self.bundle.name} reads no texts")
        lengths = np.array([len(row) for row in rows], np.int64)
        encoded = Encoded.reserve(len(rows), spec.width, self._sequence_length(lengths.max(initial=1)))
        # Texts of like length together: little padding. The longest first: memory is taken once, and reused.
        order = np.argsort(-lengths, kind="stable")

        def encode(batch: slice) -> None:
            chosen = order[batch]
            ids, mask = pad_tokens([rows[index] for index in chosen], spec.pad_id)
            if self.device != "cpu":
                extra = min(-ids.shape[1] % _CUDA_TOKEN_STEP, spec.max_tokens - ids.shape[1])
                ids = np.pad(ids, ((0, 0), (0, extra)), constant_values=spec.pad_id)
                mask = np.pad(mask, ((0, 0), (0, extra)))
            encoded.put(chosen, self._encode("text", {"input_ids": ids, "attention_mask": mask}, lengths[chosen]))

        self._work_in_batches("text", len(order), encode)
        return encoded

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> Encoded:
        """Encode images, uint8 (images, 3, size, size).

        Raises:
            ValueError: the model reads no images.
            OutOfMemoryError, BundleError, DeviceError: as `encode_texts`.
        """
        spec = self.bundle.image
        if spec is None:
            raise ValueError(f"the model {self.bundle.name} reads no images")
        encoded = Encoded.reserve(len(pixels), spec.width, self._sequence_length(spec.cells or 1))
        lengths = np.full(len(pixels), spec.cells or 1, np.int64)

        def encode(batch: slice) -> None:
            inputs = {"pixels": np.ascontiguousarray(pixels[batch])}
            encoded.put(batch, self._encode("image", inputs, lengths[batch]))

        self._work_in_batches("image", len(pixels), encode)
        return encoded

    def fuse(
        self,
        texts: Encoded | None,
        images: Encoded | None,
        text_index: npt.NDArray[np.int64] | None,
        image_index: npt.NDArray[np.int64] | None,
    ) -> npt.NDArray[np.float32]:
        """Score posts: calibrated probabilities, float32 (posts, labels).

        `text_index[i]` is the row of `texts` that is post i's text, and the number of rows where it has none; images
        likewise. None stands for no texts or images, and for no post having that modality. What belongs to a modality
        that the model does not read is not looked at; a post with nothing that it reads gets NaN.

        Raises:
            ValueError: an index is out of range, or there is no index at all.
            BundleError: the model's scores are not finite.
            OutOfMemoryError, DeviceError: as `encode_texts`.
        """
        (scores,), present = self._score(texts, images, text_index, image_index, ["scores"])
        return self._calibrate(scores, present, {"text": (texts, text_index), "image": (images, image_index)})

    def fuse_with_views(
        self,
        texts: Encoded | None,
        images: Encoded | None,
        text_index: npt.NDArray[np.int64] | None,
        image_index: npt.NDArray[np.int64] | None,
    ) -> Views:
        """Score posts as `fuse` does, and their texts and images alone, with the heads.

        Raises:
            ValueError: the model doesn't have both heads; else as `fuse`.
            BundleError: as `fuse`.
        """
        if len(self.bundle.fusion.heads) < 2:
            raise ValueError(f"the model {self.bundle.name} doesn't have both heads")
        outputs = ["scores", "text_scores", "image_scores"]
        (scores, text_scores, image_scores), present = self._score(texts, images, text_index, image_index, outputs)
        return Views(
            self._calibrate(scores, present, {"text": (texts, text_index), "image": (images, image_index)}),
            self._calibrate(text_scores, {"text": present["text"]}, {"text": (texts, text_index)}),
            self._calibrate(image_scores, {"image": present["image"]}, {"image": (images, image_index)}),
        )

    def _score(
        self,
        texts: Encoded | None,
        images: Encoded | None,
        text_index: npt.NDArray[np.int64] | None,
        image_index: npt.NDArray[np.int64] | None,
        outputs: list[str],
    ) -> tuple[list[npt.NDArray[np.float32]], dict[Modality, npt.NDArray[np.bool_]]]:
        """Run the fusion in batches: its `outputs`, float32 (posts, labels), and which posts have which modality."""
        given = {"text": (texts, text_index), "image": (images, image_index)}
        counts = [len(index) for _, index in given.values() if index is not None]
        if not counts:
            raise ValueError("fuse needs text_index or image_index")
        encoded: dict[Modality, Encoded] = {}
        indices: dict[Modality, npt.NDArray[np.int64]] = {}
        for modality in self.bundle.modalities:
            rows, index = given[modality]
            rows = Encoded.reserve(0, self._width(modality), self._sequence_length(1)) if rows is None else rows
            index = np.full(counts[0], len(rows), np.int64) if index is None else index
            if len(index) and (index.min() < 0 or index.max() > len(rows)):
                raise ValueError(f"{modality}_index has rows outside 0 to {len(rows)}")
            encoded[modality], indices[modality] = rows, np.ascontiguousarray(index, np.int64)
        found = [np.empty((counts[0], len(self.bundle.labels)), np.float32) for _ in outputs]

        def fuse(batch: slice) -> None:
            inputs: dict[str, npt.NDArray[Any]] = {}
            for modality, rows in encoded.items():
                inputs |= self._prepare_fusion(modality, rows, indices[modality][batch])
            for scores, part in zip(found, self._run("fusion", inputs, outputs), strict=True):
                scores[batch] = part

        self._work_in_batches("fusion", counts[0], fuse)
        return found, {modality: indices[modality] < len(rows) for modality, rows in encoded.items()}

    def _work_in_batches(self, part: str, rows: int, work: Callable[[slice], None]) -> None:
        """Call `work` with all rows in batches; where memory runs out, in smaller ones from then on."""
        start = 0
        while start < rows:
            batch = slice(start, min(rows, start + self._batches[part]))
            try:
                work(batch)
            except OutOfMemoryError as error:
                if batch.stop - start == 1:
                    raise
                self._batches[part] = (batch.stop - start) // 2
                _log.warning("%s Continuing with %d at a time.", error, self._batches[part])
            else:
                start = batch.stop

    def _prepare_fusion(
        self, modality: Modality, rows: Encoded, index: npt.NDArray[np.int64]
    ) -> dict[str, npt.NDArray[Any]]:
        """Return what the fusion graph takes of one modality: no more than the rows that the posts have."""
        rows, index = rows.take(index)
        inputs: dict[str, npt.NDArray[Any]] = {f"{modality}_features": rows.features, f"{modality}_index": index}
        if rows.sequence is not None:
            inputs[f"{modality}_sequence"] = rows.sequence
            if modality == "text":
                inputs["text_mask"] = rows.mask
        return inputs

    def _calibrate(
        self,
        scores: npt.NDArray[np.float32],
        present: Mapping[Modality, npt.NDArray[np.bool_]],
        given: Mapping[Modality, tuple[Encoded | None, npt.NDArray[np.int64] | None]],
    ) -> npt.NDArray[np.float32]:
        if not is_finite(scores, present):
            raise BundleError(
                f"The model {self.bundle.name} produces scores that are not finite in {self.precision} on "
                f"{self.device}: use another --precision, or export it again."
            )
        p = apply_temperatures(scores, present, self.bundle.temperatures)
        if self._correction is None:
            return p
        features = {
            modality: (rows.features, index)
            for modality, (rows, index) in given.items()
            if rows is not None and index is not None
        }
        return self._correction.apply(p, features)

    def _encode(
        self, modality: Modality, inputs: dict[str, npt.NDArray[Any]], lengths: npt.NDArray[np.int64]
    ) -> Encoded:
        if not self.bundle.fusion.attends:
            return Encoded(self._run(modality, inputs, [f"{modality}_features"])[0])
        features, sequence = self._run(modality, inputs, [f"{modality}_features", f"{modality}_sequence"])
        return Encoded(features, sequence, lengths)

    def _sequence_length(self, tokens: int) -> int | None:
        return int(tokens) if self.bundle.fusion.attends else None

    def _width(self, modality: str) -> int:
        spec = self.bundle.text if modality == "text" else self.bundle.image
        return spec.width if spec is not None else 0

    def _run(self, part: str, inputs: dict[str, npt.NDArray[Any]], outputs: list[str]) -> list[npt.NDArray[np.float32]]:
        try:
            with self._turn:
                results: list[npt.NDArray[np.float32]] = self._sessions[part].run(outputs, inputs)
        except Exception as error:  # ONNX Runtime's errors share no class of their own, not even those of memory
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
                raise OutOfMemoryError(
                    f"The {part} graph ran out of memory on {self.device} ({reason}): use fewer --threads, or another "
                    "--device."
                ) from error
            if self.device == "cpu":
                raise BundleError(f"The {part} graph of {self.bundle.path} can't be run: {reason}.") from error
            raise DeviceError(
                f"{self.device} failed in the {part} graph ({reason}): try a smaller --batch-size, or --device cpu."
            ) from error
        return results
