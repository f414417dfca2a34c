"""`copilot journal head` and `verify`, and the notes that a running service makes."""

import json
import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from copilot import wiring
from copilot.settings import Settings, SettingsError, load
from copilot.store import GENESIS, SignedHead
from copilot.surfaces.commands.journal_head import journal_head, journal_verify, noted


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load(data_dir=tmp_path)
    with wiring.store(settings) as store:
        for number in range(3):
            store.journal.append("I1", "noted", "copilot", {"n": number}, 1.0)
    return settings


def _emptied(settings: Settings) -> None:
    with sqlite3.connect(settings.home / "copilot.sqlite") as database:
        database.execute("DELETE FROM journal")
        database.execute("UPDATE journal_head SET seq = 0, digest = ?", [GENESIS])
    database.close()


def test_a_head_that_was_printed_finds_an_emptied_journal(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert journal_head(settings) == 0
    kept = tmp_path / "kept.json"
    kept.write_text(capsys.readouterr().out)
    assert SignedHead.read(kept.read_text())[0].seq == 3
    assert journal_verify(settings, head=kept) == 0
    _emptied(settings)
    assert journal_verify(settings, head=None) == 0
    assert journal_verify(settings, head=kept) == 1
    assert "row 3" in capsys.readouterr().out


def test_a_service_notes_the_head_and_verify_holds_the_journal_against_it(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with wiring.store(settings) as store, noted(store, settings):
        pass
    heads = settings.home / "journal.heads"
    assert heads.stat().st_mode & 0o777 == 0o600
    assert journal_verify(settings, head=None) == 0
    assert "1 noted heads hold" in capsys.readouterr().out
    _emptied(settings)
    assert journal_verify(settings, head=None) == 1
    heads.write_text("")
    with pytest.raises(SettingsError, match="holds no head"):
        journal_verify(settings, head=None)


def test_a_head_that_another_key_signed_is_refused(settings: Settings, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(SignedHead.sign(3, "a" * 64, 1.0, b"x" * 32).model_dump_json())
    with pytest.raises(SettingsError, match="signature of head 1 does not hold"):
        journal_verify(settings, head=kept)


def test_the_head_is_posted_where_an_address_is_the_anchor(settings: Settings) -> None:
    taken: list[bytes] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal of the tests."""

    with HTTPServer(("127.0.0.1", 0), Taker) as server:
        Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/heads"
        posting = settings.model_copy(update={"journal_anchor": url})
        with wiring.store(settings) as store, noted(store, posting):
            pass
    assert json.loads(taken[0])["seq"] == 3
