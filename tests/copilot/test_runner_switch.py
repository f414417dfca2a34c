"""What is declared with its states goes from one to another, and from nowhere else."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dns.message
import dns.query
import pytest
from pydantic import JsonValue
from typer.testing import CliRunner

from copilot.hands.dns import DnsRecordSet
from copilot.hands.report import StepFailedError
from copilot.hands.switch import (
    DnsRecord,
    Switchable,
    SwitchConflictError,
    SwitchPosition,
    SwitchRunner,
    SwitchTarget,
    same,
)
from copilot.sources.clock import SystemClock
from copilot.surfaces.cli import app
from copilot.testing.servers import NAMED, free_port, named
from tools.types import PlanStep

SECRET = base64.b64encode(b"an open secret of the tests 4711").decode()
BLUE = ["10.0.1.1", "10.0.1.2"]
GREEN: JsonValue = ["10.0.2.1"]


@dataclass
class HeldValue:
    """A value in memory that is compared and set; `meddled` is what others set it to meanwhile."""

    value: JsonValue
    meddled: list[JsonValue] = field(default_factory=list)
    deaf: bool = False

    def position(self) -> SwitchPosition:
        return SwitchPosition(self.value, self.value)

    def holds(self, value: JsonValue, state: JsonValue) -> bool:
        return same(value, state)

    def move(self, at: SwitchPosition, state: JsonValue) -> None:
        if self.meddled:
            self.value = self.meddled.pop(0)
            raise SwitchConflictError("changed meanwhile")
        if not self.deaf:
            self.value = state

    def forbidden(self, at: SwitchPosition, state: JsonValue) -> str:
        return ""


def hands(thing: Switchable, states: dict[str, JsonValue] | None = None) -> SwitchRunner:
    target = SwitchTarget.model_validate(
        {
            "states": states or {"on": True, "off": False, "one": 1},
            "api": {"of": "unleash", "url": "http://h"},
        }
    )
    return SwitchRunner({"flag": (target, thing)}, SystemClock())


def step(before: str = "on", after: str = "off", switch: str = "flag") -> PlanStep:
    arguments: dict[str, JsonValue] = {"switch": switch, "before": before, "after": after}
    return PlanStep(index=0, title="t", action="switch", arguments=arguments)


def test_it_goes_from_one_state_to_the_other_and_back() -> None:
    held = HeldValue(True)
    assert hands(held).run(step(), "k").output == "flag: on -> off"
    assert held.value is False
    assert hands(held).run(step(), "k").output == "flag is off already"
    assert hands(held).run(step("off", "on"), "k").ok
    assert held.value is True


UNFIT = {
    "what nobody declared": (step(switch="x"), "switch 'x' is not declared"),
    "a state nobody declared": (
        step(after="half"),
        "flag has no state 'half'; it has on, off, one",
    ),
    "a value for a state": (step(after="on\nFLUSH"), "is not a name"),
    "a path for a name": (step(switch="../etc"), "is not a name"),
    "a state that it is not in": (step("off", "one"), "flag is not off, but on"),
    "one for true": (step("one", "off"), "flag is not one, but on"),
}


@pytest.mark.parametrize(("wanted", "said"), UNFIT.values(), ids=UNFIT.keys())
def test_anything_else_is_refused_and_nothing_changes(wanted: PlanStep, said: str) -> None:
    held = HeldValue(True)
    result = hands(held).run(wanted, "k")
    assert not result.ok
    assert said in result.error
    assert held.value is True


def test_what_others_changed_meanwhile_is_looked_at_again() -> None:
    kept = HeldValue(True, meddled=[True, True])  # touched, and still as the plan says
    assert hands(kept).run(step(), "k").ok
    moved = HeldValue(True, meddled=[1])
    assert "flag is not on, but one" in hands(moved).run(step(), "k").error
    assert moved.value == 1
    assert "changed meanwhile" in hands(HeldValue(True, [True] * 9)).run(step(), "k").error


def test_a_change_that_was_taken_and_not_done_fails() -> None:
    result = hands(HeldValue(True, deaf=True)).run(step(), "k")
    assert result.error == "flag: on -> off was taken, and it holds true"


def test_a_rehearsal_reads_where_it_is_and_changes_nothing() -> None:
    held = HeldValue(True)
    assert hands(held).rehearse(step()) == ("flag is on", "")
    assert hands(held).rehearse(step("off", "on")).seen == "flag is on already"
    with pytest.raises(StepFailedError, match="flag is not off, but on"):
        hands(held).rehearse(step("off", "one"))
    assert held.value is True


def test_a_person_reads_what_both_names_stand_for_and_a_long_state_by_its_hash() -> None:
    target = SwitchTarget.model_validate(
        {
            "states": {"blue": BLUE, "long": [f"10.0.0.{i}" for i in range(99)]},
            "dns": record(53),
            "password_env": "KEY",
        }
    )
    said = target.meaning(step("blue", "long"))
    assert "A of www in shop.example at 127.0.0.1:53" in said
    assert 'blue = ["10.0.1.1", "10.0.1.2"] -> long = ' in said
    assert "sha256:" in said


# --- DNS ----------------------------------------------------------------------------------------


def record(port: int, **fields: object) -> DnsRecord:
    given = {"server": "127.0.0.1", "port": port, "zone": "shop.example", "name": "www"}
    return DnsRecord.model_validate({**given, "key": "copilot", **fields})


def dns_hands(
    one: DnsRecord, states: dict[str, JsonValue] | None = None, secret: str = SECRET
) -> SwitchRunner:
    named_states = {"blue": BLUE, "green": GREEN, **(states or {})}
    target = SwitchTarget.model_validate(
        {"states": named_states, "dns": one, "password_env": "KEY"}
    )
    return SwitchRunner({"www": (target, DnsRecordSet(one, secret))}, SystemClock())


def away(before: str = "blue", after: str = "green") -> PlanStep:
    return step(before, after, "www")


WRONG_RECORDS: dict[str, tuple[dict[str, object], JsonValue]] = {
    "a name in another zone": ({"name": "www.bank.example."}, GREEN),
    "a secret that is no base64": ({"key": "copilot"}, GREEN),
    "an address that is none": ({}, ["10.0.2"]),
    "an address of the other family": ({"type": "AAAA"}, GREEN),
    "a zone file in a value": ({}, ["10.0.2.1\n@ IN NS evil.example."]),
    "two names for one": ({"type": "CNAME"}, ["a.example.", "b.example."]),
}


@pytest.mark.parametrize(("fields", "state"), WRONG_RECORDS.values(), ids=WRONG_RECORDS.keys())
def test_a_record_that_cannot_be_is_refused_before_it_is_sent(
    fields: dict[str, object], state: JsonValue
) -> None:
    secret = "no base64 of anything!" if fields == {"key": "copilot"} else SECRET
    with pytest.raises(StepFailedError, match="in shop.example at 127.0.0.1"):
        DnsRecordSet(record(53, **fields), secret).holds(state, state)


def test_a_server_that_is_away_is_told_with_its_place() -> None:
    one = record(free_port())
    assert f"{one.told} is not reached: ConnectionRefused" in dns_hands(one).run(away(), "k").error


@contextmanager
def zone(folder: Path, records: str = "") -> Iterator[int]:
    if NAMED is None:
        pytest.skip("named is not installed")
    blue = "".join(f"www IN A {one}\n" for one in BLUE)
    with named(folder, "shop.example", f"{blue}{records}", SECRET) as port:
        yield port


def answered(port: int, name: str = "www", kind: str = "A") -> set[str]:
    """What anybody gets who asks the server."""
    question = dns.message.make_query(f"{name}.shop.example.", kind)
    answer = dns.query.udp(question, "127.0.0.1", port=port, timeout=5).answer
    return {f"{found.ttl} {one.to_text()}" for found in answer for one in found}


@pytest.mark.integration
def test_a_real_bind_moves_a_name_and_takes_it_back(tmp_path: Path) -> None:
    with zone(tmp_path, "api 30 IN CNAME blue\nold 3600 IN A 10.0.1.1\n") as port:
        hand = dns_hands(record(port))
        assert hand.rehearse(away()) == ("www is blue", "")
        assert answered(port) == {"60 10.0.1.1", "60 10.0.1.2"}
        said = hand.run(away(), "k")
        assert said.output == (
            "www: blue -> green; resolvers may answer the old values for 60 s more"
        )
        assert answered(port) == {"60 10.0.2.1"}
        assert hand.run(away(), "k").output == "www is green already"
        assert hand.run(away("green", "blue"), "k").ok
        assert answered(port) == {"60 10.0.1.1", "60 10.0.1.2"}

        alias = record(port, name="api", type="CNAME")
        states: dict[str, JsonValue] = {"here": ["blue"], "there": ["green.shop.example."]}
        moved = dns_hands(alias, states).run(away("here", "there"), "k")
        assert moved.ok, moved.error
        assert answered(port, "api", "CNAME") == {"30 green.shop.example."}

        slow = dns_hands(record(port, name="old"), {"blue": ["10.0.1.1"]}).run(away(), "k")
        assert "kept for 3600 s by resolvers; at most 300 s" in slow.error
        assert answered(port, "old") == {"3600 10.0.1.1"}


@pytest.mark.integration
def test_the_playbook_moves_a_name_at_a_real_bind_from_the_command_line(tmp_path: Path) -> None:
    with zone(tmp_path) as port:
        (tmp_path / "runners.toml").write_text(f"""
            [switch.www]
            states.blue = ["10.0.1.1", "10.0.1.2"]
            states.green = ["10.0.2.1"]
            password_env = "DNS_KEY"
            dns.server = "127.0.0.1"
            dns.port = {port}
            dns.zone = "shop.example"
            dns.name = "www"
            dns.key = "copilot"
        """)
        values = ("--set", "switch=www", "--set", "before=blue", "--set", "after=green")
        done = CliRunner().invoke(
            app,
            ["playbook", "run", "switch-dns", "web", *values, "--by", "anna", "--yes"],
            env={
                "DNS_KEY": SECRET,
                "COPILOT_DATA_DIR": str(tmp_path / "data"),
                "COPILOT_RUNNERS_FILE": str(tmp_path / "runners.toml"),
            },
        )
        assert "www: blue -> green" in done.output
        assert SECRET not in done.output
        assert answered(port) == {"60 10.0.2.1"}


@pytest.mark.integration
def test_a_real_bind_refuses_a_stranger_and_what_is_not_as_it_was(tmp_path: Path) -> None:
    with zone(tmp_path) as port:
        reader = dns_hands(record(port, key="reader"))
        assert "the server answers REFUSED" in reader.run(away(), "k").error
        assert "the server answers REFUSED" in reader.rehearse(away()).refused
        wrong = dns_hands(record(port), secret=base64.b64encode(b"wrong" * 8).decode())
        assert "is not reached: PeerBadSignature" in wrong.run(away(), "k").error
        third = dns_hands(record(port), {"other": ["10.0.3.1"]})
        assert "www is not other, but blue" in third.run(away("other", "green"), "k").error

        records = DnsRecordSet(record(port), SECRET)
        stale = records.position()
        assert dns_hands(record(port)).run(away(), "k").ok
        with pytest.raises(SwitchConflictError, match="was changed meanwhile"):
            records.move(stale, ["10.0.3.1"])
        assert answered(port) == {"60 10.0.2.1"}
