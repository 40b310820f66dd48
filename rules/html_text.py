"""What a reader of an HTML mail sees, as text, and apart from it what the mail hides from a reader's eyes.

Hidden words are how a mail says one thing to people and another to software, so they never reach the visible text.
Markup is only read here; it is never shown from here.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import lxml.etree
import lxml.html
from inscriptis import Inscriptis
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

_MAX_MARKUP = 2_000_000
_MAX_ELEMENTS = 40_000
_MAX_STYLE_SHEET = 200_000
_MAX_HIDDEN = 20_000
_MAX_PADDED_TABLE = 100_000_000
_SETTINGS = ParserConfig(css=CSS_PROFILES["strict"], display_images=False, display_links=False)
_NEVER_SHOWN = ("script", "style", "template", "head", "noscript", "object", "svg", "math", "title")
_QUOTATION = "descendant::blockquote[@type='cite' or @cite or contains(@class, 'quote')][not(ancestor::blockquote)]"

Colour = tuple[int, int, int]
Declarations = dict[str, str]


@dataclass(frozen=True, slots=True)
class Readable:
    visible: str
    hidden: str


def read_html(markup: str, defects: list[str]) -> Readable:
    if len(markup) > _MAX_MARKUP:
        defects.append("The HTML is longer than any mail needs; the rest of it was left out.")
    markup = markup[:_MAX_MARKUP]
    tree = _tree(markup)
    if tree is None:
        return Readable(_bare_words(markup, defects), "")
    sheet = _style_sheet(tree)
    for element in list(tree.iter(*_NEVER_SHOWN)):
        element.drop_tree() if element.getparent() is not None else element.clear()
    hidden = _take_hidden(tree, sheet, defects)
    visible = _as_text(tree, defects)
    if hidden:
        defects.append("The HTML hides text from the reader; that text was set aside.")
        if not visible.strip():
            defects.append("All text of the HTML is hidden from the reader.")
    return Readable(visible, hidden[:_MAX_HIDDEN])


def _tree(markup: str) -> lxml.html.HtmlElement | None:
    """None when there is nothing in it, or when libxml2 gave up on its depth and dropped what lay below.

    It goes in as bytes, because lxml refuses text that opens with an XML encoding declaration, as Outlook's does.
    """
    parser = lxml.html.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True, huge_tree=True
    )
    try:
        tree = lxml.html.document_fromstring(markup.encode("utf-8", "replace").replace(b"\0", b""), parser=parser)
    except (lxml.etree.LxmlError, ValueError, AssertionError):
        return None
    return None if any(entry.level_name == "FATAL" for entry in parser.error_log) else tree


def _bare_words(markup: str, defects: list[str]) -> str:
    """The words between the tags, for markup that cannot be made into a tree."""
    first, *pieces = markup.split("<")
    words, silent = [first], False
    for piece in pieces:
        tag, _, text = piece.partition(">")
        if match := re.match(r"(/?)(?:script|style)\b", tag, re.IGNORECASE):
            silent = not match[1]
        words.append("" if silent else text)
    found = " ".join(" ".join(words).split())
    if found:
        defects.append("The HTML is too broken or too deep to be laid out; its words were kept without their layout.")
    return html.unescape(found)


def _as_text(tree: lxml.html.HtmlElement, defects: list[str]) -> str:
    for styled in tree.xpath("//*[@style]"):
        # inscriptis would honour a margin of a million lines.
        del styled.attrib["style"]
    try:
        if _is_too_wide(tree):
            raise ValueError("the tables are too wide to be drawn")
        _mark_quotations(tree)
        return _rendered(tree)
    except (RecursionError, LookupError, ValueError, TypeError, AttributeError):
        # inscriptis recurses per level and stumbles on some nests of tables; the words matter more than the layout.
        defects.append("The HTML is too broken or too deep to be laid out; its words were kept without their layout.")
        return "\n".join(text for text in (piece.strip() for piece in tree.itertext()) if text)


def _is_too_wide(tree: lxml.html.HtmlElement) -> bool:
    """inscriptis pads every row of a table to the widest one, and does so again for each table around it."""
    rows = tree.xpath("//tr[not(.//table)]")
    widest = max((len(row.text_content()) for row in rows), default=0)
    deepest = max((sum(1 for _ in row.iterancestors("table")) for row in rows), default=0)
    return widest * len(rows) * deepest > _MAX_PADDED_TABLE


def _rendered(tree: lxml.html.HtmlElement) -> str:
    text: str = Inscriptis(tree, _SETTINGS).get_text()
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _mark_quotations(tree: lxml.html.HtmlElement) -> None:
    """Give quoted mail the same look as in plain text, so that answers between quotations are told apart."""
    for quotation in tree.xpath(_QUOTATION):
        tail, quotation.tail = quotation.tail, None
        lines = _rendered(quotation).strip("\n").split("\n")
        quotation.clear()
        quotation.tag, quotation.tail = "pre", tail
        quotation.text = "\n".join(f"> {line}" for line in lines)


# --- what a reader does not see ---

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
}
_ALIKE = 24
"""Two colours that differ by at most this much in every channel cannot be told apart on a screen."""
_FAR_AWAY_PX = 500.0


@dataclass(frozen=True, slots=True)
class _Look:
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


def _take_hidden(tree: lxml.html.HtmlElement, sheet: _StyleSheet, defects: list[str]) -> str:
    """Take the text that no reader sees out of `tree` and return it."""
    taken: list[str] = []
    waiting, seen = [(tree, _Look())], 0
    while waiting:
        element, inherited = waiting.pop()
        if seen == _MAX_ELEMENTS:
            defects.append("The HTML holds more elements than any mail needs; the rest were left out.")
        seen += 1
        if seen > _MAX_ELEMENTS:
            element.getparent().remove(element)
            continue
        look = _look(element, inherited, sheet)
        if look.hides_text and element.text and element.text.strip():
            taken.append(element.text.strip())
            element.text = None
        if inherited.hides_text and element.tail and element.tail.strip():
            taken.append(element.tail.strip())
            element.tail = None
        waiting += reversed([(child, look) for child in element if isinstance(child.tag, str)])
    return "\n".join(taken)


def _look(element: lxml.html.HtmlElement, inherited: _Look, sheet: _StyleSheet) -> _Look:
    if inherited.gone or "hidden" in element.attrib:
        return replace(inherited, gone=True)
    style = (
        _attributes(element)
        | sheet.declarations(element)
        | _declarations(element.get("style", ""))
        | sheet.important(element)
    )
    if not style:
        return inherited
    return _Look(
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
    if element.tag == "font" and element.get("color"):
        found["color"] = element.get("color", "").strip().lower()
    return found


def _declarations(style: str) -> Declarations:
    found: Declarations = {}
    for declaration in style[:4_000].lower().split(";"):
        name, colon, value = declaration.partition(":")
        if colon:
            found[name.strip()] = value.replace("!important", "").strip()
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
    if style.get("display", "").startswith("none") or _is_zero(style.get("opacity"), below=0.06):
        return True
    clipped = style.get("overflow", "").startswith(("hidden", "clip"))
    if clipped and any(_is_zero(style.get(name)) for name in ("max-height", "height", "max-width", "width")):
        return True
    return _is_off_screen(style) or _is_clipped_away(style)


def _is_zero(value: str | None, below: float = 1.5) -> bool:
    px = _px(value) if value else None
    return px is not None and abs(px) < below


def _is_off_screen(style: Declarations) -> bool:
    moved = [style.get(name, "") for name in ("text-indent", "margin-left", "margin-top")]
    if style.get("position") in ("absolute", "fixed", "relative"):
        moved += [style.get(name, "") for name in ("left", "top", "right", "bottom")]
    return any((_px(value) or 0.0) <= -_FAR_AWAY_PX for value in moved if value)


def _is_clipped_away(style: Declarations) -> bool:
    clip, clip_path, transform = style.get("clip", ""), style.get("clip-path", ""), style.get("transform", "")
    if clip.startswith("rect(") and all((_px(edge) or 0.0) < 2 for edge in re.split(r"[,\s]+", clip[5:].rstrip(")"))):
        return True
    moved_away = "translate" in transform and any(
        float(match[1]) <= -_FAR_AWAY_PX for match in _LENGTH.finditer(transform[:200])
    )
    return (
        moved_away
        or bool(re.match(r"inset\((?:50|100)%", clip_path))
        or bool(re.match(r"scale\(0(?:\.0+)?[,)]", transform))
    )


_RGB = re.compile(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})(?:[\s,/]+([\d.]{1,6}%?))?\s*\)")
_HEX = re.compile(r"#?([0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})(?![0-9a-z])")


def _colour(value: str) -> Colour | None:
    if match := _RGB.search(value[:200]):
        return min(255, int(match[1])), min(255, int(match[2])), min(255, int(match[3]))
    for word in value[:200].split():
        if word in _NAMED:
            return _NAMED[word]
        if match := _HEX.fullmatch(word):
            digits = match[1] if len(match[1]) >= 6 else "".join(digit * 2 for digit in match[1])
            return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
    return None


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
    match = _RGB.search(colour[:200])
    return colour.startswith("transparent") or bool(match and match[4] and float(match[4].rstrip("%.") or 0) == 0)


# --- style sheets ---

_SELECTOR = re.compile(r"([a-z][a-z0-9]*|\*)?(?:([.#])([\w-]{1,100}))?")
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _StyleSheet:
    """The rules for one tag, class or id that a mail's style sheets state. Longer selectors are not followed."""

    plain: dict[Key, Declarations] = field(default_factory=dict)
    weighty: dict[Key, Declarations] = field(default_factory=dict)

    def declarations(self, element: lxml.html.HtmlElement) -> Declarations:
        return _matching(self.plain, element)

    def important(self, element: lxml.html.HtmlElement) -> Declarations:
        return _matching(self.weighty, element)


def _matching(rules: dict[Key, Declarations], element: lxml.html.HtmlElement) -> Declarations:
    found: Declarations = {}
    if not rules:
        return found
    tag = element.tag.lower()
    names = [(".", name) for name in element.get("class", "")[:1_000].lower().split()[:20]]
    names += [("#", element.get("id", "").strip().lower())] if element.get("id") else []
    for key in (("*", "", ""), (tag, "", "")):
        found |= rules.get(key, {})
    for sign, name in names:
        found |= rules.get(("", sign, name), {}) | rules.get((tag, sign, name), {})
    return found


def _style_sheet(tree: lxml.html.HtmlElement) -> _StyleSheet:
    css = "\n".join(element.text or "" for element in tree.iter("style"))[:_MAX_STYLE_SHEET].lower()
    sheet = _StyleSheet()
    for selectors, body in _rules(_without_css_comments(css)):
        weighty = ";".join(part for part in body.split(";") if "!important" in part)
        for key in _keys(selectors):
            sheet.plain.setdefault(key, {}).update(_declarations(body))
            if weighty:
                sheet.weighty.setdefault(key, {}).update(_declarations(weighty))
    return sheet


def _without_css_comments(css: str) -> str:
    first, *rest = css.replace("<!--", "").replace("-->", "").split("/*")
    return first + "".join(piece.partition("*/")[2] for piece in rest)


def _rules(css: str) -> Iterator[tuple[str, str]]:
    """Selectors and body of each rule outside @-blocks: what holds only on phones or on paper hides nothing."""
    depth = 0
    for chunk in css.split("}"):
        opened = chunk.count("{")
        if depth == 0 and opened == 1:
            selectors, _, body = chunk.partition("{")
            yield selectors, body
        depth = max(0, depth + opened - 1)


def _keys(selectors: str) -> Iterator[Key]:
    for selector in selectors.split(",")[:50]:
        match = _SELECTOR.fullmatch(selector.strip())
        if match and match[0]:
            yield match[1] or "", match[2] or "", match[3] or ""
