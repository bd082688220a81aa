"""Build the text of the real passages from the public repositories that hold their sources."""

from __future__ import annotations

import html
import http.client
import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from stance.atomic import whole_file
from stance.data.real import PARTS, IndexedSentence, Passage, letters_sha256, read_texts
from stance.data.rows import MAX_LISTED, DataError

HOST = "https://raw.githubusercontent.com"
TIMEOUT_SECONDS = 60
DOWNLOADS = 8
ATTEMPTS = 3
WAIT_SECONDS = 2
# Marks around a sentence's first and last letter that belong to it. Some sources separate them by a space, as
# tokenizers do: "arms , he said ."
OPENING = re.compile(r"(?:(?<!\S)(?:[\"'“‘«(\[]|``) ?)*[\"'“‘«(\[]*\Z")
CLOSING = re.compile(r"[^\s\w]*(?: ?[.!?]+)?(?: ?(?:”|’|''|\)))*[\"']?(?!\w)")
# Spacing and quotation marks as tokenizers leave them, and as they are written.
REPAIRS = tuple(
    (re.compile(pattern), repaired)
    for pattern, repaired in (
        (r"`` ?| ?''", '"'),
        (r"\. \. ?\.", "..."),
        (r" (?=[,;:!?%)\]”](?:\W|$)|\.(?:\s|$|[\"”’)]))", ""),
        (r"(?<=[(\[“$£€]) ", ""),
        (r" ?([’']) ?(?=(?:s|m|d|re|ve|ll)\b)", r"\1"),
        (r" (?=n[’']t\b)", ""),
        (r"(?<=n) ?([’']) ?(?=t\b)", r"\1"),
        (r"(?<=\w) ’(?=\W|$)", "’"),
    )
)
MARGIN = 8
TAG = re.compile(r"<[^>]*>")
ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|([ntr"]))')
ESCAPED = {"n": "\n", "t": "\t", "r": "\r", '"': '"'}


class FetchError(DataError):
    """The text of real passages cannot be built."""


def decode(content: bytes, how: str) -> str:
    """Turn a source file into the text whose letters the index counts.

    Args:
        content: the file.
        how: `text` (UTF-8, HTML entities resolved); `html` (tags replaced by a space, then entities); `json` (string
            values of the top-level object, joined by newlines, then entities); `json-text` (the file as text, JSON's
            escapes resolved, then entities); `json-html` (json-text, tags replaced by a space, entities again).

    Raises:
        ValueError: if there is no such way, or the file is not JSON where it should be.
    """
    text = content.decode("utf-8", errors="replace")
    if how == "json":
        text = "\n".join(value for value in json.loads(text).values() if isinstance(value, str))
    elif how in ("json-text", "json-html"):
        text = ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else ESCAPED[m[2]], text)
    elif how not in ("text", "html"):
        raise ValueError(f"there is no decoding {how!r}")
    if how == "json-html":
        text = html.unescape(text)
    if how in ("html", "json-html"):
        text = TAG.sub(" ", text)
    return html.unescape(text)


def repair(text: str) -> str:
    """Undo the spacing of tokenized text, "arms , he said .", and fold white space."""
    text = " ".join(text.split())
    for pattern, repaired in REPAIRS:
        text = pattern.sub(repaired, text)
    return text.strip()


class SourceText:
    """A decoded source, addressed by the number of its letters and digits."""

    def __init__(self, text: str) -> None:
        self.text = text
        folded: list[str] = []
        # Place in `text` of each letter or digit; a character that becomes two in lower case counts twice.
        self.places: list[int] = []
        for place, character in enumerate(text):
            for letter in character.lower():
                if letter.isalnum():
                    folded.append(letter)
                    self.places.append(place)
        self.letters = "".join(folded)

    def sentence(self, indexed: IndexedSentence) -> str | None:
        """Return a sentence with the punctuation around it, or None if its letters are not those of the index."""
        end = indexed.start + indexed.length
        if letters_sha256(self.letters[indexed.start : end]) != indexed.sha256:
            return None
        first, last = self.places[indexed.start], self.places[end - 1] + 1
        before, after = self.text[max(0, first - MARGIN) : first], self.text[last : last + MARGIN]
        opening, closing = OPENING.search(before), CLOSING.match(after)
        return repair((opening[0] if opening else "") + self.text[first:last] + (closing[0] if closing else ""))


def fetch_real(passages: Sequence[Passage], folder: Path, *, clones: Path | None = None, host: str = HOST) -> list[str]:
    """Write the text of real passages: a JSONL file for each part, with `doc`, `sent` and `text`.

    Args:
        passages: the passages of the index.
        folder: where to write. Each file is written whole or not at all; texts of an earlier fetch are kept where this
            one finds none.
        clones: folder with a clone `OWNER/NAME` of each repository, read instead of the network.
        host: address that serves `/OWNER/NAME/COMMIT/PATH`.

    Returns:
        A line for each source that could not be used as a whole, then for each part how many sentences are there.

    Raises:
        FetchError: if no sentence was found; then nothing is written.
    """
    sources = list(dict.fromkeys((passage.repo, passage.commit, passage.path) for passage in passages))
    contents = _from_clones(sources, clones) if clones else _from_web(sources, host)
    found: dict[tuple[str, int], str] = {}
    problems = []
    of_source: dict[tuple[str, str, str], list[Passage]] = defaultdict(list)
    for passage in passages:
        of_source[passage.repo, passage.commit, passage.path].append(passage)
    progress = tqdm(contents, total=len(sources), desc="sources", unit="file", disable=None)
    for source, content in progress:
        problems += _sentences(of_source[source], content, found)
    if not found:
        raise FetchError(
            "no sentence of the real passages was found"
            + (f" in the clones at {clones}" if clones else f" at {host}")
            + "".join(f"\n{problem}" for problem in problems[:MAX_LISTED])
        )
    folder.mkdir(parents=True, exist_ok=True)
    return problems + [_write_part(part, passages, found, folder) for part in PARTS]


def _sentences(passages: Sequence[Passage], content: bytes | str, found: dict[tuple[str, int], str]) -> list[str]:
    """Add the sentences of one source's passages to those found; return what is wrong with the source.

    Args:
        passages: those of one source.
        content: the file, or the reason why it could not be read.
        found: passage and place to text.
    """
    name = f"{passages[0].repo}/{passages[0].path}"
    if isinstance(content, str):
        return [f"{name}: {content}"]
    texts: dict[str, SourceText] = {}
    missed = 0
    for passage in passages:
        try:
            if passage.decode not in texts:
                texts[passage.decode] = SourceText(decode(content, passage.decode))
        except (ValueError, AttributeError, RecursionError) as error:
            return [f"{name}: cannot be decoded as {passage.decode} ({error})"]
        for sentence in passage.sentences:
            text = texts[passage.decode].sentence(sentence)
            if text is None:
                missed += 1
            else:
                found[passage.doc, sentence.sent] = text
    return [f"{name}: {missed} sentence(s) are not what was labelled (SHA-256 differs)"] if missed else []


def _write_part(part: str, passages: Sequence[Passage], found: dict[tuple[str, int], str], folder: Path) -> str:
    """Write the file of one part, if any of its sentences is there; return a line that says how complete it is."""
    file = folder / f"{part}.jsonl"
    earlier = read_texts(file) if file.is_file() else {}
    wanted = [(passage.doc, s.sent) for passage in passages if passage.part == part for s in passage.sentences]
    rows = [
        {"doc": key[0], "sent": key[1], "text": text} for key in wanted if (text := found.get(key) or earlier.get(key))
    ]
    if rows:
        with whole_file(file) as stream:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return f"{file}: {len(rows):,} of {len(wanted):,} sentences"


def _from_clones(
    sources: Sequence[tuple[str, str, str]], clones: Path
) -> Iterator[tuple[tuple[str, str, str], bytes | str]]:
    """Read files at their commits from clones, with or without a work tree; a reason stands for one that is missing."""
    for source in sources:
        repo, commit, path = source
        clone = clones / repo
        if not clone.is_dir():
            yield source, f"there is no clone {clone}"
            continue
        try:
            read = subprocess.run(
                ["git", "-C", str(clone), "cat-file", "blob", f"{commit}:{path}"], capture_output=True, check=False
            )
        except OSError as error:
            raise FetchError(f"git cannot be run ({error.strerror}): install git, or leave --from out") from None
        yield source, read.stdout if read.returncode == 0 else read.stderr.decode(errors="replace").strip()


def _from_web(sources: Sequence[tuple[str, str, str]], host: str) -> Iterator[tuple[tuple[str, str, str], bytes | str]]:
    """Download files at their commits, several at a time; a reason stands for one that could not be had."""
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        yield from zip(sources, pool.map(lambda source: _download("/".join(source), host), sources), strict=True)


def _download(path: str, host: str) -> bytes | str:
    url = f"{host}/{urllib.parse.quote(path)}"
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(WAIT_SECONDS * attempt)
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
                content: bytes = response.read()
                return content
        except urllib.error.HTTPError as error:
            reason = f"HTTP status {error.code}"
            if error.code < 500 and error.code != 429:  # asking again would not help
                break
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
    return f"{reason} ({url})"
