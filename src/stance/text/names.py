"""Names of holders: finding one in a text, comparing two, and merging those that stand for one holder."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

AUTHOR = "author"
PLAIN_WORD = re.compile(r"\w+")
ARTICLES = frozenset(["a", "an", "the"])
# Words of a span that may be beside those of the holder's name.
SLACK = 2
# Token F1 above which a span that is not the name itself counts as naming the holder.
ENOUGH = 0.5
# What joins several names.
JOINED = re.compile(r"[,;/&+]")
LEADING_ARTICLE = re.compile(r"^(an?|the)\s+(?=\S)", re.IGNORECASE)
# The Arabic article, as part of a name.
PREFIX = re.compile(r"^(al|el|as|ash|at|ad|an|ar|az|ul)-", re.IGNORECASE)
WORD = re.compile(r"\w+(?:[-'’.]\w+)*\.?")
# Words before a person's name.
TITLES = frozenset(
    """
    admiral ambassador brig brigadier brother captain chairman chairwoman chancellor chief col colonel commander comrade
    crown deputy dr emir envoy field gen general judge king lady leader lieutenant lord lt maj major marshal minister mp
    mr mrs ms mufti negotiator permanent premier president prime prince princess prof professor queen rapporteur rep
    representative secretary secretary-general sen senator sheikh sheikha sir speaker special spokesman spokesperson
    spokeswoman sultan vice
    """.split()  # noqa: SIM905
)
# Words that no person's name has.
BODIES = frozenset(
    """
    agency alliance arabia army assembly authority bank brigade bureau cabinet coalition commission committee community
    congress council court delegation department emirates federation force forces front government group house institute
    league ministry mission movement nations office organisation organization panel parliament party presidency republic
    senate states summit team union university
    """.split()  # noqa: SIM905
)
# Before the name of a country or a place they make the name of another.
REGIONS = frozenset(
    """
    central democratic east eastern equatorial greater lower new north northern papua south southern upper west western
    """.split()  # noqa: SIM905
)
PARTICLES = frozenset(
    "abd abdel abdul abu al bin ben bint da de del den der dos du el ibn la le van von zu".split()  # noqa: SIM905
)
FUNCTION_WORDS = frozenset(["and", "for", "in", "of", "on", "the", "to"])
INITIALISMS = {"united nations": "UN", "united states": "US", "united kingdom": "UK", "european union": "EU"}
VOWELS = str.maketrans({"e": "a", "i": "a", "y": "a", "o": "u"})
# Shorter names are too alike to be taken for spellings of one.
LEAST_LETTERS = 5
MOST_WORDS = 5


def merge_holders(mentions: Iterable[str]) -> dict[str, str]:
    """One name for each holder.

    Two mentions are one holder

    - if they differ only in case, articles, possessives, full stops, a person's titles, and whether UN, US, UK and EU
      are abbreviated;
    - if one is the surname of the only person of that surname who is mentioned in full, or has but part of the other's
      first names;
    - if they differ only in how a person's name is transliterated: vowels and doubled letters (Haftar, Hafter, Heftar);
    - if one is the initials of the only other name that has them (GNA), or a body of the UN, named without it.

    Args:
        mentions: the names as texts have them, each as often as it occurs.

    Returns:
        Each mention with the name that stands for its holder: the fullest name of a person, else the most frequent one.
    """
    counts = Counter(mentions)
    has_author = bool(counts.pop(AUTHOR, 0))
    names = {mention: _Name.of(mention) for mention in counts}
    groups = _Groups(counts)
    first: dict[str, str] = {}
    for mention, name in names.items():
        groups.join(mention, first.setdefault(name.key, mention))
    full = sorted((m for m, name in names.items() if len(name.person) > 1), key=lambda m: -len(names[m].person))
    for i, mention in enumerate(full):
        groups.join_only(
            mention, [other for other in full[:i] if _one_person(names[other].person, names[mention].person)]
        )
    singles = [mention for mention, name in names.items() if len(name.person) == 1]
    for mention in singles:
        (surname,) = names[mention].person
        groups.join_only(mention, [other for other in full if _one_spelling(names[other].person[-1], surname)])
    roots = {groups.root(mention) for mention in full}
    apart = [mention for mention in singles if groups.root(mention) not in roots]
    for i, mention in enumerate(apart):
        for other in apart[:i]:
            if _one_vowel(names[other].key, names[mention].key):
                groups.join(mention, other)
    for mention, name in names.items():
        groups.join_only(mention, [other for other in names if name.key in names[other].short_forms])
    merged = {mention: _shown(groups.of(mention), names, counts) for mention in counts}
    return merged | ({AUTHOR: AUTHOR} if has_author else {})


@dataclass(frozen=True)
class _Name:
    """A mention, read.

    Args:
        key: its words in lower case, without articles, possessives, full stops, and a person's titles.
        person: the words of a person's name, without particles; empty if it is surely none.
        short_forms: keys that other mentions of it may have.
        shown: the mention without what the key lacks.
    """

    key: str
    person: tuple[str, ...]
    short_forms: frozenset[str]
    shown: str

    @classmethod
    def of(cls, mention: str) -> _Name:
        words = [re.sub(r"['’]s?$|\.", "", word) for word in WORD.findall(unicodedata.normalize("NFC", mention))]
        words = [word for word in words if word]
        while words[1:] and words[0].lower() in ARTICLES:
            del words[0]
        plain = [_plain(word) for word in words]
        after_title = max((i + 1 for i, word in enumerate(plain) if word in TITLES), default=0)
        named = words[after_title:]
        if (
            0 < len(named) <= MOST_WORDS
            and not JOINED.search(mention)
            and not BODIES & set(plain)
            and plain[after_title] not in REGIONS
            and all(word[0].isupper() or word in PARTICLES or PREFIX.match(word) for word in named)
            and (after_title or not any(word.isupper() for word in named))
        ):
            parts = [part for word in plain[after_title:] for part in PREFIX.sub("", word).split("-")]
            if person := tuple(part for part in parts if part and part not in PARTICLES):
                return cls(" ".join(person), person, frozenset(), " ".join(named))
        key = " ".join(word if word in INITIALISMS.values() else _plain(word) for word in words)
        for long, short in INITIALISMS.items():
            key = re.sub(rf"\b{long}\b", short, key)
        return cls(key, (), frozenset(_short_forms(key)), LEADING_ARTICLE.sub("", mention))


def _short_forms(key: str) -> Iterator[str]:
    initials = [word[0].lower() for word in key.split() if word not in FUNCTION_WORDS]
    if len(initials) > 2:
        yield "".join(initials)
    if key.startswith("UN ") and key.count(" ") > 1 and BODIES & set(key.split()):
        yield key.removeprefix("UN ")


def _plain(word: str) -> str:
    """In lower case and without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(c))


def _spelling(word: str) -> str:
    """A word with the vowels that transliterations mix up made one, and doubled letters single."""
    word = re.sub(r"(.)\1", r"\1", word.translate(VOWELS))
    return re.sub(r"^[gq]", "k", word)


def _one_spelling(a: str, b: str) -> bool:
    return a == b or (min(len(a), len(b)) >= LEAST_LETTERS and _spelling(a) == _spelling(b))


def _one_vowel(a: str, b: str) -> bool:
    """Whether two words differ by one vowel for another."""
    differing = [pair for pair in zip(a, b, strict=False) if pair[0] != pair[1]]
    return len(a) == len(b) >= LEAST_LETTERS and len(differing) == 1 and set(differing[0]) <= set("aeiouy")


def _one_person(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether two full names have one surname, and first names that do not differ."""
    fewer, more = sorted((a[:-1], b[:-1]), key=len)
    return _one_spelling(a[-1], b[-1]) and all(any(_one_spelling(x, y) for y in more) for x in fewer)


class _Groups:
    """Disjoint sets of mentions."""

    def __init__(self, mentions: Iterable[str]) -> None:
        self._parent = {mention: mention for mention in mentions}

    def root(self, mention: str) -> str:
        while self._parent[mention] != mention:
            mention = self._parent[mention]
        return mention

    def join(self, a: str, b: str) -> None:
        self._parent[self.root(a)] = self.root(b)

    def join_only(self, mention: str, others: Sequence[str]) -> None:
        """Join a mention with others, if they are of one group."""
        if len({self.root(other) for other in others}) == 1:
            self.join(mention, others[0])

    def of(self, mention: str) -> list[str]:
        return [other for other in self._parent if self.root(other) == self.root(mention)]


def _shown(group: Sequence[str], names: Mapping[str, _Name], counts: Mapping[str, int]) -> str:
    """The name that stands for a group: of a person's names the fullest, else the most frequent one."""

    def rank(mention: str) -> tuple[int, int, int, str]:
        name = names[mention]
        return len(name.person), counts[mention], len(name.shown), name.shown

    return names[max(group, key=rank)].shown


def locate(holder: str, texts: Sequence[str]) -> tuple[int, int, int] | None:
    """Where a holder is named: literally in the nearest text, else about so.

    Args:
        holder: as annotated, which may differ a little from what the text says ("deputy foreign minister" for "deputy
            minister for foreign affairs").
        texts: the sentence, the one before it, the one before that …

    Returns:
        The number of the text, and the offsets there of the name's first character and behind its last; None where it
        is in none. The first mention in the sentence counts, and the last one in those before.
    """
    for find in (_literally, _about):
        for number, text in enumerate(texts):
            if found := find(holder, text):
                return number, *found[-1 if number else 0]
    return None


def _literally(holder: str, text: str) -> list[tuple[int, int]]:
    name = " ".join(word for word in holder.split() if word.lower() not in ARTICLES)
    pattern = rf"(?<!\w){re.escape(name)}(?!\w)" if name else r"(?!)"
    return [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]


def _about(holder: str, text: str) -> list[tuple[int, int]]:
    """The spans of words that share most with the name, if they share enough."""
    name = Counter(word for word in PLAIN_WORD.findall(holder.lower()) if word not in ARTICLES)
    words = list(PLAIN_WORD.finditer(text))
    own = [i for i, word in enumerate(words) if word.group().lower() in name]
    found: dict[float, list[tuple[int, int]]] = {}
    for first in own:
        for last in own:
            if first <= last < first + name.total() + SLACK:
                span = Counter(word.group().lower() for word in words[first : last + 1])
                f1 = 2 * (span & name).total() / (span.total() + name.total())
                found.setdefault(f1, []).append((words[first].start(), words[last].end()))
    best = max(found, default=0.0)
    return found[best] if best >= ENOUGH else []


def token_f1(found: str, gold: str) -> float:
    """Overlap of two names in words, without case and articles (Rajpurkar et al. 2016); 1 if both are empty."""
    words = [Counter(w for w in PLAIN_WORD.findall(name.lower()) if w not in ARTICLES) for name in (found, gold)]
    total = words[0].total() + words[1].total()
    return 2 * (words[0] & words[1]).total() / total if total else 1.0
