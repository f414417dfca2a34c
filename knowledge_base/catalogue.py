"""Read the playbooks that ship with the project, and those of an operator's own folder."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from tools.playbook_executor import PlaybookError, parse
from tools.types import FaultKind, Playbook, PlaybookEffect, Text


def playbooks(own: Path | None = None) -> tuple[Playbook, ...]:
    """Every playbook of the catalogue, by id; `PlaybookError` says which file is wrong and where.

    One in the folder `own` with the id of a shipped one stands in for it. A file
    is named after the id of the playbook in it, so no two of a folder can have the same id.
    """
    found = _shipped()
    if own is not None:
        found = {**found, **_folder(own, f"{own}/")}
    return tuple(found[name] for name in sorted(found))


@cache
def _shipped() -> Mapping[str, Playbook]:
    """Read once: what is installed does not change while we run, and it costs half a second."""
    return _folder(files("knowledge_base").joinpath("playbooks"), "")


def _folder(folder: Traversable, place: str) -> dict[str, Playbook]:
    found = {}
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith((".yaml", ".yml")):
            continue
        source = f"{place}{file.name}"
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlaybookError(source, 1, f"cannot be read: {error}") from error
        playbook = parse(text, source)
        if file.name.rpartition(".")[0] != playbook.id:
            problem = f"holds the playbook {playbook.id!r}; the file has to be named after it"
            raise PlaybookError(source, 1, problem)
        if playbook.id in found:
            raise PlaybookError(source, 1, f"there is another file of the playbook {playbook.id!r}")
        found[playbook.id] = playbook
    return found


def playbooks_for(
    catalogue: Sequence[Playbook], kind: FaultKind, effect: PlaybookEffect
) -> tuple[str, ...]:
    """The ids of those that have this effect on this kind of fault, the preferred first."""
    found = [
        (-case.preference, one.id)
        for one in catalogue
        for case in one.applies
        if kind in case.faults and case.effect == effect
    ]
    return tuple(dict.fromkeys(name for _, name in sorted(found)))


_BACK_AS_FAST = Text(
    en="Going back is as fast as anything that would buy time.",
    zh="回退与任何缓解手段一样快。",
)
_NEVER_STARTED = Text(
    en="What ran before goes on running: Kubernetes keeps the old pods until new ones are ready.",
    zh="旧 Pod 会保留到新 Pod 就绪，原有服务继续运行。",
)
NO_PLAYBOOK: Mapping[tuple[FaultKind, PlaybookEffect], Text] = {
    ("dependency_down", "mends"): Text(
        en="It is not ours: its owner mends it.", zh="不属于本方，由其负责人修复。"
    ),
    ("rate_limited", "mends"): Text(
        en="The quota is its owner's to raise; until then we ask less.",
        zh="配额由对方提高；在此之前只能少请求。",
    ),
    ("traffic_surge", "mends"): Text(
        en="The visitors are real; it ends when they leave or when there is more capacity.",
        zh="访问是真实的；访问回落或容量增加后才会结束。",
    ),
    ("queue_backlog", "buys_time"): Text(
        en="What waits is not lost; working it off faster is all there is to do.",
        zh="排队的任务不会丢失；只需更快地处理。",
    ),
    ("errors", "buys_time"): _BACK_AS_FAST,
    ("bad_deploy", "buys_time"): _BACK_AS_FAST,
    ("bad_config", "buys_time"): _BACK_AS_FAST,
    ("schema_mismatch", "buys_time"): _BACK_AS_FAST,
    ("certificate_expired", "buys_time"): Text(
        en="Only turning verification off would, and that is no way out.",
        zh="只有关闭校验才能缓解，而这不可取。",
    ),
    ("credentials", "buys_time"): Text(
        en="Nothing lets a caller in without its credentials, and rightly so.",
        zh="没有凭据就无法放行调用方，理应如此。",
    ),
    ("admission", "buys_time"): _NEVER_STARTED,
    ("scheduling", "buys_time"): _NEVER_STARTED,
    ("startup", "buys_time"): _NEVER_STARTED,
    ("routing", "buys_time"): Text(
        en="Traffic that finds no endpoint cannot be thinned out; the route is mended or undone.",
        zh="找不到端点的流量无法缓解；只能修正或撤销路由。",
    ),
}
"""Why no playbook has this effect on this kind of fault."""
