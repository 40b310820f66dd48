"""The transformer scorer in service: a multilingual encoder as one ONNX file, and light heads over its vectors.

Needs onnxruntime and tokenizers, no PyTorch. One thread a mail: the weights have eight bits, and with them what stands
beside a mail in a batch would change its vector a little; alone, the same mail always gets the same answer.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rules.values import LANGUAGES
from worker.understanding.classifier import Reading

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

ENCODER, TOKENIZER, HEADS = "encoder.onnx", "tokenizer.json", "heads.npz"
MOST_TOKENS = 256
MOST_WINDOWS = 4
"""Of a long mail, this many stretches of 256 tokens are read: the first ones and the last."""
OTHER = len(LANGUAGES)
"""The number of a language that is none of ours."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Heads:
    """Linear layers over a vector from which the mean vector of its language was taken away.

    The language is the loudest thing in the vector of a multilingual encoder; without its mean, mails about one matter
    lie together whatever their language.
    """

    means: Floats
    """One row a language, last the mean of them all for every other language."""
    scale: float
    """Stretches what is left to about one a feature."""
    weights: Floats
    """One row an output: intents, reasons, any reason."""
    bias: Floats
    centroids: Floats
    """One row an intent: the direction in which its mails lie, of length one."""

    def centred(self, vectors: Floats, languages: Integers) -> Floats:
        return np.asarray((vectors - self.means[languages]) * self.scale, np.float32)

    def scores(self, centred: Floats) -> Floats:
        return each(centred, self.weights) + self.bias

    def save(self, path: Path) -> None:
        np.savez_compressed(
            path,
            means=self.means.astype(np.float32),
            scale=np.float32(self.scale),
            weights=self.weights.astype(np.float32),
            bias=self.bias.astype(np.float32),
            centroids=self.centroids.astype(np.float32),
        )


def load_heads(path: Path) -> Heads:
    """Raises OSError when there is no such file and ValueError when it holds something else."""
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
        try:
            rest = (arrays[name] for name in ("weights", "bias", "centroids"))
            return Heads(arrays["means"], float(arrays["scale"]), *rest)
        except KeyError as error:
            raise ValueError(f"{path.name} is not a model of this version: {error} is missing") from None


@dataclass(frozen=True, slots=True)
class Read:
    """What the encoder makes of a batch, one row a mail."""

    scores: Floats
    """Intents as the first stretch of a mail has them; a reason as the stretch has it that speaks most for it, so that
    nothing can be hidden behind a lot of harmless words."""
    places: Floats
    """Where each mail lies among all mails: centred, of length one."""


class Pieces:
    """Texts as numbers of the vocabulary, in stretches that the encoder can read. The same in training and in service.

    `prefix`: what the encoder wants in front of every text ("query:" for the E5 family), or nothing.
    """

    def __init__(self, tokenizer: Tokenizer, prefix: str) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        begin, *_, end = tokenizer.encode("", add_special_tokens=True).ids
        self._tokenizer = tokenizer
        self._opening = [begin, *tokenizer.encode(prefix, add_special_tokens=False).ids] if prefix else [begin]
        self._end = end
        self._room = MOST_TOKENS - len(self._opening) - 1

    def firsts(self, texts: Sequence[str]) -> list[list[int]]:
        """The first stretch of each text."""
        return [self._whole(ids[: self._room]) for ids in self._ids(texts)]

    def windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """The first stretches of each text and the last."""
        return [
            [self._whole(ids[start : start + self._room]) for start in self._starts(ids)] for ids in self._ids(texts)
        ]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [one.ids for one in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def _starts(self, ids: list[int]) -> list[int]:
        starts = list(range(0, max(1, len(ids)), self._room))
        return starts if len(starts) <= MOST_WINDOWS else [*starts[: MOST_WINDOWS - 1], len(ids) - self._room]

    def _whole(self, ids: list[int]) -> list[int]:
        return [*self._opening, *ids, self._end]


class Encoder:
    def __init__(self, session: InferenceSession, pieces: Pieces, heads: Heads, intents: int) -> None:
        self.heads = heads
        self._session = session
        self._pieces = pieces
        self._intents = intents

    def read(self, batch: Sequence[Reading]) -> Read:
        windows = self._pieces.windows([one.text for one in batch])
        owners = np.repeat(np.arange(len(batch)), [len(of_one) for of_one in windows])
        numbers = np.array([language_number(one.language) for one in batch], np.int64)
        vectors = self._vectors([window for of_one in windows for window in of_one])
        centred = self.heads.centred(vectors, numbers[owners])
        firsts = np.flatnonzero(np.diff(owners, prepend=-1))
        scores = self.heads.scores(centred)
        strongest = np.maximum.reduceat(scores, firsts) if len(batch) else scores
        strongest[:, : self._intents] = scores[firsts, : self._intents]
        return Read(strongest, unit(centred[firsts]))

    def _vectors(self, windows: Sequence[list[int]]) -> Floats:
        """Several at a time when there are several: the work is done outside Python's lock."""
        if len(windows) < 2:
            found = [self._vector(window) for window in windows]
        else:
            with ThreadPoolExecutor(cores()) as pool:
                found = list(pool.map(self._vector, windows))
        return np.array(found, np.float32).reshape(-1, self.heads.means.shape[1])

    def _vector(self, window: list[int]) -> Floats:
        return vector_of(self._session, window)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


def language_number(code: str) -> int:
    return LANGUAGES.index(code) if code in LANGUAGES else OTHER


def each(vectors: Floats, rows: Floats) -> Floats:
    """The products of every vector with every row, a vector at a time: all at once they would be rounded otherwise in a
    batch than alone."""
    found = [rows @ vector for vector in vectors]
    return np.array(found, np.float32).reshape(len(vectors), len(rows))


def unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)


def vector_of(session: InferenceSession, window: Sequence[int]) -> Floats:
    return np.asarray(session.run(None, {"ids": np.array([window], np.int64)})[0][0], np.float32)


def session_of(path: Path) -> InferenceSession:
    """One thread, which does not spin while it waits. Raises OSError or ValueError when it cannot be read."""
    from onnxruntime import InferenceSession, SessionOptions
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidProtobuf

    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # That fusion takes six times as long as the two steps it joins: a fifth of a mail's time.
        return InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
        )
    except (Fail, InvalidProtobuf):
        raise ValueError(f"{path.name} is not a model that onnxruntime can read") from None


def load(folder: Path, prefix: str, intents: int) -> Encoder:
    """Raises OSError when a file is missing, ValueError when one is none of ours, ImportError without onnxruntime."""
    from tokenizers import Tokenizer

    session = session_of(folder / ENCODER)
    if [one.name for one in session.get_inputs()] != ["ids"]:
        raise ValueError(f"{ENCODER} is of another version of the program: train the model again")
    pieces = Pieces(Tokenizer.from_str((folder / TOKENIZER).read_text(encoding="utf-8")), prefix)
    return Encoder(session, pieces, load_heads(folder / HEADS), intents)
