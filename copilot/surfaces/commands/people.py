"""`copilot users`, `copilot tokens`: who is known to the service. It may run meanwhile."""

import getpass
import sys
import time
from collections.abc import Callable, Sequence
from typing import get_args
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from copilot import wiring
from copilot.case.answers import RESERVED
from copilot.case.halting import EVERYWHERE
from copilot.case.rights import API_KEY
from copilot.settings import Settings, SettingsError
from copilot.store import Store
from copilot.surfaces.cli_options import print_json
from copilot.surfaces.service.access import new_token
from copilot.surfaces.service.passwords import Passwords
from copilot.types import home
from copilot.types.people import SCOPES, AccessToken, Account, Role
from copilot.types.time_format import date_time
from tools.log_retriever import sanitize
from tools.playbook_executor import ApprovalScope, one_person
from tools.types import RiskClass

DAY_S = 86_400.0


def users_add(
    settings: Settings,
    *,
    name: str,
    role: Role,
    risks: Sequence[str],
    services: Sequence[str],
    namespaces: Sequence[str],
) -> int:
    """Make an account; its password comes from the terminal, or as a line of standard input."""
    clean, scope = _clean(name), _scope(role, risks, services, namespaces)
    hashed = Passwords().hashed(_password(), clean)
    account = Account(
        id=str(uuid4()),
        name=clean,
        role=role,
        scope=scope,
        password=hashed,
        created_at=time.time(),
    )
    with wiring.store(settings) as store:
        first = not store.people.known()
        with store.transaction():
            store.people.add(account)
            _told(store, settings, "account_added", account)
    _print(f"{account.name}: {_described(account)}")
    if first:
        _print(
            "This is the first account: from now on the service asks everybody and everything for "
            "an account or a token. Programs that send alerts: copilot tokens add NAME --scope "
            "alerts; Prometheus, dashboards: --scope read; chat clients: --scope chat"
        )
    return 0


def users_set(
    settings: Settings,
    *,
    name: str,
    role: Role | None,
    risks: Sequence[str],
    services: Sequence[str],
    namespaces: Sequence[str],
) -> int:
    """Change what somebody may do; what is not said of an approver's scope is everywhere."""

    def changed(account: Account) -> Account:
        new = role or account.role
        scope = _scope(new, risks, services, namespaces)
        return account.model_copy(update={"role": new, "scope": scope})

    return _changed(settings, name, "account_changed", changed)


def users_list(settings: Settings, *, as_json: bool) -> int:
    """Print everybody who has an account."""
    table = Table("name", "may", "signs in by", "since", box=None)
    with wiring.store(settings) as store:
        known = store.people.all()
    if as_json:
        hidden = {"password", "generation"}
        print_json([one.model_dump(mode="json", exclude=hidden) for one in known])
        return 0
    for one in known:
        way = "password" if one.password else one.identity or "nothing"
        table.add_row(one.name, _described(one), way, date_time(one.created_at))
    nobody = "nobody has an account: whoever holds admin.token says who they are"
    Console(highlight=False, markup=False).print(table if known else nobody, soft_wrap=not known)
    return 0


def users_disable(settings: Settings, *, name: str) -> int:
    """Let somebody in no more; their sessions and logins end at once, their name stays theirs."""

    def changed(account: Account) -> Account:
        new = account.generation + 1
        return account.model_copy(update={"disabled": True, "generation": new})

    return _changed(settings, name, "account_disabled", changed)


def users_enable(settings: Settings, *, name: str) -> int:
    """Let somebody in again."""

    def changed(account: Account) -> Account:
        return account.model_copy(update={"disabled": False})

    return _changed(settings, name, "account_enabled", changed)


def users_passwd(settings: Settings, *, name: str) -> int:
    """Set a password; sessions and logins made with the old one end at once."""
    with wiring.store(settings) as store:
        store.people.require(name)
    hashed = Passwords().hashed(_password(), name)

    def changed(account: Account) -> Account:
        new = account.generation + 1
        return account.model_copy(update={"password": hashed, "generation": new})

    return _changed(settings, name, "password_set", changed)


def tokens_add(settings: Settings, *, name: str, scopes: Sequence[str], days: float | None) -> int:
    """Make a token for a program and print it, once; only its digest is kept."""
    clean, now = _clean(name), time.time()
    known = tuple(one for one in SCOPES if one in scopes)
    if not scopes or len(known) < len(set(scopes)):
        raise SettingsError("what is it for? --scope alerts, read or chat, once or more")
    token, digest = new_token()
    made = AccessToken(
        id=digest[:12],
        digest=digest,
        name=clean,
        scopes=frozenset(known),
        created_at=now,
        ends_at=now + days * DAY_S if days else None,
    )
    with wiring.store(settings) as store, store.transaction():
        store.access_tokens.add(made)
        _token_told(store, settings, "token_added", made)
    _print(f"token {made.id} for {clean}: {_scopes(made)}; it is shown this once", error=True)
    _print(token)
    return 0


def tokens_list(settings: Settings, *, as_json: bool) -> int:
    """Print every token: for whom, what it may, when it was last used."""
    table = Table("id", "for", "may", "made", "last used", "ends", box=None)
    now = time.time()
    with wiring.store(settings) as store:
        known, names = store.access_tokens.all(), {one.id: one.name for one in store.people.all()}
    if as_json:
        print_json([one.model_dump(mode="json", exclude={"digest"}) for one in known])
        return 0
    for one in known:
        over = one.revoked_at or (one.ends_at if one.ends_at and one.ends_at < now else None)
        ends = f"over {date_time(over)}" if over else date_time(one.ends_at) if one.ends_at else "–"
        whom = f"{names.get(one.account_id, '?')} ({one.name})" if one.account_id else one.name
        used = date_time(one.used_at) if one.used_at else "never"
        table.add_row(one.id, whom, _scopes(one), date_time(one.created_at), used, ends)
    Console(highlight=False, markup=False).print(table if known else "there are no tokens")
    return 0


def tokens_revoke(settings: Settings, *, token: str) -> int:
    """End a token; requests with it are refused within a second."""
    with wiring.store(settings) as store, store.transaction():
        found = store.access_tokens.revoke(token, time.time())
        _token_told(store, settings, "token_revoked", found)
    _print(f"revoked: {found.id} of {found.name}")
    return 0


def _token_told(store: Store, settings: Settings, kind: str, token: AccessToken) -> None:
    detail = {"reason": f"{token.name}: {_scopes(token)}", "token": token.id}
    who = home.owner(settings.home)
    store.journal.append(EVERYWHERE, kind, who, {**detail}, time.time())


def _changed(settings: Settings, name: str, kind: str, change: Callable[[Account], Account]) -> int:
    with wiring.store(settings) as store, store.transaction():
        account = change(store.people.require(name))
        store.people.put(account)
        _told(store, settings, kind, account)
    _print(f"{account.name}: {_described(account)}")
    return 0


def _told(store: Store, settings: Settings, kind: str, account: Account) -> None:
    detail = {"reason": f"{account.name}: {_described(account)}", "account": account.name}
    who = home.owner(settings.home)
    store.journal.append(EVERYWHERE, kind, who, {**detail}, time.time())


def _scope(
    role: Role, risks: Sequence[str], services: Sequence[str], namespaces: Sequence[str]
) -> ApprovalScope:
    if role != "approver" and (risks or services or namespaces):
        raise SettingsError(f"--risk, --service, --namespace are an approver's, not of role {role}")
    classes = get_args(RiskClass)
    known = frozenset(one for one in classes if one in risks)
    if len(known) < len(set(risks)):
        raise SettingsError(f"--risk is one of {', '.join(classes)}")
    return ApprovalScope(
        risks=known or frozenset(classes),
        services=tuple(services),
        namespaces=tuple(namespaces),
    )


def _described(account: Account) -> str:
    if account.disabled:
        return "disabled"
    if account.role != "approver":
        return account.role
    scope = account.scope
    named = [
        f"{what} {', '.join(one)}"
        for what, one in (("services", scope.services), ("namespaces", scope.namespaces))
        if one
    ]
    where = " or ".join(named) or "everywhere"
    return f"approver of class {', '.join(sorted(scope.risks))}, {where}"


def _scopes(token: AccessToken) -> str:
    return ", ".join(sorted(token.scopes)) or "all that the person may"


def _clean(name: str) -> str:
    """A name as it will stand in the journal; raises `SettingsError`."""
    clean = sanitize(name, 80).strip()
    reserved = {one_person(one) for one in (*RESERVED, API_KEY)}
    if not clean or clean != name or one_person(clean) in reserved:
        raise SettingsError(
            f"{name!r} is no name for an account: one line, and not "
            f"{', '.join(sorted((*RESERVED, API_KEY)))}, which the journal uses itself"
        )
    return clean


def _password() -> str:
    """Asked for twice at a terminal, else one line of standard input; never an argument, which
    other users of the machine can see."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != first:
        raise SettingsError("the two are not the same; nothing was changed")
    return first


def _print(text: str, *, error: bool = False) -> None:
    Console(markup=False, highlight=False, stderr=error).print(text, soft_wrap=True)
