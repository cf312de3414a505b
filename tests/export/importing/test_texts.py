"""Classifiers of texts, imported with the command: `score` answers as transformers does."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import torch
from sentimm_export.importing.joined import join_classifiers
from sentimm_export.importing.text_classifier import TextClassifier, load_text_classifier

from sentimm import Scorer
from sentimm.text import TextTokenizer, pad_tokens
from tests.support.commands import run
from tests.support.tiny.classifiers import SENTIMENTS, make_text_classifier
from tests.support.tiny.models import WORDS
from tests.support.tiny.text_families import FAMILIES

# Of many lengths, the longest of more tokens than any of the classifiers reads.
TEXTS = [" ".join(WORDS[(7 * row + place) % len(WORDS)] for place in range(1 + 3 * row)) for row in range(24)]
NUMBERED = ("LABEL_0", "LABEL_1", "LABEL_2")


def ask_transformers(folder: Path, texts: list[str], max_tokens: int) -> npt.NDArray[Any]:
    """Classify texts with transformers' own pipeline: probabilities by its own labels in order."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(folder), device="cpu")
    answers = classify(texts, top_k=None, truncation=True, max_length=max_tokens, padding=True, batch_size=8)
    order = [classify.model.config.id2label[number] for number in range(classify.model.config.num_labels)]
    return np.array([[{a["label"]: a["score"] for a in answer}[label] for label in order] for answer in answers])


def score(bundle: Path, texts: list[str], precision: str = "fp32") -> npt.NDArray[Any]:
    with Scorer(bundle, "cpu", precision=precision) as scorer:
        scored = scorer.score(pl.DataFrame({"text": texts}))
    return scored.select(f"p_{label}" for label in scorer.bundle.labels).to_numpy()


@pytest.mark.parametrize("family", ["Bert", "Roberta", "DistilBert", "XLMRoberta", "DebertaV2"])
def test_a_joined_model_answers_as_transformers_does(tmp_path: Path, family: str) -> None:
    folder, longest = make_text_classifier(tmp_path / "published", family), FAMILIES[family][1]
    source = load_text_classifier(str(folder), None)
    assert source.max_tokens == longest
    model = join_classifiers(SENTIMENTS, TextClassifier(source.network, ((0,), (1,), (2,))), None, None)
    rows = TextTokenizer(source.tokenizer, source.max_tokens).encode(TEXTS)
    with torch.inference_mode():
        assert model.text is not None
        encoded = model.text(*map(torch.from_numpy, pad_tokens(rows, source.pad_id)))
        found = model.fuse(encoded, None, torch.arange(len(rows)), None).scores.softmax(dim=1).numpy()
    assert len(set(found.argmax(axis=1))) > 1
    np.testing.assert_allclose(found, ask_transformers(folder, TEXTS, longest), atol=1e-4)


@pytest.mark.slow
def test_scores_are_those_of_transformers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, longest = make_text_classifier(tmp_path / "published", "Roberta"), FAMILIES["Roberta"][1]
    options = ("--precision", "fp32,int8", "--min-agreement", "0.8")
    result = run(capsys, "import", folder, "-o", tmp_path / "bundle", *options)
    assert result.code == 0, result.err
    expected = ask_transformers(folder, TEXTS, longest)
    found = score(tmp_path / "bundle", TEXTS)
    assert len(set(found.argmax(axis=1))) > 1
    np.testing.assert_allclose(found, expected, atol=1e-4)
    quantised = score(tmp_path / "bundle", TEXTS, "int8").argmax(axis=1)
    assert (quantised == expected.argmax(axis=1)).mean() >= 0.8
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert manifest["text"]["max_tokens"] == longest
    assert manifest["temperatures"] == {"text": 1.0}


@pytest.mark.slow
def test_labels_normalization_licence_and_shorter_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_text_classifier(tmp_path / "published", "Roberta", NUMBERED)
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# A classifier\n")
    options = ("--labels", "LABEL_0=negative,LABEL_1=positive,LABEL_2=positive", "--max-tokens", "16")
    options += ("--normalization", "cardiff", "--precision", "fp32")
    result = run(capsys, "import", folder, "-o", tmp_path / "bundle", *options)
    assert result.code == 0, result.err
    texts = ["@ana this was so good http://example.org/a", *TEXTS]
    own = ask_transformers(folder, ["@user this was so good http", *TEXTS], 16)
    found = score(tmp_path / "bundle", texts)
    np.testing.assert_allclose(found, np.stack([own[:, 0], own[:, 1] + own[:, 2]], axis=1), atol=1e-4)
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "`published`, by its README or configuration: cc-by-4.0" in card
    assert "normalised by `cardiff`, up to 16 tokens" in card
    assert "| positive | LABEL_1, LABEL_2 |" in card
    assert "that come with sentimm: short texts in fifteen languages." in card
    assert run(capsys, "info", tmp_path / "bundle").code == 0


@pytest.mark.slow
def test_posts_of_ones_own_fit_temperatures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_text_classifier(tmp_path / "published")
    texts = [f"{WORDS[row % 15]} {WORDS[row * row % 15]} {'the day ' * (row % 9)}" for row in range(120)]
    # The labels are right in two of three posts: the answers of random weights, less sure than those.
    answers = ask_transformers(folder, texts, 50).argmax(axis=1)
    labels = [SENTIMENTS[(answer + (row % 3 == 0)) % 3] for row, answer in enumerate(answers)]
    pl.DataFrame({"text": texts, "label": labels}).write_csv(tmp_path / "posts.csv")
    options = ("--calibration", tmp_path / "posts.csv", "--precision", "fp32")
    result = run(capsys, "import", folder, "-o", tmp_path / "bundle", *options)
    assert result.code == 0, result.err
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert manifest["temperatures"]["text"] > 1.2
    assert manifest["metrics"]["held_out"]["text"]["accuracy"] == pytest.approx(2 / 3, abs=0.1)
    assert manifest["provenance"]["posts"] == "of posts.csv"
    found, own = score(tmp_path / "bundle", TEXTS), ask_transformers(folder, TEXTS, 50)
    assert (found.argmax(axis=1) == own.argmax(axis=1)).all()
    assert found.max(axis=1).mean() < own.max(axis=1).mean()


@pytest.mark.slow
def test_pickled_weights_are_refused_with_the_command_that_converts_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file

    folder = make_text_classifier(tmp_path / "published")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    result = run(capsys, "import", folder, "-o", tmp_path / "bundle")
    assert (result.code, result.out) == (2, "")
    assert "has its weights only as pytorch_model.bin, a format that may hold code" in result.err
    command = shlex.split(result.err.strip().splitlines()[-1].partition("convert it once with: ")[2])
    subprocess.run([sys.executable, *command[1:]], check=True, capture_output=True)
    assert load_text_classifier(str(folder), None).labels == SENTIMENTS


@pytest.mark.slow
def test_a_classifier_is_a_text_encoder_to_train_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_text_classifier(tmp_path / "published", "Roberta")
    labels = [SENTIMENTS[row % 3] for row in range(24)]
    pl.DataFrame({"text": TEXTS, "label": labels}).write_csv(tmp_path / "posts.csv")
    options = ("--fusion", "bert", "--text-encoder", folder, "--epochs", "1", "--max-tokens", "48", "--width", "8")
    options += ("--freeze", "text")
    result = run(capsys, "train", tmp_path / "posts.csv", "-o", tmp_path / "run", *options, "--device", "cpu")
    assert result.code == 0, result.err
    from safetensors.torch import load_file

    own, trained = (load_file(path) for path in (folder / "model.safetensors", tmp_path / "run" / "best.safetensors"))
    backbone = {name.removeprefix("text.backbone."): value for name, value in trained.items() if "backbone" in name}
    assert backbone
    assert all(torch.equal(value, own[f"roberta.{name}"]) for name, value in backbone.items())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nowhere" / "deep", "There is no folder"),
        (lambda folder: make_text_classifier(folder, labels=NUMBERED), "are LABEL_0, LABEL_1, LABEL_2, which don't"),
        (lambda folder: make_text_classifier(folder, problem_type="multi_label_classification"), "any number of its"),
        (lambda folder: make_text_classifier(folder, num_labels=1, labels=("score",)), "gives a number instead"),
        (lambda folder: strip_classifier(make_text_classifier(folder)), "not those of a whole text classifier"),
        (lambda folder: strip_tokenizer(make_text_classifier(folder)), "can't be loaded from the folder"),
        (lambda folder: damage(make_text_classifier(folder)), "can't be loaded from the folder"),
        (lambda folder: be_an_encoder(make_text_classifier(folder)), "is a BertModel, and no classifier of texts or"),
    ],
)
def test_what_is_no_classifier_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, message: str
) -> None:
    result = run(capsys, "import", make(tmp_path / "published"), "-o", tmp_path / "bundle")
    assert (result.code, result.out) == (2, "")
    last = result.err.strip().splitlines()[-1]
    assert last.startswith("Error: ") and message in last
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "needs a classifier"),
        (("a", "--text", "b"), "for two of them, use --text and --image alone"),
        (("a", "--composed", "0.5"), "--composed joins two classifiers"),
        (("a", "--images", "photos"), "--images is about the posts of --calibration"),
        (("a", "--text-column", "t"), "--text-column is about the posts of --calibration"),
        (("a", "--normalization", "tweets"), "is not one of none, cardiff, tweet-1"),
        (("a", "--precision", "fp8"), "--precision takes"),
        (("a", "--share-weights", "--precision", "fp32"), "name both in --precision"),
    ],
)
def test_options_that_do_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    result = run(capsys, "import", *options, "-o", tmp_path / "bundle")
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_a_text_longer_than_it_reads_and_a_bundle_that_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_text_classifier(tmp_path / "published", "Roberta")
    result = run(capsys, "import", folder, "-o", tmp_path / "bundle", "--max-tokens", "49")
    assert result.code == 2 and "--max-tokens 49 is more than the 48" in result.err
    (tmp_path / "bundle").mkdir()
    result = run(capsys, "import", folder, "-o", tmp_path / "bundle")
    assert result.code == 2 and "already exists" in result.err


def strip_classifier(folder: Path) -> Path:
    """Leave the weights of the encoder alone."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def strip_tokenizer(folder: Path) -> Path:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    return folder


def damage(folder: Path) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:400])
    return folder


def be_an_encoder(folder: Path) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    return folder


def test_code_of_the_folder_is_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_text_classifier(tmp_path / "published")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "trap",
        "auto_map": {"AutoConfig": "trap.Trap", "AutoModelForSequenceClassification": "trap.Trap"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w').close()\n")
    result = run(capsys, "import", folder, "-o", tmp_path / "bundle")
    assert result.code == 2 and "can't be loaded from the folder" in result.err
    assert not (tmp_path / "sprung").exists()
