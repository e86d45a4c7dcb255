"""Errors of users are one line and an exit code, whatever tool they happen in."""

from pathlib import Path

import pytest

from kdp_core.cli import user_errors
from kdp_core.exceptions import DataError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("file: two\nlines"), 2, "error: file: two lines"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError("no space"), 2, "error: no space"),
    ],
)
def test_one_line_and_a_code(
    capsys: pytest.CaptureFixture, error: BaseException, code: int, line: str
) -> None:
    @user_errors
    def tool() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        tool()
    assert caught.value.code == code
    assert capsys.readouterr().err == f"{line}\n"


def test_errors_of_the_file_system_name_the_file(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        user_errors(lambda: (tmp_path / "none").read_text())()
    assert capsys.readouterr().err == f"error: {tmp_path / 'none'}: No such file or directory\n"


def test_other_errors_are_bugs_and_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        user_errors(lambda: 1 / 0)()


def test_results_pass_through() -> None:
    assert user_errors(lambda x: x + 1)(2) == 3
