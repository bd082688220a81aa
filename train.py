"""Train a stance classifier: `python train.py --help` shows what can be set."""

from stance.evaluation.metrics import spread
from stance.hydra_app import choice, data_name, folder, load_data, script, settings, task_spec
from stance.pages.console import folds_table, summary_table
from stance.training import cross_validate, train


@script("train")
def main(cfg):
    """Train, or cross-validate; return macro-F1 on held-out data, which is what a sweep maximizes."""
    task, model = task_spec(cfg.task), settings(cfg.model)
    data = load_data(cfg.data, task, seed=cfg.seed)
    if cfg.cross_validation:
        report = folder(cfg.report, f"reports/{choice('model')}-cross-validation", "report")
        folds = cross_validate(
            data,
            folds=cfg.cross_validation,
            task=task,
            settings=model,
            seed=cfg.seed,
            report=report,
            real_weight=cfg.data.get("real_weight", 1.0),
        )
        print(folds_table(folds, spread(folds)), f"figures: {report}", sep="\n")
        return spread(folds)["mean"]["macro_f1"]
    out = folder(cfg.out, f"models/{choice('model')}", "model")
    report = folder(cfg.report, f"reports/{out.name}", "report")
    metrics = train(
        data,
        task=task,
        settings=model,
        seed=cfg.seed,
        out=out,
        report=report,
        data_name=data_name(cfg.data),
        real_weight=cfg.data.get("real_weight", 1.0),
        test=cfg.test,
        resume=cfg.resume,
    )
    if not metrics:  # one of several processes, and not the one that saves the model
        return None
    print(summary_table(metrics), f"model: {out}", f"report: {report / 'report.html'}", sep="\n")
    return metrics["validation"]["macro_f1"]


if __name__ == "__main__":
    main()
