"""The network: an encoder with a head for the stance and one for its holder, and how its weights are kept."""

from __future__ import annotations

import math
from pathlib import Path

from stance.models.transformer.encoders import NEVER, hidden_states, without_pooler
from stance.schema import MissingExtraError, StanceError, TaskSpec

try:
    import torch
    import transformers
    from safetensors.torch import load_file, save
    from torch import nn
    from transformers import AutoConfig, AutoModel
except ImportError as error:
    raise MissingExtraError("training a transformer", "transformer") from error

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
DROPOUT = 0.1
# Weight of the holder's loss, where the stance's is 1.
HOLDER_WEIGHT = 0.25
# Width of the vectors whose product finds the holder.
HOLDER_WIDTH = 64
HEADS = ("stance_head", "holder_sentence", "holder_token", "holder_distance")
IGNORED = -100  # the label of a place without a sentence, by torch's convention


class Classifier(nn.Module):
    """An encoder and two heads: each sentence's stance, and whose stance it is.

    The stance is read from the mean over the sentence's tokens. The holder is a span of the sentence or of those before
    it, marked by its first and its last token, as answers are in extractive question answering (Devlin et al. 2019), by
    the product of the sentence's vector with each token's, both made smaller, and by how many sentences before the
    sentence the token stands; the sentence's first token stands for the author.

    Args:
        encoder: a pretrained encoder of transformers.
        labels: how many labels there are.
        context: how many of the preceding sentences a sentence sees.
        class_weights: a weight of the loss per label; without them, all weigh the same.
        label_smoothing: see `TransformerSettings`.
    """

    def __init__(
        self,
        encoder: transformers.PreTrainedModel,
        labels: int,
        context: int,
        class_weights: torch.Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.context = context
        self.dropout = nn.Dropout(DROPOUT)
        width = encoder.config.hidden_size
        self.stance_head = nn.Linear(width, labels)
        self.holder_sentence = nn.Linear(width, 2 * HOLDER_WIDTH)
        self.holder_token = nn.Linear(width, 2 * HOLDER_WIDTH)
        self.holder_distance = nn.Linear(width, 2 * (context + 1))
        self.class_weights: torch.Tensor | None
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.label_smoothing = label_smoothing

    def forward(
        self,
        input_ids: torch.Tensor,
        segments: torch.Tensor,
        targets: torch.Tensor,
        labels: torch.Tensor | None = None,
        soft_labels: torch.Tensor | None = None,
        holders: torch.Tensor | None = None,
        weights: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Logits, and the loss where labels are given; inputs as `Inputs.arrays`.

        Args:
            input_ids: shape (windows, tokens).
            segments: likewise.
            targets: shape (windows, sentences).
            labels: likewise; `IGNORED` where a window has fewer sentences.
            soft_labels: probabilities of shape (windows, sentences, labels), which take precedence.
            holders: first and last token of each holder, shape (windows, sentences, 2); `IGNORED` where there is none.
            weights: weight of each sentence in the loss, shape (windows, sentences); None weighs all the same.

        Returns:
            `logits` of shape (windows, sentences, labels); `holder_logits` of shape (windows, sentences, tokens, 2), of
            being the first and the last token of the holder; and `loss`.
        """
        hidden = hidden_states(self.encoder, input_ids, self._sees(segments, segments))
        own = (segments.unsqueeze(1) == targets.unsqueeze(2)).to(hidden.dtype)
        mean = own @ hidden / own.sum(2, keepdim=True).clamp(min=1)
        logits = self.stance_head(self.dropout(mean))
        ends = (*mean.shape[:2], 2, HOLDER_WIDTH), (*hidden.shape[:2], 2, HOLDER_WIDTH)
        sentences = self.holder_sentence(mean).reshape(ends[0]).permute(0, 2, 1, 3)
        tokens = self.holder_token(hidden).reshape(ends[1]).permute(0, 2, 3, 1)
        products = (sentences @ tokens).permute(0, 2, 3, 1) / math.sqrt(HOLDER_WIDTH)
        distance = (targets.unsqueeze(2) - segments.unsqueeze(1)).clamp(0, self.context)
        nearness = self.holder_distance(mean).reshape(*mean.shape[:2], self.context + 1, 2)
        products = products + nearness.gather(2, distance.unsqueeze(3).expand(-1, -1, -1, 2))
        holder_logits = products.masked_fill(~self._sees(targets, segments).unsqueeze(3), NEVER)
        found = {"logits": logits, "holder_logits": holder_logits}
        if labels is None:
            return found
        known = labels != IGNORED
        of_sentence = torch.ones_like(logits[..., 0], dtype=torch.float32) if weights is None else weights
        of_known = of_sentence[known]
        if soft_labels is None:
            gold = labels[known]
            losses = nn.functional.cross_entropy(
                logits[known].float(), gold, self.class_weights, reduction="none", label_smoothing=self.label_smoothing
            )
            total = of_known if self.class_weights is None else of_known * self.class_weights[gold]
        else:
            losses = nn.functional.cross_entropy(logits[known].float(), soft_labels[known], reduction="none")
            total = of_known
        loss = (of_known * losses).sum() / total.sum()
        if holders is not None:
            # Over the whole batch, so that a batch with few holders counts them no more than another does.
            # Shapes: logits (windows, sentences, tokens, 2) -> (windows * sentences * 2, tokens); holders likewise.
            spans = holder_logits.float().transpose(2, 3).flatten(0, 2)
            missed = nn.functional.cross_entropy(spans, holders.flatten(), ignore_index=IGNORED, reduction="none")
            missed = missed * of_sentence.unsqueeze(2).expand(-1, -1, 2).flatten()
            loss = loss + HOLDER_WEIGHT * missed.sum() / of_known.sum()
        return {"loss": loss, **found}

    def _sees(self, units: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
        """Whether what is of one unit sees what is of another: shape (windows, len(units), len(segments))."""
        distance = units.unsqueeze(2) - segments.unsqueeze(1)
        return (distance >= 0) & (distance <= self.context) & (segments >= 0).unsqueeze(1)


def save_classifier(classifier: Classifier, folder: Path) -> None:
    """Write weights and the encoder's configuration into an existing folder."""
    weights = {**classifier.encoder.state_dict()}
    for head in HEADS:
        weights |= {f"{head}.{name}": tensor for name, tensor in getattr(classifier, head).state_dict().items()}
    # Not save_file, whose file only its owner may read.
    (folder / WEIGHTS_FILE).write_bytes(save({name: tensor.contiguous() for name, tensor in weights.items()}))
    classifier.encoder.config.to_json_file(folder / CONFIG_FILE)


def load_classifier(folder: Path, task: TaskSpec, context: int) -> Classifier:
    """Read what `save_classifier` wrote.

    Args:
        folder: the model folder.
        task: its labels.
        context: how many of the preceding sentences a sentence sees.

    Raises:
        StanceError: if the folder holds only what is served, or no such files.
    """
    try:
        weights = load_file(folder / WEIGHTS_FILE)
        encoder = AutoModel.from_config(AutoConfig.from_pretrained(folder))  # type: ignore[no-untyped-call]
        classifier = Classifier(without_pooler(encoder), len(task.labels), context)
        for head in HEADS:
            names = [name for name in weights if name.startswith(f"{head}.")]
            getattr(classifier, head).load_state_dict({n.removeprefix(f"{head}."): weights.pop(n) for n in names})
        classifier.encoder.load_state_dict(weights)
    except (OSError, RuntimeError, ValueError) as error:
        raise StanceError(
            f"{folder} holds no transformer's weights ({error}): give a folder that train.py wrote"
        ) from None
    return classifier.eval()
