"""Three layers, a later one wins; what is wrong is said in one line."""

from pathlib import Path

import pytest

from copilot.settings import SettingsError, load


def test_file_wins_over_environment_and_flag_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "copilot.toml"
    file.write_text('port = 2000\nlanguage = "zh"\n', encoding="utf-8")
    monkeypatch.setenv("COPILOT_PORT", "1000")
    monkeypatch.setenv("COPILOT_WORKERS", "3")
    settings = load(file, language="en")
    assert (settings.port, settings.workers, settings.language) == (2000, 3, "en")


def test_a_flag_that_was_not_given_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPILOT_PORT", "1000")
    assert load(port=None).port == 1000


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("COPILOT_PORT", "99999", "port = '99999'"),
        ("COPILOT_LANGUAGE", "fr", "language = 'fr'"),
    ],
)
def test_a_wrong_setting_is_named(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said.replace("'", ".")):
        load()


def test_an_open_door_with_a_key_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPILOT_HOST", "0.0.0.0")
    monkeypatch.setenv("COPILOT_API_KEY", "secret-enough")
    settings = load()
    assert settings.api_key is not None
    assert "secret-enough" not in repr(settings)


def test_an_unknown_key_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "copilot.toml"
    file.write_text("prot = 1\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="prot"):
        load(file)


@pytest.mark.parametrize("text", ["port = ", "\x00"])
def test_a_file_that_is_not_toml_is_said_so(text: str, tmp_path: Path) -> None:
    file = tmp_path / "copilot.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="copilot.toml"):
        load(file)


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load(tmp_path / "nowhere.toml")
