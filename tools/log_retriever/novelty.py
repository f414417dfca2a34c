"""What the log says after the onset that it did not say before."""

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from tools.log_retriever.miner import Miner
from tools.log_retriever.redact import Vault, redact
from tools.log_retriever.sanitize import sanitize
from tools.types import Finding, Frozen, LogLine, Timestamp, Window


class NoveltyConfig(Frozen):
    """What counts as novel and how much is said."""

    limit: int = Field(default=60, ge=1)
    excerpt: int = Field(default=300, ge=16)


def novelty(
    lines: Sequence[LogLine],
    baseline: Sequence[LogLine],
    onset: Timestamp,
    config: NoveltyConfig | None = None,
) -> list[Finding]:
    """Findings about templates that are new after the onset, strongest first."""
    config = config or NoveltyConfig()
    after = [line for line in lines if line.at >= onset]
    before = baseline or [line for line in lines if line.at < onset]
    if not after:
        return []
    miner = Miner()
    known = {(line.service, miner.add(line.message).template) for line in before}
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], LogLine] = {}
    for line in after:
        key = (line.service, miner.add(line.message).template)
        counts[key] += 1
        first.setdefault(key, line)
    window = Window(start=onset, end=max(onset, *(line.at for line in after)))
    vault = Vault()
    findings = []
    for key, count in counts.most_common():
        if key in known:
            continue
        excerpt = sanitize(redact(first[key].message, vault).text, config.excerpt)
        findings.append(
            Finding(
                kind="log",
                subject=key[0],
                name="new_template",
                source="logs",
                query=f"service={key[0]}",
                window=window,
                value=float(count),
                baseline=0.0,
                unit="lines",
                onset=first[key].at,
                direction="up",
                strength=float(count),
                figures={"after": float(count), "before": 0.0},
                excerpt=excerpt,
                statement=f"{key[0]} logged {count} lines of a template not seen before.",
            )
        )
    return findings[: config.limit]
