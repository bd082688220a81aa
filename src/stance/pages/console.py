"""Tables of metrics for the console."""

from __future__ import annotations

from typing import Any


def summary_table(metrics: dict[str, dict[str, Any]]) -> str:
    """Return one compact table: a row for each named set of metrics, and below it one for each part of its data."""
    lines = [
        f"{'':<26} {'macro-F1':>8}  {'95 % interval':<15} {'accuracy':>8} {'ECE':>6} {'any stance':>10} "
        f"{'false/1000':>10} {'n':>7}"
    ]
    for name, m in metrics.items():
        rows = {name: m, **{f"  {part}": figures for part, figures in m.get("parts", {}).items()}}
        for row, figures in rows.items():
            low, high = figures["macro_f1_interval"]
            any_stance, false = (figures["takes_a_stance"][key] for key in ("f1", "false_per_1000"))
            lines.append(
                f"{row:<26} {figures['macro_f1']:>8.3f}  [{low:.3f}, {high:.3f}]  {figures['accuracy']:>8.3f} "
                f"{figures['ece']:>6.3f} {any_stance:>10.3f} {'-' if false is None else f'{false:.0f}':>10} "
                f"{figures['sentences']:>7,}"
            )
    return "\n".join(lines)


def folds_table(folds: list[dict[str, Any]], spread: dict[str, dict[str, Any]]) -> str:
    """Return the table of a cross-validation: a row for each fold, then mean and standard deviation.

    Args:
        folds: metrics of each fold.
        spread: see `stance.evaluation.metrics.spread`.
    """
    rows = {**{f"fold {i}": fold for i, fold in enumerate(folds, start=1)}, **spread}
    lines = [f"{'':<18} {'macro-F1':>8} {'accuracy':>8} {'ECE':>6} {'Brier':>6}"]
    for name, m in rows.items():
        figures = f"{m['macro_f1']:>8.3f} {m['accuracy']:>8.3f} {m['ece']:>6.3f} {m['brier']:>6.3f}"
        lines.append(f"{name.replace('_', ' '):<18} {figures}")
    return "\n".join(lines)
