"""Where a published classifier comes from: the hub, a folder; what it classifies, and under which licence."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from sentimm.errors import InputError
from sentimm.models.text_encoder import first_line, looks_like_path

Task = Literal["text", "image"]
_CLASSES = {"text": "ForSequenceClassification", "image": "ForImageClassification"}
_README_BYTES = 1 << 20


def find_task(name: str) -> Task:
    """Return what a classifier classifies.

    Raises:
        InputError: there is none, or it is no classifier.
    """
    if name.startswith("timm:"):
        return "image"
    config = load_config(name, "classifier")
    classes = list(getattr(config, "architectures", None) or ())
    for task, ending in _CLASSES.items():
        if any(each.endswith(ending) for each in classes):
            return task  # type: ignore[return-value]
    if config.model_type == "timm_wrapper":
        return "image"
    made = f"a {', '.join(classes)}" if classes else f"a model of the kind {config.model_type}"
    raise InputError(
        f"{name!r} is {made}, and no classifier of texts or images: name one, or train a model over it with "
        "`sentimm train --text-encoder`."
    )


def load_config(name: str, what: str) -> Any:
    """Load a model's configuration by its name on the hub or from its folder; `what` it is called in errors.

    Raises:
        InputError: there is none, or weights only as pickles, which may hold code.
    """
    from transformers import AutoConfig
    from transformers.utils import logging as transformers_logging

    if looks_like_path(name) and not Path(name).is_dir():
        raise InputError(f"There is no folder {name!r}: name the folder of a {what}, or one of the hub by its name.")
    _check_weights(Path(name), what)
    hub_logging: Any = transformers_logging
    hub_logging.disable_progress_bar()
    hub_logging.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    with explain_failures(name, what):
        return AutoConfig.from_pretrained(name, trust_remote_code=False)


@contextmanager
def explain_failures(name: str, what: str) -> Iterator[None]:
    """Turn what transformers raises where something can't be loaded into an error of one sentence.

    Raises:
        InputError: something can't be loaded.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, RuntimeError, AttributeError, ImportError, KeyError, SafetensorError) as error:
        where = "folder" if Path(name).is_dir() else "model hub"
        raise InputError(
            f"The {what} {name!r} can't be loaded from the {where} ({first_line(error)}): name a folder that "
            "`save_pretrained` wrote, or a model of the hub with safetensors."
        ) from error


def _check_weights(folder: Path, what: str) -> None:
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    if not any(folder.glob("pytorch_model*.bin")):
        return
    code = (
        "import sys, transformers as t; f = sys.argv[1]; c = t.AutoConfig.from_pretrained(f); "
        "getattr(t, c.architectures[0]).from_pretrained(f, use_safetensors=False).save_pretrained(f)"
    )
    raise InputError(
        f"The {what} {str(folder)!r} has its weights only as pytorch_model.bin, a format that may hold code: if you "
        f"trust it, convert it once with: python -c {shlex.quote(code)} {shlex.quote(str(folder))}"
    )


def read_licence(name: str, config: Any) -> str | None:
    """Return the licence that a classifier's README or configuration states; None where neither does."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.repocard import metadata_load

    stated = getattr(config, "license", None)
    try:
        readme = Path(name) / "README.md" if Path(name).is_dir() else Path(hf_hub_download(name, "README.md"))
        if readme.is_file() and readme.stat().st_size <= _README_BYTES:
            stated = (metadata_load(readme) or {}).get("license", stated)
    except Exception:  # a README without readable front matter, or none on the hub: many kinds of errors
        pass
    if isinstance(stated, list):
        stated = ", ".join(map(str, stated))
    return " ".join(str(stated).split())[:200] if stated else None


def shorten_source(name: str) -> str:
    """Return what a card calls a source: a name on the hub as it is, a folder without those around it."""
    return Path(name).resolve().name if Path(name).exists() else name
