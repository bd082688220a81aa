"""The transformer: a pretrained encoder fine-tuned with transformers' Trainer, saved to be served as ONNX."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stance.atomic import whole_file
from stance.models.base import Fitted
from stance.models.soft_labels import read_soft_labels
from stance.models.transformer.batches import TrainingBatches, collate
from stance.models.transformer.distil import prune_vocabulary, thin
from stance.models.transformer.encoders import check_masking, freeze, load_encoder
from stance.models.transformer.export import export, macro_f1
from stance.models.transformer.network import HEADS, IGNORED, Classifier, save_classifier
from stance.models.transformer.serve import Inputs, InputSettings
from stance.models.transformer.settings import TransformerSettings
from stance.schema import LabelledSentences, MissingExtraError, Sentence, StanceError, TaskSpec

try:
    import torch
    import transformers
    from torch import nn
    from transformers import PrinterCallback, Trainer, TrainingArguments
    from transformers.trainer_utils import get_last_checkpoint
except ImportError as error:
    raise MissingExtraError("training a transformer", "transformer") from error

log = logging.getLogger(__name__)

RUN_FILE = "run.json"
WARMUP = 0.1
WEIGHT_DECAY = 0.01
EVALUATION_BATCH = 16
CHECKPOINTS_PER_EPOCH = 10
# Learning rate of the heads, which begin at random, over that of the encoder.
HEADS_LEARNING_RATE = 30.0


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
) -> Fitted | None:
    """Fine-tune an encoder.

    The epoch with the best macro-F1 on validation is kept. After training, the model is exported to ONNX, quantized and
    checked on validation, and calibrated there.

    Args:
        train: what the model learns from; the weights are those of the loss.
        validation: what the best epoch and the calibration are chosen on; the weights count there.
        task: the labels.
        settings: hyperparameters.
        seed: governs the heads' first weights, dropout, and the order and contexts of each epoch.
        checkpoints: a folder for checkpoints; it is deleted after the last epoch.
        resume: whether to continue from the last checkpoint there, if there is one.

    Returns:
        The trained model, which is saved with the weights to train or export further from. Where several processes
        train one model, None in all but the first.

    Raises:
        StanceError: if a label has no training sentence, the encoder cannot be had, or checkpoints of another training
            are in the way.
    """
    missing = [name for i, name in enumerate(task.labels) if i not in set(train.labels)]
    if missing:
        raise StanceError(f"label {missing[0]!r} has no training sentence: add some, or leave it out of task.labels")
    arguments = _arguments(settings, seed, checkpoints)
    transformers.set_seed(seed)
    encoder, inputs = _starting_point(settings, train.sentences)
    weights = _class_weights(settings.class_weights, train, len(task.labels))
    classifier = Classifier(encoder, len(task.labels), settings.context, weights, settings.label_smoothing)
    run = {"settings": asdict(settings), "seed": seed, "data_sha256": _fingerprint(train, validation)}
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
        return None
    # Without the wrapper, which would autocast to bf16 in the exported graph too.
    classifier = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False).float().cpu().eval()
    served = export(classifier, inputs, validation, task=task)
    shutil.rmtree(checkpoints)

    def save(folder: Path) -> None:
        served.save(folder)
        save_classifier(classifier, folder)

    return Fitted(served, save)


def _fingerprint(*data: LabelledSentences) -> str:
    """SHA-256 of everything that a training reads of its data."""
    read = [
        [
            (s.text, s.context, s.holder, label, weight)
            for s, label, weight in zip(part.sentences, part.labels, part.weights, strict=True)
        ]
        for part in data
    ]
    return hashlib.sha256(json.dumps(read).encode()).hexdigest()


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


def _macro_f1_of_windows(found: transformers.EvalPrediction, weights: NDArray[np.float64], task: TaskSpec) -> float:
    labels = cast("NDArray[np.int64]", found.label_ids)
    return macro_f1(labels[labels != IGNORED], np.asarray(found.predictions)[labels != IGNORED], weights, task)


def has_bf16() -> bool:
    """Whether bf16 is fast here: on a GPU that has it, or a processor with AMX or AVX-512 BF16."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


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
                f"{folder} holds an unfinished training: continue it with resume=true, or delete that folder to start "
                "anew"
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
