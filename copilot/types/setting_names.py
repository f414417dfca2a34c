"""What is wrong with a setting, in a line: also with one that moved, or was mistyped."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic.fields import FieldInfo

from tools.log_retriever import redact

PREFIX = "COPILOT_"
MOVED: Mapping[str, str] = {}
"""What a setting of an earlier version is called now, or "" where it is gone; none has moved."""

NOT_OURS = ("STEP_KEY",)
"""Variables with our prefix that are no settings: given to programs that steps run."""


def told(name: str, known: Collection[str], moved: Mapping[str, str] = MOVED) -> str:
    """Say what a name that is no setting may have meant; empty where nothing is near."""
    if name in moved:
        return f"it is called {moved[name]} now" if moved[name] else "it has no effect any more"
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else ""


def without_effect(
    variables: Iterable[str], known: Collection[str], moved: Mapping[str, str] = MOVED
) -> tuple[str, ...]:
    """The variables with our prefix that set nothing, each with what may have been meant.

    They are no error: Kubernetes itself sets COPILOT_SERVICE_HOST beside a Service `copilot`.
    """
    strangers = sorted(
        name
        for name in variables
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in NOT_OURS
        if name.removeprefix(PREFIX).lower() not in known
    )
    said = {name: told(name.removeprefix(PREFIX).lower(), known, moved) for name in strangers}
    return tuple(f"{name} ({why})" if why else name for name, why in said.items())


def problem(error: Any, fields: Mapping[str, FieldInfo]) -> str:
    """Say what a detail of a pydantic error says, and nothing that may be a secret."""
    if not error["loc"]:
        return redact(str(error["msg"]))
    where, field = ".".join(map(str, error["loc"])), fields.get(str(error["loc"][0]))
    if error["type"] == "extra_forbidden" and field is None:
        return f"{where}: no such setting; {told(where, fields)}".removesuffix("; ")
    if field is None or "SecretStr" in str(field.annotation):
        return f"{where}: {redact(str(error['msg']))}"  # what was given may be the secret
    return redact(f"{where} = {error['input']!r}: {error['msg']}")
