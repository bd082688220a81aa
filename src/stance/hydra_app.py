"""Typed schema of `conf/`, and what the Hydra scripts share."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stance.schema import MissingExtraError, StanceError, TaskSpec

try:
    import hydra
    from hydra.core.config_store import ConfigStore
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import JobReturn
    from hydra.experimental.callback import Callback
    from hydra.types import RunMode
    from omegaconf import MISSING, DictConfig, OmegaConf

    from stance.data.labelled import LabelledData, load_files
    from stance.data.parts import load_parts
    from stance.data.splits import SPLITS
    from stance.evaluation.gate import GateSettings
except ImportError as error:
    raise MissingExtraError("train.py and evaluate.py", "train") from error

from stance.models.base import KINDS, model_kind

CONF = Path(__file__).parents[2] / "conf"


@dataclass
class TaskConfig:
    """What is classified; see `stance.schema.TaskSpec`."""

    labels: list[str] = MISSING
    stance_labels: list[str] = MISSING
    target: str = MISSING


@dataclass
class PartsConfig:
    """The project's labelled data; see `stance.data.parts.load_parts`."""

    parts: list[str] = MISSING
    corpus_dir: str = MISSING
    splits: str = MISSING
    train_part: float = 1.0
    real_index: str = MISSING
    real_dir: str | None = None
    real_weight: float = 1.0
    article_labels: str = MISSING
    articles_dir: str | None = None


@dataclass
class FileConfig:
    """A user's own labelled files."""

    train: str | None = None
    validation: str | None = None
    test: str | None = None
    text_column: str = "text"
    label_column: str = "label"


@dataclass
class TrainConfig:
    """Schema of `conf/train.yaml`."""

    task: TaskConfig = field(default_factory=TaskConfig)
    data: Any = MISSING
    model: Any = MISSING
    seed: int = MISSING
    out: str | None = None
    report: str | None = None
    test: bool = True
    resume: bool = False
    cross_validation: int = 0


@dataclass
class EvaluateConfig:
    """Schema of `conf/evaluate.yaml`."""

    data: Any = MISSING
    model_dir: str | None = None
    split: str = MISSING
    seed: int = MISSING
    out: str | None = None
    behaviour: str | None = None
    gate: GateSettings = field(default_factory=GateSettings)


def register() -> None:
    """Make the schema known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="evaluate_schema", node=EvaluateConfig)
    store.store(group="task", name="schema", node=TaskConfig)
    groups: dict[str, dict[str, Any]] = {
        "model": {name: model_kind(name).settings for name in KINDS},
        "data": {"parts": PartsConfig, "file": FileConfig},
    }
    for group, nodes in groups.items():
        for name, node in nodes.items():
            store.store(group=group, name=f"{name}_schema", node=node)


def script(name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], Any]]:
    """Decorate a script's main function: `conf/{name}.yaml`, checked against its schema, is its argument.

    A `StanceError` ends the script with its message and exit code, without a traceback.
    """

    def decorate(function: Callable[[DictConfig], Any]) -> Callable[[], Any]:
        @functools.wraps(function)
        def run(cfg: DictConfig) -> Any:
            try:
                if not 0 <= cfg.seed < 2**32:
                    raise StanceError(f"seed must be from 0 to 4294967295, not {cfg.seed}")
                return function(cfg)
            except StanceError as error:
                sys.stderr.write(f"error: {error}\n")
                sys.exit(error.exit_code)

        register()
        main: Callable[[], Any] = hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(run)

        return main

    return decorate


def task_spec(task: DictConfig) -> TaskSpec:
    """The task of a config."""
    return TaskSpec(tuple(task.labels), tuple(task.stance_labels), task.target)


def load_data(data: DictConfig, task: TaskSpec, *, seed: int) -> dict[str, LabelledData]:
    """The labelled data of a config.

    Raises:
        DataError: if they cannot be used.
    """
    if "parts" in data:
        return load_parts(
            list(data.parts),
            task,
            corpus_dir=Path(data.corpus_dir),
            splits=Path(data.splits),
            train_part=data.train_part,
            real_index=Path(data.real_index),
            real_dir=Path(data.real_dir) if data.real_dir else None,
            article_labels=Path(data.article_labels),
            articles_dir=Path(data.articles_dir) if data.articles_dir else None,
            seed=seed,
        )
    return load_files(
        {split: Path(data[split]) if data[split] else None for split in SPLITS},
        task,
        seed=seed,
        text_column=data.text_column,
        label_column=data.label_column,
    )


def data_name(data: DictConfig) -> str:
    """What the data of a config are called in reports and model folders."""
    return "+".join(data.parts) if "parts" in data else "file"


def settings(part: DictConfig) -> Any:
    """The hyperparameters of a model, or the conditions of a gate, as the dataclass that the config's schema is."""
    return OmegaConf.to_object(part)


def choice(group: str) -> str:
    """The name of the file that was chosen in a group of `conf/`."""
    return str(HydraConfig.get().runtime.choices[group])


def folder(configured: str | None, default: str, name: str) -> Path:
    """Where a job writes: as configured, else by default; each job of a multirun into a folder of its own.

    Args:
        configured: the folder that the user named, or None.
        default: the folder of a single run without one.
        name: the subfolder of a multirun job's own folder.
    """
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        job = Path(configured) / str(hydra_config.job.num) if configured else Path(hydra_config.runtime.output_dir)
        return job / name
    return Path(configured or default)


class SweepTable(Callback):
    """Print what each job of a multirun returned, best first, and keep it as `results.json`."""

    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Note one job's overrides and score."""
        overrides = [o for o in job_return.overrides or [] if not o.startswith("experiment=")]
        self.results.append({"score": job_return.return_value, "overrides": overrides})

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print and save the table."""
        self.results.sort(key=lambda result: -result["score"])
        sys.stdout.write("\nmacro-F1 on held-out data\n")
        for result in self.results:
            sys.stdout.write(f"{result['score']:.4f}  {' '.join(result['overrides'])}\n")
        file = Path(config.hydra.sweep.dir) / "results.json"
        file.write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")
        sys.stdout.write(f"kept in {file}\n")
