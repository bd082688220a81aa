"""Evaluate a model folder: `python evaluate.py --help` shows what can be set."""

from stance.config import folder, load_data, script
from stance.data.labelled import pick_split
from stance.evaluation.evaluate import evaluate
from stance.evaluation.report import summary_table
from stance.prediction import load, model_folder


@script("evaluate")
def main(cfg):
    """Score the model on one split of labelled data and write the report."""
    path = model_folder(cfg.model_dir)
    model = load(path)
    dataset = pick_split(load_data(cfg.data, model.task, seed=cfg.seed), cfg.split)
    name = f"{path.name}-{cfg.data.name}-{cfg.split}"
    report = folder(cfg.out, f"reports/{name}", "report")
    metrics = evaluate(
        model,
        dataset,
        report,
        seed=cfg.seed,
        about={"model": path.name, "data": cfg.data.name, "split": cfg.split},
    )
    print(summary_table({name: metrics}), f"report: {report / 'report.md'}", sep="\n")
    return metrics["macro_f1"]


if __name__ == "__main__":
    main()
