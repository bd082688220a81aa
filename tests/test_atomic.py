import os
import stat
from pathlib import Path

import pytest

from stance.atomic import whole_file, whole_folder
from stance.schema import StanceError

MARKER = "model.json"


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def make_folder(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content, encoding="utf-8")
    return folder


def test_a_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with whole_folder(target, marker=MARKER) as folder:
        (folder / MARKER).write_text("new", encoding="utf-8")
        assert not target.exists()
    assert (target / MARKER).read_text(encoding="utf-8") == "new"
    assert names(target.parent) == ["model"]


def test_an_older_result_is_replaced_with_all_its_files(tmp_path: Path) -> None:
    target = make_folder(tmp_path / "model", model_json="old", stale_bin="old")
    with whole_folder(target, marker=MARKER) as folder:
        (folder / MARKER).write_text("new", encoding="utf-8")
        assert (target / MARKER).read_text(encoding="utf-8") == "old"
    assert names(target) == [MARKER]
    assert (target / MARKER).read_text(encoding="utf-8") == "new"
    assert names(tmp_path) == ["model"]


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    target = make_folder(tmp_path / "model")
    with whole_folder(target, marker=MARKER) as folder:
        (folder / MARKER).touch()
    assert names(target) == [MARKER]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [True, False], ids=["old", "none"])
def test_an_error_leaves_the_folder_as_it_was(tmp_path: Path, error: type[BaseException], old: bool) -> None:
    target = tmp_path / "model"
    if old:
        make_folder(target, model_json="old", weights_bin="old")

    def write_half() -> None:
        with whole_folder(target, marker=MARKER) as folder:
            (folder / MARKER).write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(error):
        write_half()
    assert names(tmp_path) == (["model"] if old else [])
    if old:
        assert names(target) == [MARKER, "weights.bin"]
        assert (target / MARKER).read_text(encoding="utf-8") == "old"


def test_a_foreign_folder_is_refused_before_the_block_runs(tmp_path: Path) -> None:
    target = make_folder(tmp_path / "thesis", chapter_md="mine")
    refusal = f"thesis exists and is not replaced, as it holds no {MARKER}"
    with pytest.raises(StanceError, match=refusal), whole_folder(target, marker=MARKER):
        pytest.fail("the block ran")
    assert names(target) == ["chapter.md"]
    assert names(tmp_path) == ["thesis"]


def test_a_folder_that_became_foreign_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with pytest.raises(StanceError, match="is not replaced"), whole_folder(target, marker=MARKER):
        make_folder(target, chapter_md="mine")
    assert names(target) == ["chapter.md"]
    assert names(tmp_path) == ["model"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.write_text("mine", encoding="utf-8")
    with pytest.raises(StanceError, match="is a file"), whole_folder(target, marker=MARKER):
        pytest.fail("the block ran")
    assert target.read_text(encoding="utf-8") == "mine"


def test_a_link_to_an_older_folder_can_be_written_over(tmp_path: Path) -> None:
    make_folder(tmp_path / "first", model_json="old")
    target = tmp_path / "latest"
    target.symlink_to("first", target_is_directory=True)
    with whole_folder(target, marker=MARKER) as folder:
        (folder / MARKER).write_text("new", encoding="utf-8")
    assert (target / MARKER).read_text(encoding="utf-8") == "new"
    assert names(tmp_path) == ["first", "latest"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_results_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    make_folder(tmp_path / "usual", file="")
    with whole_folder(tmp_path / "folder", marker=MARKER), whole_file(tmp_path / "file"):
        pass
    mode = {path: stat.S_IMODE((tmp_path / path).stat().st_mode) for path in ("usual", "usual/file", "folder", "file")}
    assert (mode["folder"], mode["file"]) == (mode["usual"], mode["usual/file"])


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    with whole_file(target) as stream:
        stream.write("é\r\n\n")
        assert not target.exists()
    assert target.read_bytes() == "é\r\n\n".encode()
    assert names(tmp_path) == ["rows.csv"]


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    target.write_text("old and longer", encoding="utf-8")
    with whole_file(target) as stream:
        stream.write("new")
    assert target.read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [True, False], ids=["old", "none"])
def test_an_error_leaves_the_file_as_it_was(tmp_path: Path, error: type[BaseException], old: bool) -> None:
    target = tmp_path / "rows.csv"
    if old:
        target.write_text("old", encoding="utf-8")

    def write_half() -> None:
        with whole_file(target) as stream:
            stream.write("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert names(tmp_path) == (["rows.csv"] if old else [])
    assert not old or target.read_text(encoding="utf-8") == "old"


def test_text_that_cannot_be_encoded_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError), whole_file(tmp_path / "rows.csv") as stream:
        stream.write("\ud800")
    assert names(tmp_path) == []


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    make_folder(tmp_path / "folder")
    with (
        pytest.raises(StanceError, match="folder is a folder or a device; name a file"),
        whole_file(tmp_path / "folder"),
    ):
        pytest.fail("the block ran")


def test_a_file_in_no_folder_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"there is no folder .*absent"), whole_file(tmp_path / "absent" / "a.csv"):
        pytest.fail("the block ran")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_device_or_pipe_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    # As root, /dev/null would be gone.
    target = tmp_path / "pipe"
    os.mkfifo(target)
    with pytest.raises(StanceError), whole_file(target) as stream:
        stream.write("new")
    assert target.is_fifo()
