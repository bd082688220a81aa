"""The served form of a trained transformer: an ONNX graph, run by onnxruntime without torch or transformers."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from stance.models.base import BATCH_SIZE, batches
from stance.schema import Attribution, Sentence, TaskSpec, TruncationWarning
from stance.text.names import AUTHOR, locate

ONNX_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
INPUTS_FILE = "inputs.json"
# Tokens run together, about: with more, batches are no faster on a CPU.
BATCH_TOKENS = 384
# Lengths are padded to multiples of this. Kernels add up so many tokens at a time, and what is left one by one, so that
# a sum would be rounded in another way if a sentence is padded. Activations in int8 magnify such differences.
LENGTH_STEP = 4
# Fusions of onnxruntime whose kernels are slower than the nodes that they replace.
SLOW_OPTIMIZERS = ["SkipLayerNormFusion", "BiasSkipLayerNormFusion", "BiasGeluFusion"]
# Tokens in a holder's name, at most.
LONGEST_HOLDER = 16
# What `explain` weighs: a word, with what an apostrophe or a hyphen joins to it.
WORD = re.compile(r"\w+(?:[-'’.]\w+)*")


@dataclass(frozen=True)
class InputSettings:
    """How sentences with their contexts become the encoder's input.

    Args:
        context: how many of the preceding sentences a sentence sees.
        max_length: longest input in tokens; what is cut is context first, from its beginning.
    """

    context: int
    max_length: int


@dataclass(frozen=True)
class Unit:
    """One sentence as the encoder reads it, also one of the context.

    Args:
        text: the sentence, on one line.
        ids: its token ids, with special tokens at both ends.
        cut: whether it was too long and lost its end.
    """

    text: str
    ids: list[int]
    cut: bool


@dataclass(frozen=True)
class Chain:
    """Sentences of which each is preceded by the one before it.

    Args:
        context: all that precedes the first.
        rows: where they stand among all sentences.
        units: the sentences.
    """

    context: list[Unit]
    rows: list[int]
    units: list[Unit]


@dataclass(frozen=True)
class Window:
    """One input of the encoder: sentences in a row, which share the work of reading one another's context.

    Args:
        units: the sentences; the first of them may be context alone.
        rows: where those that are to be classified, the last ones, stand among all sentences.
    """

    units: list[Unit]
    rows: list[int]

    @property
    def length(self) -> int:
        """In tokens."""
        return sum(len(unit.ids) for unit in self.units)

    @property
    def first(self) -> int:
        """The number of the first unit to be classified."""
        return len(self.units) - len(self.rows)


class Inputs:
    """Sentences with their contexts as the encoder's inputs.

    Each sentence, with special tokens at both ends, sees itself and those before it, and none behind it: so that what
    is computed of a sentence serves the next ones as context, and reading an article costs little more than reading its
    sentences one by one.

    A sentence's logits depend on its window: on the position where the sentence stands, and on what its context has
    seen in the layers below. The window depends on the sentence and its own context only. Windows are filled from the
    first line of the context on, and a sentence does not change the windows of those before it. So a sentence that
    shares windows with others has the same one as alone, except for what stands behind it, which it does not see.

    Args:
        tokenizer: of the encoder; its padding and truncation are switched off.
        settings: what is read.
    """

    def __init__(self, tokenizer: Tokenizer, settings: InputSettings) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.tokenizer = tokenizer
        self.settings = settings
        self.pad_id: int = next(
            (i for token in ("[PAD]", "<pad>") if (i := tokenizer.token_to_id(token)) is not None), 0
        )
        special = tokenizer.encode("a").special_tokens_mask
        self._opening, self._closing = special.index(0), special[::-1].index(0)

    def windows(self, sentences: Sequence[Sentence]) -> list[Window]:
        """Inputs that classify all sentences, each once, with as much of its context as is read."""
        return [window for chain in self.chains(sentences) for window in self.pack(chain)]

    def chains(self, sentences: Sequence[Sentence]) -> list[Chain]:
        """Group sentences in a row: the context of each is the context of the sentence before, and that sentence."""
        found: list[tuple[list[str], list[int], list[str]]] = []
        before: list[str] = []
        for row, sentence in enumerate(sentences):
            context = self._lines(sentence.context)
            line = " ".join(sentence.text.split())
            if not context or context != before:
                found.append((context, [], []))
            found[-1][1].append(row)
            found[-1][2].append(line)
            before = [*context, line]
        texts = list(dict.fromkeys(text for context, _, lines in found for text in (*context, *lines)))
        units = dict(zip(texts, self._units(texts), strict=True))
        return [Chain([units[t] for t in context], rows, [units[t] for t in lines]) for context, rows, lines in found]

    def pack(self, chain: Chain, cuts: Collection[int] = ()) -> Iterator[Window]:
        """Inputs that classify the sentences of a chain.

        Args:
            chain: the sentences.
            cuts: numbers of sentences in the chain that are not to see what is before them, nor are those behind.
        """
        units = chain.context + chain.units
        window = Window([], [])
        earliest = 0
        for place, unit in enumerate(units):
            number = place - len(chain.context)
            if number in cuts:
                earliest = place
            if number in cuts or window.length + len(unit.ids) > self.settings.max_length:
                if window.rows:
                    yield window
                seen = units[max(earliest, place - self.settings.context) : place]
                window = Window(self._fitting(seen, self.settings.max_length - len(unit.ids)), [])
            window.units.append(unit)
            if number >= 0:
                window.rows.append(chain.rows[number])
        yield window

    def _fitting(self, context: Sequence[Unit], room: int) -> list[Unit]:
        """The end of a context that is at most so many tokens long."""
        kept: list[Unit] = []
        for unit in reversed(context):
            if len(unit.ids) > room:
                begin = self._opening + len(unit.ids) - room
                if begin < len(unit.ids) - self._closing:
                    kept.append(replace(unit, ids=unit.ids[: self._opening] + unit.ids[begin:]))
                break
            kept.append(unit)
            room -= len(unit.ids)
        return kept[::-1]

    def _lines(self, context: str) -> list[str]:
        """The sentences of a context; no sentences if the model reads no context."""
        if not self.settings.context:
            return []
        return [" ".join(line.split()) for line in context.splitlines() if line.strip()]

    def _units(self, texts: Sequence[str]) -> Iterator[Unit]:
        longest = self.settings.max_length
        for text, encoding in zip(texts, self.tokenizer.encode_batch_fast(list(texts)), strict=True):
            ids = encoding.ids
            cut = len(ids) > longest
            yield Unit(text, [*ids[: longest - self._closing], *ids[len(ids) - self._closing :]] if cut else ids, cut)

    def arrays(self, windows: Sequence[Window], *, multiple: int = 1) -> dict[str, NDArray[np.int64]]:
        """Pad to one length.

        Args:
            windows: the inputs.
            multiple: what the length is a multiple of, unless it is the longest that the model reads.

        Returns:
            `input_ids` and `segments`, shape (windows, tokens): the ids, and the number of the unit that each token is
            of, -1 for padding; `targets`, shape (windows, sentences): the numbers of the units to classify, -2 where a
            window has fewer.
        """
        longest = max(window.length for window in windows)
        shape = (len(windows), min(-(-longest // multiple) * multiple, self.settings.max_length))
        arrays: dict[str, NDArray[np.int64]] = {
            "input_ids": np.full(shape, self.pad_id, np.int64),
            "segments": np.full(shape, -1, np.int64),
            "targets": np.full((len(windows), max(len(window.rows) for window in windows)), -2, np.int64),
        }
        for i, window in enumerate(windows):
            arrays["input_ids"][i, : window.length] = [number for unit in window.units for number in unit.ids]
            lengths = [len(unit.ids) for unit in window.units]
            arrays["segments"][i, : window.length] = np.repeat(np.arange(len(lengths)), lengths)
            arrays["targets"][i, : len(window.rows)] = np.arange(window.first, len(window.units))
        return arrays

    def batches(self, windows: Sequence[Window]) -> Iterator[tuple[list[Window], dict[str, NDArray[np.int64]]]]:
        """Inputs of about the same length together, with their arrays."""
        batch: list[Window] = []
        for window in sorted(windows, key=lambda window: window.length):
            if batch and window.length * (len(batch) + 1) > BATCH_TOKENS:
                yield batch, self.arrays(batch, multiple=LENGTH_STEP)
                batch = []
            batch.append(window)
        if batch:
            yield batch, self.arrays(batch, multiple=LENGTH_STEP)

    def holder_tokens(self, window: Window, target: int, holder: str) -> tuple[int, int] | None:
        """The first and the last of the tokens that name a holder.

        Args:
            window: the input.
            target: the number of the unit whose holder it is; its first token stands for the author.
            holder: the name as annotated, or "author"; empty if there is none.

        Returns:
            Their places in the window; None if there is no holder, or what the unit sees does not name it.
        """
        starts = np.cumsum([0, *(len(unit.ids) for unit in window.units)]).tolist()
        if holder in ("", AUTHOR):
            return (starts[target], starts[target]) if holder else None
        seen = window.units[max(0, target - self.settings.context) : target + 1][::-1]
        place = locate(holder, [unit.text for unit in seen])
        if place is None:
            return None
        distance, start, end = place
        places = self._places(seen[distance])
        named = [i for i, token in enumerate(places) if token is not None and token[0] < end and token[1] > start]
        return (starts[target - distance] + named[0], starts[target - distance] + named[-1]) if named else None

    def named(self, window: Window, first: int, last: int) -> str:
        """The text of the tokens from the first to the last, or "author" if the last is a special one."""
        for unit in window.units:
            if last < len(unit.ids):
                places = [place for place in self._places(unit)[max(first, 0) : last + 1] if place is not None]
                return unit.text[places[0][0] : places[-1][1]] if places else AUTHOR
            first, last = first - len(unit.ids), last - len(unit.ids)
        raise IndexError(last)

    def _places(self, unit: Unit) -> list[tuple[int, int] | None]:
        """Of each token of a unit the offsets in its text; None for special ones."""
        encoding = self.tokenizer.encode(unit.text)
        places = [
            None if special else offsets
            for special, offsets in zip(encoding.special_tokens_mask, encoding.offsets, strict=True)
        ]
        if unit.cut:
            return [*places[: len(unit.ids) - self._closing], *[None] * self._closing]
        # Of a context that was cut, the beginning is gone.
        return places[: self._opening] + places[self._opening + len(places) - len(unit.ids) :]


@dataclass(frozen=True)
class Calibration:
    """From logits to probabilities: bias-corrected temperature scaling (Alexandari, Kundaje and Shrikumar 2020).

    The biases give back to the labels the frequencies that class weights took from them.

    Args:
        temperature: what the logits are divided by.
        biases: what is added to each label's logit then.
    """

    temperature: float
    biases: tuple[float, ...]

    def __call__(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of logits, both of shape (sentences, labels)."""
        scaled = logits / self.temperature + np.array(self.biases)
        likely = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float64] = likely / likely.sum(axis=1, keepdims=True)
        return probabilities


class OnnxModel:
    """A trained transformer as it is served.

    Args:
        graph: the ONNX model, from arrays as `Inputs.arrays` gives them to what `Classifier.forward` gives.
        inputs: its tokenizer and settings.
        calibration: from its logits to probabilities.
        task: the labels, in the order of the logits.
    """

    explains_at_once = False

    def __init__(self, graph: Path | bytes, inputs: Inputs, calibration: Calibration, task: TaskSpec) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # warnings of its optimizer are nothing that a user could act on
        self.graph = graph
        self.session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW_OPTIMIZERS
        )
        self.inputs = inputs
        self.calibration = calibration
        self.task = task

    def predict_proba(
        self, sentences: Sequence[Sentence], *, batch_size: int = BATCH_SIZE, progress: bool = False
    ) -> NDArray[np.float64]:
        """See `StanceModel`; warns once with a `TruncationWarning` if sentences are longer than the model reads."""
        return self.read(sentences, batch_size=batch_size, progress=progress)[0]

    def read(
        self, sentences: Sequence[Sentence], *, batch_size: int = BATCH_SIZE, progress: bool = False
    ) -> tuple[NDArray[np.float64], list[str | None]]:
        """See `StanceModel`; warns as `predict_proba`."""
        probabilities = np.empty((len(sentences), len(self.task.labels)))
        holders: list[str | None] = [None] * len(sentences)
        stances = [self.task.labels.index(label) for label in self.task.stance_labels]
        for part, logits, spans in self._run(sentences, batch_size, progress):
            probabilities[part] = self.calibration(logits)
            for row in np.flatnonzero(np.isin(probabilities[part].argmax(axis=1), stances)).tolist():
                window, of_tokens = spans[row]
                holders[part.start + row] = self.inputs.named(window, *best_span(of_tokens))
        return probabilities, holders

    def logits(self, sentences: Sequence[Sentence], *, progress: bool = False) -> NDArray[np.float64]:
        """What the graph says of the stances, shape (sentences, labels)."""
        parts = [logits for _, logits, _ in self._run(sentences, BATCH_SIZE, progress)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.task.labels)))

    def _run(
        self, sentences: Sequence[Sentence], batch_size: int, progress: bool
    ) -> Iterator[tuple[slice, NDArray[np.float64], list[tuple[Window, NDArray[np.float32]]]]]:
        """For each part of the sentences, their logits, and their windows with each token's holder logits."""
        cut = 0
        for part in batches(len(sentences), batch_size, progress):
            windows = self.inputs.windows(sentences[part])
            cut += sum(unit.cut for window in windows for unit in window.units[window.first :])
            found = {}
            for batch, arrays in self.inputs.batches(windows):
                logits, holder_logits = self.session.run(["logits", "holder_logits"], arrays)
                for i, window in enumerate(batch):
                    for j, row in enumerate(window.rows):
                        found[row] = logits[i, j], (window, holder_logits[i, j, : window.length])
            rows = [found[row] for row in range(len(found))]
            yield part, np.array([logits for logits, _ in rows], np.float64), [spans for _, spans in rows]
        if cut:
            warnings.warn(TruncationWarning(cut, self.inputs.settings.max_length), stacklevel=5)

    def explain(self, sentences: Sequence[Sentence], labels: Sequence[str]) -> list[list[Attribution]]:
        """Each sentence's words: the weight of each is how far the label's probability falls without it.

        Occlusion (Zeiler and Fergus 2014; Li, Monroe and Jurafsky 2016 for words). Words that say the same cover for
        one another, so that the weights have no fixed sum.
        """
        explanations = []
        for sentence, label in zip(sentences, labels, strict=True):
            text = sentence.text
            words = list(WORD.finditer(text))
            without = [replace(sentence, text=text[: word.start()] + text[word.end() :]) for word in words]
            probability = self.predict_proba([sentence, *without])[:, self.task.labels.index(label)].tolist()
            explanations.append(
                [
                    Attribution(word.group(), word.start(), word.end(), probability[0] - p)
                    for word, p in zip(words, probability[1:], strict=True)
                ]
            )
        return explanations

    def save(self, folder: Path) -> None:
        """Write graph, tokenizer and settings into an existing folder."""
        graph = self.graph if isinstance(self.graph, bytes) else self.graph.read_bytes()
        (folder / ONNX_FILE).write_bytes(graph)
        self.inputs.tokenizer.save(str(folder / TOKENIZER_FILE))
        settings = asdict(self.inputs.settings) | asdict(self.calibration)
        (folder / INPUTS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, task: TaskSpec) -> OnnxModel:
        """Read the served files of a model folder.

        Raises:
            ValueError: if they are no such files.
        """
        settings = json.loads((folder / INPUTS_FILE).read_text(encoding="utf-8"))
        if missing := [name for name in ("temperature", "biases") if name not in settings]:
            raise ValueError(f"{INPUTS_FILE} has no {missing[0]!r}")
        calibration = Calibration(float(settings.pop("temperature")), tuple(map(float, settings.pop("biases"))))
        if len(calibration.biases) != len(task.labels):
            raise ValueError(f"{len(calibration.biases)} biases for {len(task.labels)} labels")
        settings = InputSettings(**settings)
        try:
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
            return cls(folder / ONNX_FILE, Inputs(tokenizer, settings), calibration, task)
        except Exception as error:  # neither library raises anything narrower
            raise ValueError(str(error)) from None


def best_span(logits: NDArray[np.float32]) -> tuple[int, int]:
    """The most probable span of at most `LONGEST_HOLDER` tokens.

    Args:
        logits: of being the first and the last token, shape (tokens, 2).
    """
    scores = logits[:, None, 0] + logits[None, :, 1]
    scores[~np.tri(len(scores), k=LONGEST_HOLDER - 1, dtype=bool) | np.tri(len(scores), k=-1, dtype=bool)] = -np.inf
    first, last = np.unravel_index(scores.argmax(), scores.shape)
    return int(first), int(last)
