"""The ranges that the scales of a transformer's int8 graph cover: percentiles of the values of real tokens.

ONNX Runtime's own collector of percentiles makes histograms of all inputs and outputs of all products, those of
attention included, which are not quantised: for an encoder of base size it took minutes.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from onnx import ModelProto

from sentimm_export.int8.smoothing import Feeds, trace_tokens

_CUT = 0.005  # percent of the values, at either end


def measure_ranges(
    model: ModelProto, feeds: Feeds, float_nodes: Collection[str], given: Collection[str] = ()
) -> dict[str, tuple[float, float]]:
    """Return the range of all that is to be rounded: the inputs of MatMul nodes, the inputs and outputs of Gemm nodes.

    Args:
        model: an fp32 graph of a transformer.
        feeds: its inputs for some texts or images.
        float_nodes: names of nodes that stay in float.
        given: names of tensors whose ranges are there already.
    """
    names: dict[str, None] = {}
    for node in model.graph.node:
        if node.op_type in {"MatMul", "Gemm"} and node.name not in float_nodes:
            names |= dict.fromkeys([node.input[0], *(node.output if node.op_type == "Gemm" else ())])
    traced = trace_tokens(model, [name for name in names if name not in given], feeds)
    ranges = {name: np.percentile(values, [_CUT, 100 - _CUT]) for name, values in traced.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
