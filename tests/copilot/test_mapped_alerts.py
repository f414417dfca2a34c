"""Alerts of senders without a format of their own: read by a mapping that an operator declared."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from copilot.alerts.formats import ALIASES, KINDS, PayloadError, mapped, parse_mapped
from copilot.alerts.formats.mapped import AlertMapping, MappingsFileError, read

NOW = 1_790_000_000.0

BACKUPS = """
[[mapping]]
name = "backups"
match = "kind == 'backup.report'"
each = "runs"

[mapping.fields]
name = "join(' ', ['backup', job])"
state = "outcome"
severity = "grade"
service = "app"
starts_at = "began"
ends_at = "finished"
fingerprint = "job"
labels = "{job: job, host: machine.name}"
annotations = "{summary: report}"

[mapping.states]
broken = "firing"
done = "resolved"

[mapping.severities]
bad = "critical"
"""

RUN = {
    "job": "orders-db", "outcome": "broken", "grade": "bad", "app": "orders", "report": "disk full",
    "began": 1_789_999_000, "finished": None, "machine": {"name": "b-1"},
}  # fmt: skip


@pytest.fixture
def mapping(tmp_path: Path) -> AlertMapping:
    file = tmp_path / "mappings.toml"
    file.write_text(BACKUPS, encoding="utf-8")
    found = read(file).named("backups")
    assert found is not None
    return found


def body(*runs: dict[str, Any], kind: str = "backup.report") -> bytes:
    return json.dumps({"kind": kind, "runs": runs}).encode()


def test_each_item_is_an_alert_by_the_declared_expressions(mapping: AlertMapping) -> None:
    (alert,) = parse_mapped(body(RUN), mapping, {}, NOW)
    assert (alert.name, alert.status, alert.severity, alert.service) == (
        "backup orders-db", "firing", "critical", "orders"
    )  # fmt: skip
    assert alert.labels == {"job": "orders-db", "host": "b-1"}
    assert alert.annotations == {"summary": "disk full"}
    assert (alert.starts_at, alert.source) == (1_789_999_000, "backups")


def test_the_end_has_the_identity_of_the_beginning(mapping: AlertMapping) -> None:
    ended = {**RUN, "outcome": "done", "finished": 1_789_999_500, "report": None, "machine": None}
    (fired,), (resolved,) = (parse_mapped(body(run), mapping, {}, NOW) for run in (RUN, ended))
    assert (resolved.status, resolved.ends_at) == ("resolved", 1_789_999_500)
    assert fired.fingerprint == resolved.fingerprint


def test_common_words_need_no_map_and_unknown_ones_are_said(mapping: AlertMapping) -> None:
    runs = ({**RUN, "outcome": "已恢复"}, {**RUN, "outcome": "odd", "grade": "odd"})
    known, unknown = parse_mapped(body(*runs), mapping, {}, NOW)
    assert (known.status, unknown.status, unknown.severity) == ("resolved", "firing", "warning")
    assert "state 'odd'" in unknown.annotations["copilot_note"]
    assert "severity 'odd'" in unknown.annotations["copilot_note"]


REFUSED: dict[str, tuple[bytes, str]] = {
    "not what it is for": (body(RUN, kind="invoice"), "is true (backups)"),
    "no list": (b'{"kind": "backup.report", "runs": 3}', "a list under 'runs' (backups), got 3"),
    "no name": (body({}), "[0].name: expected what"),
    "a time that is none": (body({**RUN, "began": "today"}), "[0].starts_at: expected a time"),
    "a state that is an object": (body({**RUN, "outcome": {}}), "[0].state: expected a string"),
    "labels that are text": (body({**RUN, "machine": 3}), ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_the_place(mapping: AlertMapping, case: str) -> None:
    content, says = REFUSED[case]
    if not says:
        assert parse_mapped(content, mapping, {}, NOW)[0].labels == {"job": "orders-db"}
        return
    with pytest.raises(PayloadError) as refusal:
        parse_mapped(content, mapping, {}, NOW)
    assert says in str(refusal.value)


WRONG_FILES: dict[str, tuple[str, str]] = {
    "an expression that is none": (
        BACKUPS.replace('"outcome"', '"outcome["'), "mapping[0].fields.state: is no JMESPath"
    ),
    "a word of ours that is none": (
        BACKUPS.replace('"firing"', '"burning"'), "mapping[0].states.broken: Input should be"
    ),
    "a key that is none": (BACKUPS + 'zone = "x"', "mapping[0].severities.zone"),
    "no name for alerts": (
        '[[mapping]]\nname = "a"\n[mapping.fields]\nstate = "s"', "mapping[0].fields.name: Field"
    ),
    "a name that is no route": (BACKUPS.replace('"backups"', '"Back ups"'), "mapping[0].name"),
    "two of one name": (BACKUPS + BACKUPS, "two mappings are named 'backups'"),
    "no TOML": ("mapping = [", "is not TOML"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_wrong_file_is_refused_at_its_key(tmp_path: Path, case: str) -> None:
    text, says = WRONG_FILES[case]
    file = tmp_path / "mappings.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(MappingsFileError) as refusal:
        read(file)
    assert says in str(refusal.value)
    assert str(refusal.value).startswith("alert_mappings_file")


def test_without_a_file_there_is_no_mapping() -> None:
    assert read(None).mapping == ()


PAGE = Path(__file__).parent.parent.parent / "docs" / "alert-formats.md"


def test_the_mapping_of_the_page_is_the_one_of_the_module_and_is_read(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown.strip() in (mapped.__doc__ or "")
    file = tmp_path / "mappings.toml"
    file.write_text(shown, encoding="utf-8")
    assert [one.name for one in read(file).mapping] == ["backups"]


def test_every_route_stands_in_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    routes = {kind for kind in KINDS if kind != "alertmanager_v2"} | set(ALIASES)
    assert {route for route in routes if f"`{route}`" not in page} <= {"auto"}
