"""A service whose people have accounts, and those who ask it: for tests of several files."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import SecretStr

from copilot.case.rights import by_accounts
from copilot.store import Store
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access, new_token
from copilot.surfaces.service.passwords import Passwords
from copilot.testing.service import CountedEngine
from copilot.types.checks import CheckReport
from copilot.types.incident import Incident
from copilot.types.people import ROLES, AccessToken, Account, Role, TokenScope
from tools.playbook_executor import ApprovalScope, Policy
from tools.types import Plan, PlanStep

NOW = 1_700_000_000.0
TOKEN = "a" * 64
BASE = "http://127.0.0.1:8383"
PASSWORD = "four words of your own"

QUICK = Passwords(memory_kib=64, passes=1)
HASH = QUICK.hashed(PASSWORD)

PLAN = Plan(
    id="rollback-1", incident_id="I1", playbook_id="rollback", title="Roll till back", risk="B",
    component="till", steps=(PlanStep(index=0, title="wait", action="wait"),),
    created_at=NOW, expires_at=NOW + 900, digest="ab" * 32,
)  # fmt: skip


@dataclass(frozen=True)
class Door:
    api_key: SecretStr | None = None
    max_body_bytes: int = 100_000
    max_alerts: int = 100


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without rows, made once: making its tables takes longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "empty.sqlite"
    made = Store(f"sqlite:///{path}")
    made.create()
    made.close()
    return path


@pytest.fixture
def bare(empty: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy of it."""
    yield from copied(empty, tmp_path)


@pytest.fixture(scope="module")
def planned(empty: Path) -> Path:
    """As `empty`, with one incident whose plan waits, and nobody with an account."""
    path = empty.with_name("planned.sqlite")
    made = Store(f"sqlite:///{shutil.copy(empty, path)}")
    made.incidents.open(
        Incident(
            id="I1", title="till", status="awaiting_approval", opened_at=NOW, updated_at=NOW,
            plan=PLAN,
        )
    )  # fmt: skip
    made.approvals.request(PLAN, "run-1", NOW)
    made.close()
    return path


@pytest.fixture(scope="module")
def waiting(planned: Path) -> Path:
    """As `planned`, with one account of each role."""
    path = planned.with_name("waiting.sqlite")
    made = Store(f"sqlite:///{shutil.copy(planned, path)}")
    for role in ROLES:
        made.people.add(account(f"the {role}", role))
    made.close()
    return path


def copied(path: Path, folder: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{shutil.copy(path, folder / 'store.sqlite')}")
    yield opened
    opened.close()


def account(name: str, role: Role, scope: ApprovalScope | None = None) -> Account:
    return Account(
        id=str(uuid4()), name=name, role=role, scope=scope or ApprovalScope(), password=HASH,
        created_at=NOW,
    )  # fmt: skip


@pytest.fixture
def store(waiting: Path, tmp_path: Path) -> Iterator[Store]:
    yield from copied(waiting, tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(store: Store, clock: Clock) -> Access:
    return Access(store, TOKEN, operator="root", clock=clock, passwords=QUICK)


@pytest.fixture
def engine(store: Store) -> CountedEngine:
    return CountedEngine(store, NOW, policy=Policy(accounts=by_accounts(store, "root")))


@pytest.fixture
def app(engine: CountedEngine, access: Access) -> FastAPI:
    return create_app(
        engine, Door(), access=access, examine=lambda: CheckReport(pid=1, data_folder="", checks=())
    )


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return browser(app)


def browser(app: FastAPI) -> TestClient:
    return TestClient(app, base_url=BASE, follow_redirects=False)


def signed_in(client: TestClient, name: str, password: str = PASSWORD) -> Response:
    return client.post("/console/sign-in", data={"name": name, "password": password})


def login(store: Store, name: str) -> dict[str, str]:
    """The header of somebody who logged in on a command line."""
    found, (token, digest) = store.people.require(name), new_token()
    made = AccessToken(
        id=digest[:12], digest=digest, name="laptop", account_id=found.id, created_at=NOW
    )
    store.access_tokens.add(made)
    return {"authorization": f"Bearer {token}"}


def program(store: Store, *scopes: TokenScope, ends_at: float | None = None) -> tuple[str, str]:
    token, digest = new_token()
    made = AccessToken(
        id=digest[:12], digest=digest, name="prometheus", scopes=frozenset(scopes), created_at=NOW,
        ends_at=ends_at,
    )  # fmt: skip
    store.access_tokens.add(made)
    return token, made.id


def answer(**changed: str) -> dict[str, str]:
    return {"plan_id": PLAN.id, "digest": PLAN.digest, "decision": "approve", **changed}


def approvers(store: Store) -> list[str]:
    request = store.approvals.get(PLAN.id)
    assert request is not None
    return [one.approver for one in request.given]
