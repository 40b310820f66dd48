"""Nordic and English prose out of Debian packages, read without installing them: help pages, books, translations.

    python -m worker.understanding.training.base.prose --packages debs/*.deb --output prose.txt

One paragraph a line. It only decides which pieces of the vocabulary are kept; no text of it is shipped.
"""

from __future__ import annotations

import argparse
import gettext
import html
import io
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

PACKAGES = (
    *(f"libreoffice-l10n-{code}" for code in ("sv", "da", "fi", "nb", "nn")),
    *(f"libreoffice-help-{code}" for code in ("sv", "da", "fi", "en-us")),
    *(f"gimp-help-{code}" for code in ("sv", "da", "fi", "nn")),
    "gnucash-common",
    "kmymoney-common",
    "gnome-user-docs",
    "debian-handbook",
    "debian-edu-doc-da",
    "installation-guide-amd64",
    "cfi-sv",
)
"""What to fetch with `apt-get download`."""

_LANGUAGE = re.compile(r"(?:^|[/._-])(sv|fi|nb|nn|no|da|en)(?:[_-][A-Z]{2})?(?:[/._-]|$)")
_NAME = re.compile(r"\.(?:mo|html|page|xml|docbook)$")
_PARAGRAPH = re.compile(r"<(?:p|para|li|title|h\d)\b[^>]*>(.*?)</(?:p|para|li|title|h\d)>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>|[_&](?=\w)")
_LEAST_LETTERS = 20


def paragraphs(package: Path) -> Iterator[str]:
    for name, content in _files(package):
        found = (
            _translations(content) if name.endswith(".mo") else _PARAGRAPH.findall(content.decode("utf-8", "replace"))
        )
        for text in found:
            plain = " ".join(_TAG.sub("", html.unescape(text)).split())
            if sum(letter.isalpha() for letter in plain) >= _LEAST_LETTERS:
                yield plain


def _files(package: Path) -> Iterator[tuple[str, bytes]]:
    """Files whose path names one of our languages, or whose package does."""
    unpack = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], capture_output=True, check=True)  # noqa: S607
    whole = _LANGUAGE.search(package.name.split("_")[0]) is not None
    with tarfile.open(fileobj=io.BytesIO(unpack.stdout)) as packed:
        for member in packed:
            if member.isfile() and _NAME.search(member.name) and (whole or _LANGUAGE.search(member.name)):
                content = packed.extractfile(member)
                if content is not None:
                    yield member.name, content.read()


def _translations(content: bytes) -> list[str]:
    try:
        catalogue = gettext.GNUTranslations(io.BytesIO(content))
    except (OSError, UnicodeDecodeError, ValueError):
        return []
    texts = getattr(catalogue, "_catalog", {})
    return [text for text in texts.values() if isinstance(text, str)]


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--packages", type=Path, nargs="+", required=True)
    given.add_argument("--output", type=Path, required=True)
    said = given.parse_args()
    seen: set[str] = set()
    with said.output.open("w", encoding="utf-8") as written:
        for package in said.packages:
            fresh = [text for text in dict.fromkeys(paragraphs(package)) if text not in seen]
            seen.update(fresh)
            written.writelines(f"{text}\n" for text in fresh)
            print(f"{package.name}: {len(fresh)} paragraphs")  # noqa: T201


if __name__ == "__main__":
    main()
