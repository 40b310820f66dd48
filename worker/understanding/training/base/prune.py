"""Keeps the pieces of the vocabulary that Nordic and English mail needs: about 57,000 of 250,000.

    python -m worker.understanding.training.base.prune --base BASE --text prose.txt --corpus corpus

chooses them anew. It needs wordfreq, whose lists are CC BY-SA 4.0: only which pieces were chosen with them goes into
the repository (`kept.bits`, one bit a piece). The fallback, every single letter, digit and sign, is always kept, so no
Latin text becomes unknown.
"""

from __future__ import annotations

import argparse
import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from worker.understanding import corpus
from worker.understanding.features import readable

KEPT = Path(__file__).parent / "kept.bits"
LANGUAGES = ("sv", "fi", "nb", "da", "en")
WORDS = 100_000
WORDS_IN_CAPITALS = 30_000
SPACE = "▁"
SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARABIC")
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_AT_ONCE = 10_000

Kept = NDArray[np.bool_]


# --- choosing ---------------------------------------------------------------------------------------------------------


def choose(tokenizer: Tokenizer, pieces: Sequence[str], texts: Iterable[str]) -> dict[str, Kept]:
    """Which pieces each step keeps, by the name of the step."""
    return {
        "words": _used(tokenizer, words(), len(pieces)),
        "texts": _used(tokenizer, texts, len(pieces)),
        "single characters": np.array([piece in SPECIALS or _is_single(piece) for piece in pieces]),
        "numbers, signs and short parts": np.array([_is_glue(piece) for piece in pieces]),
    }


def words() -> Iterator[str]:
    from wordfreq import top_n_list

    for language in LANGUAGES:
        common = top_n_list(language, WORDS)
        yield from common
        yield from (word.capitalize() for word in common)
        yield from (word.upper() for word in common[:WORDS_IN_CAPITALS])


def _used(tokenizer: Tokenizer, texts: Iterable[str], count: int) -> Kept:
    kept = np.zeros(count, bool)
    for some in _in_stretches(texts):
        for one in tokenizer.encode_batch_fast(some, add_special_tokens=False):
            kept[one.ids] = True
    return kept


def _in_stretches(texts: Iterable[str]) -> Iterator[list[str]]:
    some: list[str] = []
    for text in texts:
        some.append(text)
        if len(some) == _AT_ONCE:
            yield some
            some = []
    yield some


def _is_single(piece: str) -> bool:
    """The fallback: a letter of the scripts that turn up in mail, a digit, a sign; with or without a space in front."""
    bare = piece.removeprefix(SPACE)
    if len(bare) > 1:
        return False
    return not bare or _is_known_sign(bare)


def _is_known_sign(character: str) -> bool:
    category = unicodedata.category(character)
    if category[0] in "NPS" or category == "Lm" or "\u0300" <= character <= "\u036f":
        return True
    return unicodedata.name(character, "").startswith(SCRIPTS)


def _is_glue(piece: str) -> bool:
    """What word lists lack and mails are full of: 2026, "!!", 4B, and short parts inside words."""
    bare = piece.removeprefix(SPACE)
    if not bare:
        return True
    if all(character.isdigit() for character in bare) or all(unicodedata.category(c)[0] in "PS" for c in bare):
        return True
    latin = [_is_latin(character) for character in bare]
    if any(latin) and all(is_latin or c.isdigit() for is_latin, c in zip(latin, bare, strict=True)):
        return not all(latin) or (not piece.startswith(SPACE) and len(bare) <= 3)
    return False


def _is_latin(character: str) -> bool:
    return unicodedata.name(character, "").startswith("LATIN")


# --- rebuilding -------------------------------------------------------------------------------------------------------


def rebuilt(description: dict[str, Any], kept: Kept) -> dict[str, Any]:
    """tokenizer.json with the kept pieces alone; a piece's new id is its rank among them."""
    rank = np.cumsum(kept) - 1
    model = description["model"]
    vocabulary = [piece for piece, is_kept in zip(model["vocab"], kept, strict=True) if is_kept]
    specials = description["post_processor"]["special_tokens"]
    return {
        **description,
        "model": {**model, "vocab": vocabulary, "unk_id": int(rank[model["unk_id"]])},
        "added_tokens": [{**one, "id": int(rank[one["id"]])} for one in description["added_tokens"]],
        "post_processor": {
            **description["post_processor"],
            "special_tokens": {
                name: {**one, "ids": [int(rank[n]) for n in one["ids"]]} for name, one in specials.items()
            },
        },
    }


def rebuild(base: Path, kept: Kept, output: Path) -> None:
    import torch
    from transformers import BertModel

    model: Any = BertModel.from_pretrained(base, add_pooling_layer=False)
    old = model.embeddings.word_embeddings
    fresh = torch.nn.Embedding(int(kept.sum()), old.embedding_dim, padding_idx=old.padding_idx)
    fresh.weight.data.copy_(old.weight.data[torch.from_numpy(np.flatnonzero(kept))])
    model.set_input_embeddings(fresh)
    model.config.vocab_size = int(kept.sum())
    output.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(output)
    description = rebuilt(_description(base), kept)
    text = json.dumps(description, ensure_ascii=False, separators=(",", ":"))
    (output / "tokenizer.json").write_text(text, encoding="utf-8")
    for paper in base.glob("*.txt"):
        (output / paper.name).write_bytes(paper.read_bytes())


def _description(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return content


def write_kept(path: Path, kept: Kept) -> None:
    path.write_bytes(len(kept).to_bytes(4, "little") + np.packbits(kept).tobytes())


def read_kept(path: Path) -> Kept:
    content = path.read_bytes()
    count = int.from_bytes(content[:4], "little")
    return np.unpackbits(np.frombuffer(content[4:], np.uint8), count=count).astype(bool)


# --- the command ------------------------------------------------------------------------------------------------------


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--base", type=Path, required=True, help="the whole encoder, from `convert`")
    given.add_argument("--text", type=Path, required=True, nargs="+", help="prose, from `prose`")
    given.add_argument("--corpus", type=Path, help="labelled mail; what is held out is not read")
    said = given.parse_args()
    pieces = [piece for piece, _ in _description(said.base)["model"]["vocab"]]
    tokenizer = Tokenizer.from_file(str(said.base / "tokenizer.json"))
    together = np.zeros(len(pieces), bool)
    for name, kept in choose(tokenizer, pieces, _texts(said.text, said.corpus)).items():
        together |= kept
        print(f"{name}: {kept.sum()}, together {together.sum()}")  # noqa: T201
    write_kept(KEPT, together)


def _texts(files: Sequence[Path], folder: Path | None) -> Iterator[str]:
    for path in files:
        with path.open(encoding="utf-8") as lines:
            yield from lines
    if folder:
        yield from (readable(one.subject, one.body) for one in corpus.split(corpus.read_folder(folder)).learn)


if __name__ == "__main__":
    main()
