"""Soft labels: a teacher's probabilities of training sentences, which a smaller model learns (Hinton et al. 2015)."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stance.atomic import whole_path
from stance.models.base import StanceModel
from stance.schema import Sentence, StanceError, TaskSpec
from stance.text.characters import letters
from stance.text.sentences import without_context


def soft_labels(teachers: Sequence[StanceModel], sentences: Sequence[Sentence]) -> NDArray[np.float64]:
    """Compute the mean probabilities of teachers.

    Args:
        teachers: one or more models of the same labels, such as several seeds of one recipe.
        sentences: n sentences.

    Returns:
        Shape (2, n, labels): each sentence read with its context, then alone.
    """
    views = (sentences, without_context(sentences))
    found = [[teacher.predict_proba(view, progress=True) for view in views] for teacher in teachers]
    mean: NDArray[np.float64] = np.mean(found, axis=0)
    return mean


def write_soft_labels(
    file: Path, sentences: Sequence[Sentence], probabilities: NDArray[np.float64], task: TaskSpec
) -> None:
    """Write soft labels as a compressed npz file, whole or not at all.

    The file holds no text: `keys` are hashes of the sentences, `probabilities` have shape (n, 2, labels) in float16.

    Args:
        file: where to, with the suffix .npz.
        sentences: n sentences.
        probabilities: shape (2, n, labels), see `soft_labels`.
        task: names the labels.
    """
    with whole_path(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            labels=np.array(task.labels),
            keys=np.array([_key(sentence) for sentence in sentences], dtype=np.uint64),
            probabilities=probabilities.transpose(1, 0, 2).astype(np.float16),
        )


def read_soft_labels(folder: Path, sentences: Sequence[Sentence], task: TaskSpec) -> NDArray[np.float64]:
    """Find the soft labels of sentences.

    Args:
        folder: holds files that `write_soft_labels` wrote.
        sentences: n sentences.
        task: its labels must be those of the files.

    Returns:
        Shape (2, n, labels): each sentence read with its context, then alone.

    Raises:
        StanceError: if there are no such files, they are of other labels, or a sentence is in none of them.
    """
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise StanceError(f"model.soft_labels={folder}: there are no soft labels; make them: stance data soft-labels")
    found: dict[int, NDArray[np.float16]] = {}
    for file in files:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                labels, keys, probabilities = (arrays[name] for name in ("labels", "keys", "probabilities"))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise StanceError(f"{file} cannot be read as soft labels ({error}): make them anew") from None
        if tuple(labels.tolist()) != task.labels:
            raise StanceError(f"{file} has the labels {labels.tolist()}, the task {list(task.labels)}")
        found |= dict(zip(keys.tolist(), probabilities, strict=True))
    wanted = [_key(sentence) for sentence in sentences]
    missing = [sentence for sentence, key in zip(sentences, wanted, strict=True) if key not in found]
    if missing:
        raise StanceError(
            f"model.soft_labels={folder}: {len(missing)} of {len(wanted)} training sentences have no soft label, such "
            f"as one of the document {missing[0].doc}; make them anew: stance data soft-labels"
        )
    # (n, 2, labels) -> (2, n, labels)
    return np.array([found[key] for key in wanted], dtype=np.float64).transpose(1, 0, 2)


def _key(sentence: Sentence) -> int:
    """The first eight bytes of a SHA-256 of the document's name and the sentence's letters."""
    digest = hashlib.sha256(f"{sentence.doc}\n{letters(sentence.text)}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
