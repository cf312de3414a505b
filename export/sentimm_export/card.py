"""The model card of a bundle, for the people who use its answers."""

from __future__ import annotations

from collections.abc import Mapping

from sentimm.bundle import Bundle, Precision
from sentimm.training.run import Run
from sentimm_export.parity import Parity


def write_card(bundle: Bundle, run: Run, parity: Mapping[Precision, Parity]) -> None:
    """Write MODEL_CARD.md into the bundle's folder."""
    lines = [
        f"# {bundle.name}",
        "",
        f"Labels posts on social media as {', '.join(bundle.labels)}. Made by sentimm {run.provenance['sentimm']}.",
        "",
        f"- Fusion: `{bundle.fusion.name}`"
        + (f", with heads for {' and '.join(bundle.fusion.heads)} alone" if bundle.fusion.heads else ""),
    ]
    if bundle.text is not None:
        lines.append(f"- Text encoder: `{bundle.text.encoder}`, up to {bundle.text.max_tokens} tokens")
    if bundle.image is not None:
        lines.append(f"- Image encoder: `{bundle.image.encoder}`, {bundle.image.size} x {bundle.image.size} pixels")
    tables = ", ".join(f"{count:,} of {name}" for name, count in run.provenance["tables"].items())
    lines += [
        f"- Trained on {tables} (posts)",
        "",
        "## Validation",
        "",
        "On the posts that training held out:",
        "",
        "| table | posts | accuracy | macro F1 | macro recall |",
        "|---|---|---|---|---|",
    ]
    for table, figures in bundle.metrics.get("validation", {}).items():
        lines.append(
            f"| {table} | {figures['posts']} | {figures['accuracy']:.1%} | {figures['macro_f1']:.3f} "
            f"| {figures['macro_recall']:.3f} |"
        )
    lines += [
        "",
        "## Precisions",
        "",
        "Against the PyTorch model, on held-out posts that were not used for calibration:",
        "",
        "| precision | posts | same label | largest difference | alone against in a batch | accuracy |",
        "|---|---|---|---|---|---|",
    ]
    for precision, found in parity.items():
        lines.append(
            f"| {precision} | {found.posts} | {found.agreement:.1%} | {found.largest_difference:.1e} "
            f"| {found.neighbour_difference:.1e} | {found.accuracy:.1%} (PyTorch {found.accuracy_pytorch:.1%}) |"
        )
    (bundle.path / "MODEL_CARD.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
