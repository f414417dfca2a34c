"""A closed incident becomes a recording with the answer a person gave, and replays as it was."""

import gzip
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from kubernetes import client
from typer.testing import CliRunner, Result

from copilot import wiring
from copilot.case.confirming import CauseStatement, confirm
from copilot.settings import Settings, load
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.kubernetes.clusters import KubernetesSource, ReadableCluster
from copilot.sources.loki import LokiSource, Selector
from copilot.sources.recorded import IncidentReplay, RecordedBundle
from copilot.sources.recorded.bundle_set import put
from copilot.sources.recorded.writer import RecordedIncident
from copilot.sources.recordings import recordings
from copilot.surfaces.cli import app
from copilot.surfaces.commands.recording import answer, recorded
from copilot.testing.kubernetes import KubernetesServer
from copilot.testing.loki import LokiServer, PushedLine
from copilot.testing.strict_http import serving
from copilot.types.incident import Incident
from copilot.types.redaction import Redactor
from evals.localization.cases import read
from evals.localization.look import locate_bundle
from evals.simulator import scenario
from evals.torture.survival import DurableWorld
from tests.contracts.clocks import Standing
from tests.copilot.kubernetes_objects import NOW, crashing
from tests.copilot.worked_incident import POOL, work_on
from tools.playbook_executor import Policy
from tools.types import Alert, Finding, LogLine, Topology, Window

SCENARIO = scenario("memory_pressure", 5)
FAULT = SCENARIO.start + SCENARIO.quiet_s
LOOKBACK_S = 3600.0

REDACTOR = Redactor(b"one site's key")

Recorded = tuple[Settings, Incident, Sources]


def typed(settings: Settings, *arguments: str, answer: str = "") -> Result:
    folder = ("--data-dir", str(settings.home))
    return CliRunner().invoke(app, [*folder, *arguments], input=answer, env={"COLUMNS": "160"})


def located(incident: Incident) -> tuple[str, str | None]:
    first = incident.ranking.candidates[0]
    return first.component, first.fault_kind


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """An incident of a live system, resolved."""
    folder = tmp_path_factory.mktemp("live")
    world = DurableWorld(SCENARIO, folder / "world.jsonl")
    world.sleep(FAULT + 120 - world.now())
    settings = load(data_dir=folder / "data", model_use="off")
    with wiring.engine(settings, "t", sources=world.sources, clock=world, runner=world) as engine:
        engine.accept(world.source.alerts(Window(start=SCENARIO.start, end=FAULT + 120)), FAULT)
        engine.drain()
        (incident,) = engine.store.incidents.list()
    return settings, resolved(settings, incident), world.sources


@pytest.fixture(scope="module")
def shown_again(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """An incident of a recording, resolved."""
    settings = load(data_dir=tmp_path_factory.mktemp("shown"), model_use="off")
    incident = work_on(settings, POOL)
    return settings, resolved(settings, incident), wiring.recorded_in(incident)[0]  # type: ignore[index]


@pytest.fixture(scope="module")
def re_enacted(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """An incident of a recording that answers to what is done, resolved."""
    settings = load(data_dir=tmp_path_factory.mktemp("replay"), model_use="off")
    shown = IncidentReplay(min((recordings() / "incidents").iterdir()))
    sources = Sources(shown, shown, shown, shown, shown, shown)
    with wiring.engine(settings, "t", sources=sources, clock=shown, runner=shown) as engine:
        for alert in shown.alerts():
            shown.advance(alert.starts_at)
            engine.accept([alert], engine.now())
            engine.group()
        engine.drain()
        (incident,) = engine.store.incidents.list()
    return settings, resolved(settings, incident), sources


def resolved(settings: Settings, incident: Incident) -> Incident:
    with wiring.store(settings) as store:
        return store.incidents.update(incident.id, incident.updated_at, status="resolved")


def keep(folder: Path, case: Recorded, sources: Sources | None = None) -> tuple[Path, Incident]:
    """Confirm what the copilot said, and record it."""
    settings, incident, told = case
    component, kind = located(incident)
    said = CauseStatement.model_validate(
        {"component": component, "fault_kind": kind, "by": "anna", "force": True}
    )
    with wiring.store(settings) as store:
        confirmed = confirm(store, Policy(), incident.id, said, incident.updated_at)
        bundle = recorded(store, sources or told, confirmed, LOOKBACK_S, "site")
        place = put(bundle, answer(confirmed, bundle.alerts), folder, store.redactor)
    return place, confirmed


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


@pytest.mark.parametrize("case", ["live", "shown_again", "re_enacted"])
def test_a_recording_gives_the_answer_that_the_incident_had(
    case: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    known: Recorded = request.getfixturevalue(case)
    place, incident = keep(tmp_path / "set", known)
    again = load(data_dir=tmp_path / "again", model_use="off")
    told = typed(again, "investigate", str(place), "--json")
    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    replayed = document if isinstance(document, dict) else document[0]
    assert located(Incident.model_validate(replayed)) == located(incident)
    (one,) = read(tmp_path / "set")
    assert (one.answer.root_cause, one.answer.fault_type) == located(incident)
    ranking = locate_bundle(RecordedBundle(one.folder), one.answer, mode="detected").ranking
    assert (ranking.candidates[0].component, ranking.candidates[0].fault_kind) == located(incident)


def test_the_same_incident_gives_the_same_bytes_in_another_set_and_in_the_same(
    shown_again: Recorded, live: Recorded, tmp_path: Path
) -> None:
    keep(tmp_path / "one", shown_again)
    keep(tmp_path / "other", shown_again)
    first = files(tmp_path / "one")
    assert first == files(tmp_path / "other")
    keep(tmp_path / "one", live)
    keep(tmp_path / "one", shown_again)
    both = files(tmp_path / "one")
    assert {name: both[name] for name in first if "truth" not in name} == {
        name: content for name, content in first.items() if "truth" not in name
    }
    assert len(both["truth/truth.jsonl"].splitlines()) == 2


def test_what_the_sources_have_forgotten_is_taken_from_what_was_found_then(
    live: Recorded, tmp_path: Path
) -> None:
    settings, incident, _ = live
    place, _ = keep(tmp_path / "set", live, Sources())
    missing = json.loads((place / "incident.json").read_text())["missing"]
    assert "metrics: not configured" in missing
    assert "topology: put together from the evidence" in missing
    assert not (place / "metrics.csv.gz").exists()
    again = load(data_dir=tmp_path / "again", model_use="off")
    told = json.loads(typed(again, "investigate", str(place), "--json").stdout)
    assert located(Incident.model_validate(told)) == located(incident)


def test_what_a_cluster_showed_then_is_kept_since_it_shows_it_no_more(tmp_path: Path) -> None:
    held, logs = crashing()
    shop = {"kind": "Namespace", "metadata": {"name": "shop"}}
    settings = load(data_dir=tmp_path / "data", model_use="off")
    page = Alert(fingerprint="f", name="Down", service="web", starts_at=NOW - 20)
    with serving(KubernetesServer([*held, shop], logs)) as server:
        api = client.ApiClient(client.Configuration(host=server.url))
        cluster = KubernetesSource([ReadableCluster(api, ("shop",), Standing(NOW), "")])
        sources = Sources(cluster=cluster)
        with wiring.engine(settings, "t", sources=sources, clock=Standing(NOW)) as engine:
            engine.accept([page], engine.now())
            engine.drain()
            (incident,) = engine.store.incidents.list()
    assert any(one.kind == "cluster" for one in incident.evidence)
    place, _ = keep(tmp_path / "set", (settings, resolved(settings, incident), Sources()))
    again = load(data_dir=tmp_path / "again", model_use="off")
    told = Incident.model_validate_json(typed(again, "investigate", str(place), "--json").stdout)
    assert located(told) == located(incident)
    assert {one.statement for one in told.evidence if one.kind == "cluster"} == {
        one.statement for one in incident.evidence if one.kind == "cluster"
    }


def test_by_hand_it_is_asked_shown_beside_what_the_copilot_said_and_refused_unconfirmed(
    shown_again: Recorded, tmp_path: Path
) -> None:
    settings, incident, _ = shown_again
    component, kind = located(incident)
    command = ("record", incident.id, "-o", str(tmp_path / "set"), "--by", "bob")
    with wiring.store(settings) as store:
        store.causes.remove(incident.id)
        store.incidents.update(incident.id, incident.updated_at, cause=None)
    refused = typed(settings, *command, "--yes")
    assert refused.exit_code == 2
    assert "nobody has confirmed the cause" in refused.output
    declined = typed(settings, *command, answer="\n\nn\n")
    assert (declined.exit_code, (tmp_path / "set").exists()) == (1, False)
    assert f"the copilot said: {component}" in declined.output
    unanswered = typed(settings, *command)
    assert unanswered.exit_code == 2
    taken = typed(settings, *command, answer="\n\ny\n")
    assert taken.exit_code == 0, taken.output
    assert f"{component}, {kind} as the answer?" in taken.output
    truth = json.loads((tmp_path / "set" / "truth" / "truth.jsonl").read_text())
    assert (truth["root_cause"], truth["fault_type"]) == (component, kind)


@pytest.mark.parametrize(
    ("status", "said"),
    [("acting", "is acting"), ("handed_over", "close it with the cause"), ("failed", "is failed")],
)
def test_an_incident_that_goes_on_is_not_recorded(
    status: str, said: str, shown_again: Recorded, tmp_path: Path
) -> None:
    settings, incident, _ = shown_again
    with wiring.store(settings) as store:
        store.incidents.reopen(incident.id, incident.updated_at, status=status)
    out = typed(settings, "record", incident.id, "-o", str(tmp_path / "set"), "--yes")
    resolved(settings, incident)
    assert out.exit_code == 2
    assert said in out.output
    assert not (tmp_path / "set").exists()


def test_a_folder_of_something_else_is_left_alone(shown_again: Recorded, tmp_path: Path) -> None:
    settings, incident, _ = shown_again
    (tmp_path / "thesis.txt").write_text("mine")
    component, kind = located(incident)
    command = ("--cause", component, "--kind", str(kind), "--by", "bob", "--yes")
    out = typed(settings, "record", incident.id, "-o", str(tmp_path), *command)
    assert (out.exit_code, names(tmp_path)) == (2, ["thesis.txt"])
    assert "'thesis.txt', so it is no bundle set" in out.output
    unknown = typed(settings, "record", "inc-none", "-o", str(tmp_path / "s"), "--yes")
    assert unknown.exit_code == 2


SECRETS = ("hunter2secret", "ann@example.org", "s3cr3tpw")


def secretive(**more: object) -> RecordedIncident:
    """Secrets in every place where text stands."""
    window = Window(start=1_000.0, end=4_600.0)
    said = "login of ann@example.org failed password=hunter2secret"
    whole = RecordedIncident(
        id="inc-1",
        system="site",
        window=window,
        topology=Topology(nodes=("cart",)),
        services=("cart",),
        logs=(LogLine(2_000.0, "cart", "ERROR", said, stream="cart-1"),),
        alerts=(
            Alert(
                fingerprint="f",
                name="Down",
                starts_at=2_000.0,
                labels={"password": "s3cr3tpw"},
                annotations={"summary": said},
            ),
        ),
        findings=(
            Finding(
                kind="cluster",
                subject="cart",
                name="startup",
                source="kubernetes",
                query="q",
                window=window,
                excerpt=said,
                statement=said,
            ),
        ),
        missing=(f"metrics: {said}",),
    )
    return replace(whole, **more)  # type: ignore[arg-type]


def test_no_secret_is_written_anywhere(tmp_path: Path) -> None:
    told = {"root_cause": "cart", "note": "password=hunter2secret"}
    place = put(secretive(), {**told}, tmp_path / "s", REDACTOR)
    for name, content in files(tmp_path / "s").items():
        text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
        assert not [secret for secret in SECRETS if secret in text], name
    bundle = RecordedBundle(place)
    (line,), (found,) = bundle.lines(bundle.window).lines, bundle.reading().findings
    assert re.fullmatch(r"login of <EMAIL_\w+> failed password=<PASSWORD_\w+>", line.message)
    assert found.statement == line.message  # one secret, one token


def test_too_much_is_thinned_evenly_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copilot.sources.recorded.writer.BUNDLE_LIMIT", 20_000)
    lines = tuple(
        LogLine(1_000.0 + n, "cart", "INFO", f"request {n * 7919 % 10007} took {n} ms")
        for n in range(3_600)
    )
    place = put(secretive(logs=lines), {"root_cause": "cart"}, tmp_path / "s", REDACTOR)
    assert sum(p.stat().st_size for p in place.rglob("*") if p.is_file()) <= 20_000
    kept = RecordedBundle(place).lines(Window(start=0.0, end=1e9))
    assert len(kept) > 100
    halves = [line.at < 2_800.0 for line in kept]
    assert 0.4 < sum(halves) / len(halves) < 0.6
    missing = json.loads((place / "incident.json").read_text())["missing"]
    assert f"log lines: {len(kept)} of 3600 are kept" in missing


KILLED = """
import os, signal, sys
from pathlib import Path
from copilot.sources.recorded import bundle_set
from tests.copilot.test_recording import REDACTOR, secretive
calls = 0
write = bundle_set._written
def mortal(path, content):
    global calls
    calls += 1
    if calls > int(sys.argv[2]):
        path.write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
bundle_set._written = mortal
bundle_set.put(secretive(), {"root_cause": "cart"}, Path(sys.argv[1]), REDACTOR)
"""


@pytest.mark.integration
@pytest.mark.parametrize("after", [1, 5])
def test_killed_in_the_middle_it_leaves_whole_answers_and_the_next_run_mends_it(
    after: int, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    put(secretive(id="inc-0"), {"root_cause": "cart"}, folder, REDACTOR)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(after)], check=False, capture_output=True
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [one.answer.id for one in read(folder)] == ["inc-0"]
    put(secretive(), {"root_cause": "cart"}, folder, REDACTOR)
    assert [one.answer.id for one in read(folder)] == ["inc-0", "inc-1"]
    assert names(folder / "incidents") == ["inc-0", "inc-1"]


@pytest.fixture
def loki() -> Iterator[tuple[LokiServer, str]]:
    now = time.time()
    calm = [(now - 1800 + 5 * n, "INFO", f"served order {n}") for n in range(360)]
    burst = [
        (now - 60 + n / 2, "ERROR", f"connection pool exhausted after {n} ms: 50 of 50 in use")
        for n in range(120)
    ]
    pushed = [
        PushedLine(int(at * 1e9), f"{level} {text}", {"service_name": "cart"})
        for at, level, text in (*calm, *burst)
    ]
    with serving(LokiServer(pushed)) as server:
        yield server, server.url


def test_of_a_live_loki_it_is_read_again_and_what_is_gone_is_said(
    loki: tuple[LokiServer, str], tmp_path: Path
) -> None:
    server, url = loki
    with closing(JsonApi("Loki", ApiEndpoint(url))) as api:
        sources = Sources(logs=LokiSource(api, Selector(), SystemClock()))
        settings = load(data_dir=tmp_path / "data", model_use="off", settle_s=0)
        page = Alert(fingerprint="f", name="CartErrors", service="cart", starts_at=time.time() - 20)
        with wiring.engine(settings, "t", sources=sources) as engine:
            engine.accept([page], engine.now())
            engine.drain()
            (incident,) = engine.store.incidents.list()
        assert located(incident)[0] == "cart"
        case = settings, resolved(settings, incident), sources
        kept, _ = keep(tmp_path / "kept", case)
        server.hold([])
        gone, _ = keep(tmp_path / "gone", case)
    assert (kept / "logs.ndjson.gz").exists()
    assert not (gone / "logs.ndjson.gz").exists()
    missing = json.loads((gone / "incident.json").read_text())["missing"]
    assert "logs: nothing is kept of this window" in missing
    for place in (kept, gone):
        again = load(data_dir=tmp_path / "again" / place.parts[-3], model_use="off")
        told = typed(again, "investigate", str(place), "--json").stdout
        assert located(Incident.model_validate_json(told)) == located(incident)
