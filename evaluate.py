"""Evaluate a model folder: `python evaluate.py --help` shows what can be set."""

from pathlib import Path

from stance.data.labelled import pick_split
from stance.evaluation.behaviour import read_cases
from stance.evaluation.gate import Gate
from stance.evaluation.score import evaluate
from stance.hydra_app import data_name, folder, load_data, script, settings
from stance.pages.console import summary_table
from stance.prediction import load, model_folder


@script("evaluate")
def main(cfg):
    """Score the model on one split of labelled data, write the report, and hold it to the gate."""
    gate = Gate(settings(cfg.gate))
    path = model_folder(cfg.model_dir)
    model = load(path)
    data = pick_split(load_data(cfg.data, model.task, seed=cfg.seed), cfg.split)
    about = {"model": path.name, "data": data_name(cfg.data), "split": cfg.split}
    report = folder(cfg.out, f"reports/{'-'.join(about.values())}", "report")
    behaviour = read_cases(Path(cfg.behaviour), model.task) if cfg.behaviour else ()
    metrics = evaluate(model, data, report, seed=cfg.seed, about=about, behaviour=behaviour)
    print(summary_table({report.name: metrics}), f"report: {report / 'report.html'}", sep="\n")
    print(*gate.enforce(metrics, data, report), sep="\n")
    return metrics["macro_f1"]


if __name__ == "__main__":
    main()
