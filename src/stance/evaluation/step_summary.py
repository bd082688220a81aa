"""The summary of a step in GitHub Actions: the report, and what the gate says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def append_step_summary(report: Path, lines: Sequence[str]) -> None:
    """Append a report folder's `report.md` to the file that `$GITHUB_STEP_SUMMARY` names; without it, do nothing.

    Args:
        report: the report folder.
        lines: what follows the report, as a list.
    """
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        items = [f"- {line}" for line in lines]
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write("\n".join([(report / "report.md").read_text(encoding="utf-8"), *items, ""]))
