"""Atomic writing, sums and one-line errors of kdp_core.files."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdp_core.exceptions import ConfigError, DataError, KdpError
from kdp_core.files import (
    atomic_directory,
    atomic_file,
    load_json,
    load_yaml,
    sha256_directory,
    sha256_file,
    write_json,
    write_yaml,
)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    write_json(target, {"a": 1})
    with pytest.raises(RuntimeError, match="interrupted"), atomic_file(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError("interrupted")
    assert load_json(target) == {"a": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "deep" / "report.json", tmp_path / "link.json"
    link.symlink_to(target)
    for value in (1, 2):  # a dangling link at first
        write_json(link, value)
        assert link.is_symlink() and load_json(target) == value
    assert [item.name for item in target.parent.iterdir()] == ["report.json"]


def test_loops_and_devices_are_not_replaced(tmp_path: Path) -> None:
    loop, device = tmp_path / "loop.json", tmp_path / "device.json"
    loop.symlink_to(loop)
    device.symlink_to("/dev/null")
    for path in (loop, device, tmp_path):
        with pytest.raises(OSError, match=r".") as told:
            write_json(path, 1)
        assert told.value.filename == str(path) and told.value.strerror
    assert loop.is_symlink() and device.is_symlink()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "not usable JSON"),
        ("{", "x.json:1:2: not JSON"),
    ],
)
def test_unusable_json_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as told:
        load_json(path, DataError)
    assert str(path) in str(told.value) and "\n" not in str(told.value)


def test_an_impossible_name_is_one_line() -> None:
    with pytest.raises(ConfigError, match="null byte"):
        load_json("/tmp/a\0b.json")


def test_json_with_nan_is_refused_and_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_directory_appears_only_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "artifact"
    with atomic_directory(target) as temporary:
        (temporary / "spec.json").write_text("{}")
        assert not target.exists()
    assert [item.name for item in target.iterdir()] == ["spec.json"]
    with pytest.raises(ConfigError, match="exists already"), atomic_directory(target):
        pass
    with pytest.raises(RuntimeError), atomic_directory(target, overwrite=True):
        raise RuntimeError("interrupted")
    assert (target / "spec.json").exists()
    with atomic_directory(target, overwrite=True) as temporary:
        (temporary / "other.json").write_text("{}")
    assert [item.name for item in target.iterdir()] == ["other.json"]
    assert [item.name for item in target.parent.iterdir()] == ["artifact"]


@settings(max_examples=25, deadline=None)
@given(content=st.binary(max_size=3000))
def test_sum_is_that_of_the_content(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("sum") / "f"
    path.write_bytes(content)
    assert sha256_file(path) == hashlib.sha256(content).hexdigest()


def test_sum_of_a_directory_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = sha256_directory(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = sha256_directory(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, renamed, sha256_directory(tmp_path)}) == 3


def test_yaml_round_trip_keeps_the_order(tmp_path: Path) -> None:
    value = {"z": [1, 2.5], "a": {"text": "ä: b", "none": None}}
    write_yaml(tmp_path / "c.yaml", value)
    assert load_yaml(tmp_path / "c.yaml") == value
    assert list(load_yaml(tmp_path / "c.yaml")) == ["z", "a"]


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("x.json", b'{"a": 1,\n "b": }', "x.json:2:7: not JSON"),
        ("x.json", b"", "x.json:1:1: not JSON"),
        ("x.json", b"\xff\xfe", "x.json: byte 0 is not UTF-8"),
        ("x.json", b"[" * 200_000, "x.json: not usable JSON"),
        ("x.yaml", b"a: 1\nb: [1, 2\nc: 3\n", "x.yaml:3:"),
        ("x.yaml", b"a: !!python/object:os.system {}\n", "x.yaml:1:4: not YAML"),
        ("x.yaml", b"a: 2024-13-45\n", "x.yaml: not YAML"),
        ("x.yaml", b"a: \x00\n", "x.yaml: not YAML"),
    ],
)
def test_malformed_files_give_one_line_with_the_place(
    tmp_path: Path, name: str, content: bytes, where: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    load = load_json if name.endswith("json") else load_yaml
    with pytest.raises(KdpError) as caught:
        load(path)
    assert where in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_uses_the_error_class_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.json: cannot be read: No such file"):
        load_json(tmp_path / "nothing.json", DataError)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path)
