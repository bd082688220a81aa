"""The transformer as a kind of model; nothing here imports torch before a training begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stance.models.base import CardText, Fitted, ModelKind
from stance.models.transformer.serve import INPUTS_FILE, ONNX_FILE, TOKENIZER_FILE, OnnxModel
from stance.models.transformer.settings import TransformerSettings

# Hub ids of the encoders that come as packages.
HUB_IDS = {
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
    "mpnet": "sentence-transformers/all-mpnet-base-v2",
}


def _fit(*data: Any, checkpoints: Path, **options: Any) -> Fitted | None:
    from stance.models.transformer.fit import fit_transformer

    return fit_transformer(*data, checkpoints=checkpoints, **options)


def _card(settings: TransformerSettings) -> CardText:
    layers = f", of which the {settings.layers} lowest layers are kept" if settings.layers else ""
    learned = "the soft labels of a larger model for single sentences" if settings.soft_labels else "single sentences"
    if settings.context:
        learned += f" and sentences with up to {settings.context} of those before them"
        use = (
            "The sentences before it, one a line, are given as `context=...`. The model works without them too, except "
            "for stances that only they make plain."
        )
    else:
        use = "It reads each sentence without those before it."
    return CardText(
        title="fine-tuned transformer",
        method=(
            f"The encoder `{settings.encoder}`{layers}, fine-tuned on {learned}. Served as int8 ONNX, calibrated by "
            f"bias-corrected temperature scaling. Inputs longer than {settings.max_length} tokens are cut."
        ),
        use=use,
        limits=(
            "It errs where only remote context or knowledge of the case makes the stance plain. A probability depends "
            "on the sentence and its context, and not on the other sentences of a call."
        ),
        base_model=_hub_id(settings.encoder),
    )


def _hub_id(encoder: str) -> str | None:
    """The Hub id of a pretrained encoder; of a model folder, that of the encoder it was fine-tuned from."""
    description = Path(encoder) / "model.json"
    if description.is_file():
        return _hub_id(json.loads(description.read_text(encoding="utf-8"))["settings"]["encoder"])
    return HUB_IDS.get(encoder) or (None if Path(encoder).exists() else encoder)


KIND = ModelKind(
    settings=TransformerSettings,
    files=(ONNX_FILE, TOKENIZER_FILE, INPUTS_FILE),
    packages=("numpy", "onnxruntime", "tokenizers"),
    load=OnnxModel.load,
    fit=_fit,
    needs_validation=True,
    card=_card,
)
