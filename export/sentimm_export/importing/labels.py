"""What a published classifier's labels stand for: several may stand for one of ours, others are left out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sentimm.corpus.label_guess import guess_labels
from sentimm.errors import UsageError
from sentimm.options import SENTIMENTS, split_label_values

# Names that say what they mean. Others, such as stars, are left to --labels.
_MEANINGS = {name: name for name in SENTIMENTS} | {name[:3]: name for name in SENTIMENTS}
_NUMBERED = re.compile(r"(?i)(?:label_)?\d+")  # what transformers calls labels without a name, and plain numbers
_MOST_SHOWN = 12


@dataclass(frozen=True)
class LabelChoice:
    """The labels of a bundle, and the classifiers' own that stand for each.

    Attributes:
        labels: in the bundle's order.
        groups: by modality, for each of `labels` the numbers of the classifier's own; none where it lacks one.
        notes: on labels that are left out, or that only one of two classifiers has.
    """

    labels: tuple[str, ...]
    groups: dict[str, tuple[tuple[int, ...], ...]]
    notes: tuple[str, ...]


def choose_labels(own: Mapping[str, Sequence[str]], given: tuple[str, ...] | None) -> LabelChoice:
    """Choose the labels of a bundle, and which of the classifiers' own stand for them.

    Args:
        own: by modality, the labels of its classifier in their order.
        given: the value of --labels.

    Raises:
        UsageError: names say too little, or --labels does not fit.
    """
    if given is None:
        labels, found = _read_meanings(own)
    else:
        labels, pairs = split_label_values(given)
        if len({label.lower() for label in labels}) < max(2, len(labels)):
            raise UsageError(f"--labels names {', '.join(labels)}: at least two different labels are needed.")
        found = _match_pairs(own, labels, pairs) if pairs else _match_names(own, labels)
    places = {label.lower(): place for place, label in enumerate(labels)}
    groups, notes = {}, list[str]()
    for modality, names in own.items():
        meant = [found[modality].get(number) for number in range(len(names))]
        numbers = [places.get(name.lower()) if name is not None else None for name in meant]
        groups[modality] = tuple(
            tuple(number for number, place in enumerate(numbers) if place == wanted) for wanted in range(len(labels))
        )
        if sum(map(bool, groups[modality])) < 2:
            raise UsageError(
                f"--labels leaves the {modality} classifier fewer than two labels: its own are {_list(names)}."
            )
        notes += _note(modality, names, numbers, labels, groups[modality])
    for place, label in enumerate(labels):
        if not any(group[place] for group in groups.values()):
            raise UsageError(
                f"--labels names {label!r}, for which no classifier has a label: "
                + "; ".join(f"those of the {modality} classifier are {_list(names)}" for modality, names in own.items())
                + "."
            )
    return LabelChoice(labels, groups, tuple(notes))


def _read_meanings(own: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], dict[str, dict[int, str]]]:
    found: dict[str, dict[int, str]] = {}
    for modality, names in own.items():
        meanings = [_MEANINGS.get(name.strip().lower()) for name in names]
        if None in meanings:
            raise UsageError(
                f"The labels of the {modality} classifier are {_list(names)}, which don't all say whether they are "
                f"negative, neutral or positive: look them up in its description, and name them with --labels, such as "
                f"--labels {_propose(names)}."
            )
        found[modality] = {number: name for number, name in enumerate(meanings) if name is not None}
    used = {name for each in found.values() for name in each.values()}
    return tuple(name for name in SENTIMENTS if name in used), found


def _propose(names: Sequence[str]) -> str:
    guess = guess_labels(list(names)) or {names[0]: "negative", names[-1]: "positive"}
    return shlex.quote(",".join(f"{value}={label}" for value, label in guess.items()))


def _match_names(own: Mapping[str, Sequence[str]], labels: Sequence[str]) -> dict[str, dict[int, str]]:
    """Return which of `labels` each own label is: by its name, or by its place where the classifier has no names."""
    found: dict[str, dict[int, str]] = {}
    for modality, names in own.items():
        by_name = _find_own_names(names, labels)
        if not by_name and all(_NUMBERED.fullmatch(name) for name in names):
            if len(names) != len(labels):
                raise UsageError(
                    f"--labels names {len(labels)} labels, and the {modality} classifier has {len(names)} without "
                    f"names ({_list(names)}): name one for each in its order, or write VALUE=LABEL."
                )
            by_name = dict(enumerate(labels))
        found[modality] = by_name
    return found


def _match_pairs(
    own: Mapping[str, Sequence[str]], labels: Sequence[str], pairs: Sequence[str]
) -> dict[str, dict[int, str]]:
    """Return the label that the pairs, or else its own name, give each own label."""
    found = {modality: _find_own_names(names, labels) for modality, names in own.items()}
    named: dict[tuple[str, int], str] = {}
    for pair in pairs:
        value, _, label = (side.strip() for side in pair.rpartition("="))
        places = [
            (modality, number)
            for modality, names in own.items()
            for number, name in enumerate(names)
            if value.lower() in (name.strip().lower(), f"{modality}:{name.strip().lower()}")
        ]
        if not places:
            listed = "; ".join(f"{modality}: {_list(names)}" for modality, names in own.items())
            raise UsageError(f"--labels names {value!r}, which is no label of the classifier ({listed}).")
        for place in places:
            if named.setdefault(place, label).lower() != label.lower():
                raise UsageError(f"--labels gives {value!r} two labels: name it once.")
    for (modality, number), label in named.items():
        found[modality][number] = label
    return found


def _find_own_names(names: Sequence[str], labels: Sequence[str]) -> dict[int, str]:
    wanted = {label.lower(): label for label in labels}
    found = {}
    for number, name in enumerate(names):
        lower = name.strip().lower()
        if (label := wanted.get(lower, wanted.get(_MEANINGS.get(lower, "")))) is not None:
            found[number] = label
    return found


def _note(
    modality: str,
    names: Sequence[str],
    numbers: Sequence[int | None],
    labels: Sequence[str],
    groups: Sequence[Sequence[int]],
) -> list[str]:
    notes = []
    if dropped := [name for name, place in zip(names, numbers, strict=True) if place is None]:
        notes.append(
            f"labels of the {modality} classifier that are left out, the others' probabilities raised to a sum of 1: "
            f"{_list(dropped)}"
        )
    if lacking := [label for label, group in zip(labels, groups, strict=True) if not group]:
        notes.append(f"the {modality} classifier never says {', '.join(lacking)}: it has no such label")
    return notes


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more
