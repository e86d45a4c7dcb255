"""Artifacts: every damage is one line, and writing replaces the old one whole or not at all."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kdp_core.artifact import FILES, SUMS, load_artifact, write_artifact
from kdp_core.controller import Controller
from kdp_core.exceptions import ArtifactError, KdpError
from kdp_core.planner import Planner


def content(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in FILES}


def rewrite_sums(path: Path) -> None:
    sums = "".join(f"{hashlib.sha256((path / n).read_bytes()).hexdigest()}  {n}\n" for n in FILES)
    (path / SUMS).write_text(sums)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(KdpError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_the_shipped_artifact_is_whole(shipped: Path) -> None:
    artifact = load_artifact(shipped)
    assert artifact.spec.name == "crazyflie-poles" and artifact.spec.normaliser is not None
    listed = dict(reversed(line.split("  ")) for line in (shipped / SUMS).read_text().splitlines())
    assert listed == {n: hashlib.sha256(data).hexdigest() for n, data in content(shipped).items()}


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit(artifact_copy: Path, name: str) -> None:
    data = bytearray((artifact_copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (artifact_copy / name).write_bytes(data)
    line = refusal(lambda: load_artifact(artifact_copy))
    assert line.startswith(f"{artifact_copy}/{name}: SHA-256 differs from {SUMS}")


@pytest.mark.parametrize("name", [*FILES, SUMS])
def test_missing_file(artifact_copy: Path, name: str) -> None:
    (artifact_copy / name).unlink()
    assert refusal(lambda: load_artifact(artifact_copy)).startswith(f"{artifact_copy}/{name}: cannot be read")


def test_broken_sums(artifact_copy: Path) -> None:
    sums = (artifact_copy / SUMS).read_text()
    for text, words in (
        (sums.replace("planner.onnx", "other.onnx"), "unexpected line"),
        (sums + "nonsense\n", "unexpected line"),
        ("".join(sums.splitlines(keepends=True)[1:]), "no sum for"),
        ("", "no sum for"),
    ):
        (artifact_copy / SUMS).write_text(text)
        assert words in refusal(lambda: load_artifact(artifact_copy))
    (artifact_copy / SUMS).write_bytes(b"\xff\xfe")
    assert "cannot be read" in refusal(lambda: load_artifact(artifact_copy))


def test_no_directory(tmp_path: Path) -> None:
    assert "no such directory" in refusal(lambda: load_artifact(tmp_path / "none"))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("provenance.json", "{", "provenance.json:1:2: not JSON"),
        ("provenance.json", "[1]", "provenance.json: holds a list, expected an object"),
        ("provenance.json", b"\xff{", "provenance.json: byte 0 is not UTF-8"),
        ("check.json", "[" * 200_000, "check.json: not usable JSON: nested too deeply"),
        ("check.json", "3", "check.json: holds a int, expected an object"),
        ("check.json", "{}", "planner.onnx: does not run on the recorded input"),
        ("spec.json", "[" * 200_000, "nested too deeply"),
    ],
)
def test_files_that_fit_their_sums_but_are_wrong(
    artifact_copy: Path, name: str, text: str | bytes, words: str
) -> None:
    (artifact_copy / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    rewrite_sums(artifact_copy)
    assert words in refusal(lambda: Planner.load(artifact_copy))


def test_garbage_for_a_graph(artifact_copy: Path) -> None:
    (artifact_copy / "planner.onnx").write_bytes(b"\x00garbage" * 30)
    rewrite_sums(artifact_copy)
    assert f"{artifact_copy}/planner.onnx: cannot be loaded" in refusal(lambda: Planner.load(artifact_copy))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("horizon", 16, "expected (4, 16, 9)"),  # the graph gives another shape
        ("rate_hz", 25.0, "field 'rate_hz' is 25.0, expected 50.0"),  # the graph fits, the task does not
        ("normaliser", None, "field 'normaliser' is missing"),
        ("task", "swim", "task 'swim' is unknown"),
    ],
)
def test_foreign_spec(artifact_copy: Path, field: str, value: object, words: str) -> None:
    spec = json.loads((artifact_copy / "spec.json").read_text())
    (artifact_copy / "spec.json").write_text(json.dumps(spec | {field: value}))
    rewrite_sums(artifact_copy)
    assert words in refusal(lambda: Controller.load(artifact_copy))


def test_recorded_output_must_come_out(artifact_copy: Path) -> None:
    check = json.loads((artifact_copy / "check.json").read_text())
    for change, words in (
        ({"scores": [s + 1 for s in check["scores"]]}, "'scores' of the recorded input differ"),
        ({"state": check["state"][:-1]}, "does not run on the recorded input"),
    ):
        (artifact_copy / "check.json").write_text(json.dumps(check | change))
        rewrite_sums(artifact_copy)
        assert words in refusal(lambda: Planner.load(artifact_copy))


def test_write_replaces_an_artifact(artifact_copy: Path) -> None:
    files = content(artifact_copy) | {"MODEL_CARD.md": b"# new\n"}
    write_artifact(artifact_copy, files)
    assert (artifact_copy / "MODEL_CARD.md").read_bytes() == b"# new\n"
    load_artifact(artifact_copy)
    assert [p.name for p in artifact_copy.parent.iterdir()] == [artifact_copy.name]


@pytest.mark.parametrize("nth", [1, 4, 7])
def test_failure_while_writing_leaves_the_old_one(
    artifact_copy: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    before = content(artifact_copy)
    calls, write = [0], Path.write_bytes

    def fail(self: Path, data: bytes) -> int:
        calls[0] += 1
        if calls[0] == nth:
            raise OSError("disk full")
        return write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        patch.setattr(Path, "write_text", lambda self, text: fail(self, text.encode()))
        with pytest.raises(OSError, match="disk full"):
            write_artifact(artifact_copy, before | {"MODEL_CARD.md": b"new"})
    assert content(artifact_copy) == before
    load_artifact(artifact_copy)
    assert [p.name for p in artifact_copy.parent.iterdir()] == [artifact_copy.name]


def test_other_folders_are_never_overwritten(artifact_copy: Path, tmp_path: Path) -> None:
    files, thesis = content(artifact_copy), tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.txt").write_text("years of work")
    assert "is not an artifact" in refusal(lambda: write_artifact(thesis, files))
    assert (thesis / "chapter.txt").read_text() == "years of work"
    note = tmp_path / "note"
    note.write_text("a file")
    assert "is not an artifact" in refusal(lambda: write_artifact(note, files))
    (thesis / "chapter.txt").unlink()
    load_artifact(write_artifact(thesis, files))  # an empty folder may be filled
    shutil.rmtree(thesis)


def test_files_must_be_complete(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds exactly"):
        write_artifact(tmp_path / "a", {"spec.json": b""})
    assert not (tmp_path / "a").exists()
