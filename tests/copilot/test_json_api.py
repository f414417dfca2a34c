"""A JSON API is asked again where that may help, and never for longer or more than allowed."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from copilot.ports import SourceError
from copilot.sources.json_api import AnswerError, ApiEndpoint, JsonApi, TooLargeError
from copilot.testing.strict_http import (
    HttpReply,
    ReceivedRequest,
    ServerFailure,
    StrictServer,
    serving,
)


class Echo(StrictServer):
    """Answers with as many letters as it is asked for."""

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        return HttpReply(200, {"said": "x" * int(asked.one("letters") or 1)})


class Waiting:
    """Sleeps in no time, and knows for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def server() -> Iterator[Echo]:
    with serving(Echo()) as running:
        yield running


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@pytest.fixture
def api(server: Echo, waiting: Waiting) -> Iterator[JsonApi]:
    opened = JsonApi("Echo", ApiEndpoint(server.url), timeout_s=0.5, most_bytes=1000, sleep=waiting)
    yield opened
    opened.close()


@pytest.mark.parametrize("failure", ["busy", "unavailable", "broken", "hung up", "partial"])
def test_a_passing_fault_is_asked_again(server: Echo, api: JsonApi, failure: ServerFailure) -> None:
    server.failures.extend([failure, failure])
    assert api.get("/") == {"said": "x"}
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("failure", "said", "recoverable"),
    [
        ("busy", "429", True),
        ("broken", "something went wrong", True),
        ("page", "is this the right address?", False),
    ],
)
def test_a_fault_that_stays_is_told(
    server: Echo, api: JsonApi, failure: ServerFailure, said: str, recoverable: bool
) -> None:
    server.failures.extend([failure] * 3)
    with pytest.raises(SourceError, match=said) as told:
        api.get("/")
    assert told.value.recoverable is recoverable
    assert len(server.asked) == (3 if recoverable else 1)


def test_what_asking_again_cannot_mend_is_not_asked_again(server: Echo, api: JsonApi) -> None:
    server.failures.append("forbidden")
    with pytest.raises(AnswerError, match="403") as told:
        api.get("/")
    assert not told.value.recoverable
    assert len(server.asked) == 1


def test_the_server_says_how_long_to_wait_within_reason(
    server: Echo, api: JsonApi, waiting: Waiting
) -> None:
    server.failures.append("busy")
    api.get("/")
    assert [1.0 <= pause <= 5.0 for pause in waiting.slept] == [True]


def test_a_redirect_is_never_followed(server: Echo, api: JsonApi) -> None:
    server.failures.append("redirect")
    with pytest.raises(SourceError, match="configure the final address"):
        api.get("/")


def test_an_answer_that_does_not_come_is_not_waited_for_twice(server: Echo, api: JsonApi) -> None:
    server.failures.append("silent")
    with pytest.raises(SourceError, match="no answer within 0.5 s") as told:
        api.get("/")
    assert not told.value.recoverable
    assert len(server.asked) == 1


def test_an_answer_that_is_too_large_is_refused_while_it_arrives(api: JsonApi) -> None:
    with pytest.raises(TooLargeError, match="larger than 1000 bytes"):
        api.get("/", {"letters": 5000})


def test_a_server_that_is_not_there_is_named() -> None:
    api = JsonApi("Echo", ApiEndpoint("http://127.0.0.1:9"), sleep=lambda _: None)
    with pytest.raises(SourceError, match="Echo at http://127.0.0.1:9") as told:
        api.get("/")
    assert told.value.recoverable
    api.close()


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "prometheus:9090", "http://", "http://u:p@x", "http://x/?q=1", "http://x/#f", ""],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SourceError):
        JsonApi("Echo", ApiEndpoint(url))


def test_the_token_goes_out_and_is_not_told(server: Echo) -> None:
    address = ApiEndpoint(server.url, SecretStr("s3cret"))
    api = JsonApi("Echo", address)
    api.get("/")
    assert server.asked[0].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(address)
    api.close()
