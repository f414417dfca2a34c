"""A credential comes from one place, is read when it is needed, and is shown nowhere."""

from pathlib import Path

import httpx
import pytest

from copilot.hands import RunnersFileError
from copilot.hands.credentials import HttpBase, SecretReader, VaultServer
from copilot.hands.http import HttpCaller
from copilot.hands.report import StepFailedError
from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer, serving

TOKEN = "awx-token-4711"
VAULT_TOKEN = "hvs.4713"
FILE = Path("runners.toml")


class VaultKv(StrictServer):
    """Vault's KV version 2, reading: developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2."""

    name = "Vault"

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, object] = {"token": TOKEN, "number": 7}

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        given = (asked.headers.get("x-vault-token"), asked.headers.get("x-vault-namespace"))
        if given != (VAULT_TOKEN, "ops"):
            return HttpReply(403, {"errors": ["permission denied"]})
        if asked.path != "/v1/secret/data/copilot/awx":
            return HttpReply(404, {"errors": []})
        metadata = {"version": 3, "destroyed": False}
        return HttpReply(200, {"data": {"data": self.held, "metadata": metadata}})


def reading(url: str = "http://127.0.0.1:1") -> SecretReader:
    vault = VaultServer(url=url, token_env="VAULT_TOKEN", namespace="ops")
    return SecretReader(FILE, {"VAULT_TOKEN": VAULT_TOKEN}, vault)


def test_a_token_of_vault_is_read_when_it_is_sent_and_its_successor_next_time() -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["authorization"])
        return httpx.Response(200, text=f"you sent {request.headers['authorization']}")

    with serving(VaultKv()) as vault:
        declared = HttpBase(url="http://awx.internal", token_vault="secret/copilot/awx#token")
        base = reading(vault.url).base("awx", declared)
        caller = HttpCaller({"awx": base}, httpx.MockTransport(answer))
        first = caller.send("awx", "GET", "/api", timeout_s=5)
        vault.held["token"] = "awx-token-4712"
        caller.send("awx", "GET", "/api", timeout_s=5)
        assert sent == [f"Bearer {TOKEN}", "Bearer awx-token-4712"]
        assert TOKEN not in first.body + repr(base) + repr(declared) + declared.told
        vault.failures.append("unavailable")
        with pytest.raises(StepFailedError, match="answers 503"):
            caller.send("awx", "GET", "/api", timeout_s=5)


NOT_READ = {
    "a path that is not there": ("secret/copilot/no#token", "answers 404"),
    "a field that is not there": ("secret/copilot/awx#no", "is not read from"),
    "a field that is no text": ("secret/copilot/awx#number", "holds no text"),
    "a way up": ("secret/../sys#token", "is not of the form mount/path#field"),
    "no field": ("secret/copilot/awx", "is not of the form mount/path#field"),
}


@pytest.mark.parametrize(("place", "said"), NOT_READ.values(), ids=NOT_READ.keys())
def test_what_vault_does_not_hold_stops_the_start(place: str, said: str) -> None:
    with serving(VaultKv()) as vault, pytest.raises(RunnersFileError, match=said) as refused:
        reading(vault.url).base("awx", HttpBase(url="http://h", token_vault=place))
    assert VAULT_TOKEN not in str(refused.value)


def test_a_file_is_read_again_and_an_empty_one_is_said(tmp_path: Path) -> None:
    held = tmp_path / "token"
    held.write_text(f"{TOKEN}\n", encoding="utf-8")
    base = reading().base("awx", HttpBase(url="http://h", token_file=held, token_as="X-Token"))
    assert base.current() == {"X-Token": TOKEN}
    held.write_text("", encoding="utf-8")
    with pytest.raises(RunnersFileError, match="is empty"):
        base.current()


def test_one_base_has_its_token_in_one_place() -> None:
    twice = HttpBase(url="http://h", token_env="VAULT_TOKEN", token_vault="secret/a#b")
    with pytest.raises(RunnersFileError, match="keep one of them"):
        reading().base("awx", twice)
    without = SecretReader(FILE, {})
    with pytest.raises(RunnersFileError, match="there is no \\[vault\\]"):
        without.base("awx", HttpBase(url="http://h", token_vault="secret/a#b"))
