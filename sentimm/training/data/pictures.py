"""Images for batches: decoded in threads, cached as thumbnails on request, and augmented for training.

Augmented or not, an image is first decoded as `sentimm.images` decodes it for scoring. An augmented one is decoded
somewhat larger, and a part of it is cropped, resized, mirrored and recoloured, by draws that depend on the seed, the
epoch and the image alone: a resumed run gets the same pictures. So do those by which some lose detail as pictures on
the web do, which are made smaller and compressed on their way.

Threads suffice, as Pillow releases the GIL: decoding and augmenting 600 MVSA photographs on two cores, 359 images/s
in one thread, 589 in two, 647 in two processes; from thumbnails 793 in one thread.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageOps

from sentimm.images import RESIZER, decode_image, to_chw
from sentimm.models.image_backbones import find_image_size
from sentimm.training.data.array_cache import map_or_compute
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.model_options import DEFAULT_IMAGE_ENCODER
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import is_run, open_run

Pixels = npt.NDArray[np.uint8]

_LARGER = 1.25  # side of the decoded image before cropping, as a multiple of the model's
_LEAST_AREA = 0.5  # least share of the image in a crop
_MOST_STRETCH = 4 / 3  # largest ratio of a crop's sides
_COLOUR = 0.2  # brightness, contrast and saturation change by up to this share
_FILL_ROWS = 256

_LEAST_SCALE = 0.35  # least side of an image that loses detail, as a share
_QUALITIES = (25, 96)  # of JPEG: from the first to below the second
_FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class ImageNoise:
    """Which images lose detail: a `share` of them, by draws from `seed`."""

    seed: int
    share: float


class Pictures:
    """The images of posts as the model takes them.

    Args:
        posts: the posts whose images are wanted.
        size: side of the square images in pixels.
        augment_seed: the seed of the augmentation, None for none.
        noise: which images lose detail, None for none.
        cache: a folder for decoded thumbnails as a mapped file, None: decode each time.
        tell: gets the numbers of thumbnails done and in all.
    """

    def __init__(
        self,
        posts: LabelledPosts,
        size: int,
        *,
        augment_seed: int | None = None,
        noise: ImageNoise | None = None,
        cache: Path | None = None,
        tell: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.size = size
        self._images = posts.images
        self._seed = augment_seed
        self._noise = noise
        self._side = size if augment_seed is None else round(size * _LARGER)
        self._pool = ThreadPoolExecutor()
        self._thumbnails: Pixels | None = None
        self._places = np.full(len(posts.images), -1, dtype=np.int64)
        if cache is not None:
            rows = np.unique(posts.all_images[posts.all_images >= 0])
            self._places[rows] = np.arange(len(rows))
            self._thumbnails = self._map_thumbnails(rows, [posts.image_digests[row] for row in rows], cache, tell)

    def load(self, rows: npt.NDArray[np.int64], epoch: int) -> Pixels:
        """Load the images at `rows` of the posts' images: uint8 (rows, 3, size, size)."""
        return np.stack(list(self._pool.map(partial(self._load, epoch=epoch), rows)))

    def _load(self, row: int, epoch: int) -> Pixels:
        if self._thumbnails is None:
            thumbnail = decode_image(self._images[row], self._side)
        else:
            thumbnail = self._thumbnails[self._places[row]]
        if self._seed is not None:
            thumbnail = augment_image(thumbnail, self.size, np.random.default_rng([self._seed, epoch, row]))
        if self._noise is not None:
            rng = np.random.default_rng([self._noise.seed, epoch, row, 1])  # not those of the augmentation
            if rng.random() < self._noise.share:
                return coarsen_image(thumbnail, rng)
        return thumbnail

    def _map_thumbnails(
        self, rows: npt.NDArray[np.int64], digests: list[str], cache: Path, tell: Callable[[int, int], None]
    ) -> Pixels:
        name = hashlib.sha256(f"{self._side} {RESIZER} {' '.join(digests)}".encode()).hexdigest()[:32]
        file = cache / f"thumbnails-{name}.npy"

        def fill(thumbnails: Pixels) -> None:
            for start in range(0, len(rows), _FILL_ROWS):
                images = [self._images[row] for row in rows[start : start + _FILL_ROWS]]
                thumbnails[start : start + len(images)] = list(
                    self._pool.map(partial(decode_image, size=self._side), images)
                )
                tell(start + len(images), len(rows))

        return map_or_compute(file, np.uint8, (len(rows), 3, self._side, self._side), fill)


def augment_image(image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
    """Crop, mirror and recolour a uint8 (3, side, side) image at random: uint8 (3, size, size)."""
    side = image.shape[1]
    area, stretch = rng.uniform(_LEAST_AREA, 1), np.exp(rng.uniform(-1, 1) * np.log(_MOST_STRETCH))
    width, height = (min(1.0, float(np.sqrt(share))) * side for share in (area * stretch, area / stretch))
    left, top = rng.uniform(0, side - width), rng.uniform(0, side - height)
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    box = (left, top, left + width, top + height)
    picture = picture.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if rng.random() < 0.5:
        picture = ImageOps.mirror(picture)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = enhance(picture).enhance(rng.uniform(1 - _COLOUR, 1 + _COLOUR))
    return to_chw(picture)


def coarsen_image(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Make a uint8 (3, size, size) image smaller, compress it as JPEG and make it as large as it was, all at random."""
    size = image.shape[1]
    side = max(1, round(size * np.exp(rng.uniform(np.log(_LEAST_SCALE), 0))))
    smaller, larger = (_FILTERS[place] for place in rng.integers(len(_FILTERS), size=2))
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    if side < size:
        picture = picture.resize((side, side), smaller)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=int(rng.integers(*_QUALITIES)))
    with Image.open(buffer) as stored:
        picture = stored.convert("RGB")
    if side < size:
        picture = picture.resize((size, size), larger)
    return to_chw(picture)


def choose_image_size(options: TrainOptions) -> int:
    """Return the side of the images in pixels: what was asked for, else what the image encoder was trained with.

    Raises:
        UsageError: none was asked for, and two backbones were trained with different ones.
    """
    if options.image_size is not None:
        return options.image_size
    path = Path(options.image_encoder)
    if not is_run(path):
        return find_image_size(options.image_encoder)
    image = open_run(path).image
    return find_image_size(DEFAULT_IMAGE_ENCODER) if image is None else image.size
