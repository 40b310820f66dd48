"""An encoder as one ONNX file: weights of eight bits, embeddings of four, and what has outliers left as it is.

Which matrix products cannot bear eight bits is found anew for every model: one at a time is quantised, and the vectors
of 40 texts are compared. Needs PyTorch, onnx and onnxscript (`pip install kommunpost[train]`).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface

from worker.offline import InputError
from worker.understanding.encoder import ENCODER, Floats, session_of, vector_of
from worker.understanding.training.finetune import Base

TEXTS = 40
LEAST_COSINE = 0.9999
"""Below this mean, a matrix product stays in full precision."""
MOST_LEFT = 2
SAME = 0.9999
"""The least cosine between a vector of PyTorch and of the graph, before anything is quantised."""
JOINT = "joint"
"""The name of our attention for transformers."""
BLOCK = 32
SMALL_TABLE = 5_000
"""Rows."""


class OneText(torch.nn.Module):
    """The ids of one text in, its vector of length one out. Without a mask, since nothing is ever padded in service:
    a graph that could mask takes a tenth longer."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.model(input_ids=ids).last_hidden_state.mean(dim=1), dim=1)


def export(base: Base, texts: Sequence[str], output: Path) -> dict[str, Any]:
    """Writes the encoder into `output` and says what was left in full precision and how near the vectors are.

    Raises InputError when the graph does not say what the encoder says.
    """
    windows = base.pieces.firsts(texts)
    with _without_advice(), tempfile.TemporaryDirectory() as name:
        work = Path(name)
        full, four, ready = work / "full.onnx", work / "four.onnx", work / ENCODER
        right = _in_full_precision(base, texts, full)
        ends = narrowing(full)
        cost = _cost_of_eight_bits(full, ends, windows[:TEXTS], right[:TEXTS], work / "one.onnx")
        left = [node for node, cosine in sorted(cost.items(), key=lambda one: one[1]) if cosine < LEAST_COSINE]
        _four_bits(full, four)
        _eight_bits(four, ready, [node for node in products(full) if node not in left[:MOST_LEFT]])
        cosines = (right * _vectors(ready, windows)).sum(axis=1)
        _without_traces(ready, output / ENCODER)
    return {
        "left_in_full_precision": left[:MOST_LEFT],
        "cosine_to_full_precision": {"least": round(float(cosines.min()), 4), "mean": round(float(cosines.mean()), 4)},
    }


@contextmanager
def _without_advice() -> Iterator[None]:
    """The quantiser says of every matrix, through the root logger, that another tool could be run first."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _in_full_precision(base: Base, texts: Sequence[str], path: Path) -> Floats:
    """Writes the graph and gives its vectors. An encoder whose layers look only at neighbours, or that does its
    attention in a way of its own, keeps the attention it has."""
    wanted, windows = base.vectors(texts), base.pieces.firsts(texts)
    for attention in (JOINT, "eager"):  # PyTorch's own is exported with a guard against rows without a word
        _to_onnx(base, path, attention)
        vectors = _vectors(path, windows)
        if (vectors * wanted).sum(axis=1).min() > SAME:
            return vectors
    raise InputError("This encoder cannot be exported: as an ONNX graph it gives other vectors.")


def _joint_attention(
    _module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, scaling: float, **__: Any
) -> tuple[torch.Tensor, None]:
    """All of a layer's attention as the one operation that onnxruntime has for it: a twentieth of a short mail's time
    less, a fifth of a long one's. Nothing is masked, since a text stands alone."""
    heads = query.shape[1]
    flat = tuple(one.transpose(1, 2).flatten(2) for one in (query, key, value))
    found = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        flat,
        {"num_heads": heads, "scale": float(scaling)},
        dtype=query.dtype,
        shape=flat[0].shape,
        version=1,
    )
    return found.reshape(*found.shape[:2], heads, -1), None


def _to_onnx(base: Base, path: Path, attention: str) -> None:
    AttentionInterface.register(JOINT, _joint_attention)
    AttentionMaskInterface.register(JOINT, lambda *_, **__: None)
    base.model.set_attn_implementation(attention)
    torch.onnx.export(
        OneText(base.model).eval(),
        (torch.randint(5, 100, (1, 16)),),
        str(path),
        input_names=["ids"],
        output_names=["vectors"],
        dynamo=True,
        dynamic_shapes={"ids": {1: torch.export.Dim("length", min=2, max=512)}},
        external_data=False,
        verbose=False,
    )


def products(path: Path) -> list[str]:
    """Names of the matrix products with a fixed matrix, in the order of the layers."""
    return [name for name, _ in _products(path)]


def narrowing(path: Path) -> list[str]:
    """Those from many numbers to fewer: the second half of a feed-forward layer, where outliers gather."""
    return [name for name, (rows, columns) in _products(path) if rows > columns]


def _products(path: Path) -> list[tuple[str, tuple[int, int]]]:
    import onnx

    graph = onnx.load(str(path)).graph
    fixed = {one.name: tuple(one.dims) for one in graph.initializer if len(one.dims) == 2}
    return [
        (node.name, fixed[node.input[1]]) for node in graph.node if node.op_type == "MatMul" and node.input[1] in fixed
    ]


def _eight_bits(source: Path, target: Path, nodes: Sequence[str]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(source),
        str(target),
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul"],
        nodes_to_quantize=list(nodes),
    )


def _four_bits(source: Path, target: Path) -> None:
    """The embeddings of the pieces, in blocks of 32. Small tables (places in the text) stay: they are quicker so."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    whole = onnx.load(str(source))
    rows = {one.name: one.dims[0] for one in whole.graph.initializer if one.dims}
    small = [
        node.name for node in whole.graph.node if node.op_type == "Gather" and rows.get(node.input[0], 0) < SMALL_TABLE
    ]
    quantiser = MatMulNBitsQuantizer(
        whole,
        nodes_to_exclude=small,
        bits=4,
        block_size=BLOCK,
        is_symmetric=True,
        accuracy_level=4,
        op_types_to_quantize=("Gather",),
    )
    quantiser.process()
    onnx.save(quantiser.model.model, str(target))


def _cost_of_eight_bits(
    full: Path, nodes: Sequence[str], windows: Sequence[list[int]], right: Floats, scratch: Path
) -> dict[str, float]:
    """The mean cosine to the right vectors when this product alone has eight bits."""
    found = {}
    for node in nodes:
        _eight_bits(full, scratch, [node])
        found[node] = float((right * _vectors(scratch, windows)).sum(axis=1).mean())
    return found


def _without_traces(source: Path, target: Path) -> None:
    """The exporter notes for every node in which file of this machine it was written; nobody else is to read that."""
    import onnx

    whole = onnx.load(str(source))
    graph = whole.graph
    for part in (whole, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(whole, str(target))


def _vectors(path: Path, windows: Sequence[list[int]]) -> Floats:
    session = session_of(path)
    return np.vstack([vector_of(session, window) for window in windows])
