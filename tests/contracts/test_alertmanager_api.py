"""The real amtool, and HTTP, against the real Alertmanager and against the copilot: one table."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from copilot.testing import servers
from tests.contracts.transcripts import Peer, Transcript, read

CASES = list(read(Path(__file__).parent / "alertmanager_api.txt"))
"""The answers were written by Alertmanager 0.25.0 and amtool 0.25.0 of Debian."""

REAL = {
    "inhibit_rules": [
        {
            "source_matchers": ['severity="critical"'],
            "target_matchers": ['severity=~"warning|info"'],
            "equal": ["namespace", "alertname"],
        },
        {
            "source_matchers": ['severity=~"critical|warning"'],
            "target_matchers": ['severity=~"warning|info"'],
            "equal": ["namespace", "alertname"],
        },
        {
            "source_matchers": ['alertname="InfoInhibitor"'],
            "target_matchers": ['severity="info"'],
            "equal": ["namespace"],
        },
    ]
}
OURS = """
[[inhibition]]
source = [{ label = "severity", value = "critical" }]
target = [{ label = "severity", operator = "=~", value = "warning|info" }]
equal = ["namespace", "alertname"]
[[inhibition]]
source = [{ label = "severity", operator = "=~", value = "critical|warning" }]
target = [{ label = "severity", operator = "=~", value = "warning|info" }]
equal = ["namespace", "alertname"]
"""


@pytest.fixture(scope="module")
def amtool() -> str:
    if servers.AMTOOL is None:
        pytest.skip("amtool is not installed (apt-get install prometheus-alertmanager)")
    return servers.AMTOOL


@pytest.fixture(scope="module", params=["alertmanager", "copilot"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Its address, and the token that who declares a silence has to have."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "copilot":
        with servers.copilot(folder, OURS) as url:
            yield url, (folder / "data" / "admin.token").read_text().strip()
        return
    if not servers.ALERTMANAGER:
        pytest.skip("prometheus-alertmanager is not installed (apt-get install it)")
    with servers.alertmanager(folder, REAL) as url:
        yield url, ""


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_both_give_the_same_answers(
    case: Transcript, server: tuple[str, str], amtool: str, tmp_path: Path
) -> None:
    url, token = server
    peer = Peer(url, amtool, tmp_path, label=f"Case{CASES.index(case):02d}", token=token)
    for step in case.steps:
        assert (step.typed, peer.answer(step)) == (step.typed, step.answer)
