"""What the patterns of all sorts of values share: how numbers stand in a text, and a pattern with its meaning."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from rules.grounding.meaning import Meaning
from rules.values import Kind

NUMBER = r"(?:\d{1,3}(?:[ .,]\d{3}){1,4}(?!\d)(?:[.,]\d{1,2}(?!\d))?|\d{1,12}(?:[.,]\d{1,4}(?!\d))?)"
ALONE = r"(?<![\w])(?<!\d[.,:/])(?<!\w[-/‑])"
"""A number does not begin within another token."""

DASH = r"[-–—‑]"
TO = r"till|til|to"
UP_TO = rf"(?: ?{DASH} ?| (?:{TO}) )"
GAP = r"[ \n]"
"""Between words that belong together; a paragraph never ends there."""


@dataclass(frozen=True, slots=True)
class Finder:
    kind: Kind
    pattern: re.Pattern[str]
    meaning: Callable[[re.Match[str], str], Meaning | None]
    """From a match and the draft's language; None when it only looked like a value."""
    group: str | int = 0
    needs: str = ""
    """Characters of which the text must have one, or there is nothing to look for."""
