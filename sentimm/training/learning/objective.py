"""The objective of training: the cross entropy of fusion and heads over a batch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sentimm.models.encoder_output import EncoderOutput
from sentimm.models.sentiment_model import SentimentModel
from sentimm.training.data.batches import Batch
from sentimm.training.data.epochs import plan_draw
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.learning.auxiliary_heads import AuxiliaryHeads, make_auxiliary_heads
from sentimm.training.options import TrainOptions

_IMPOSSIBLE = -1e9  # a score without probability; finite, as 0 times an infinite one is no number


def encode_batch(model: SentimentModel, batch: Batch) -> tuple[EncoderOutput | None, EncoderOutput | None]:
    """Encode a batch's distinct texts and images for `SentimentModel.fuse`; None without such an encoder."""
    text = image = None
    if model.text is not None:
        if batch.frozen_text is not None:
            text = model.text.finish(batch.frozen_text, batch.mask)
        elif batch.ids is not None and batch.mask is not None:
            text = model.text(batch.ids, batch.mask)
        else:
            text = model.text.encode_nothing()
    if model.image is not None:
        if batch.frozen_image is not None:
            image = model.image.finish(batch.frozen_image)
        elif batch.pixels is not None:
            image = model.image(batch.pixels)
        else:
            image = model.image.encode_nothing()
    return text, image


class Objective(nn.Module):
    """The loss as a module: what accelerate wraps for mixed precision and for several processes.

    Args:
        model: what is trained.
        posts: the posts to train on, whose labels decide balanced class weights.
    """

    label_weights: Tensor
    text_weights: Tensor
    image_weights: Tensor
    teacher_weights: Tensor
    set_labels: Tensor | None
    auxiliary: AuxiliaryHeads | None

    def __init__(self, model: SentimentModel, options: TrainOptions, posts: LabelledPosts) -> None:
        super().__init__()
        self.model = model
        self.options = options
        frequencies = plan_draw(posts, options).frequencies
        text_alone, image_alone = posts.image < 0, posts.text < 0
        for name, targets in (
            ("label_weights", posts.label),
            ("text_weights", np.where((posts.text_label < 0) & text_alone, posts.label, posts.text_label)),
            ("image_weights", np.where((posts.image_label < 0) & image_alone, posts.label, posts.image_label)),
        ):
            sets = None if posts.label_sets is None else posts.label_set
            weights = compute_class_weights(targets, frequencies, options, sets)
            self.register_buffer(name, torch.from_numpy(weights).to(model.missing_text.device), persistent=False)
        shares = torch.tensor(options.teacher_weights, device=model.missing_text.device)
        self.register_buffer("teacher_weights", shares, persistent=False)
        set_labels = None
        if posts.label_sets is not None:
            set_labels = torch.from_numpy(posts.label_sets.labels).to(model.missing_text.device)
        self.register_buffer("set_labels", set_labels, persistent=False)
        self.auxiliary = make_auxiliary_heads(posts, model.config.width, options)
        if self.auxiliary is not None:
            self.auxiliary.to(model.missing_text.device)

    def forward(self, batch: Batch) -> Tensor:
        """Sum up the cross entropy of the fusion and of the heads over the posts that have the label: float32 ()."""
        model, options = self.model, self.options
        if not len(batch.label):
            # A process's share of a small batch may be nothing, which attention can't take.
            return model.missing_text.sum() * 0.0
        text, image = encode_batch(model, batch)
        heads = model.config.heads
        has_text = batch.text_index < (0 if text is None else len(text))
        has_image = batch.image_index < (0 if image is None else len(image))
        complete = has_text & has_image
        text_index, image_index = batch.text_index, batch.image_index
        if text is not None and image is not None and options.modality_dropout:
            # At most one of the two is dropped, and for the fusion alone.
            draw = torch.rand(complete.shape, device=complete.device)
            drop = options.modality_dropout / 2
            text_index = text_index.masked_fill(complete & (draw < drop), len(text))
            image_index = image_index.masked_fill(complete & (draw > 1 - drop), len(image))
        fused = model.fuse(text, image, text_index, image_index).fused
        answered = complete if heads else torch.ones_like(complete)
        answers = [None] * 3 if batch.teacher_answers is None else batch.teacher_answers.unbind(dim=1)
        shares = self.teacher_weights[batch.table]
        allowed_labels = [None] * 3 if self.set_labels is None else self.set_labels[batch.label_set].unbind(dim=1)
        loss = self._sum_losses(fused, batch.label, answered, self.label_weights, answers[0], shares, allowed_labels[0])
        if heads:
            text_scores, image_scores = model.score_heads(text, image, batch.text_index, batch.image_index)
            for place, head_scores, own, present, other, weights in (
                (1, text_scores, batch.text_label, has_text, has_image, self.text_weights),
                (2, image_scores, batch.image_label, has_image, has_text, self.image_weights),
            ):
                if head_scores is not None:
                    is_whole = (own < 0) & ~other
                    target, allowed = torch.where(is_whole, batch.label, own), allowed_labels[place]
                    if allowed is not None and allowed_labels[0] is not None:
                        allowed = torch.where(is_whole.unsqueeze(1), allowed_labels[0], allowed)
                    losses = self._sum_losses(head_scores, target, present, weights, answers[place], shares, allowed)
                    loss = loss + options.head_weight * losses
        if self.auxiliary is not None and batch.auxiliary is not None:
            features = self._gather_features(text, image, batch)
            own_loss: Tensor = self.auxiliary(features, {"text": has_text, "image": has_image}, batch.auxiliary)
            loss = loss + own_loss
        return loss

    def _gather_features(
        self, text: EncoderOutput | None, image: EncoderOutput | None, batch: Batch
    ) -> dict[str, Tensor]:
        """Return each modality's F of each post, float (posts, width)."""
        model = self.model
        return {
            modality: torch.cat([encoded.features, missing])[index]
            for modality, encoded, index, missing in (
                ("text", text, batch.text_index, model.missing_text),
                ("image", image, batch.image_index, model.missing_image),
            )
            if encoded is not None
        }

    def _sum_losses(
        self,
        scores: Tensor,
        label: Tensor,
        counted: Tensor,
        weights: Tensor,
        answers: Tensor | None,
        shares: Tensor,
        allowed: Tensor | None,
    ) -> Tensor:
        target, smoothing = label.clamp(min=0), self.options.label_smoothing
        has_label, share = label >= 0, torch.zeros_like(shares)
        if answers is not None:
            # A post without a label is learnt from the teacher alone.
            share = torch.where(has_label, shares, (shares > 0).to(shares.dtype)) * ~answers.isnan().any(dim=1)
        counted = counted & (has_label | (share > 0))
        if allowed is not None:
            losses = _compare_among(scores.float(), target, allowed, weights, smoothing)
            if answers is not None:
                # The teacher's answers are about all labels.
                taught = _compare(scores.float(), answers.nan_to_num(), weights, smoothing)
                losses = torch.where(has_label, (1 - share) * losses, 0) + share * taught
            return (losses * counted).sum()
        if answers is not None:
            own = share.unsqueeze(1)
            target = (1 - own) * F.one_hot(target, scores.shape[1]) + own * answers.nan_to_num()
        # In float32 whatever the encoders computed in: bf16 keeps 8 bits.
        return (_compare(scores.float(), target, weights, smoothing) * counted).sum()


def _compare(scores: Tensor, target: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(scores, target, weight=weights, reduction="none", label_smoothing=smoothing)


def _compare_among(scores: Tensor, target: Tensor, allowed: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """Return the cross entropy of the softmax over each post's `allowed` labels, bool (posts, labels): (posts,)."""
    spread = allowed / allowed.sum(dim=1, keepdim=True).clamp(min=1)
    smooth = (1 - smoothing) * F.one_hot(target, scores.shape[1]) + smoothing * spread
    return _compare(scores.masked_fill(~allowed, _IMPOSSIBLE), smooth, weights, 0.0)


def compute_class_weights(
    targets: npt.NDArray[np.int64],
    frequencies: npt.NDArray[np.float64],
    options: TrainOptions,
    sets: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.float32]:
    """Return each class's weight in the loss, float32 (labels,).

    Balanced weights are inverse to the frequency of the class in an epoch, and 1 on average over the posts. In sets of
    posts that are learnt among their own labels, a class is expected in equal shares with the others of its sets.

    Args:
        targets: the classes of the posts to train on, -1 for none, int64 (posts,).
        frequencies: how often an epoch sees each post, float64 (posts,).
        options: of the run.
        sets: the set of each post, int64 (posts,); None: there are none.
    """
    if options.class_weights != "balanced":
        return np.asarray(options.class_weights or [1.0] * len(options.labels), dtype=np.float32)
    has = targets >= 0
    if sets is not None:
        each = np.zeros((int(sets.max(initial=0)) + 1, len(options.labels)))
        np.add.at(each, (sets[has], targets[has]), frequencies[has])
        shares = each.sum(axis=1) / np.maximum((each > 0).sum(axis=1), 1)
        expected, found = shares @ (each > 0), each.sum(axis=0)
        return np.where(found > 0, expected / np.maximum(found, 1e-9), 1.0).astype(np.float32)
    counts = np.bincount(targets[has], weights=frequencies[has], minlength=len(options.labels))
    occurs = counts > 0
    return np.where(occurs, counts.sum() / np.maximum(counts, 1e-9) / max(occurs.sum(), 1), 1.0).astype(np.float32)
