"""What a reader of an HTML mail sees, as text, and apart from it what the mail hides from a reader's eyes.

Hidden words are how a mail says one thing to people and another to software, so they never reach the visible text.
Markup is only read here; it is never shown from here.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

import lxml.etree
import lxml.html
from inscriptis import Inscriptis
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

from rules.html_looks import Look, look_of
from rules.style_sheets import StyleSheet, style_sheet

_MAX_MARKUP = 2_000_000
_MAX_ELEMENTS = 40_000
_MAX_HIDDEN = 20_000
_MAX_PADDED_TABLE = 100_000_000
_SETTINGS = ParserConfig(css=CSS_PROFILES["strict"], display_images=False, display_links=False)
_NEVER_SHOWN = ("script", "style", "template", "head", "noscript", "object", "svg", "math", "title")
_QUOTATION = "descendant::blockquote[@type='cite' or @cite or contains(@class, 'quote')][not(ancestor::blockquote)]"


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
    sheet = style_sheet(tree)
    unshown = list(_in_comments_and_templates(tree))
    for element in list(tree.iter(*_NEVER_SHOWN)):
        element.drop_tree() if element.getparent() is not None else element.clear()
    hidden = _take_hidden(tree, sheet, defects)
    visible = _as_text(tree, defects)
    if hidden:
        defects.append("The HTML hides text from the reader; that text was set aside.")
        if not visible.strip():
            defects.append("All text of the HTML is hidden from the reader.")
    return Readable(visible, "\n".join(filter(None, (hidden, *unshown)))[:_MAX_HIDDEN])


def _tree(markup: str) -> lxml.html.HtmlElement | None:
    """None when there is nothing in it, or when libxml2 gave up on its depth and dropped what lay below.

    It goes in as bytes, because lxml refuses text that opens with an XML encoding declaration, as Outlook's does.
    """
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_pis=True, no_network=True, huge_tree=True)
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

_COMMENT_FRAME = re.compile(r"\[if\b[^\]]{0,100}\]>?|<!\[endif\]|<[^<>]{0,2000}>", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{2,}")
_FEWEST_WORDS = 5
"""A comment with fewer says where a table begins; one with more may speak to whoever reads the source."""


def _in_comments_and_templates(tree: lxml.html.HtmlElement) -> Iterator[str]:
    """Prose that no mail program shows. The comments are taken out on the way."""
    for comment in tree.xpath("//comment()"):
        text = " ".join(_COMMENT_FRAME.sub(" ", (comment.text or "")[:_MAX_HIDDEN]).split())
        if "{" not in text.replace('{"', "") and len(_WORD.findall(text)) >= _FEWEST_WORDS:
            yield text
        if comment.getparent() is not None:
            comment.drop_tree()
    for element in tree.iter("template", "noscript"):
        if text := " ".join(element.text_content().split()):
            yield text


def _take_hidden(tree: lxml.html.HtmlElement, sheet: StyleSheet, defects: list[str]) -> str:
    """Take the text that no reader sees out of `tree` and return it."""
    taken: list[str] = []
    waiting, seen = [(tree, Look())], 0
    while waiting:
        element, inherited = waiting.pop()
        if seen == _MAX_ELEMENTS:
            defects.append("The HTML holds more elements than any mail needs; the rest were left out.")
        seen += 1
        if seen > _MAX_ELEMENTS:
            element.getparent().remove(element)
            continue
        look = look_of(element, inherited, sheet)
        if look.hides_text and element.text and element.text.strip():
            taken.append(element.text.strip())
            element.text = None
        if inherited.hides_text and element.tail and element.tail.strip():
            taken.append(element.tail.strip())
            element.tail = None
        waiting += reversed([(child, look) for child in element if isinstance(child.tag, str)])
    return "\n".join(taken)
