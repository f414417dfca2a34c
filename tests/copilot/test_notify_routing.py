"""The routing file: read strictly, and who it comes to for an incident."""

from pathlib import Path

import pytest

from copilot.surfaces.notify.routing import NotifyFile, NotifyFileError, facets, read
from copilot.types.incident import Incident
from copilot.types.on_call import OnCallNow, OnCallPerson
from copilot.types.secret_place import ChannelSecretError, SecretPlace
from tools.types import Alert, Candidate, Ranking, Subject

NOON, NIGHT = 1_700_049_600.0, 1_700_010_000.0  # Wednesday 12:00 and 01:00 UTC

FILE = """
hosts: [hooks.example.org]
targets:
  - {name: shop, kind: apprise, url: {env: SHOP}}
  - {name: office, kind: apprise, url: {env: OFFICE}, language: zh}
  - {name: log, kind: webhook, url: {env: LOG}, secret: {file: /run/secrets/log}}
routes:
  - {match: ['severity="critical"', team=payments], to: [shop], continue: true}
  - {match: ['severity!="critical"'], within: {hours: ["09:00-18:00"]}, to: [office]}
  - {match: [kind=bad_deploy, 'certainty=~"proven|likely"'], moments: [plan], to: [office]}
  - {to: [log]}
"""


def of(text: str, tmp_path: Path) -> NotifyFile:
    path = tmp_path / "notify.yaml"
    path.write_text(text, encoding="utf-8")
    return read(path)


WRONG = {
    "a key of nobody": ("wait: 3\n" + FILE, "wait: is not a key of this file; see docs/notify.md"),
    "a key twice": (FILE + "hosts: [a]\n", "'hosts' stands there twice"),
    "no YAML": ("targets: [", "is not YAML: line 1"),
    "a day of no month": (
        "# x\nhosts: [2026-02-30]\n",
        "line 2: what reads like a date or a number is none",
    ),
    "a number of a word": ("hosts: [!!int s3cret]", "line 1: what reads like a date or a number"),
    "a list in itself": ("hosts: &a [*a]", "is not YAML: ValueError"),
    "a secret in the file": (
        FILE.replace("{env: SHOP}", "slack://a/b/c"),
        "targets[0].apprise.url: a secret does not stand in this file",
    ),
    "two places of a secret": (
        FILE.replace("{env: SHOP}", "{env: A, file: /b}"),
        "name one place of the secret",
    ),
    "a target of nobody": (FILE.replace("[log]", "[lok]"), "routes[3]: no target 'lok'"),
    "two of one name": (FILE.replace("name: office", "name: shop"), "two targets are named 'shop'"),
    "a kind of nobody": (FILE.replace("kind: webhook", "kind: pigeon"), "targets[2]: Input tag"),
    "no condition": (FILE.replace("kind=bad_deploy", "bad_deploy"), "bad matcher format"),
    "no expression": (FILE.replace("proven|likely", "(("), "is not a regular expression"),
    "never reached": (FILE + "  - {to: [shop]}\n", "routes[3] takes everything"),
    "an escalation to nobody": (
        FILE.replace("{to: [log]}", "{to: [log], escalate: [{to: [bos], after_s: 600}]}"),
        "routes[3]: no target 'bos'",
    ),
    "an escalation at once": (
        FILE.replace("{to: [log]}", "{to: [log], escalate: [{to: [shop], after_s: 1}]}"),
        "routes[3].escalate[0].after_s",
    ),
    "a digest of everything": (
        FILE.replace("language: zh", "digest: {match: [], at: ['09:00']}"),
        "targets[1].apprise.digest.match",
    ),
    "no time of a digest": (
        FILE.replace("language: zh", "digest: {match: [severity=info], at: ['9']}"),
        "targets[1].apprise.digest.at[0]",
    ),
    "half of what buttons need": (
        FILE.replace(
            "{name: shop, kind: apprise, url: {env: SHOP}}",
            "{name: shop, kind: feishu, app_id: cli, app_secret: {env: S}, chat_id: oc, "
            "encrypt_key: {env: K}}",
        ),
        "buttons need both encrypt_key and verification_token",
    ),
    "no hours": (FILE.replace("09:00-18:00", "9-18"), "is no range of hours"),
}


@pytest.mark.parametrize("row", WRONG)
def test_what_is_wrong_in_the_file_is_named_with_its_key(row: str, tmp_path: Path) -> None:
    text, said = WRONG[row]
    with pytest.raises(NotifyFileError) as caught:
        of(text, tmp_path)
    assert said in str(caught.value)
    assert "slack://" not in str(caught.value)


def incident(**fields: object) -> Incident:
    given = {"id": "I1", "title": "cart", "opened_at": NOON, "updated_at": NOON, **fields}
    return Incident.model_validate(given)


def alert(service: str, **labels: str) -> Alert:
    return Alert(
        fingerprint=f"{service}{labels}", name="HighErrorRate", service=service, starts_at=NOON,
        labels=labels, subject=Subject(kind="service", name=service, namespace="prod"),
    )  # fmt: skip


LOCATED = Ranking(
    candidates=(Candidate(component="cart", score=1, probability=0.9, fault_kind="bad_deploy"),),
    certainty="likely",
)
DECIDED = {
    "critical, of the team": ("critical", ("payments",), "located", NOON, {"shop", "log"}),
    "critical, of another team": ("critical", ("search",), "located", NOON, {"log"}),
    "one alert of it is the team's": (
        "critical",
        ("a", "payments"),
        "located",
        NOON,
        {"shop", "log"},
    ),
    "less, at noon": ("warning", ("payments",), "located", NOON, {"office"}),
    "less, at night": ("warning", ("payments",), "located", NIGHT, {"log"}),
    "less, at night, a plan of that kind": ("warning", (), "plan", NIGHT, {"office"}),
}


@pytest.mark.parametrize("row", DECIDED)
def test_the_first_route_that_holds_decides_unless_it_goes_on(row: str, tmp_path: Path) -> None:
    severity, teams, moment, now, told = DECIDED[row]
    known = facets(
        incident(severity=severity, ranking=LOCATED, services=("cart",)),
        [alert("cart", team=team) for team in teams],
    )
    decision = of(FILE, tmp_path).decide(known, moment, now)  # type: ignore[arg-type]
    assert set(decision.told) == told
    assert len(decision.lines) == 4


def test_a_route_says_why_it_does_not_hold(tmp_path: Path) -> None:
    known = facets(incident(severity="critical"), [alert("cart", team="search")])
    lines = of(FILE, tmp_path).decide(known, "located", NIGHT).lines
    assert "team=\"payments\" does not hold: it is 'search'" in lines[0]
    assert "09:00-18:00 UTC" in lines[1]
    assert "tells plan only" in lines[2]
    assert lines[3].endswith("holds: log")


def test_conditions_see_the_alerts_and_what_is_known_of_the_incident() -> None:
    found = facets(
        incident(severity="high", ranking=LOCATED, services=("cart",)),
        [alert("cart", owner="payments", severity="page")],
    )
    assert {
        "service": "cart",
        "namespace": "prod",
        "team": "payments",
        "severity": "high",
        "kind": "bad_deploy",
        "certainty": "likely",
        "component": "cart",
        "status": "investigating",
        "alertname": "HighErrorRate",
        "source": "generic",
        "owner": "payments",
    } in found


def test_a_secret_is_read_where_it_is_and_its_absence_is_said(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("  s3cret\n")
    assert SecretPlace(file=tmp_path / "key").read({}).get_secret_value() == "s3cret"
    assert SecretPlace(env="A").read({"A": "x"}).get_secret_value() == "x"
    with pytest.raises(ChannelSecretError, match="variable A is empty or not set"):
        SecretPlace(env="A").read({"A": " "})
    with pytest.raises(ChannelSecretError, match="No such file"):
        SecretPlace(file=tmp_path / "gone").read({})


@pytest.mark.parametrize("certainty", ["ambiguous", "insufficient"])
def test_a_suspect_that_is_not_decided_routes_nothing(certainty: str) -> None:
    undecided = LOCATED.model_copy(update={"certainty": certainty})
    (known,) = facets(incident(ranking=undecided), [alert("cart")])
    assert (known["certainty"], known["kind"], known["component"]) == (certainty, "", "")
    (known,) = facets(incident(ranking=LOCATED), [alert("cart")])
    assert (known["certainty"], known["kind"], known["component"]) == (
        "likely",
        "bad_deploy",
        "cart",
    )


PEOPLE = (
    OnCallPerson(name="", handle="carl@ours.example", until=NOON + 1),
    OnCallPerson(name="anna", handle="a.n@ours.example", until=NOON + 1),
)
KNOWN = {
    "the first of the schedule who has a target": (PEOPLE, ["anna-phone"]),
    "by what the schedule calls them": (PEOPLE[:1], ["carl-phone"]),
    "nobody on call has a target": (
        (OnCallPerson(name="eve", handle="", until=NOON),), ["desk"],
    ),
    "nobody knows who is": ((), ["desk"]),
}  # fmt: skip


def on_call_file(**more: object) -> NotifyFile:
    url = {"env": "X"}
    people = {"anna-phone": "anna", "carl-phone": "carl@ours.example", "desk": ""}
    targets = [
        {"name": name, "kind": "apprise", "url": url, "person": person}
        for name, person in people.items()
        if more.get("without") != name
    ]
    routes = [{"to": ["oncall"], "escalate": [{"to": ["desk", "oncall"], "after_s": 60}]}]
    return NotifyFile.model_validate(
        {"targets": targets, "routes": routes, "oncall": {"otherwise": ["desk"]}}, strict=False
    )


@pytest.mark.parametrize("row", KNOWN)
def test_oncall_is_who_the_schedule_names_and_never_nobody(row: str) -> None:
    people, expected = KNOWN[row]
    without = "carl-phone" if people == PEOPLE else ""
    found = on_call_file(without=without)
    now = OnCallNow(schedule="sre", people=people)
    decision = found.decide(({},), "opened", NOON, now)
    assert list(decision.told) == expected
    assert {one.target for one in decision.next_told} == {"desk", *expected}
    (route,) = found.routes
    assert all(found.may_reach(route, one.name) for one in found.targets), "told how it goes on"


def test_oncall_without_a_way_out_is_an_error() -> None:
    url = {"env": "X"}
    target = {"name": "desk", "kind": "apprise", "url": url}
    with pytest.raises(ValueError, match="oncall: {otherwise"):
        NotifyFile.model_validate({"targets": [target], "routes": [{"to": ["oncall"]}]})
