"""How text in an HTML mail looks where it stands: colour, size and place, from attributes, styles and style sheets.

Only what decides whether a reader can see the text is worked out, and only what CSS that mail programs honour can say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import lxml.html

from rules.style_sheets import Declarations, StyleSheet, declarations_in

Colour = tuple[int, int, int]

_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (0, 0, 0)
_NAMED: Mapping[str, Colour] = {
    "white": _WHITE,
    "snow": (255, 250, 250),
    "ivory": (255, 255, 240),
    "whitesmoke": (245, 245, 245),
    "ghostwhite": (248, 248, 255),
    "black": _BLACK,
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "silver": (192, 192, 192),
    "navy": (0, 0, 128),
    "windowtext": _BLACK,
    "window": _WHITE,
    "canvas": _WHITE,
    "floralwhite": (255, 250, 240),
    "mintcream": (245, 255, 250),
    "azure": (240, 255, 255),
    "aliceblue": (240, 248, 255),
    "seashell": (255, 245, 238),
    "lavenderblush": (255, 240, 245),
    "honeydew": (240, 255, 240),
    "lightyellow": (255, 255, 224),
    "lightcyan": (224, 255, 255),
}
_ALIKE = 32
"""Two colours that differ by at most this much in every channel cannot be told apart on a screen."""
_FAR_AWAY_PX = 500.0
_FAR_TO_THE_RIGHT_PX = 3_000.0


@dataclass(frozen=True, slots=True)
class Look:
    """How text looks where it stands: what an element has inherited and what it says of itself."""

    colour: Colour | None = _BLACK
    background: Colour | None = _WHITE
    """None: a picture or a colour that cannot be known, against which nothing is judged hidden."""
    size_px: float = 16.0
    transparent: bool = False
    unseen: bool = False
    gone: bool = False
    """Neither the element nor anything in it is shown."""

    @property
    def hides_text(self) -> bool:
        return self.gone or self.unseen or self.transparent or self.size_px < 2 or self._melts_in

    @property
    def _melts_in(self) -> bool:
        if self.colour is None or self.background is None:
            return False
        return all(abs(ours - theirs) <= _ALIKE for ours, theirs in zip(self.colour, self.background, strict=True))


def look_of(element: lxml.html.HtmlElement, inherited: Look, sheet: StyleSheet) -> Look:
    if inherited.gone or "hidden" in element.attrib:
        return replace(inherited, gone=True)
    rules = sheet.rules_for(element)
    style = _attributes(element)
    for declarations in (
        *(rule.declarations for rule in rules),
        declarations_in(element.get("style", "")),
        *(rule.weighty for rule in rules),
    ):
        style |= declarations
    if not style:
        return inherited
    if "-webkit-text-fill-color" in style:
        style["color"] = style["-webkit-text-fill-color"]
    return Look(
        colour=_colour(style["color"]) if "color" in style else inherited.colour,
        background=_background(style, inherited.background),
        size_px=_size_px(style, inherited.size_px),
        transparent=_is_transparent(style.get("color"), inherited.transparent),
        unseen=style.get("visibility", "hidden" if inherited.unseen else "") in ("hidden", "collapse"),
        gone=_is_gone(style),
    )


def _attributes(element: lxml.html.HtmlElement) -> Declarations:
    found: Declarations = {}
    if background := element.get("bgcolor"):
        found["background-color"] = background.strip().lower()
    if element.get("background"):
        found["background-image"] = "url"
    if colour := element.get({"font": "color", "body": "text"}.get(element.tag, "no-colour"), ""):
        found["color"] = colour.strip().lower()
    return found


_LENGTH = re.compile(r"(?<![\w.#-])(-?\d{0,6}\.?\d{1,6})(px|pt|em|rem|ex|ch|%|vw|vh|in|cm|mm)?")
_PX_PER_UNIT = {None: 1.0, "px": 1.0, "pt": 4 / 3, "in": 96.0, "cm": 37.8, "mm": 3.78, "vw": 10.0, "vh": 10.0}


def _px(value: str, whole: float = 16.0) -> float | None:
    match = _LENGTH.search(value[:200])
    if match is None:
        return None
    number, unit = float(match[1]), match[2]
    per_unit = _PX_PER_UNIT.get(unit, whole / 100 if unit == "%" else whole)
    return number * per_unit


def _size_px(style: Declarations, inherited: float) -> float:
    if (size := style.get("font-size")) is not None:
        px = _px(size, inherited)
    elif (font := style.get("font")) is not None:
        # In the shorthand the size is the length before the line height: "0/0 arial", "bold 12px arial".
        sizes = [
            part
            for part in font.split("/")[0].split()
            if _LENGTH.fullmatch(part) and not re.fullmatch(r"[1-9]00", part)
        ]
        px = _px(sizes[-1], inherited) if sizes else None
    else:
        return inherited
    return inherited if px is None else px


def _is_gone(style: Declarations) -> bool:
    if style.get("display", "").startswith("none") or _is_seen_through(style):
        return True
    clipped = style.get("overflow", "").startswith(("hidden", "clip"))
    if clipped and any(_is_zero(style.get(name)) for name in ("max-height", "height", "max-width", "width")):
        return True
    return _is_off_screen(style) or _is_clipped_away(style)


_FILTERED = re.compile(r"opacity\s*[(=]\s*([\d.]{1,8})")


def _is_seen_through(style: Declarations) -> bool:
    faint = _FILTERED.search(style.get("filter", "")[:200])
    return _is_zero(style.get("opacity"), below=0.06) or (faint is not None and _is_zero(faint[1], below=0.06))


def _is_zero(value: str | None, below: float = 1.5) -> bool:
    px = _px(value) if value else None
    return px is not None and abs(px) < below


def _is_off_screen(style: Declarations) -> bool:
    moved = [style.get(name, "") for name in ("text-indent", "margin-left", "margin-top")]
    moved += style.get("margin", "").split()[:4]
    placed = style.get("position") in ("absolute", "fixed", "relative")
    places = [style.get(name, "") for name in ("left", "top", "right", "bottom")] if placed else []
    return any(_far(value) for value in moved + places) or any(_far(value, to_the_right=True) for value in places)


def _far(value: str, *, to_the_right: bool = False) -> bool:
    px = _px(value) or 0.0
    return px >= _FAR_TO_THE_RIGHT_PX if to_the_right else px <= -_FAR_AWAY_PX


def _is_clipped_away(style: Declarations) -> bool:
    clip, clip_path, transform = style.get("clip", ""), style.get("clip-path", ""), style.get("transform", "")
    if clip.startswith("rect(") and all((_px(edge) or 0.0) < 2 for edge in re.split(r"[,\s]+", clip[5:].rstrip(")"))):
        return True
    moved_away = "translate" in transform and any(
        float(match[1]) <= -_FAR_AWAY_PX for match in _LENGTH.finditer(transform[:200])
    )
    return (
        moved_away
        or bool(re.match(r"inset\(\s*(?:[5-9]\d|100)%|(?:circle|ellipse)\(\s*0", clip_path))
        or bool(re.match(r"scale[xy]?\(\s*0(?:\.0+)?\s*[,)]", transform))
    )


_CHANNELS = re.compile(r"(rgb|hsl)a?\(([^()]{1,80})\)")
_HEX = re.compile(r"#?([0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})(?![0-9a-z])")
_FAINTEST = 0.06
"""Text with less of its colour than this cannot be seen."""


def _colour(value: str) -> Colour | None:
    if match := _CHANNELS.search(value[:200]):
        return _from_channels(match[1], re.split(r"[\s,/]+", match[2].strip()))
    for word in value[:200].split():
        if word in _NAMED:
            return _NAMED[word]
        if digits := _hex_digits(word):
            return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
    return None


def _hex_digits(word: str) -> str:
    match = _HEX.fullmatch(word)
    if match is None:
        return ""
    return match[1] if len(match[1]) >= 6 else "".join(digit * 2 for digit in match[1])


def _from_channels(model: str, parts: list[str]) -> Colour | None:
    """`rgb(255 255 255)`, `rgb(100%, 100%, 100%)`; of `hsl(0, 0%, 100%)` only what is nearly white or black."""
    try:
        numbers = [float(part.rstrip("%deg")) * (2.55 if part.endswith("%") else 1) for part in parts[:3]]
    except ValueError:
        return None
    if len(numbers) < 3:
        return None
    if model == "hsl":
        light = round(numbers[2])
        return (light, light, light) if min(light, 255 - light) < _ALIKE or numbers[1] < 1 else None
    red, green, blue = (max(0, min(255, round(number))) for number in numbers)
    return red, green, blue


def _background(style: Declarations, inherited: Colour | None) -> Colour | None:
    shorthand = style.get("background", "")
    if "url" in shorthand or "gradient" in shorthand or style.get("background-image", "none") != "none":
        return None
    value = style.get("background-color") or shorthand
    if not value or any(word in value for word in ("transparent", "none", "inherit", "initial", "unset")):
        return inherited
    return _colour(value)


def _is_transparent(colour: str | None, inherited: bool) -> bool:
    if colour is None:
        return inherited
    return colour.startswith("transparent") or _strength(colour[:200]) < _FAINTEST


def _strength(colour: str) -> float:
    """How much of a colour is there: the last number of `rgba(…)`, `hsla(…)` and `#rrggbbaa`."""
    if match := _CHANNELS.search(colour):
        parts = re.split(r"[\s,/]+", match[2].strip())
        number = parts[3] if len(parts) > 3 else "1"
        try:
            return float(number.rstrip("%")) / (100 if number.endswith("%") else 1)
        except ValueError:
            return 1.0
    digits = _hex_digits(colour.split(maxsplit=1)[0]) if colour.split() else ""
    return int(digits[6:], 16) / 255 if len(digits) == 8 else 1.0
