"""The data folder has one owner at a time."""

from pathlib import Path

import pytest

from copilot.types import home


def test_the_second_owner_is_told_who_is_first(tmp_path: Path) -> None:
    with home.owned(tmp_path, "service at http://127.0.0.1:8383"):
        with pytest.raises(home.HomeBusyError, match="service at http"), home.owned(tmp_path, "me"):
            pass
        assert home.service_address(tmp_path) == "http://127.0.0.1:8383"
    assert home.holder(tmp_path) == ""
    with home.owned(tmp_path, "me"):
        assert "me" in home.holder(tmp_path)


def test_a_folder_that_was_never_used_has_no_owner(tmp_path: Path) -> None:
    assert home.holder(tmp_path / "new") == ""
    assert home.service_address(tmp_path / "new") == ""


def test_only_its_owner_can_read_the_folder(tmp_path: Path) -> None:
    with home.owned(tmp_path / "new", "me") as folder:
        assert folder.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with (
        pytest.raises(home.HomeError, match="COPILOT_DATA_DIR"),
        home.owned(tmp_path / "file" / "in", "me"),
    ):
        pass
