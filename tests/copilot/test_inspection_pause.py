"""The search for cycles is put off while namespaces are read, and goes on afterwards."""

import gc
from collections.abc import Iterator

import pytest

from copilot.sources.inspection import CollectorPause


@pytest.fixture(autouse=True)
def searched() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_it_goes_on_when_the_last_of_several_inspections_is_done() -> None:
    collector = CollectorPause()
    with collector.paused():
        with collector.paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_inspection_that_failed() -> None:
    with pytest.raises(OSError, match="gone"), CollectorPause().paused():
        raise OSError("gone")
    assert gc.isenabled()


def test_what_somebody_switched_off_stays_off() -> None:
    gc.disable()
    with CollectorPause().paused():
        pass
    assert not gc.isenabled()
