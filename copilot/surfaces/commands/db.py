"""`copilot db`: look at the database and bring it forward."""

from contextlib import closing

from rich.console import Console
from sqlalchemy.engine import make_url

from copilot.settings import Settings
from copilot.store import SCHEMA_VERSION, Store
from copilot.store.home import made


def db_check(settings: Settings) -> int:
    """Say the schema version; 0 where it is this program's, 1 where it is not."""
    console, place = _console(), _place(settings)
    made(settings.home)
    with closing(Store(settings.store_url)) as store:
        written = store.schema_version()
    if written is None:
        console.print(f"{place}: no store yet; the first start makes it")
    elif written < SCHEMA_VERSION:
        console.print(
            f"{place}: schema version {written}, this program needs {SCHEMA_VERSION}; "
            "run: copilot db upgrade"
        )
    elif written > SCHEMA_VERSION:
        console.print(
            f"{place}: schema version {written} of a newer copilot; this program knows "
            f"{SCHEMA_VERSION} and leaves it alone"
        )
    else:
        console.print(f"{place}: schema version {written}, up to date")
    return int(written is not None and written != SCHEMA_VERSION)


def db_upgrade(settings: Settings) -> int:
    """Bring the database forward; what was done is printed."""
    made(settings.home)
    with closing(Store(settings.store_url)) as store:
        before, now = store.upgrade()
    said = f"schema version {now}" + (", was up to date" if before == now else "")
    came = f", from {before}" if before not in (None, now) else ""
    _console().print(f"{_place(settings)}: {said}{came}")
    return 0


def _console() -> Console:
    return Console(markup=False, highlight=False, soft_wrap=True)


def _place(settings: Settings) -> str:
    """The database's URL, its password masked."""
    return make_url(settings.store_url).render_as_string()
