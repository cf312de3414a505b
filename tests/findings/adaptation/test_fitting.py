from __future__ import annotations

import numpy as np
import pytest

from sentimm.findings.adaptation.choice import Comparison, compare_methods, list_methods, number_folds
from sentimm.findings.adaptation.fitting import Examples, fit_head, fit_prior, fit_vector, make_basis
from sentimm.findings.quality.contents import LabelledContents
from sentimm.runtime.correction import soften

Array = np.ndarray


def make_contents(
    number: int, truth: str, seed: int = 0, *, width: int = 12
) -> tuple[LabelledContents, Examples, Array]:
    """Make contents whose labels follow the model, or differ from it in one way; also what is true of them."""
    rng = np.random.default_rng(seed)
    p = np.clip(rng.dirichlet((1, 1, 2), number), 1e-4, 1)
    p /= p.sum(axis=1, keepdims=True)
    features = rng.normal(size=(number, width)).astype(np.float16)
    logs = np.log(p)
    true = {
        "as the model says": p,
        "other shares": soften(logs + np.array([1.0, 0.0, -1.0])),
        "overconfident": soften(logs * 0.4),
        "seen by features": soften(logs + 2 * features[:, :3].astype(np.float64)),
    }[truth]
    y = np.eye(3)[(true.cumsum(axis=1) < rng.random((number, 1))).sum(axis=1).clip(0, 2)]
    stratum, sizes = p.argmax(axis=1), np.array([3000, 2000, 4000])
    drawn = np.bincount(stratum, minlength=3)
    weight = sizes[stratum] / drawn[stratum]
    own = {"text": features}
    contents = LabelledContents(tuple(map(str, range(number))), stratum, weight, p, y, sizes, drawn)
    return contents, Examples(p, y, weight, own, make_basis(own)), true  # type: ignore[arg-type]


def compare(number: int, truth: str, seed: int = 0) -> Comparison:
    contents, examples, _ = make_contents(number, truth, seed)
    return compare_methods(contents, examples)


@pytest.mark.parametrize("labels", [80, 200, 320])
def test_where_the_model_is_right_nothing_is_gained(labels: int) -> None:
    assert not compare(labels, "as the model says").is_gain


@pytest.mark.parametrize(
    ("labels", "truth", "best"),
    [(90, "other shares", "prior"), (250, "overconfident", "vector"), (320, "seen by features", "head")],
)
def test_the_method_that_mends_the_fault_is_chosen(labels: int, truth: str, best: str) -> None:
    found = compare(labels, truth)
    assert (found.best.method, found.is_gain) == (best, True)
    assert found.best.log_loss == pytest.approx(found.log_loss - found.best.gain.value)


def test_few_labels_allow_simple_methods_only() -> None:
    assert list(list_methods(99, has_features=True)) == ["prior"]
    assert list(list_methods(100, has_features=True)) == ["prior", "vector"]
    assert list(list_methods(300, has_features=False)) == ["prior", "vector"]
    assert list(list_methods(300, has_features=True)) == ["prior", "vector", "head"]


def test_fits_find_what_is_true() -> None:
    _, examples, true = make_contents(20_000, "other shares")
    assert fit_prior(examples).bias == pytest.approx([1, 0, -1], abs=0.06)
    assert examples.apply(fit_prior(examples)) == pytest.approx(true, abs=0.03)
    _, examples, true = make_contents(20_000, "overconfident")
    assert fit_vector(examples).scale == pytest.approx([0.4, 0.4, 0.4], abs=0.05)


def test_a_head_gives_the_answers_that_its_weights_say() -> None:
    _, examples, _ = make_contents(300, "seen by features")
    features = examples.features["text"].copy()
    features[:50] = np.nan  # without a text
    own = {"text": features}
    some = Examples(examples.p, examples.y, examples.weight, own, make_basis(own))  # type: ignore[arg-type]
    head = fit_head(some, 1.0)
    weights = head.head["text"]
    assert weights.shape == (13, 3)
    logits = head.scale * np.log(some.p) + head.bias
    logits[50:] += features[50:].astype(np.float64) @ weights[:-1] + weights[-1]
    assert some.apply(head) == pytest.approx(soften(logits), abs=1e-6)


def test_labels_that_nobody_gave_are_not_ruled_out() -> None:
    _, examples, _ = make_contents(60, "as the model says")
    y = np.eye(3)[np.zeros(60, np.int64)]
    certain = Examples(examples.p, y, examples.weight, {})
    for fit in (fit_prior, fit_vector):
        corrected = certain.apply(fit(certain))
        assert np.isfinite(corrected).all()
        assert corrected.sum(axis=1) == pytest.approx(1, abs=1e-6)
        assert (corrected > 0).all()


def test_a_content_is_in_one_fold() -> None:
    fold = number_folds(["a", "b", "c", "a", "d"], 2)
    assert fold[0] == fold[3]
    assert sorted(np.bincount(fold[[0, 1, 2, 4]])) == [2, 2]
