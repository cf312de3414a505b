"""Text encoders of every family with a fast tokenizer: read, limited, rebuilt, and blind to padding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sentimm.errors import InputError, UsageError
from sentimm.models.text_encoder import TextEncoder, load_text_encoder
from tests.support.tiny.classifiers import make_image_classifier, make_text_classifier
from tests.support.tiny.models import make_text_encoder
from tests.support.tiny.text_families import FAMILIES, make_family


def load(folder: Path, **changes: object) -> TextEncoder:
    options = {"width": 8, "pooling": "mean", "max_tokens": 40, "dropout": 0.0, "bert_dropout": 0.2} | changes
    return load_text_encoder(str(folder), **options)[0].eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_is_rebuilt_from_its_configuration_and_ignores_padding(tmp_path: Path, family: str) -> None:
    encoder = load(make_family(tmp_path / family, family))
    again = TextEncoder(encoder.config).eval()
    again.load_state_dict(encoder.state_dict())
    ids = torch.randint(4, 29, (2, 12))
    mask = torch.ones_like(ids)
    ids[0, 7:], mask[0, 7:] = encoder.config.backbone.get("pad_token_id", 0), 0
    with torch.inference_mode():
        found = encoder(ids, mask).features
        assert torch.equal(again(ids, mask).features, found)
        torch.testing.assert_close(encoder(ids[:1, :7], mask[:1, :7]).features, found[:1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_text_and_the_dropout_of_an_encoder_are_its_own(tmp_path: Path, family: str) -> None:
    folder, longest = make_family(tmp_path / family, family), FAMILIES[family][1]
    encoder = load(folder, max_tokens=longest)
    ids = torch.full((1, longest), 5)
    assert encoder(ids, torch.ones_like(ids)).features.shape == (1, 8)
    shares = {part.p for part in encoder.backbone.modules() if isinstance(part, torch.nn.Dropout)}
    assert 0.2 in shares and shares <= {0.0, 0.2}
    with pytest.raises(UsageError, match=f"--max-tokens {longest + 1} is more than the {longest}"):
        load(folder, max_tokens=longest + 1)


def test_a_model_that_also_writes_is_no_text_encoder(tmp_path: Path) -> None:
    import transformers

    config = transformers.T5Config(vocab_size=40, d_model=24, d_kv=12, num_layers=1)
    transformers.T5Model(config).save_pretrained(make_text_encoder(tmp_path / "t5"))
    with pytest.raises(InputError, match="is a t5: use an encoder of BERT's family"):
        load(tmp_path / "t5")


def test_a_folder_without_a_tokenizer_is_no_text_encoder(tmp_path: Path) -> None:
    folder = make_family(tmp_path / "bert", "Bert")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(InputError, match=r"it has no vocabulary: tokenizer\.json is missing"):
        load(folder)


@pytest.mark.parametrize("family", ["Bert", "Roberta", "XLMRoberta", "DistilBert"])
def test_a_published_classifier_is_read_without_its_head(tmp_path: Path, family: str) -> None:
    import transformers

    folder = make_text_classifier(tmp_path / family, family)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder).base_model.eval()
    encoder = load(folder, bert_dropout=0.0)
    ids = torch.randint(5, 20, (2, 12))
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        expected = network(input_ids=ids, attention_mask=mask).last_hidden_state.mean(dim=1)
        torch.testing.assert_close(encoder.extract(ids, mask), expected, atol=1e-5, rtol=1e-4)


def test_weights_that_are_not_those_of_the_network_are_refused(tmp_path: Path) -> None:
    folder = make_text_classifier(tmp_path / "bert")
    state = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in state.items() if "layer.1." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"its weights lack 16 of the network's tensors, such as 'encoder\.layer\.1\."):
        load(folder)


def test_a_network_of_images_is_no_text_encoder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is a vit, which reads no texts"):
        load(make_image_classifier(tmp_path / "vit"))
