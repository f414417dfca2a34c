"""Move traffic between the servers of a pool: shares, drain and back, and a look between."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from copilot.hands.proxies import HaproxyRuntime, NginxFiles, NginxUpstreams, PoolServer, Proxy
from copilot.hands.report import Rehearsal, StepFailedError, of_type, reported
from copilot.ports import Clock
from tools.playbook_executor.vocabulary import (
    PoolCheckArguments,
    ResourceName,
    ServingArguments,
    ShareArguments,
)
from tools.types import FrozenModel, PlanStep, StepResult

_ADDRESS = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")


Members = Annotated[tuple[ResourceName, ...], Field(min_length=1, max_length=10)]
"""The servers of a group: as many as the traffic playbooks tell a person who approves."""


class ProxyTarget(FrozenModel):
    """A proxy: HAProxy's socket or its address, or nginx's files; and names for several servers.

    After a step at least `keep` servers outside of the group still serve with their share.
    """

    socket: Path | None = None
    address: str = ""
    nginx: NginxFiles | None = None
    groups: dict[ResourceName, Members] = Field(default_factory=dict)
    keep: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if [self.socket is not None, bool(self.address), self.nginx is not None].count(True) != 1:
            raise ValueError("needs one of socket, address and nginx")
        if self.socket is not None and not self.socket.is_absolute():
            raise ValueError(f"socket {str(self.socket)!r} is not an absolute path")
        found = _ADDRESS.fullmatch(self.address)
        if self.address and (found is None or not 0 < int(found[2]) < 65_536):
            raise ValueError(f"address {self.address!r} is no host:port, nor [IPv6]:port")
        return self

    def meaning(self, step: PlanStep) -> str:
        """The proxy, what is run there, and the servers that a group stands for."""
        members = self.groups.get(str(step.arguments.get("server")), ())
        how = ""
        if (files := self.nginx) is not None:
            how = f" ({files.binary} -c {files.config}, log {files.log})"
        return f"{self.told}{how}{': ' if members else ''}{', '.join(members)}"

    @property
    def told(self) -> str:
        """For a person."""
        if self.nginx is not None:
            return f"nginx by {self.nginx.folder}"
        return f"HAProxy at {self.socket or self.address}"

    def connect(self) -> Proxy:
        """What speaks to it."""
        if self.nginx is not None:
            return NginxUpstreams(self.nginx)
        return HaproxyRuntime(self.socket, self.address)


class TrafficRunner:
    """Runs `traffic` steps on the proxies of the runners file.

    Nothing is changed unless enough other servers serve, the servers exist, and none of them is in
    maintenance, which only a person ends. What was set is read back.
    """

    def __init__(self, targets: Mapping[str, ProxyTarget], clock: Clock) -> None:
        self._targets, self._clock = dict(targets), clock

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Look, or move; values are set, so that asking twice does no more than asking once."""
        return reported(self._clock, key, lambda: self._act(step))

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """Read what `run` would read first, and whether the socket may change anything."""
        target, proxy = self._proxy(step)
        wanted = _wanted(step)
        servers = proxy.servers(wanted.pool)
        leaving = _leaving(target, servers, wanted)
        seen = f"{wanted.pool}: {_standing(servers)}"
        if isinstance(wanted, PoolCheckArguments):
            return Rehearsal(seen)
        _refuse_unsafe(target, proxy, wanted, leaving)
        return Rehearsal(seen, proxy.forbidden())

    def touches(self, step: PlanStep) -> bool:
        """Traffic really moves."""
        return True

    def _proxy(self, step: PlanStep) -> tuple[ProxyTarget, Proxy]:
        target = self._targets.get(str(step.arguments.get("proxy")))
        if target is None:
            raise StepFailedError(f"proxy {step.arguments.get('proxy')!r} is not declared")
        return target, target.connect()

    def _act(self, step: PlanStep) -> str:
        target, proxy = self._proxy(step)
        wanted = _wanted(step)
        leaving = _leaving(target, proxy.servers(wanted.pool), wanted)
        if isinstance(wanted, PoolCheckArguments):
            return self._look(proxy, wanted, leaving)
        _refuse_unsafe(target, proxy, wanted, leaving)
        before = {name: proxy.weight(wanted.pool, name)[0] for name in leaving}
        for number, name in enumerate(leaving):
            try:
                _move(proxy, wanted, name)
            except StepFailedError as error:
                raise StepFailedError(str(error), _moved(wanted, leaving[:number])) from error
        after = {one.name: one for one in proxy.servers(wanted.pool)}
        for name in leaving:
            _check_moved(wanted, after[name])
        said = [
            f"{wanted.pool}/{name}: weight {before[name]} -> {_weight_now(proxy, wanted, name)}"
            for name in leaving
        ]
        return "; ".join([*said, _standing(after.values())])

    def _look(self, proxy: Proxy, wanted: PoolCheckArguments, leaving: Sequence[str]) -> str:
        before = {one.name: one for one in proxy.servers(wanted.pool)}
        self._clock.sleep(wanted.over_s)
        seen = [
            one
            for one in proxy.servers(wanted.pool)
            if (one.name in leaving) == (wanted.at == "itself")
        ]
        whom = f"{wanted.server if wanted.at == 'itself' else 'the others'} of {wanted.pool}"
        if not any(one.state == "serves" for one in seen):
            raise StepFailedError(f"{whom}: none serves; {_standing(seen)}")
        grown = [(one, before.get(one.name, one)) for one in seen]
        answers = sum(now.answers - then.answers for now, then in grown)
        failures = sum(now.failures - then.failures for now, then in grown)
        said = f"{whom}: {failures} of {answers} answers failed in {wanted.over_s:g} s"
        said += f"; at most {wanted.failed_share:.0%} may"
        if answers == 0 and wanted.at == "itself":
            raise StepFailedError(f"{whom}: no answer in {wanted.over_s:g} s, so nothing is known")
        if answers < 0 or failures > wanted.failed_share * answers:
            raise StepFailedError(said)
        return f"{said}; {_standing(seen)}"


TrafficStep = ShareArguments | ServingArguments | PoolCheckArguments


def _wanted(step: PlanStep) -> TrafficStep:
    match step.arguments.get("verb"):
        case "weigh":
            return of_type(step, ShareArguments)
        case "look":
            return of_type(step, PoolCheckArguments)
        case _:
            return of_type(step, ServingArguments)


def _leaving(
    target: ProxyTarget, servers: Sequence[PoolServer], wanted: TrafficStep
) -> Sequence[str]:
    """The servers that the step's name stands for; each has to be in the pool."""
    names = target.groups.get(wanted.server, (wanted.server,))
    there = {one.name for one in servers}
    if absent := [name for name in names if name not in there]:
        has = ", ".join(sorted(there))
        raise StepFailedError(f"pool {wanted.pool} has no server {absent[0]!r}; it has {has}")
    return names


def _refuse_unsafe(
    target: ProxyTarget,
    proxy: Proxy,
    wanted: ShareArguments | ServingArguments,
    leaving: Sequence[str],
) -> None:
    servers = proxy.servers(wanted.pool)
    if parked := [
        one.name for one in servers if one.name in leaving and one.state == "in maintenance"
    ]:
        raise StepFailedError(f"{wanted.pool}/{parked[0]} is in maintenance: a person set that")
    if isinstance(wanted, ServingArguments) and wanted.verb == "ready":
        return
    others = sum(one.state == "serves" and one.name not in leaving for one in servers)
    if others < target.keep:
        raise StepFailedError(
            f"only {others} other servers of {wanted.pool} serve; {target.keep} have to be left"
        )
    if isinstance(wanted, ServingArguments):
        return
    for name in leaving:
        configured = proxy.weight(wanted.pool, name)[1]
        if configured * wanted.share < 100:
            raise StepFailedError(
                f"{wanted.pool}/{name} has the configured weight {configured}, of which "
                f"{wanted.share} % is none; give the servers weight 100"
            )


def _move(proxy: Proxy, wanted: ShareArguments | ServingArguments, name: str) -> None:
    if isinstance(wanted, ShareArguments):
        proxy.weigh(wanted.pool, name, wanted.share)
    elif wanted.verb == "drain":
        proxy.drain(wanted.pool, name)
    else:
        proxy.ready(wanted.pool, name)


def _moved(wanted: ShareArguments | ServingArguments, names: Sequence[str]) -> str:
    """What a failed step had changed by then, for whoever puts it right."""
    return f"{wanted.verb} was done for {', '.join(names)} of {wanted.pool}" if names else ""


def _check_moved(wanted: ShareArguments | ServingArguments, server: PoolServer) -> None:
    """What is down is drained all the same, and gets its work back when it is up."""
    if server.state != "down" and (server.state == "drained") != (wanted.verb == "drain"):
        problem = f"is {server.state!r} after {wanted.verb!r}"
        raise StepFailedError(f"{wanted.pool}/{server.name} {problem}")


def _weight_now(proxy: Proxy, wanted: ShareArguments | ServingArguments, name: str) -> str:
    now, configured = proxy.weight(wanted.pool, name)
    return "drained" if wanted.verb == "drain" else f"{now} of {configured}"


def _standing(servers: Iterable[PoolServer]) -> str:
    return ", ".join(f"{one.name}: {one.state}" for one in servers)
