"""The templates of the pages, with filters for figures and for text of any content."""

from __future__ import annotations

import re

from stance.schema import MissingExtraError
from stance.text.characters import visible

try:
    import jinja2
except ImportError as error:
    raise MissingExtraError("a page", "html") from error


def html_template(name: str) -> jinja2.Template:
    """Return a template of this package whose values are escaped as HTML."""
    return _environment(autoescape=True).get_template(name)


def markdown_template(name: str) -> jinja2.Template:
    """Return a template of this package whose values are written as they are; see the filter `cell`."""
    return _environment(autoescape=False).get_template(name)


def _environment(*, autoescape: bool) -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("stance", "pages"),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters |= {
        "figure": lambda value: "–" if value is None else f"{value:.3f}",
        "change": lambda value: f"{value:+.3f}",
        "interval": lambda ends: "–" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}",
        "rate": lambda value: "–" if value is None else f"{value:.0f}",
        "rates": lambda ends: "–" if ends is None else f"{ends[0]:.0f} to {ends[1]:.0f}",
        "percent": lambda value: f"{value:.0%}",
        "count": lambda value: f"{value:,}",
        "cell": _cell,
        "visible": visible,
    }
    return templates


def _cell(text: object) -> str:
    """Text in a cell of a Markdown table, in which nothing is markup."""
    return re.sub(r"([\\`*_\[\]|<>])", r"\\\1", " ".join(str(text).split()))
