"""Model folders: one saved model, checked when it is loaded."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from stance.atomic import whole_folder
from stance.models.base import KINDS, Fitted, StanceModel, model_kind
from stance.schema import StanceError, TaskSpec

MODEL_FILE = "model.json"
SCHEMA_VERSION = 1


class ModelFolderError(StanceError, ValueError):
    """A model folder cannot be used."""


def save_model(
    fitted: Fitted, kind: str, folder: str | os.PathLike[str], *, info: Mapping[str, Any], card: str
) -> None:
    """Write a model folder, whole or not at all; an older model folder of that name is replaced.

    Args:
        fitted: the model.
        kind: its kind, one of `stance.models.base.KINDS`.
        folder: where to.
        info: what `model.json` says beside kind, task, versions and hashes.
        card: the model card, saved as `README.md`.

    Raises:
        StanceError: if `folder` exists and is no model folder.
    """
    with whole_folder(folder, marker=MODEL_FILE) as temporary:
        fitted.save(temporary)
        (temporary / "README.md").write_text(card, encoding="utf-8")
        description = {
            "schema_version": SCHEMA_VERSION,
            "kind": kind,
            "task": asdict(fitted.model.task),
            **info,
            "versions": {name: metadata.version(name) for name in model_kind(kind).packages},
            "sha256": {file.name: file_sha256(file) for file in sorted(temporary.iterdir())},
        }
        text = json.dumps(description, indent=2, ensure_ascii=False)
        (temporary / MODEL_FILE).write_text(text + "\n", encoding="utf-8")


def read_description(folder: Path) -> dict[str, Any]:
    """The contents of `model.json`.

    Raises:
        ModelFolderError: if there is none, or it cannot be read by this version.
    """
    file = folder / MODEL_FILE
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        version = description["schema_version"]
    except OSError:
        hint = "it does not exist" if not folder.exists() else f"it holds no readable {MODEL_FILE}"
        raise ModelFolderError(f"{folder} is not a model folder: {hint}; give the folder that train.py wrote") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFolderError(f"{file} is damaged ({error}); save the model again") from None
    if version != SCHEMA_VERSION:
        raise ModelFolderError(
            f"{file} has schema version {version!r}, and this version of stance reads {SCHEMA_VERSION}: "
            "use the version of stance that saved it, or train again"
        )
    return description  # type: ignore[no-any-return]


def load_model(folder: Path) -> StanceModel:
    """Read a model folder and check it against its hashes. Nothing is unpickled or fetched.

    Raises:
        ModelFolderError: if it is missing, damaged, altered, or made by an incompatible version.
    """
    description = read_description(folder)
    try:
        hashes: dict[str, str] = dict(description["sha256"])
        task = TaskSpec(**description["task"])
        kind = description["kind"]
    except (KeyError, TypeError, ValueError, StanceError) as error:
        raise ModelFolderError(f"{folder / MODEL_FILE} is damaged ({error}); save the model again") from None
    if kind not in KINDS:
        raise ModelFolderError(
            f"{folder} holds a model of kind {kind!r}; this version of stance knows: {', '.join(KINDS)}"
        )
    of_kind = model_kind(kind)
    missing = [name for name in of_kind.files if name not in hashes]
    if missing:
        raise ModelFolderError(f"{folder / MODEL_FILE} gives no SHA-256 for {missing[0]}; save the model again")
    for name, expected in hashes.items():
        try:
            found = file_sha256(folder / name)
        except OSError as error:
            raise ModelFolderError(f"{folder / name} cannot be read ({error.strerror}); restore it") from None
        if found != expected:
            raise ModelFolderError(
                f"{folder / name} was altered since the model was saved (SHA-256 {found[:12]}…, "
                f"{MODEL_FILE} says {expected[:12]}…); restore it or train again"
            )
    try:
        return of_kind.load(folder, task)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise ModelFolderError(f"{folder} cannot be loaded as a {kind} model: {error}") from error


def file_sha256(file: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
