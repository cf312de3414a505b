"""`sentimm import`: a bundle for `score` from a published classifier."""

from __future__ import annotations

from typing import Annotated

from sentimm_export.importing.options import ImportOptions

from sentimm.cli.options_from import options_from
from sentimm.option_fields import option


@options_from(ImportOptions)
def import_(
    options: ImportOptions,
    *,
    quiet: Annotated[bool, option(None, "No progress.", "-q")] = False,
) -> None:
    """Import a published classifier of texts or images, or one of each: write a bundle for `score`.

    It is a sequence or image classifier of transformers, or one of timm, with its weights as safetensors.

    Example: sentimm import cardiffnlp/twitter-roberta-base-sentiment-latest -o bundles/roberta
    """
    from sentimm.cli.extras import require_train

    require_train("import")
    from sentimm_export.importing.importer import import_classifier

    from sentimm.console.export import ExportConsole

    console = ExportConsole(quiet=quiet)
    console.finish(import_classifier(options, console.tell))
