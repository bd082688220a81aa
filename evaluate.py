"""Evaluate a model folder: `python evaluate.py --help` shows what can be set."""

from pathlib import Path

from stance.config import data_name, folder, load_data, script, settings
from stance.data.labelled import label_names, pick_split
from stance.evaluation.behaviour import read_cases
from stance.evaluation.evaluate import evaluate
from stance.evaluation.gate import Gate, enforce, publish
from stance.evaluation.report import summary_table
from stance.prediction import load, model_folder


@script("evaluate")
def main(cfg):
    """Score the model on one split of labelled data, write the report, and hold it to the gate."""
    gate = Gate(settings(cfg.gate))
    path = model_folder(cfg.model_dir)
    model = load(path)
    dataset = pick_split(load_data(cfg.data, model.task, seed=cfg.seed), cfg.split)
    name = f"{path.name}-{data_name(cfg.data)}-{cfg.split}"
    report = folder(cfg.out, f"reports/{name}", "report")
    metrics = evaluate(
        model,
        dataset,
        report,
        seed=cfg.seed,
        about={"model": path.name, "data": data_name(cfg.data), "split": cfg.split},
        behaviour=read_cases(Path(cfg.behaviour), model.task) if cfg.behaviour else (),
    )
    conditions = gate.check(metrics, label_names(dataset), list(dataset["doc"]))
    held = [condition.line for condition in conditions if condition.held]
    print(summary_table({name: metrics}), f"report: {report / 'report.html'}", *held, sep="\n")
    publish(report, conditions, junit=cfg.gate.junit)
    enforce(conditions)
    return metrics["macro_f1"]


if __name__ == "__main__":
    main()
