"""The picture of an incident: what it shows, and that no message waits for it."""

import threading
from collections.abc import Callable

import numpy as np

from copilot.store import Store
from copilot.surfaces.console.chart import TimeMark, chart
from copilot.surfaces.console.picture import MOST_BYTES, png
from copilot.surfaces.notify.courier import NoticeCourier
from copilot.surfaces.notify.pictures import PictureShelf
from copilot.testing.channels import ListedSender, SlackServer
from copilot.testing.strict_http import serving
from tests.copilot.channel_world import Channel
from tests.copilot.people_world import NOW, empty, planned, store, waiting
from tools.types import Series, Window

__all__ = ["empty", "planned", "store", "waiting"]


def drawn(unit: str = "%") -> bytes:
    times = np.arange(0.0, 3600.0, 15.0) + NOW
    values = np.where(times > NOW + 2000, 60.0, 1.0)
    other = Series("购物车", "延迟", times, values)
    series = [Series("gateway", "error_pct", times, values, unit), other]
    marks = [TimeMark("onset", NOW + 2000), TimeMark("step", NOW + 3000)]
    window = Window(start=NOW, end=NOW + 3600)
    return png(chart(series, [], window, NOW + 2000, marks))


def test_a_picture_is_a_bounded_png_whatever_the_names_are() -> None:
    picture = drawn("u" * 5000)
    assert picture.startswith(b"\x89PNG")
    assert 1000 < len(picture) < MOST_BYTES


def test_a_source_that_hangs_holds_up_one_message_for_a_moment() -> None:
    going, asked = threading.Event(), []

    def slow(incident: str) -> bytes:
        asked.append(incident)
        going.wait(10)
        return incident.encode()

    shelf = PictureShelf(slow, wait_s=0.01)
    assert [shelf.take("I1"), shelf.take("I2")] == [b"", b""]
    assert asked == ["I1"], "one at a time"
    going.set()
    until(lambda: shelf.take("I1") == b"I1")


def until(holds: Callable[[], bool]) -> None:
    for _ in range(2000):
        if holds():
            return
    raise AssertionError("it took too long")


def test_what_cannot_be_drawn_is_a_message_without_a_picture() -> None:
    def broken(incident: str) -> bytes:
        raise ValueError(incident)

    assert PictureShelf(broken).take("I1") == b""


def test_the_picture_is_given_at_moments_that_it_tells_of_and_known_as_shown(store: Store) -> None:
    with serving(SlackServer()) as server:
        channel = Channel(store, server)
    (target,) = channel.file.targets
    sender = ListedSender(edits=True)
    store.notices.mark(tuple(one.key for one in store.notices.of("I1")), "failed", NOW)
    channel.courier = NoticeCourier(
        store, target, sender, 60, channel.clock, pictures=lambda incident: incident.encode()
    )
    for kind in ("taken", "edited", "approved"):
        channel.happens(kind)
    given = [(one.moment, one.picture, one.pictured) for _, one in sender.edited]
    assert given == [("taken", b"", False), ("edited", b"I1", False), ("approved", b"I1", True)]
    assert "picture" not in sender.edited[-1][1].model_dump()
