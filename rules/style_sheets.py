"""The style sheets of a mail: which declarations hold for an element. Read in bounded time, whatever they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import lxml.html

Declarations = dict[str, str]

_MAX_STYLE_SHEET = 200_000
_COMPOUND = re.compile(r"([a-z][a-z0-9]*|\*)?((?:[.#][\w-]{1,100}){0,4})")
_SHOWN_EVERYWHERE = re.compile(r"\s*@media\s+(?:only\s+)?(?:all|screen)\s*\Z")
_MAX_SELECTORS = 5_000
_MAX_COMPARED = 200_000
"""Comparisons of elements with selectors, in one mail. After that its style sheets hide nothing any more."""


@dataclass(frozen=True, slots=True)
class _Compound:
    """`td.note#first`: what must hold of one element."""

    tag: str
    names: frozenset[str]
    """Classes with a dot before them, ids with a hash."""

    def fits(self, tag: str, names: frozenset[str]) -> bool:
        return self.tag in ("", "*", tag) and self.names <= names


@dataclass(frozen=True, slots=True)
class _Rule:
    selector: tuple[_Compound, ...]
    """The element itself last. `a > b` is read as `a b`."""
    declarations: Declarations
    weighty: Declarations
    """Those that are marked as important."""


@dataclass(slots=True)
class StyleSheet:
    """The rules of a mail's style sheets, found by a name that the element must have."""

    by_name: dict[str, list[_Rule]] = field(default_factory=dict)
    compared: int = 0

    def rules_for(self, element: lxml.html.HtmlElement) -> list[_Rule]:
        if not self.by_name or self.compared > _MAX_COMPARED:
            return []
        tag, names = element.tag.lower(), _names(element)
        found = [rule for name in ("*", tag, *sorted(names, reverse=True)) for rule in self.by_name.get(name, ())]
        self.compared += len(found)
        return [rule for rule in found if rule.selector[-1].fits(tag, names) and self._stands_in(rule, element)]

    def _stands_in(self, rule: _Rule, element: lxml.html.HtmlElement) -> bool:
        """Each of the other parts fits an ancestor, in order."""
        wanted = list(rule.selector[:-1])
        for ancestor in element.iterancestors() if wanted else ():
            self.compared += 1
            if wanted[-1].fits(ancestor.tag.lower(), _names(ancestor)):
                wanted.pop()
            if not wanted or self.compared > _MAX_COMPARED:
                break
        return not wanted


def _names(element: lxml.html.HtmlElement) -> frozenset[str]:
    classes = element.get("class", "")[:1_000].lower().split()[:20]
    own_id = element.get("id", "").strip().lower()
    return frozenset([f".{name}" for name in classes] + ([f"#{own_id}"] if own_id else []))


def style_sheet(tree: lxml.html.HtmlElement) -> StyleSheet:
    css = "\n".join(element.text or "" for element in tree.iter("style"))[:_MAX_STYLE_SHEET].lower()
    sheet, count = StyleSheet(), 0
    for selectors, body in _rules(_without_css_comments(css)):
        weighty = ";".join(part for part in body.split(";") if "!important" in part)
        for selector in _selectors(selectors):
            count += 1
            if count > _MAX_SELECTORS:
                return sheet
            last = selector[-1]
            key = min(last.names, default="") or last.tag or "*"
            rule = _Rule(selector, declarations_in(body), declarations_in(weighty))
            sheet.by_name.setdefault(key, []).append(rule)
    return sheet


def declarations_in(style: str) -> Declarations:
    found: Declarations = {}
    for declaration in _spelled_out(_without_css_comments(style[:4_000])).lower().split(";"):
        name, colon, value = declaration.partition(":")
        if colon:
            found[name.strip()] = value.replace("!important", "").strip()
    return found


_ESCAPE = re.compile(r"\\([0-9a-fA-F]{1,6})\s?|\\(.)")


def _spelled_out(style: str) -> str:
    r"""CSS lets any letter be written as an escape: `d\69splay` is `display`."""
    return _ESCAPE.sub(_unescaped, style) if "\\" in style else style


def _unescaped(match: re.Match[str]) -> str:
    if match[2]:
        return match[2]
    code = int(match[1], 16)
    return chr(code) if 0 < code < 0x11_0000 else ""


def _without_css_comments(css: str) -> str:
    first, *rest = css.replace("<!--", "").replace("-->", "").split("/*")
    return first + "".join(piece.partition("*/")[2] for piece in rest)


def _rules(css: str) -> Iterator[tuple[str, str]]:
    """Selectors and body of each rule that holds on every screen: what holds only on phones or paper hides nothing."""
    depth, shown_everywhere = 0, False
    for chunk in css.split("}"):
        outer, *inner = chunk.split("{")
        if depth == 0 and len(inner) == 2 and _SHOWN_EVERYWHERE.match(outer):
            shown_everywhere, outer, inner, depth = True, inner[0], inner[1:], 1
        if len(inner) == 1 and (depth == 0 or (depth == 1 and shown_everywhere)):
            yield outer, inner[0]
        depth = max(0, depth + len(inner) - 1)
        shown_everywhere = shown_everywhere and depth > 0


def _selectors(written: str) -> Iterator[tuple[_Compound, ...]]:
    for selector in written.split(",")[:50]:
        matches = [_COMPOUND.fullmatch(part) for part in selector.replace(">", " ").split()[:8]]
        if matches and all(match and match[0] for match in matches):
            yield tuple(
                _Compound(match[1] or "", frozenset(re.findall(r"[.#][\w-]+", match[2]))) for match in matches if match
            )
