"""Deliveries go first: whoever decides or works waits for a lull, and never for long."""

import itertools
import threading
import time

from copilot.alerts.arrival import LULL_S, RightOfWay


def test_who_meets_no_delivery_does_not_wait() -> None:
    began = time.monotonic()
    RightOfWay().give_way(60.0)
    assert time.monotonic() - began < 30


def test_a_delivery_in_hand_is_waited_for_until_the_limit() -> None:
    times = itertools.count(0.0, 0.5)
    road = RightOfWay(lambda: next(times))
    with road:
        road.give_way(2.0)
    assert 2.0 < next(times) < 5.0


def test_work_goes_on_after_the_lull_that_follows_a_delivery() -> None:
    road, went_on = RightOfWay(), threading.Event()

    def work() -> None:
        road.give_way(60.0)
        went_on.set()

    with road:
        thread = threading.Thread(target=work)
        thread.start()
        assert not went_on.wait(LULL_S)
    assert went_on.wait(30)
    thread.join()
