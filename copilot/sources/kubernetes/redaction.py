"""Keep passwords and tokens out of the cluster state: it is shown, stored and sent to a model."""

import re

_SECRET_NAME = re.compile(
    r"pass|pwd|secret|token|credential|api_?key|private|(?:^|[_.-])key$", re.IGNORECASE
)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_ADDRESS_NAME = re.compile(
    r"host|port|addr|url|uri|endpoint|server|service|database", re.IGNORECASE
)


def harmless(name: str, value: str) -> str:
    """A setting's value, or nothing when its name says that it is secret.

    >>> harmless("DB_PASSWORD", "x"), harmless("DB_URL", "mysql://u:p@db:3306")
    ('', 'mysql://db:3306')
    """
    return "" if _SECRET_NAME.search(name) else _USER_INFO.sub("", value)


def addresses(values: dict[str, str]) -> dict[str, str]:
    """The entries of a secret that are an address and nothing more.

    >>> addresses({"DB_HOST": "db", "DB_PASSWORD": "x", "LICENCE": "abc"})
    {'DB_HOST': 'db'}
    """
    kept = {name: harmless(name, value) for name, value in values.items()}
    return {name: value for name, value in kept.items() if value and _ADDRESS_NAME.search(name)}
