"""The transformer: a pretrained encoder fine-tuned with transformers' Trainer, saved to be served as ONNX."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from stance.atomic import whole_file
from stance.models.encoders import NEVER, check_masking, freeze, hidden_states, load_encoder, without_pooler
from stance.models.settings import TransformerSettings
from stance.models.soft_labels import read_soft_labels
from stance.schema import LabelledSentences, MissingExtraError, Sentence, StanceError, TaskSpec

try:
    import torch
    import transformers
    from safetensors.torch import load_file, save
    from torch import nn
    from transformers import AutoConfig, AutoModel, PrinterCallback, Trainer, TrainingArguments
    from transformers.trainer_utils import get_last_checkpoint

    from stance.models.distillation import prune_vocabulary, thin
    from stance.models.onnx import Inputs, InputSettings, OnnxModel, Window
except ImportError as error:
    raise MissingExtraError("training a transformer", "transformer") from error

log = logging.getLogger(__name__)

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
RUN_FILE = "run.json"
DROPOUT = 0.1
WARMUP = 0.1
WEIGHT_DECAY = 0.01
EVALUATION_BATCH = 16
CHECKPOINTS_PER_EPOCH = 10
# Padded lengths are multiples of this, so that few distinct shapes occur.
WIDTH = 8
# Out of the sentences of so many batches, those of about one length make a batch.
SORTED_BATCHES = 50
# What the holder's loss counts beside the stance's.
HOLDER_WEIGHT = 0.25
# Of the vectors whose product finds the holder.
HOLDER_WIDTH = 64
HEADS = ("stance_head", "holder_sentence", "holder_token", "holder_distance")
# How much faster than the encoder the heads learn, which begin at random.
HEADS_LEARNING_RATE = 30.0
IGNORED = -100  # the label of what has none, by torch's convention


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


class TrainedTransformer(OnnxModel):
    """What is served of a transformer just trained, saved together with the weights to train or export further from."""

    def __init__(self, classifier: Classifier, served: OnnxModel) -> None:
        super().__init__(served.graph, served.inputs, served.calibration, served.task)
        self.classifier = classifier

    def save(self, folder: Path) -> None:
        """Write the served files, the weights and the encoder's configuration into an existing folder.

        `transformers.AutoModel.from_pretrained(folder)` gives the encoder.
        """
        super().save(folder)
        save_classifier(self.classifier, folder)


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


@dataclass(frozen=True)
class Example:
    """What a training step sees of one window.

    Args:
        window: the sentences.
        labels: the numbers of their labels, shape (sentences,).
        holders: the first and the last token of each one's holder, shape (sentences, 2); `IGNORED` where none is named.
        weights: weight of each one in the loss, shape (sentences,).
        soft_labels: a teacher's probabilities, shape (sentences, labels), which count instead of the labels.
    """

    window: Window
    labels: list[int]
    holders: list[tuple[int, int]]
    weights: list[float]
    soft_labels: NDArray[np.float64] | None = None


class TrainingBatches(torch.utils.data.Dataset[list[Example]]):
    """Labelled sentences in batches, whose contexts are cut off at random, anew for each epoch.

    A batch holds windows of about the same length, with about as many sentences as any other.

    Args:
        inputs: how sentences become token ids.
        data: the sentences, with their contexts.
        batch_size: sentences in a batch, about.
        context_dropout: the probability that a sentence, with those behind it, does not see what is before it.
        seed: governs, with the epoch, what is cut off, and the batches.
        soft_labels: a teacher's probabilities, shape (2, sentences, labels): with context and without.
    """

    def __init__(
        self,
        inputs: Inputs,
        data: LabelledSentences,
        batch_size: int,
        context_dropout: float,
        seed: int,
        soft_labels: NDArray[np.float64] | None = None,
    ) -> None:
        self.inputs = inputs
        self.data = data
        self.chains = inputs.chains(data.sentences)
        self.context_dropout = context_dropout
        self.seed = seed
        self.soft_labels = soft_labels
        self.batch_size = batch_size
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw which contexts are cut off, and the batches; called by the Trainer, also when it resumes an epoch."""
        rng = np.random.default_rng((self.seed, epoch))
        examples = self.draw(rng)
        # Of so many sentences at random, those of about one length go together.
        several = self.batch_size * max(1, min(SORTED_BATCHES, len(self) // 4))
        examples = [examples[i] for i in rng.permutation(len(examples))]
        of_some = np.cumsum([len(example.labels) for example in examples]) // several
        lengths = np.array([-(-example.window.length // WIDTH) for example in examples])
        # Up and down in turn, as a batch may have the last of some sentences and the first of the next.
        order = np.lexsort((np.where(of_some % 2, -lengths, lengths), of_some))
        examples = [examples[i] for i in order]
        ends = np.cumsum([len(example.labels) for example in examples])
        batch_of = (ends - 1) * len(self) // ends[-1]
        batches: list[list[Example]] = [[] for _ in range(len(self))]
        for example, batch in zip(examples, batch_of.tolist(), strict=True):
            batches[batch].append(example)
        filled = [batch for batch in batches if batch]
        # As many in each epoch: a window may be longer than a batch, and leave none for the next one.
        self.batches = [filled[i % len(filled)] for i in rng.permutation(len(self))]

    def draw(self, rng: np.random.Generator) -> list[Example]:
        """All sentences in windows, with their contexts cut off at random."""
        examples = []
        for chain in self.chains:
            cuts = np.flatnonzero(rng.random(len(chain.rows)) < self.context_dropout).tolist()
            examples += [self._example(window) for window in self.inputs.pack(chain, cuts)]
        return examples

    def _example(self, window: Window) -> Example:
        nowhere = (IGNORED, IGNORED)
        holders = [
            self.inputs.holder_tokens(window, window.first + i, self.data.sentences[row].holder) or nowhere
            for i, row in enumerate(window.rows)
        ]
        soft = None
        if self.soft_labels is not None:
            soft = np.stack([self.soft_labels[int(window.first + i == 0), row] for i, row in enumerate(window.rows)])
        labels = [self.data.labels[row] for row in window.rows]
        weights = [self.data.weights[row] for row in window.rows]
        return Example(window, labels, holders, weights, soft)

    def __len__(self) -> int:
        return math.ceil(len(self.data) / self.batch_size)

    def __getitem__(self, index: int) -> list[Example]:
        return self.batches[index]


class StanceTrainer(Trainer):
    """The Trainer with batches in the order that each epoch draws, and heads that learn faster."""

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler[int]:
        return torch.utils.data.SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The Trainer's, with a higher learning rate for the heads."""
        optimizer = super().create_optimizer(model)
        classifier = cast(Classifier, self.accelerator.unwrap_model(self.model))
        heads = {parameter for head in HEADS for parameter in getattr(classifier, head).parameters()}
        for group in list(optimizer.param_groups):
            of_heads = [parameter for parameter in group["params"] if parameter in heads]
            group["params"] = [parameter for parameter in group["params"] if parameter not in heads]
            optimizer.add_param_group({**group, "params": of_heads, "lr": HEADS_LEARNING_RATE * group["lr"]})
        return optimizer


class Progress(transformers.TrainerCallback):
    """One line of log per epoch, and checkpoints within it, so that little is lost to a kill."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save now and then within an epoch; at its end the Trainer does, after it has evaluated."""
        steps_of_epoch = state.max_steps // args.num_train_epochs
        done = state.global_step % steps_of_epoch
        if done and done % max(1, steps_of_epoch // CHECKPOINTS_PER_EPOCH) == 0:
            control.should_save = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say how the epoch ended."""
        if not state.is_world_process_zero:
            return
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        log.info(
            "epoch %d: training loss %.4f, validation macro-F1 %.4f",
            round(state.epoch),
            losses[-1] if losses else math.nan,
            kwargs["metrics"]["eval_macro_f1"],
        )


def fit_transformer(
    train: LabelledSentences,
    validation: LabelledSentences,
    *,
    task: TaskSpec,
    settings: TransformerSettings,
    seed: int,
    checkpoints: Path,
    resume: bool = False,
) -> TrainedTransformer:
    """Fine-tune an encoder.

    The epoch with the best macro-F1 on validation is kept. After training, the model is exported to ONNX, quantized and
    checked on validation, and calibrated there.

    Args:
        train: what the model learns from; the weights are those of the loss.
        validation: what the best epoch and the calibration are chosen on; the weights count there.
        task: the labels.
        settings: hyperparameters.
        seed: governs the head's first weights, dropout, and the order and contexts of each epoch.
        checkpoints: a folder for checkpoints; it is deleted after the last epoch.
        resume: whether to continue from the last checkpoint there, if there is one.

    Returns:
        The trained model. Where several processes train it, all but the first end here.

    Raises:
        StanceError: if a label has no training sentence, the encoder cannot be had, or checkpoints of another training
            are in the way.
    """
    from stance.models.export import export

    labels = list(train.labels)
    missing = [name for i, name in enumerate(task.labels) if i not in set(labels)]
    if missing:
        raise StanceError(f"label {missing[0]!r} has no training sentence: add some, or leave it out of task.labels")
    arguments = _arguments(settings, seed, checkpoints)
    transformers.set_seed(seed)
    encoder, inputs = _starting_point(settings, train.sentences)
    weights = _class_weights(settings.class_weights, train, len(task.labels))
    classifier = Classifier(encoder, len(task.labels), settings.context, weights, settings.label_smoothing)
    data = json.dumps(
        [
            [
                (s.text, s.context, s.holder, y, w)
                for s, y, w in zip(part.sentences, part.labels, part.weights, strict=True)
            ]
            for part in (train, validation)
        ]
    )
    run = {"settings": asdict(settings), "seed": seed, "data_sha256": hashlib.sha256(data.encode()).hexdigest()}
    soft_labels = None
    if settings.soft_labels:
        soft_labels = read_soft_labels(Path(settings.soft_labels), train.sentences, task)
        run["soft_labels_sha256"] = hashlib.sha256(soft_labels.tobytes()).hexdigest()
    with arguments.main_process_first():
        if arguments.process_index == 0:
            _tidy_checkpoints(checkpoints, run, resume=resume)
    # Single windows, not batches of them: with several processes, the Trainer counts what it evaluates by item.
    alone = TrainingBatches(inputs, validation, 1, 0.0, seed).draw(np.random.default_rng(seed))
    evaluation = [[example] for example in sorted(alone, key=lambda example: example.window.length)]
    evaluated = np.array([weight for (example,) in evaluation for weight in example.weights])
    trainer = StanceTrainer(
        model=classifier,
        args=arguments,
        data_collator=lambda items: collate(inputs, items),
        train_dataset=TrainingBatches(inputs, train, settings.batch_size, settings.context_dropout, seed, soft_labels),
        eval_dataset=evaluation,
        compute_metrics=lambda found: {"macro_f1": _macro_f1_of_windows(found, evaluated, task)},
        preprocess_logits_for_metrics=lambda outputs, _: outputs[0],
        callbacks=[Progress(), transformers.EarlyStoppingCallback(settings.patience)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(checkpoints))  # type: ignore[no-untyped-call]
    trainer.accelerator.wait_for_everyone()
    if not trainer.is_world_process_zero():
        sys.exit(0)  # the first process saves the model
    # Without the wrapper, which would autocast to bf16 in the exported graph too.
    classifier = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False).float().cpu().eval()
    model = TrainedTransformer(classifier, export(classifier, inputs, validation, task=task))
    shutil.rmtree(checkpoints)
    return model


def _arguments(settings: TransformerSettings, seed: int, checkpoints: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=1,  # of batches that are made already
        per_device_eval_batch_size=EVALUATION_BATCH,
        learning_rate=settings.learning_rate,
        warmup_steps=WARMUP,
        weight_decay=WEIGHT_DECAY,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=1,  # and the best
        load_best_model_at_end=True,
        metric_for_best_model="macro_f1",
        bf16=has_bf16(),
        use_cpu=not torch.accelerator.is_available(),  # without which several processes on a CPU would not meet
        seed=seed,
        report_to="none",
        disable_tqdm=not sys.stderr.isatty(),
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        label_names=["labels"],
        ddp_find_unused_parameters=False,
    )


def _starting_point(
    settings: TransformerSettings, sentences: Sequence[Sentence]
) -> tuple[transformers.PreTrainedModel, Inputs]:
    """The encoder that training starts from, and its inputs."""
    encoder, tokenizer = load_encoder(settings.encoder)
    positions = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
    if isinstance(positions, nn.Embedding):
        longest = positions.num_embeddings - (0 if positions.padding_idx is None else positions.padding_idx + 1)
        if settings.max_length > longest:
            raise StanceError(f"model.max_length={settings.max_length}: this encoder reads at most {longest} tokens")
    check_masking(encoder)
    if settings.layers:
        thin(encoder, settings.layers)
    if settings.vocabulary:
        tokenizer = prune_vocabulary(encoder, tokenizer, settings.vocabulary, [s.text for s in sentences])
    freeze(encoder, embeddings=settings.freeze_embeddings, layers=settings.frozen_layers)
    return encoder, Inputs(tokenizer, InputSettings(settings.context, settings.max_length))


def _class_weights(kind: str, train: LabelledSentences, labels: int) -> torch.Tensor | None:
    """A weight of the loss for each label, by `TransformerSettings.class_weights`; None where all weigh the same."""
    if kind == "none":
        return None
    counts = np.bincount(train.labels, weights=train.weights, minlength=labels)
    weights = counts.sum() / (labels * counts)
    return torch.tensor(np.sqrt(weights) if kind == "sqrt" else weights, dtype=torch.float32)


def macro_f1(labels: Any, scores: Any, weights: Any, task: TaskSpec) -> float:
    """Compute macro-F1 over the stance labels.

    Args:
        labels: the numbers of the gold labels, shape (sentences,).
        scores: logits or probabilities, shape (sentences, labels).
        weights: how much each sentence counts, shape (sentences,).
        task: the labels.
    """
    stances = [task.labels.index(label) for label in task.stance_labels]
    return float(
        f1_score(labels, np.argmax(scores, 1), labels=stances, average="macro", sample_weight=weights, zero_division=0)
    )


def _macro_f1_of_windows(found: transformers.EvalPrediction, weights: NDArray[np.float64], task: TaskSpec) -> float:
    labels = cast("NDArray[np.int64]", found.label_ids)
    return macro_f1(labels[labels != IGNORED], np.asarray(found.predictions)[labels != IGNORED], weights, task)


def has_bf16() -> bool:
    """Whether bf16 is fast here: on a GPU that has it, or a processor with AMX or AVX-512 BF16."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


def collate(inputs: Inputs, batches: Sequence[Sequence[Example]]) -> dict[str, torch.Tensor]:
    """The arrays of `Inputs.arrays`, `labels`, `holders`, `weights`, and `soft_labels` where there is a teacher."""
    batch = [example for batch in batches for example in batch]
    tensors = {n: torch.from_numpy(a) for n, a in inputs.arrays([e.window for e in batch], multiple=WIDTH).items()}
    tensors["labels"] = _padded([torch.tensor(example.labels) for example in batch])
    tensors["holders"] = _padded([torch.tensor(example.holders) for example in batch])
    tensors["weights"] = _padded([torch.tensor(example.weights) for example in batch])
    if batch[0].soft_labels is not None:
        tensors["soft_labels"] = _padded([torch.from_numpy(example.soft_labels).float() for example in batch])
    return tensors


def _padded(rows: list[torch.Tensor]) -> torch.Tensor:
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=IGNORED)


def _tidy_checkpoints(folder: Path, run: dict[str, Any], *, resume: bool) -> None:
    """Make sure that what lies there is of this very training, and remove what a killed process left half-written."""
    for checkpoint in folder.glob("checkpoint-*"):
        file = checkpoint / "trainer_state.json"
        try:
            state = json.loads(file.read_text(encoding="utf-8"))  # which the Trainer writes last
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
            continue
        # The folder may have been copied or moved since, and the Trainer loads the best epoch from where it was.
        if best := state.get("best_model_checkpoint"):
            state["best_model_checkpoint"] = str(folder / Path(best).name)
            with whole_file(file) as stream:
                json.dump(state, stream, indent=2)
    file = folder / RUN_FILE
    same = file.is_file() and json.loads(file.read_text(encoding="utf-8")) == run
    if any(folder.glob("checkpoint-*")):
        if not resume:
            raise StanceError(
                f"{folder} holds an unfinished training: continue it with --resume, or delete that folder to start anew"
            )
        if not same:
            raise StanceError(
                f"{folder} holds an unfinished training with other settings or data: continue it with those of {file}, "
                "or delete that folder to start anew"
            )
    elif not same:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as stream:
            json.dump(run, stream, indent=2)
