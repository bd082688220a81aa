"""Characters of a text: letters alone, and those that cannot be seen made visible."""

from __future__ import annotations

import re

# Characters that turn the direction of the text around them, or cannot be seen.
INVISIBLE = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def letters(text: str) -> str:
    """Return the letters and digits of a text in lower case, without anything else."""
    return "".join(c for c in text.lower() if c.isalnum())


def visible(text: str) -> str:
    """A text in which characters that cannot be seen, or turn the text around them, are named."""
    return INVISIBLE.sub(lambda character: f"⟨U+{ord(character.group()):04X}⟩", text)
