from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sentimm.errors import OutputError, UsageError
from sentimm.models.image_encoder import ImageEncoder, load_image_encoder
from sentimm.models.text_encoder import TextEncoder, load_text_encoder
from sentimm.text import pad_tokens
from sentimm.training.data import frozen_features as frozen
from sentimm.training.data.array_cache import load_or_compute, map_or_compute
from sentimm.training.data.frozen_features import FrozenFeatures, extract_images, extract_texts
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.data.prepare import load_data, make_batchers
from sentimm.training.data.tables import load_posts
from sentimm.training.model import load_model
from sentimm.training.run_folder import Run
from sentimm.training.train import start_run
from tests.support.tiny.models import IMAGE_SIZE, make_corpus, make_image_encoder, make_options, make_text_encoder

CPU = torch.device("cpu")
TOKENS = [np.array(row, dtype=np.int64) for row in ([2, 5, 6, 3], [2, 3], [2, 7, 8, 9, 10, 3])]


def load_text(folder: Path, *, sequence: bool) -> TextEncoder:
    encoder, _ = load_text_encoder(
        str(make_text_encoder(folder)),
        width=8,
        pooling="mean",
        max_tokens=48,
        dropout=0.0,
        bert_dropout=0.0,
        sequence=sequence,
    )
    return encoder.eval()


def load_image(folder: Path, size: int, *, sequence: bool) -> ImageEncoder:
    torch.manual_seed(0)
    return load_image_encoder(make_image_encoder(folder), width=8, size=size, dropout=0.0, sequence=sequence).eval()


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> LabelledPosts:
    options = make_options(tmp_path_factory.mktemp("tiny"))
    return load_posts(options.inputs, options, ("text", "image"), IMAGE_SIZE)


def refuse(*_arguments: object) -> None:
    raise AssertionError("what is kept is not computed again")


@pytest.mark.parametrize("sequence", [False, True])
def test_texts_that_were_kept_are_as_encoded_anew(tmp_path: Path, sequence: bool) -> None:
    encoder = load_text(tmp_path / "bert", sequence=sequence)
    told: list[tuple[int, int]] = []
    kept = extract_texts(encoder, TOKENS, 0, CPU, tmp_path / "cache", lambda done, of: told.append((done, of)))
    rows = np.array([2, 0])
    with torch.inference_mode():
        found = encoder.finish(*kept.select(rows))
        ids, mask = (torch.from_numpy(each) for each in pad_tokens([TOKENS[row] for row in rows], 0))
        expected = encoder(ids, mask)
    assert told == [(3, 3)]
    assert torch.allclose(found.features, expected.features, atol=5e-3)
    assert found.features.std() > 0.01
    if sequence:
        real = mask.bool()
        assert torch.equal(found.mask, mask)
        assert torch.allclose(found.sequence[real], expected.sequence[real], atol=5e-3)


def test_hidden_states_are_kept_in_half_precision_and_found_again(tmp_path: Path) -> None:
    encoder = load_text(tmp_path / "bert", sequence=True)
    kept = extract_texts(encoder, TOKENS, 0, CPU, tmp_path / "cache", lambda *_: None)
    (file,) = (tmp_path / "cache").glob("*.npy")
    assert kept.values.dtype == np.float16 and kept.values.shape == (12, 24)
    assert isinstance(kept.values, np.memmap)
    again = extract_texts(encoder, TOKENS, 0, CPU, tmp_path / "cache", refuse)
    assert np.array_equal(again.values, kept.values)
    extract_texts(encoder, TOKENS[:2], 0, CPU, tmp_path / "cache", lambda *_: None)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2 and file.exists()


def test_pooled_texts_are_found_again_under_their_pooling(tmp_path: Path) -> None:
    encoder = load_text(tmp_path / "bert", sequence=False)
    kept = extract_texts(encoder, TOKENS, 0, CPU, tmp_path / "cache", lambda *_: None)
    again = extract_texts(encoder, TOKENS, 0, CPU, tmp_path / "cache", refuse)
    assert kept.values.shape == (3, 24) and np.array_equal(again.values, kept.values)
    encoder.config = replace(encoder.config, pooling="cls")
    other = extract_texts(encoder, TOKENS, 0, CPU, tmp_path / "cache", lambda *_: None)
    assert not np.allclose(other.values, kept.values)


@pytest.mark.parametrize("size", [IMAGE_SIZE, 64])
@pytest.mark.parametrize("sequence", [False, True])
def test_images_that_were_kept_are_found_again(tmp_path: Path, posts: LabelledPosts, size: int, sequence: bool) -> None:
    encoder = load_image(tmp_path / "image", size, sequence=sequence)
    kept = extract_images(encoder, posts, CPU, tmp_path / "cache", lambda *_: None)
    again = extract_images(encoder, posts, CPU, tmp_path / "cache", refuse)
    assert np.array_equal(again.values, kept.values)
    assert isinstance(kept.values, np.memmap) == sequence
    assert kept.values.dtype == (np.float16 if sequence else np.float32)
    cells = (encoder.count_cells(),) if sequence else ()
    assert kept.values.shape == (len(posts.images), *cells, encoder.channels)
    raw, mask = again.select(np.array([5, 1]))
    assert raw.dtype == torch.float32 and mask is None
    assert torch.equal(raw[0], torch.from_numpy(kept.values[5].astype(np.float32)))


@pytest.mark.parametrize("sequence", [False, True])
def test_what_was_cut_off_is_made_again(tmp_path: Path, posts: LabelledPosts, sequence: bool) -> None:
    text, image = load_text(tmp_path / "bert", sequence=sequence), load_image(tmp_path, IMAGE_SIZE, sequence=sequence)
    first: list[np.ndarray] = []
    for attempt in (1, 2):
        for outputs in (
            extract_texts(text, TOKENS, 0, CPU, tmp_path / "cache", lambda *_: None),
            extract_images(image, posts, CPU, tmp_path / "cache", lambda *_: None),
        ):
            if attempt == 1:
                first.append(np.array(outputs.values))
            else:
                assert np.array_equal(outputs.values, first.pop(0))
        for file in (tmp_path / "cache").glob("*.npy"):
            file.write_bytes(file.read_bytes()[: -file.stat().st_size // 2])


def test_only_what_is_whole_stays_in_a_cache(tmp_path: Path) -> None:
    def interrupt(_values: np.ndarray) -> None:
        raise FileNotFoundError("an image")

    with pytest.raises(FileNotFoundError, match="an image"):
        map_or_compute(tmp_path / "cache" / "a.npy", np.float16, (3, 2), interrupt)
    assert list((tmp_path / "cache").iterdir()) == []
    (tmp_path / "cache" / "b.npy").write_bytes(b"PK\x03\x04 no archive")
    assert load_or_compute(tmp_path / "cache" / "b.npy", lambda: np.ones(3)).tolist() == [1, 1, 1]


def test_a_cache_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=f"{tmp_path / 'file'}/.* can't be written: "):
        extract_texts(load_text(tmp_path / "bert", sequence=True), TOKENS, 0, CPU, tmp_path / "file", lambda *_: None)


def test_pooled_images_and_maps_have_a_file_each(tmp_path: Path, posts: LabelledPosts) -> None:
    for sequence in (False, True):
        encoder = load_image(tmp_path / "image", IMAGE_SIZE, sequence=sequence)
        extract_images(encoder, posts, CPU, tmp_path / "cache", lambda *_: None)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2


def test_images_that_were_resized_in_another_way_are_run_again(
    tmp_path: Path, posts: LabelledPosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_image(tmp_path / "image", IMAGE_SIZE, sequence=False)
    for name in ("one", "another"):
        monkeypatch.setattr(frozen, "RESIZER", name)
        extract_images(encoder, posts, CPU, tmp_path / "cache", lambda *_: None)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2


def test_no_rows_are_one_token_of_padding() -> None:
    kept = FrozenFeatures(np.ones((3, 4), np.float16), np.array([0, 1, 3]))
    tokens, mask = kept.select(np.zeros(0, np.int64))
    assert tokens.shape == (0, 1, 4) and mask is not None and mask.shape == (0, 1)


def test_texts_are_kept_where_there_are_none(tmp_path: Path) -> None:
    encoder = load_text(tmp_path / "bert", sequence=True)
    assert extract_texts(encoder, [], 0, CPU, tmp_path / "cache", refuse).values.shape == (0, 24)


def test_images_of_a_validation_table_are_not_taken_for_those_to_train_on(tmp_path: Path) -> None:
    options = make_options(tmp_path / "tiny", fusion="resnet", freeze=("image",))
    other = make_corpus(tmp_path / "other", posts=9, seed=1)
    named = replace(options, val=str(other), images=tmp_path)
    for folder in ("tiny/corpus", "other"):  # both tables name their images as 0.png
        for image in (tmp_path / folder / "images").iterdir():
            image.rename(tmp_path / f"{folder.replace('/', '-')}-{image.name}")
    for table, prefix in ((Path(options.inputs[0]), "tiny-corpus-"), (other, "other-")):
        table.write_text(re.sub(r"(\d+\.png)", rf"{prefix}\1", table.read_text()))
    data = load_data(named)
    model, _ = load_model(named, data.training)
    run = Run(tmp_path / "run", named.labels, model.config, None, None, "", {}, {})
    batchers = make_batchers(run, model, named, data, CPU, lambda _: None)
    assert batchers.validation.frozen_image is not None
    assert len(batchers.validation.frozen_image.values) == len(data.validation.images) == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fusion", "literal", "freeze"),
    [("cmac", False, ("text", "image")), ("hstec", True, ("image",)), ("native-combine", True, ())],
)
def test_a_fusion_learns_over_frozen_and_other_encoders(
    tmp_path: Path, fusion: str, literal: bool, freeze: tuple[str, ...]
) -> None:
    options = make_options(
        tmp_path, fusion=fusion, literal=literal, freeze=freeze, epochs=3, head_lr=5e-3, heads=(), image_size=64
    )
    run = start_run(options, tmp_path / "run", lambda _: None)
    losses = [record["loss"] for record in run.read_metrics()]
    assert losses[-1] < losses[0]
    assert (run.fusion.name, run.fusion.literal) == (fusion, literal)
    model = run.build_model("best")
    assert model.text is not None and model.text.config.sequence == model.fusion.attends
    kept = sorted(path.name for path in (run.path / "cache").glob("*.npy"))
    assert len(kept) == len(freeze)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion": "ote", "literal": True}, "--literal is for fusions that add up two classifiers"),
        ({"fusion": "hstec", "width": 32}, "--width 32 does not fit 12 attention heads"),
    ],
)
def test_a_fusion_that_can_not_be_made_is_refused_before_a_table_is_read(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    options = replace(make_options(tmp_path), inputs=("nowhere.csv",), **changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=message):
        start_run(options, tmp_path / "run", lambda _: None)
