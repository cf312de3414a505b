"""The manifest of a new bundle: the fields of bundle.json that the run and the options decide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sentimm
from sentimm.models.sentiment_model import SentimentModel
from sentimm.training.run_folder import Run, Weights


def describe_run(
    run: Run, model: SentimentModel, name: str, weights: Weights, graphs: dict[str, dict[str, str]]
) -> dict[str, Any]:
    """Return the fields of bundle.json, with temperatures of 1 and without parity.

    Args:
        run: the run that is exported.
        model: its model.
        name: the name of the bundle.
        weights: those of the run that the model has.
        graphs: the names of graph files, by precision and by `text`, `image` and `fusion`.
    """
    modalities = [modality for modality, encoder in (("text", run.text), ("image", run.image)) if encoder is not None]
    return {
        "name": name,
        "labels": list(run.labels),
        "modalities": modalities,
        "text": _describe_text(run),
        "image": _describe_image(run, model),
        "fusion": {
            "name": run.fusion.name,
            "heads": list(run.fusion.heads),
            "attends": model.fusion.attends,
            "literal": run.fusion.literal,
            "composed": bool(run.fusion.composed),
        },
        "temperatures": dict.fromkeys(["text+image", "text", "image"] if len(modalities) == 2 else modalities, 1.0),
        "graphs": graphs,
        "metrics": _describe_validation(run, weights),
        "parity": {},
        "provenance": {
            "sentimm": sentimm.__version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "weights": weights,
            "run": run.provenance,
        },
    }


def _describe_text(run: Run) -> dict[str, Any] | None:
    if run.text is None:
        return None
    return {
        "encoder": run.text.name,
        "normalization": run.normalization,
        "max_tokens": run.text.max_tokens,
        "tokenizer": "tokenizer.json",
        "pad_id": run.text.backbone.get("pad_token_id", 0),
        "width": run.text.width,
    }


def _describe_image(run: Run, model: SentimentModel) -> dict[str, Any] | None:
    if run.image is None:
        return None
    image = {"encoder": "+".join(run.image.backbones), "size": run.image.size, "width": run.image.width}
    if model.image is not None and run.image.sequence:
        image["cells"] = model.image.count_cells()
    return image


def _describe_validation(run: Run, weights: Weights) -> dict[str, Any]:
    epochs = run.read_metrics()
    if not epochs:
        return {}
    epoch = max(epochs, key=lambda epoch: epoch["score"]) if weights == "best" else epochs[-1]
    return {"validation": epoch["tables"]}
