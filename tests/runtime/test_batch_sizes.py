from __future__ import annotations

import pytest

from sentimm.bundle.bundle import load_bundle
from sentimm.errors import BundleError
from sentimm.runtime import batch_sizes as batching
from sentimm.runtime.batch_sizes import find_batch_sizes
from sentimm.runtime.engine import Engine


@pytest.fixture
def engine(tiny_bundle, monkeypatch) -> Engine:
    monkeypatch.setattr(batching, "TRIAL_SECONDS", 0.01)
    return Engine(load_bundle(tiny_bundle), device="cpu", threads=2)


def rate_by(monkeypatch, rates: dict[int, float]) -> list[int]:
    """Set the rate of each batch size instead of measuring it; sizes without one are too large."""
    tried: list[int] = []

    def measure(encode, size, workers):
        assert workers == 2
        encode()
        tried.append(size)
        if size not in rates:
            raise BundleError("out of memory")
        return rates[size]

    monkeypatch.setattr(batching, "measure_rate", measure)
    return tried


def test_sizes_are_found_by_measuring_and_used(engine):
    sizes = find_batch_sizes(engine)
    assert set(sizes) == {"text", "image"}
    assert sizes["text"] in batching.SIZES["cpu"]["text"] and sizes["image"] in batching.SIZES["cpu"]["image"]
    assert {name: engine.batch_sizes[name] for name in sizes} == sizes


def test_a_larger_batch_has_to_be_worth_its_memory(engine, monkeypatch):
    tried = rate_by(monkeypatch, {1: 1.0, 2: 50.0, 4: 100.0, 8: 101.0, 16: 70.0, 32: 500.0})
    assert find_batch_sizes(engine) == {"text": 4, "image": 4}
    assert tried == [4, 8, 16, 1, 2, 4, 8, 16]


def test_sizes_that_do_not_fit_are_left_out(engine, monkeypatch):
    rate_by(monkeypatch, {1: 1.0, 2: 2.0, 4: 3.0})
    assert find_batch_sizes(engine) == {"text": 4, "image": 4}


def test_a_batch_of_the_longest_texts_has_to_fit_too(engine, monkeypatch):
    rate_by(monkeypatch, {1: 1.0, 2: 2.0, 4: 3.0, 8: 4.0, 16: 5.0, 32: 6.0})
    encode = engine.encode_texts

    def limited(rows):
        if sum(map(len, rows)) > 5 * engine.bundle.text.max_tokens:
            raise BundleError("out of memory")
        return encode(rows)

    monkeypatch.setattr(batching, "TOKENS", 1)
    monkeypatch.setattr(engine, "encode_texts", limited)
    assert find_batch_sizes(engine) == {"text": 4, "image": 16}


def test_a_model_that_does_not_run_at_all_is_an_error(engine, monkeypatch):
    rate_by(monkeypatch, {})
    with pytest.raises(BundleError, match="out of memory"):
        find_batch_sizes(engine)
