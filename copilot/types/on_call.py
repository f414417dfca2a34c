"""Who is on call, as every surface sees it."""

from tools.types import FrozenModel, Text, Timestamp


class Shift(FrozenModel):
    """Somebody's turn: `start <= t < end`; `who` as the schedule calls them."""

    who: str
    start: Timestamp
    end: Timestamp


class OnCallPerson(FrozenModel):
    """Who is on call until when; `name` is ours where we know them, `handle` the schedule's."""

    name: str
    handle: str
    until: Timestamp


class OnCallNow(FrozenModel):
    """Whom a schedule names now, the first first.

    `known_at` is when it was read; None: never. `problem` says why it could not be read since.
    """

    schedule: str
    people: tuple[OnCallPerson, ...] = ()
    known_at: Timestamp | None = None
    problem: Text | None = None
