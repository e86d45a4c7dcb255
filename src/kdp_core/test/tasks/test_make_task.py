"""Tasks by name, with windows of any number of rows: one row is behaviour cloning."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

import kdp_core.tasks
from kdp_core import controller
from kdp_core.exceptions import ConfigError
from kdp_core.tasks import Task, make_task
from kdp_core.tasks.generic import GenericTask, generic_spec


class Fixed(GenericTask):
    """Another package's task of 6 rows."""

    def __init__(self) -> None:
        super().__init__(generic_spec("fixed", 2, 1, 6))


class Flexible(GenericTask):
    """Another package's task of any number of rows."""

    def __init__(self, horizon: int = 6) -> None:
        super().__init__(generic_spec("flexible", 2, 1, horizon))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    group = kdp_core.tasks.ENTRY_POINT_GROUP
    found = EntryPoints(EntryPoint(n, f"{n}:{n}", group) for n in ("Fixed", "Flexible"))
    monkeypatch.setattr(EntryPoint, "load", lambda entry: globals()[entry.name])
    monkeypatch.setattr(kdp_core.tasks, "entry_points", lambda group: found)


@pytest.mark.parametrize("name", ["flight", "pick_place", "stack"])
def test_own_tasks_take_any_number_of_rows(name: str) -> None:
    own = make_task(name).spec
    cloned = make_task(name, 1).spec
    assert own.task == cloned.task == name and own.horizon > 1 == cloned.horizon
    assert cloned.model_copy(update={"horizon": own.horizon}) == own


@pytest.mark.usefixtures("installed")
def test_tasks_of_other_packages() -> None:
    assert make_task("Flexible").spec.horizon == make_task("Fixed").spec.horizon == 6
    assert make_task("Flexible", 1).spec.horizon == 1
    assert make_task("Fixed", 6).spec.horizon == 6
    with pytest.raises(ConfigError, match="'Fixed' has windows of 6 rows and takes no horizon, got 1"):
        make_task("Fixed", 1)
    with pytest.raises(ConfigError, match="known: Fixed, Flexible, flight"):
        make_task("fixed")


def test_controller_asks_for_the_rows_of_the_artifact(monkeypatch: pytest.MonkeyPatch, shipped: Path) -> None:
    asked: list[tuple[str, int | None]] = []

    def made(name: str, horizon: int | None = None) -> Task:
        asked.append((name, horizon))
        return make_task(name, horizon)

    monkeypatch.setattr(controller, "make_task", made)
    loaded = controller.Controller.load(shipped)
    assert asked == [("flight", loaded.spec.horizon)] and loaded.task.spec.horizon == loaded.spec.horizon
