"""One real Prometheus with a known past, for every test that asks it."""

from collections.abc import Iterator

import pytest

from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.prometheus import PrometheusClient
from copilot.testing import servers
from tests.contracts import shop


@pytest.fixture(scope="session")
def shop_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address; the tests that need it are skipped where Debian's package is not there."""
    if not (servers.PROMETHEUS and servers.PROMTOOL):
        pytest.skip("prometheus and promtool are not installed (apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus") / "shop"
    with servers.prometheus(folder, past=shop.openmetrics()) as url:
        yield url


@pytest.fixture(scope="session")
def shop_client(shop_prometheus: str) -> Iterator[PrometheusClient]:
    """One client of it."""
    opened = PrometheusClient(JsonApi("Prometheus", ApiEndpoint(shop_prometheus)))
    yield opened
    opened.close()
