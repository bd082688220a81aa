"""What a plain installation can do, and what it says when an extra is missing."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stance

ROOT = Path(__file__).parents[1]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


def test_import_loads_nothing_heavy() -> None:
    heavy = "{'numpy', 'scipy', 'sklearn', 'skops', 'torch', 'datasets', 'hydra', 'matplotlib', 'pandas', 'tqdm'}"
    done = python(f"import stance, sys; print(sorted({heavy} & set(sys.modules)))")
    assert done.stdout.strip() == "[]", done.stderr


WITHOUT_EXTRAS = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"datasets", "hydra", "omegaconf", "matplotlib", "jinja2", "rapidfuzz", "cleanlab",
                                  "huggingface_hub", "pandas", "pyarrow", "torch", "transformers", "scipy", "sklearn",
                                  "skops"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
"""


def test_predict_needs_no_extra() -> None:
    done = python(WITHOUT_EXTRAS + "from stance import predict; print(predict('They must lift the embargo.').label)")
    assert done.stdout.strip() in stance.LABELS, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "hydra_app",
        "training",
        "audit",
        "data.corpus",
        "data.articles",
        "data.splits",
        "evaluation.metrics",
        "pages.report",
    ],
)
def test_a_missing_extra_names_its_pip_command(module: str) -> None:
    done = python(WITHOUT_EXTRAS + f"import stance.{module}")
    assert done.stderr.strip().splitlines()[-1].endswith("pip install 'embargo-stance[train]'")


def test_a_baseline_without_its_extra_says_so(tiny_model: Path) -> None:
    done = python(WITHOUT_EXTRAS + f"from stance import load; load({str(tiny_model)!r})")
    assert done.stderr.strip().splitlines()[-1].endswith("pip install 'embargo-stance[tfidf]'")


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_scripts_without_their_extra_say_so(script: str) -> None:
    done = python(WITHOUT_EXTRAS + f"import runpy; runpy.run_path({script!r}, run_name='__main__')")
    assert "pip install 'embargo-stance[train]'" in done.stderr


def test_the_command_line_without_an_extra_says_so() -> None:
    done = python(WITHOUT_EXTRAS + "from stance.cli import main; sys.exit(main(['data', 'audit']))")
    assert done.returncode == 1
    assert done.stderr.startswith("stance: error: ")
    assert "pip install 'embargo-stance[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_examples_of_the_readme_are_true() -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))
    examples = doctest.DocTestParser().get_doctest(code, {}, "README.md", "README.md", 0)
    assert len(examples.examples) == 10
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_every_command_of_the_readme_names_existing_choices() -> None:
    commands = re.findall(r"^python (\w+\.py)(.*?)(?:#.*)?$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) >= 9
    for script, options in commands:
        assert (ROOT / script).is_file()
        for group, choice in re.findall(r"\b(data|model|task|experiment)=(\w+)", options):
            assert (ROOT / "conf" / group / f"{choice}.yaml").is_file(), (script, options)


def test_one_version_everywhere() -> None:
    assert f'version = "{stance.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert re.search(rf"^## {re.escape(stance.__version__)}", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
