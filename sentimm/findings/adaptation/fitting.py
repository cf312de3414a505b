"""Corrections of a model's probabilities, fitted to labelled contents: all by weighted, ridged logistic regression.

    prior   softmax(log p + b)                  the labels are more or less frequent than the model expects
    vector  softmax(a * log p + b)              and it is too sure, or not sure enough, of some of them
    head    softmax(a * log p + b + F W)        and it errs in ways that its features tell

Ridges pull towards the model as it is: where labels are few or all alike, little is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sentimm.options import Modality
from sentimm.runtime.correction import Correction, Features, soften, take_logarithm

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RIDGES = (1.0, 3.0, 10.0, 30.0)  # of the head, of features whose squares sum to 1 on average

_RIDGE = 1.0  # of scales and biases
_LEAST_SCALE = 0.05
_NEWTON_STEPS = 50
_HEAD_STEPS = 300
_TOLERANCE = 1e-5
_POWER_STEPS = 30


@dataclass(frozen=True)
class Basis:
    """Features in fewer dimensions, without loss to a ridge: as many as there are contents at most.

    Attributes:
        rows: float64 (contents, dimensions).
        back: by modality, from dimensions to the weights of its features and of the constant, float64
            (width + 1, dimensions).
    """

    rows: Floats
    back: Mapping[Modality, Floats]


@dataclass(frozen=True)
class Examples:
    """Labelled contents to learn from.

    Attributes:
        p: the model's probabilities, float64 (contents, labels).
        y: shares of votes, likewise.
        weight: posts that each stands for, float64 (contents,).
        features: by modality, float (contents, width), NaN where there is none; empty: not known.
        basis: of the features; None: not known.
    """

    p: Floats
    y: Floats
    weight: Floats
    features: Mapping[Modality, npt.NDArray[np.floating]]
    basis: Basis | None = None

    def take(self, rows: Ints) -> Examples:
        """Return some of the contents."""
        return Examples(
            self.p[rows],
            self.y[rows],
            self.weight[rows],
            {name: values[rows] for name, values in self.features.items()},
            None if self.basis is None else Basis(self.basis.rows[rows], self.basis.back),
        )

    @property
    def shares(self) -> Floats:
        """The weights, with a mean of 1."""
        return np.asarray(self.weight * len(self.weight) / self.weight.sum())

    def apply(self, correction: Correction) -> npt.NDArray[np.float32]:
        """Return the corrected probabilities, float32 (contents, labels)."""
        features: Features = {
            name: (values, np.where(np.isnan(values[:, 0]), len(values), np.arange(len(values))))
            for name, values in self.features.items()
        }
        return correction.apply(self.p, features)


def make_basis(features: Mapping[Modality, npt.NDArray[np.floating]]) -> Basis:
    """Return the basis of features, each modality centred and scaled so that its squares sum to 1 on average."""
    blocks, maps = [], {}
    for name, raw in features.items():
        values = raw.astype(np.float64)
        there = ~np.isnan(values[:, 0])
        mean = values[there].mean(axis=0) if there.any() else np.zeros(values.shape[1])
        centred = np.where(there[:, None], values - mean, 0.0)
        spread = np.sqrt((centred**2).sum() / max(int(there.sum()), 1)) or 1.0
        blocks.append(centred / spread)
        maps[name] = (mean, spread)
    _, sizes, axes = np.linalg.svd(np.concatenate(blocks, axis=1), full_matrices=False)
    axes = axes[sizes > 1e-9 * max(float(sizes[0]), 1e-300)]
    back, first = {}, 0
    for name, (mean, spread) in maps.items():
        own = axes[:, first : first + len(mean)].T / spread
        back[name] = np.vstack([own, -mean @ own])
        first += len(mean)
    return Basis(np.concatenate(blocks, axis=1) @ axes.T, back)


def fit_prior(examples: Examples) -> Correction:
    """Return the correction for other shares of the labels."""
    labels = examples.p.shape[1]
    inputs = np.broadcast_to(np.eye(labels), (len(examples.p), labels, labels))
    found = _fit(take_logarithm(examples.p), inputs, examples)
    return Correction(np.ones(labels), found - found.mean())


def fit_vector(examples: Examples) -> Correction:
    """Return the vector scaling (Guo et al., arXiv 1706.04599, section 4.2)."""
    logs, labels = take_logarithm(examples.p), examples.p.shape[1]
    scales = logs[:, :, None] * np.eye(labels)
    inputs = np.concatenate([scales, np.broadcast_to(np.eye(labels), scales.shape)], axis=2)
    found = _fit(logs, inputs, examples)
    bias = found[labels:]
    return Correction(np.maximum(1 + found[:labels], _LEAST_SCALE), bias - bias.mean())


def fit_head(examples: Examples, ridge: float) -> Correction:
    """Return the vector scaling, and a linear head on the features."""
    assert examples.basis is not None
    first, basis = fit_vector(examples), examples.basis
    offset = first.scale * take_logarithm(examples.p) + first.bias
    weights = _fit_head(offset, basis.rows, examples, ridge)
    return Correction(first.scale, first.bias, {name: back @ weights for name, back in basis.back.items()})


def _fit(offset: Floats, inputs: Floats, examples: Examples) -> Floats:
    """Return what minimises the loss of softmax(offset + inputs @ found), by Newton's method.

    Args:
        offset: float64 (contents, labels).
        inputs: float64 (contents, labels, parameters).
        examples: their labels and weights.
    """
    y, w = examples.y, examples.shares
    found = np.zeros(inputs.shape[2])

    def measure(at: Floats) -> tuple[float, Floats]:
        q = soften(offset + inputs @ at)
        loss = -(w[:, None] * y * take_logarithm(q)).sum() + _RIDGE / 2 * (at**2).sum()
        return float(loss), q

    loss, q = measure(found)
    for _ in range(_NEWTON_STEPS):
        gradient = np.einsum("i,ik,ikj->j", w, q - y, inputs) + _RIDGE * found
        mean = np.einsum("ik,ikj->ij", q, inputs)
        hessian = np.einsum("i,ik,ikj,ikl->jl", w, q, inputs, inputs) - (w[:, None] * mean).T @ mean
        step = np.linalg.solve(hessian + _RIDGE * np.eye(len(found)), gradient)
        size = 1.0
        while (tried := measure(found - size * step))[0] > loss and size > 1e-4:
            size /= 2
        if tried[0] >= loss:
            break
        found, (loss, q) = found - size * step, tried
        if np.abs(size * step).max() < _TOLERANCE:
            break
    return found


def _fit_head(offset: Floats, rows: Floats, examples: Examples, ridge: float) -> Floats:
    """Return what minimises the loss of softmax(offset + rows @ found), float64 (dimensions, labels).

    Accelerated descent: the softmax is nowhere steeper than half of its inputs' squares (Böhning, 1992).
    """
    y, w = examples.y, examples.shares
    step = 1 / (_find_largest(rows, w) / 2 + ridge)
    found = ahead = np.zeros((rows.shape[1], y.shape[1]))
    pace = 1.0
    for _ in range(_HEAD_STEPS):
        q = soften(offset + rows @ ahead)
        new = ahead - step * (rows.T @ (w[:, None] * (q - y)) + ridge * ahead)
        after = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead = new + (pace - 1) / after * (new - found)
        moved = float(np.abs(new - found).max(initial=0.0))
        found, pace = new, after
        if moved < _TOLERANCE:
            break
    return found


def _find_largest(rows: Floats, weight: Floats) -> float:
    """Return an upper estimate of the largest eigenvalue of rows' weighted squares, by the power method."""
    vector = np.ones(rows.shape[1]) / np.sqrt(rows.shape[1])
    size = 0.0
    for _ in range(_POWER_STEPS):
        vector = rows.T @ (weight * (rows @ vector))
        size = float(np.linalg.norm(vector))
        if size == 0:
            return 0.0
        vector /= size
    return 1.1 * size
