"""People who sign in by somebody else's word: an OpenID provider's, or a proxy's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from pydantic import JsonValue

from copilot.case.answers import RESERVED
from copilot.case.rights import API_KEY
from copilot.store import NameTakenError, Store
from copilot.types.people import ROLES, Account, Role
from tools.log_retriever.sanitize import plain
from tools.playbook_executor import one_person
from tools.types import FrozenModel, Timestamp

LONGEST_NAME = 80


class IdentityProvider(Protocol):
    """Who says who somebody is, by way of their browser."""

    def begin(self) -> tuple[str, dict[str, JsonValue]]:
        """Where the browser goes, and what it must bring back."""
        ...

    def finish(self, kept: Mapping[str, JsonValue], told: Mapping[str, str]) -> "OutsidePerson":
        """Who it is, by what the browser brought; raises `SignInRefusedError`."""
        ...


class SignInRefusedError(Exception):
    """Somebody else's word does not let this person in; the message says why."""


class OutsidePerson(FrozenModel):
    """Whom a provider or a proxy says it is; `identity` stays, `name` is how they are called."""

    identity: str
    name: str
    groups: tuple[str, ...] = ()
    by: Literal["oidc", "proxy"]


def admitted(
    store: Store, person: OutsidePerson, roles: Mapping[str, Role], operator: str, now: Timestamp
) -> Account:
    """Their account, made when they first come, of the role that their groups give them now.

    Nobody is taken for somebody of ours by their name: who is called as another is, or as the
    `operator`, gets a name with where they come from. Raises `SignInRefusedError`.
    """
    given = [roles[one] for one in (*person.groups, "*") if one in roles]
    if not given:
        raise SignInRefusedError("none of your groups may use this service (group_roles)")
    role = max(given, key=ROLES.index)
    # Together: who is disabled meanwhile must not be written back as they were.
    with store.transaction():
        found = store.people.of_identity(person.identity)
        if found is None:
            return _made(store, person, role, operator, now)
        if found.disabled:
            raise SignInRefusedError("this account is disabled")
        if found.role != role:
            found = found.model_copy(update={"role": role})
            store.people.put(found)
        return found


def _made(
    store: Store, person: OutsidePerson, role: Role, operator: str, now: Timestamp
) -> Account:
    called = plain(person.name, LONGEST_NAME)
    reserved = {one_person(one) for one in (*RESERVED, API_KEY, operator)}
    place = urlsplit(person.identity.partition(" ")[0]).hostname or person.by
    for name in (called, f"{called} ({place})"[:LONGEST_NAME]):
        if not called or one_person(name) in reserved:
            continue
        made = Account(
            id=str(uuid4()), name=name, role=role, identity=person.identity, created_at=now
        )
        try:
            store.people.add(made)
        except NameTakenError:
            continue
        return made
    raise SignInRefusedError(f"the name {called!r} is somebody else's here")


def sent(headers: Mapping[str, str], name: str) -> list[str]:
    """Each value of a header, in the order they were sent."""
    return [value for key, value in headers.items() if name and key.lower() == name.lower()]


class TrustedProxy:
    """Reads who somebody is from headers, where the proxy sent them and nobody else."""

    def __init__(self, addresses: Sequence[str], user_header: str, groups_header: str) -> None:
        """Raises `ValueError` for what is no address or network."""
        self._networks = [ip_network(one) for one in addresses]
        self._user, self._groups = user_header, groups_header

    def trusts(self, address: str) -> bool:
        """Whether a connection is the proxy's."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in one for one in self._networks)

    def origin(self, address: str, headers: Mapping[str, str]) -> str:
        """Whose request the proxy hands on: the last address of `X-Forwarded-For` that is none of
        its own; of a connection that is not the proxy's, its own address.
        """
        hops = ",".join(sent(headers, "x-forwarded-for")).split(",")
        while hops and self.trusts(address):
            try:
                address = str(ip_address(hops.pop().strip()))
            except ValueError:
                break
        return address

    def person(self, address: str, headers: Mapping[str, str]) -> OutsidePerson | None:
        """Whom the proxy names; None where it is not the proxy, or names nobody.

        A header that came twice is one of the browser's, to which the proxy added its own.
        """
        users, lists = sent(headers, self._user), sent(headers, self._groups)
        name = plain(users[0], LONGEST_NAME) if len(users) == 1 else ""
        if not name or len(lists) > 1 or not self.trusts(address):
            return None
        said, listed = users[0], ",".join(lists).split(",")
        groups = tuple(one.strip() for one in listed if one.strip())
        return OutsidePerson(identity=f"proxy {said}", name=name, groups=groups, by="proxy")


def person_of(
    issuer: str, claims: Mapping[str, JsonValue], name_claim: str, groups_claim: str
) -> OutsidePerson:
    """Whom the claims of a checked id token name."""
    names = (claims.get(one) for one in (name_claim, "email", "sub"))
    groups = claims.get(groups_claim)
    listed = groups if isinstance(groups, list) else [groups] if groups else []
    return OutsidePerson(
        identity=f"{issuer} {claims['sub']}",
        name=next(str(one) for one in names if one),
        groups=tuple(one for one in listed if isinstance(one, str)),
        by="oidc",
    )


@dataclass(frozen=True, slots=True)
class OutsideWord:
    """By whose word people sign in, and which role each of their groups gives."""

    roles: Mapping[str, Role]
    provider: IdentityProvider | None = None
    proxy: TrustedProxy | None = None
