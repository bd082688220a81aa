"""Articles in files: plain text, and HTML pages."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stance.schema import MissingExtraError, StanceError

STANDARD_INPUT = "-"
HTML = (".html", ".htm", ".xhtml")
TEXT = (".txt", ".text", ".md")
LOOKS_LIKE_HTML = re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S)
ISO_DATE = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)(?!\d)")


class DocumentError(StanceError):
    """A file holds no article that can be read."""


@dataclass(frozen=True)
class Document:
    """An article's text.

    Args:
        name: where it comes from.
        text: as plain text.
        date: YYYY-MM-DD, from the page or from the file's name; None if neither has one.
    """

    name: str
    text: str
    date: str | None


def find_files(paths: Sequence[str]) -> Iterator[str]:
    """The files among paths, and those in folders with the suffix of text or HTML, in the order of their names.

    Raises:
        StanceError: if there is no such path, or a folder holds no such file.
    """
    for path in paths:
        if path == STANDARD_INPUT or Path(path).is_file():
            yield path
        elif Path(path).is_dir():
            files = sorted(f for f in Path(path).rglob("*") if f.suffix.lower() in TEXT + HTML and f.is_file())
            if not files:
                raise StanceError(f"{path} holds no article: no file that ends with {', '.join(TEXT + HTML)}")
            yield from map(str, files)
        else:
            raise StanceError(f"there is no {path}")


def read_document(content: bytes, name: str) -> Document:
    """Make an article of a file's content.

    Args:
        content: UTF-8 text, or an HTML page in any encoding, of which trafilatura takes the article.
        name: the file's name. By its suffix, else by its content, it is an HTML page.

    Raises:
        DocumentError: if the content is neither, or the page holds no text.
        MissingExtraError: if it is an HTML page and trafilatura is not installed.
    """
    suffix = Path(name).suffix.lower()
    if suffix in HTML or (suffix not in TEXT and LOOKS_LIKE_HTML.match(content)):
        return _from_html(content, name)
    if b"\0" in content:
        raise DocumentError(f"{name} is no text: it has a zero byte at {content.index(0)}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{name} is not UTF-8: {error.reason} at byte {error.start}; convert it first") from None
    return Document(name, text, _date_in(Path(name).name))


def _from_html(content: bytes, name: str) -> Document:
    try:
        import trafilatura
    except ImportError as error:
        raise MissingExtraError(f"{name} is an HTML page: reading one", "html") from error
    page = trafilatura.bare_extraction(content, include_comments=False, include_tables=False, with_metadata=True)
    if not isinstance(page, trafilatura.settings.Document) or not page.text:
        raise DocumentError(f"{name} is an HTML page without an article's text")
    return Document(name, page.text, _date_in(page.date or "") or _date_in(Path(name).name))


def _date_in(text: str) -> str | None:
    for match in ISO_DATE.finditer(text):
        try:
            return datetime.date(*map(int, match.groups())).isoformat()
        except ValueError:  # such as 2016-13-01
            continue
    return None
