"""What a second ``make setup`` looks at before it does nothing."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import setup_workspace as setup
import step
from machine import Ros, SetupError


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    package = tmp_path / "src" / "one"
    (package / "one").mkdir(parents=True)
    (package / "config").mkdir()
    for name in ("package.xml", "setup.py", "setup.cfg", "one/node.py", "config/a.yaml"):
        (package / name).write_text(name)
    messages = tmp_path / "src" / "msgs"
    (messages / "msg").mkdir(parents=True)
    for name in ("package.xml", "CMakeLists.txt", "msg/Plan.msg"):
        (messages / name).write_text(name)
    (tmp_path / "tools" / "requirements").mkdir(parents=True)
    (tmp_path / "tools" / "fix_wheel_exports.py").write_text("")
    (tmp_path / "colcon.meta").write_text("{}")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    return tmp_path


def _state() -> str:
    return setup.digest(setup.build_inputs(), setup.data_file_names())


@pytest.mark.parametrize("name", ["src/msgs/msg/Plan.msg", "src/one/setup.cfg", "colcon.meta"])
def test_metadata_and_messages_ask_for_a_build(workspace, name):
    before = _state()
    (workspace / name).write_text("changed")
    assert _state() != before


@pytest.mark.parametrize("name", ["src/one/one/node.py", "src/one/config/a.yaml"])
def test_linked_files_do_not(workspace, name):
    before = _state()
    (workspace / name).write_text("changed")
    assert _state() == before


def test_a_new_data_file_does(workspace):
    before = _state()
    (workspace / "src/one/config/b.yaml").write_text("new")
    assert _state() != before


def test_the_stamp_survives_and_a_broken_one_counts_as_none(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "STAMP", tmp_path / "stamp.json")
    assert setup.read_stamp() == {}
    setup.write_stamp({"run": "1"})
    assert setup.read_stamp() == {"run": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["stamp.json"]
    (tmp_path / "stamp.json").write_text(json.dumps({"run": "1"})[:-3])
    assert setup.read_stamp() == {}


def test_constraints_of_another_distribution_pin_no_jazzy(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "LOGS", tmp_path)
    jazzy = setup.constraints_for(Ros("wheels", "jazzy")).read_text().splitlines()
    kilted = setup.constraints_for(Ros("wheels", "kilted")).read_text().splitlines()
    assert set(jazzy) - set(kilted) == {line for line in jazzy if line.startswith("ros-")} != set()


def test_every_wanted_package_is_pinned():
    pinned = {
        line.split("==")[0].lower() for line in (setup.ROOT / "constraints.txt").read_text().splitlines()
    }
    lists = [
        path for extra in ("run", "train") for path in setup.requirement_files(extra, Ros("wheels", "jazzy"))
    ]
    wanted = [line.lower() for path in lists for line in path.read_text().splitlines()]
    assert [name for name in wanted if not name.startswith("#") and name not in pinned] == []


def test_a_failed_step_shows_the_end_of_its_log(tmp_path, capsys):
    command = [sys.executable, "-c", "print('first'); print('the reason'); raise SystemExit(3)"]
    with pytest.raises(SetupError, match=r"thing failed after[\s\S]*the reason"):
        step.run("thing", command, tmp_path / "thing.log", {}, tmp_path)
    assert "setup: thing ..." in capsys.readouterr().out
