"""The rewritten CMake exports name this machine's headers and nothing else changes."""

import sys
import sysconfig
from pathlib import Path

import numpy
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from fix_wheel_exports import fix_exports, rewrite

EXPORT = (
    'INTERFACE_INCLUDE_DIRECTORIES "/opt/python/cp312-cp312/include/python3.12;'
    '/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy/_core/include"\n'
    'INTERFACE_LINK_LIBRARIES "rcutils::rcutils"\n'
)


def test_both_folders_are_replaced():
    assert rewrite(EXPORT, "/P", "/N") == (
        'INTERFACE_INCLUDE_DIRECTORIES "/P;/N"\nINTERFACE_LINK_LIBRARIES "rcutils::rcutils"\n'
    )


def _export(prefix: Path, package: str, text: str) -> Path:
    path = prefix / "share" / package / "cmake" / f"{package}Export.cmake"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_only_the_exports_that_need_it_change_and_only_once(tmp_path):
    foreign = _export(tmp_path, "std_msgs", EXPORT)
    clean = _export(tmp_path, "rcl", 'INTERFACE_INCLUDE_DIRECTORIES "${_IMPORT_PREFIX}/include/rcl"\n')
    before = clean.read_text()
    assert fix_exports(tmp_path) == [foreign]
    assert sysconfig.get_paths()["include"] in foreign.read_text()
    assert numpy.get_include() in foreign.read_text()
    assert clean.read_text() == before
    assert fix_exports(tmp_path) == []


def test_an_unknown_form_is_refused_and_left_alone(tmp_path):
    path = _export(tmp_path, "odd", 'X "/opt/python/elsewhere"\n')
    with pytest.raises(SystemExit, match="odd"):
        fix_exports(tmp_path)
    assert path.read_text() == 'X "/opt/python/elsewhere"\n'
