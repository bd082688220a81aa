"""Imports run one way, from what stands on nothing to the command line, and in no circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src/stance"
# A file or folder imports only from itself and from those before it.
ORDER = (
    *("schema", "atomic", "text", "data", "models", "prediction", "analysis", "pages", "evaluation", "training"),
    *("audit", "hydra_app", "__init__", "cli"),
)


def module_of(file: Path) -> str:
    parts = [*file.relative_to(SOURCE.parent).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for file in SOURCE.rglob("*.py")}


def imports(file: Path) -> set[str]:
    """The modules of the package that a file imports, also within functions and for types alone."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        # Of "from stance.data import rows" the module is stance.data.rows; of "from stance.data.rows import Row" it is
        # stance.data.rows too.
        modules = [name for name in names if name in FILES]
        found |= {max(modules, key=len)} if modules else set()
    return found


GRAPH = {module: imports(file) - {module} for module, file in FILES.items()}


def layer(module: str) -> int:
    return ORDER.index(module.split(".")[1] if "." in module else "__init__")


def test_every_module_has_its_place() -> None:
    assert {module.split(".")[1] for module in GRAPH if "." in module} <= set(ORDER)


def test_imports_run_one_way() -> None:
    against = [(module, other) for module, others in GRAPH.items() for other in others if layer(other) > layer(module)]
    assert against == []


def test_imports_run_in_no_circle() -> None:
    TopologicalSorter(GRAPH).prepare()  # raises a CycleError that lists the circle


def test_what_serves_a_transformer_needs_no_torch() -> None:
    serving = {"stance.models.transformer.serve", "stance.models.folder", "stance.prediction", "stance.analysis"}
    seen = set()
    while serving:
        module = serving.pop()
        seen.add(module)
        serving |= GRAPH[module] - seen
    heavy = [m for m in seen if any(w in FILES[m].read_text() for w in ("import torch", "import transformers"))]
    assert heavy == []
