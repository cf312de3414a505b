"""Heads that learn auxiliary columns beside the labels; they are in no model, so that nothing of them is exported."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sentimm.training.data.posts import LabelledPosts
from sentimm.training.options import TrainOptions


class AuxiliaryHeads(nn.Module):
    """A linear layer on an encoder's F for each auxiliary column of the posts.

    Names are learnt by cross entropy, and numbers, standardised over the posts, by squared error.

    Args:
        posts: the posts to train on, with auxiliary columns.
        width: that of F.
        options: of the run; the first weights follow from its seed alone.
    """

    means: Tensor
    deviations: Tensor

    def __init__(self, posts: LabelledPosts, width: int, options: TrainOptions) -> None:
        super().__init__()
        assert posts.auxiliary is not None
        self._columns = posts.auxiliary_columns
        weights = options.auxiliary_weight
        self._weights = weights * len(self._columns) if len(weights) == 1 else weights
        self._smoothing = options.label_smoothing
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.heads = nn.ModuleList(nn.Linear(width, len(each.names) or 1) for each in self._columns)
        values = torch.from_numpy(posts.auxiliary)
        has = ~values.isnan()
        means = values.nansum(dim=0) / has.sum(dim=0).clamp(min=1)
        variances = torch.where(has, values - means, 0).square().sum(dim=0) / has.sum(dim=0).clamp(min=1)
        self.register_buffer("means", means.float(), persistent=False)
        self.register_buffer("deviations", variances.sqrt().clamp(min=1e-6).float(), persistent=False)

    def forward(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], values: Tensor) -> Tensor:
        """Sum up the weighted losses over the posts that have a value: float32 ().

        Args:
            features: each modality's F, float (posts, width).
            present: which posts have the modality, bool (posts,).
            values: numbers, or numbers of names, float (posts, columns), NaN for none.
        """
        total = values.new_zeros(())
        for place, (each, head, weight) in enumerate(zip(self._columns, self.heads, self._weights, strict=True)):
            scores, own = head(features[each.modality]).float(), values[:, place]
            counted = ~own.isnan() & present[each.modality]
            if each.names:
                names = own.nan_to_num().long()
                losses = F.cross_entropy(scores, names, reduction="none", label_smoothing=self._smoothing)
            else:
                standard = (own.nan_to_num() - self.means[place]) / self.deviations[place]
                losses = (scores[:, 0] - standard).square()
            total = total + weight * (losses * counted).sum()
        return total


def make_auxiliary_heads(posts: LabelledPosts, width: int, options: TrainOptions) -> AuxiliaryHeads | None:
    """Return heads for the auxiliary columns of the posts to train on, None where there is none."""
    return AuxiliaryHeads(posts, width, options) if posts.auxiliary_columns else None
