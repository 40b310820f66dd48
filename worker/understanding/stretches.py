"""A mail in parts, so that many harmless words round a few that matter do not outweigh them.

Each part is judged beside the whole, and a reason that is guessed from any of them stands. A part can add a reason and
never take one away, and it has no say in what the mail is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import ceil

LONGEST = 400
"""Characters in a part: about 60 words, fewer than any classifier reads at once."""
SHORTEST = 60
"""A shorter line says too little to be judged alone; it is read together with the next ones."""
MOST = 150
"""Parts of one mail. In a longer one neighbours are joined, so that nothing of it goes unread."""
MOST_LINES = 200
FEWEST_WORDS = 4
"""Fewer tell neither a language nor a matter."""
_SENTENCE_ENDS = (". ", "! ", "? ", " ")


def stretches(own_words: str, hidden: str = "") -> tuple[str, ...]:
    """Each part of what the sender wrote, and each run of neighbours that makes a short mail of its own; the same of
    what is hidden. They are judged without the subject, which may be no better than the filler."""
    own, unseen = _parts(own_words), _parts(hidden)
    return tuple(dict.fromkeys((*own, *_runs(own), *unseen, *_runs(unseen))))


def lines(text: str) -> tuple[str, ...]:
    """Each line by itself: beside lines of another language it would count as one of them."""
    found = (line.strip() for line in text.splitlines())
    return tuple(islice((line for line in found if len(line.split()) >= FEWEST_WORDS), MOST_LINES))


def _runs(parts: list[str]) -> Iterator[str]:
    for first in range(len(parts)):
        last = first + 1
        while last < len(parts) and sum(map(len, parts[first : last + 1])) <= LONGEST:
            last += 1
        yield "\n".join(parts[first:last])


def _parts(text: str) -> list[str]:
    parts = list(_paragraphs(text))
    together = max(1, ceil(len(parts) / MOST))
    return ["\n".join(parts[first : first + together]) for first in range(0, len(parts), together)]


def _paragraphs(text: str) -> Iterator[str]:
    waiting = ""
    for line in text.split("\n"):
        for piece in _pieces(line.strip()):
            waiting = f"{waiting}\n{piece}".strip()
            if len(waiting) >= SHORTEST:
                yield waiting
                waiting = ""
    if waiting:
        yield waiting


def _pieces(line: str) -> Iterator[str]:
    """A long line cut where a sentence ends, or at least a word; two neighbours make a part, so no cut parts what
    belongs together."""
    start = 0
    while len(line) - start > LONGEST:
        ends = (line.rfind(end, start + LONGEST // 4, start + LONGEST // 2) for end in _SENTENCE_ENDS)
        cut = next((end + 1 for end in ends if end > 0), start + LONGEST // 2)
        yield line[start:cut]
        start = cut
    if start < len(line):
        yield line[start:]
