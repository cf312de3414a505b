from __future__ import annotations

import re

import pytest
import torch
from sentimm_export.importing.class_scores import ClassScores
from sentimm_export.importing.labels import LabelChoice, choose_labels

from sentimm.errors import UsageError

CARDIFF = ("negative", "neutral", "positive")
NUMBERED = ("LABEL_0", "LABEL_1", "LABEL_2")
STARS = ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")


def choose(names: tuple[str, ...], *given: str) -> LabelChoice:
    return choose_labels({"text": names}, given or None)


@pytest.mark.parametrize(
    ("names", "labels", "groups"),
    [
        (CARDIFF, CARDIFF, ((0,), (1,), (2,))),
        (("POSITIVE", "Negative", "neutral"), CARDIFF, ((1,), (2,), (0,))),
        (("NEG", "POS"), ("negative", "positive"), ((0,), (1,))),
        (("Positive", "NEU", "neg"), CARDIFF, ((2,), (1,), (0,))),
    ],
)
def test_obvious_names_map_by_themselves(
    names: tuple[str, ...], labels: tuple[str, ...], groups: tuple[tuple[int, ...], ...]
) -> None:
    choice = choose(names)
    assert choice == LabelChoice(labels, {"text": groups}, ())


@pytest.mark.parametrize("names", [NUMBERED, STARS, ("anger", "joy"), ("negative", "mixed", "positive"), ("0", "1")])
def test_other_names_are_asked_for_and_the_proposal_is_taken(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=f"are {', '.join(names)}, which don't all say") as error:
        choose(names)
    proposal = re.search(r"such as --labels '?([^']*?)'?\.$", str(error.value))
    assert proposal is not None
    assert set(choose(names, *proposal[1].split(",")).labels) <= set(CARDIFF)


def test_several_labels_add_up_and_others_are_dropped() -> None:
    pairs = ("1 star=negative", "2 stars=negative", "4 stars=positive", "5 stars=positive")
    choice = choose(STARS, *pairs)
    assert choice.labels == ("negative", "positive")
    assert "left out" in choice.notes[0] and choice.notes[0].endswith(": 3 stars")
    scores = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)) * 4
    p = scores.softmax(dim=1)
    expected = torch.stack([p[:, 0] + p[:, 1], p[:, 3] + p[:, 4]], dim=1)
    found = ClassScores(choice.groups["text"])(scores).exp()
    torch.testing.assert_close(found, expected / expected.sum(dim=1, keepdim=True))


def test_labels_are_named_in_the_order_of_classes_without_names() -> None:
    choice = choose(NUMBERED, "positive", "neutral", "negative")
    assert choice.labels == ("positive", "neutral", "negative")
    assert choice.groups["text"] == ((0,), (1,), (2,))


def test_names_of_its_own_are_never_taken_by_their_order() -> None:
    choice = choose(("positive", "neutral", "negative"), *CARDIFF)
    assert choice.groups["text"] == ((2,), (1,), (0,))
    assert choose(("anger", "joy", "fear"), "joy", "anger").groups["text"] == ((1,), (0,))
    with pytest.raises(UsageError, match="fewer than two labels: its own are anger, joy"):
        choose(("anger", "joy"), "negative", "positive")


def test_two_classifiers_are_named_apart() -> None:
    own = {"text": ("LABEL_0", "LABEL_1"), "image": ("LABEL_0", "LABEL_1", "LABEL_2")}
    given = (
        *("text:LABEL_0=negative", "text:LABEL_1=positive"),
        *("image:LABEL_0=positive", "image:LABEL_1=neutral", "image:LABEL_2=negative"),
    )
    choice = choose_labels(own, given)
    assert choice.labels == CARDIFF
    assert choice.groups == {"text": ((0,), (), (1,)), "image": ((2,), (1,), (0,))}
    assert choice.notes == ("the text classifier never says neutral: it has no such label",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("LABEL_7=negative", "LABEL_1=positive"), "names 'LABEL_7', which is no label of the classifier"),
        (("LABEL_0=negative", "LABEL_0=positive"), "gives 'LABEL_0' two labels"),
        (("LABEL_0=negative",), "at least two different labels"),
        (("negative", "negative"), "at least two different labels"),
        (("negative", "positive"), "names 2 labels, and the text classifier has 3 without names"),
        (("LABEL_0=negative", "positive"), "among pairs: write all as VALUE=LABEL"),
    ],
)
def test_what_does_not_fit(given: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose(NUMBERED, *given)


def test_a_label_that_no_classifier_has() -> None:
    with pytest.raises(UsageError, match="names 'mixed', for which no classifier has a label: those of the text"):
        choose(CARDIFF, "negative", "positive", "mixed")
