"""The looks of a file, by server: who asks it is chosen here; nothing is asked yet."""

from collections.abc import Mapping
from pathlib import Path

from copilot.settings import SettingsError
from copilot.sources.looks.declared import LookServer, read_looks
from copilot.sources.looks.look import HttpAsker, LookAsker, LookGroup
from copilot.types.errors import install


def declared_looks(path: Path, environment: Mapping[str, str]) -> tuple[LookGroup, ...]:
    """A group for each server that a look is taken at; raises `LooksFileError`, `SettingsError`."""
    declared = read_looks(path)

    def group(name: str, server: LookServer) -> LookGroup:
        taken = tuple(one for one in declared.looks if one.server == name)
        asker: LookAsker
        if server.speaks == "json":
            asker = HttpAsker(name, server, environment)
        else:
            try:
                from copilot.sources.looks.mcp_client import McpAsker  # noqa: PLC0415 - an extra
            except ModuleNotFoundError as error:
                problem = f"looks_file: server {name!r} speaks mcp, but its client is missing"
                raise SettingsError(f"{problem}: {install('mcp')}") from error
            asker = McpAsker(name, server, environment)
        return LookGroup(name, server, taken, asker)

    used = {one.server for one in declared.looks}
    return tuple(group(name, one) for name, one in declared.servers.items() if name in used)
