"""The served form of a trained transformer: an ONNX graph, run by onnxruntime without torch or transformers."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from stance.models import BATCH_SIZE, batches
from stance.models.holder import AUTHOR, locate
from stance.schema import Attribution, Sentence, TaskSpec, TruncationWarning

ONNX_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
INPUTS_FILE = "inputs.json"
# Sentences run together, at most: beyond that, larger batches are no faster on a CPU.
BATCH = 16
# Tokens in a holder's name, at most.
LONGEST_HOLDER = 16
# What `explain` weighs: a word, with what an apostrophe or a hyphen joins to it.
WORD = re.compile(r"\w+(?:[-'’.]\w+)*")


@dataclass(frozen=True)
class InputSettings:
    """How a sentence with its context becomes the encoder's input.

    Args:
        context: how many of the preceding sentences are read.
        max_length: longest input in tokens; what is cut is context first, from its beginning.
    """

    context: int
    max_length: int


class Inputs:
    """Sentences with their contexts as token ids.

    The context is the first segment and the sentence the second; without context the sentence is the only one.

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
        # Special tokens by the tokenizer's own template: those of a pair, and those that follow the last segment.
        self._special = tokenizer.num_special_tokens_to_add(is_pair=True)
        word = tokenizer.encode("a", add_special_tokens=False)
        self._closing = len(tokenizer.post_process(word).ids) - len(word.ids) - 1

    def encode(self, sentences: Sequence[Sentence]) -> list[Encoded]:
        """Encode sentences, whose `context` is a preceding sentence a line."""
        texts = self.tokenizer.encode_batch_fast([s.text for s in sentences], add_special_tokens=False)
        contexts = [self._last(s.context) for s in sentences]
        before = iter(self.tokenizer.encode_batch_fast([c for c in contexts if c], add_special_tokens=False))
        return [self._pair(text, next(before) if c else None) for text, c in zip(texts, contexts, strict=True)]

    def holder_tokens(self, sentence: Sentence) -> tuple[int, int] | None:
        """The first and the last of the tokens that name a sentence's holder.

        The first special token stands for the author. None if there is no holder, or the input does not name it.
        """
        if sentence.holder in ("", AUTHOR):
            return (0, 0) if sentence.holder else None
        place = locate(sentence.holder, sentence.text, self._last(sentence.context))
        if place is None:
            return None
        in_text, start, end = place
        named = [
            i
            for i, token in enumerate(self._places(sentence))
            if token is not None and token[0] == in_text and token[1] < end and token[2] > start
        ]
        return (named[0], named[-1]) if named else None

    def named(self, sentence: Sentence, first: int, last: int) -> str:
        """The text of the tokens from the first to the last, or the author if they are special."""
        places = [place for place in self._places(sentence)[first : last + 1] if place is not None]
        if not places:
            return AUTHOR
        in_text = places[-1][0]
        offsets = [place[1:] for place in places if place[0] == in_text]
        return (sentence.text if in_text else self._last(sentence.context))[offsets[0][0] : offsets[-1][1]]

    def _places(self, sentence: Sentence) -> list[tuple[bool, int, int] | None]:
        """Of each token whether it is of the text, not the context, and its offsets there; None if it is special."""
        encode, context = self.tokenizer.encode, self._last(sentence.context)
        text = encode(sentence.text, add_special_tokens=False)
        pair = self._joined(text, encode(context, add_special_tokens=False) if context else None)
        # Encoding.sequence_ids would say it, but not after every post-processor.
        start = len(pair.ids) - len(text.ids) - self._closing
        return [
            None if special else (i >= start, *offsets)
            for i, (special, offsets) in enumerate(zip(pair.special_tokens_mask, pair.offsets, strict=True))
        ]

    def _last(self, context: str) -> str:
        lines = [line for line in context.splitlines() if line.strip()]
        return " ".join(lines[-self.settings.context :]) if self.settings.context else ""

    def _pair(self, text: Encoding, context: Encoding | None) -> Encoded:
        whole = len(text.ids)
        pair = self._joined(text, context)
        return Encoded(pair.ids, pair.type_ids, len(pair.ids) - len(text.ids) - self._closing, len(text.ids) < whole)

    def _joined(self, text: Encoding, context: Encoding | None) -> Encoding:
        """Context and text with special tokens, cut to the longest input, the text in place."""
        room = self.settings.max_length - self._special
        if len(text.ids) > room:
            text.truncate(room)
        room -= len(text.ids)
        if context is None or not room:
            return self.tokenizer.post_process(text)
        if len(context.ids) > room:
            context.truncate(room, direction="left")
        return self.tokenizer.post_process(context, text)

    def arrays(self, encoded: Sequence[Encoded], *, multiple: int = 1) -> dict[str, NDArray[np.int64]]:
        """Pad to one length.

        Args:
            encoded: the sentences.
            multiple: what the length is a multiple of.

        Returns:
            Arrays of shape (sentences, tokens): `input_ids`, `token_type_ids`, `attention_mask` (1 where there is a
            token) and `sentence_mask` (1 where it is of the sentence, or closes it, not of its context).
        """
        longest = max(len(e.ids) for e in encoded)
        shape = (len(encoded), -(-longest // multiple) * multiple)
        arrays: dict[str, NDArray[np.int64]] = {
            name: np.zeros(shape, np.int64) for name in ("token_type_ids", "attention_mask", "sentence_mask")
        }
        arrays["input_ids"] = np.full(shape, self.pad_id, np.int64)
        for row, e in enumerate(encoded):
            end = len(e.ids)
            arrays["input_ids"][row, :end] = e.ids
            arrays["token_type_ids"][row, :end] = e.type_ids
            arrays["attention_mask"][row, :end] = 1
            arrays["sentence_mask"][row, e.start : end] = 1
        return arrays

    def batches(self, encoded: Sequence[Encoded]) -> Iterator[tuple[list[int], dict[str, NDArray[np.int64]]]]:
        """Sentences of about the same length together: where they stand in `encoded`, and their arrays."""
        by_length = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
        for start in range(0, len(by_length), BATCH):
            rows = by_length[start : start + BATCH]
            yield rows, self.arrays([encoded[i] for i in rows])


@dataclass(frozen=True)
class Encoded:
    """One encoded sentence.

    Args:
        ids: token ids, context and special tokens included.
        type_ids: the segment of each.
        start: where the sentence itself begins.
        cut: whether the sentence was too long and lost its end.
    """

    ids: list[int]
    type_ids: list[int]
    start: int
    cut: bool


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
        graph: the ONNX model, from arrays as `Inputs.arrays` gives them to logits of shape (sentences, labels).
        inputs: its tokenizer and settings.
        calibration: from its logits to probabilities.
        task: the labels, in the order of the logits.
    """

    kind = "transformer"
    explains_at_once = False
    files = (ONNX_FILE, TOKENIZER_FILE, INPUTS_FILE)
    packages: tuple[str, ...] = ("numpy", "onnxruntime", "tokenizers")

    def __init__(self, graph: Path | bytes, inputs: Inputs, calibration: Calibration, task: TaskSpec) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # warnings of its optimizer are nothing that a user could act on
        self.graph = graph
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.inputs = inputs
        self.calibration = calibration
        self.task = task
        self._names = [node.name for node in self.session.get_inputs()]

    def predict_proba(
        self, sentences: Sequence[Sentence], *, batch_size: int = BATCH_SIZE, progress: bool = False
    ) -> NDArray[np.float64]:
        """See `StanceModel`; warns once with a `TruncationWarning` if sentences are longer than the model reads."""
        return self.read(sentences, batch_size=batch_size, progress=progress)[0]

    def read(
        self, sentences: Sequence[Sentence], *, batch_size: int = BATCH_SIZE, progress: bool = False
    ) -> tuple[NDArray[np.float64], list[str | None]]:
        """See `StanceModel`; warns as `predict_proba`."""
        logits, places = self._run(sentences, batch_size, progress)
        stances = [self.task.labels.index(label) for label in self.task.stance_labels]
        probabilities = self.calibration(logits)
        holders = [
            self.inputs.named(sentence, *place) if best in stances and place is not None else None
            for sentence, best, place in zip(sentences, probabilities.argmax(axis=1), places, strict=True)
        ]
        return probabilities, holders

    def logits(self, sentences: Sequence[Sentence], *, progress: bool = False) -> NDArray[np.float64]:
        """What the graph says of the stances, shape (sentences, labels)."""
        return self._run(sentences, BATCH_SIZE, progress)[0]

    def _run(
        self, sentences: Sequence[Sentence], batch_size: int, progress: bool
    ) -> tuple[NDArray[np.float64], list[tuple[int, int] | None]]:
        """Logits of the stances, and the holders' first and last tokens, which are None if the model finds none."""
        logits = np.empty((len(sentences), len(self.task.labels)))
        places: list[tuple[int, int] | None] = [None] * len(sentences)
        cut = 0
        for batch in batches(len(sentences), batch_size, progress):
            encoded = self.inputs.encode(sentences[batch])
            cut += sum(e.cut for e in encoded)
            for rows, arrays in self.inputs.batches(encoded):
                found = self.session.run(None, {name: arrays[name] for name in self._names})
                logits[[batch.start + i for i in rows]] = found[0]
                for i, of_tokens in zip(rows, found[1], strict=True) if len(found) > 1 else ():
                    places[batch.start + i] = best_span(of_tokens[: len(encoded[i].ids)])
        if cut:
            warnings.warn(TruncationWarning(cut, self.inputs.settings.max_length), stacklevel=4)
        return logits, places

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
