"""What the log says after the onset that it did not say before, and what it no longer says."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from tools.log_retriever.causes import telling
from tools.log_retriever.changes import (
    NoveltyConfig,
    Periods,
    Tally,
    TemplateChange,
    changes_of,
    periods_of,
    tally,
)
from tools.log_retriever.fields import level_name
from tools.log_retriever.miner import template_id
from tools.log_retriever.records import gist, shortened
from tools.log_retriever.redact import Vault, excerpt
from tools.log_retriever.request_changes import request_findings, told_as_requests
from tools.log_retriever.significance import RateChange, discoveries
from tools.types import Finding, SplitLog

_ALARMING = frozenset(("ERROR", "FATAL"))
_CALM = frozenset(("TRACE", "DEBUG", "INFO", "NOTICE"))


def novelty(log: SplitLog, config: NoveltyConfig | None = None) -> list[Finding]:
    """Findings about templates that appear, grow, burst, shrink or vanish at the onset.

    Compared are the lines since the onset with those before it, over the seconds that were read.
    A template's share of its service's lines is tested (so that more traffic alone is no news) and
    must agree with its rate per second; the service's own rate is tested apart.
    Benjamini-Hochberg bounds the false discoveries; errors never seen before are always told.
    `value` and `baseline` are lines per minute, `strength` is -log10 p times a weight. Without any
    earlier line only error lines are told, with low strength. Findings come strongest first.
    """
    config = config or NoveltyConfig()
    if not log.lines:
        return []
    if not log.before:
        alarming = tuple(line for line in log.after if level_name(line.level) in _ALARMING)
        alone = periods_of(log, config)
        return [
            *_errors_only(replace(log, lines=alarming), config),
            *request_findings(tally(log, config.miner).requests, alone, config),
        ]
    counted = tally(log, config.miner)
    tallies = counted.tallies
    periods = periods_of(log, config)
    tests = len(tallies) + len(periods.lines_before)
    changes = changes_of(tallies, periods, config)
    changes = [change for change in changes if not told_as_requests(change.tally.template)]
    kept = _discovered(changes, tests, config)
    vault = Vault()
    ranked = sorted(kept, key=lambda c: (-_strength(c, config), c.tally.service, c.tally.template))
    chosen = _capped(ranked, config)
    findings = [_finding(change, periods, vault, config) for change in chosen]
    findings += request_findings(counted.requests, periods, config)
    return sorted(findings, key=lambda one: -one.strength)[: config.limit]


def _discovered(
    changes: Sequence[TemplateChange], tests: int, config: NoveltyConfig
) -> list[TemplateChange]:
    found = discoveries([c.test.p_value for c in changes], tests, config.false_discovery_rate)
    return [
        change
        for change, significant in zip(changes, found, strict=True)
        if significant or (change.name == "new_template" and change.tally.level in _ALARMING)
    ]


def _strength(change: TemplateChange, config: NoveltyConfig) -> float:
    alarming = change.tally.level in _ALARMING
    if change.test.statistic < 0:
        weight = config.error_vanishes if alarming else config.line_vanishes
    elif not change.tally.template:
        weight = config.more_lines
    else:
        weight = config.error_appears if alarming else config.line_appears
    return weight * -math.log10(change.test.p_value)


def _capped(ranked: Sequence[TemplateChange], config: NoveltyConfig) -> list[TemplateChange]:
    told: dict[str, int] = defaultdict(int)
    chosen = []
    for change in ranked:
        told[change.tally.service] += 1
        if told[change.tally.service] <= config.per_service:
            chosen.append(change)
    return chosen[: config.limit]


def _finding(
    change: TemplateChange, periods: Periods, vault: Vault, config: NoveltyConfig
) -> Finding:
    counted = change.tally
    a, b = len(counted.after), len(counted.before)
    observed = periods.of(counted.service)
    rate_after, rate_before = 60 * a / observed.after_s, 60 * b / observed.before_s
    up = change.test.statistic >= 0
    figures = {
        "after": float(a),
        "before": float(b),
        "after_s": observed.after_s,
        "before_s": observed.before_s,
        "service_lines_after": float(periods.lines_after[counted.service]),
        "service_lines_before": float(periods.lines_before[counted.service]),
        "statistic": change.test.statistic,
        "p_value": change.test.p_value,
        "alarming": float(counted.level in _ALARMING),
        "calm": float(counted.level in _CALM or not counted.template),
    }
    if change.peak:
        figures["peak"] = float(change.peak)
    example = counted.example
    return Finding(
        kind="log",
        subject=counted.service,
        name=change.name,
        source="logs",
        query=_query(counted),
        window=periods.window,
        value=rate_after,
        baseline=rate_before,
        unit="lines/min",
        onset=change.onset,
        direction="up" if up else "down",
        strength=_strength(change, config),
        figures=figures,
        excerpt=_excerpt(example.message, vault, config.excerpt) if example else "",
        statement=_statement(change, periods, vault, config),
    )


def _quoted(said: str, vault: Vault, limit: int) -> str:
    return excerpt(shortened(said, limit), vault, limit)


def _excerpt(message: str, vault: Vault, limit: int) -> str:
    """What a record says; of a long one its innermost cause, else the words that name one."""
    return excerpt(telling(shortened(gist(message), limit), limit), vault, limit)


def _query(counted: Tally) -> str:
    """What to ask the index or the log store to see these lines again."""
    if not counted.template:
        return f"service={counted.service}"
    return f"service={counted.service} template={template_id(counted.template)}"


def _statement(
    change: TemplateChange, periods: Periods, vault: Vault, config: NoveltyConfig
) -> str:
    counted = change.tally
    said = f'"{_quoted(counted.template, vault, 120)}"' if counted.template else "lines of any kind"
    level = f" at {counted.level}" if counted.level else ""
    a, b = len(counted.after), len(counted.before)
    observed = periods.of(counted.service)
    after = f"{a} times in {observed.after_s / 60:.1f} min after the onset"
    before = f"{b} times in {observed.before_s / 60:.1f} min before"
    if change.peak:
        after = f"{change.peak} times within {config.bin_s:.0f} s after the onset"
    return f"{counted.service} logged {said}{level} {after}, {before}."


def _errors_only(errors: SplitLog, config: NoveltyConfig) -> list[Finding]:
    if not errors.lines:
        return []
    periods = periods_of(errors, config)
    vault = Vault()
    changes = [
        TemplateChange(counted, "new_template", RateChange(0.0, 1.0), min(counted.after))
        for counted in tally(errors, config.miner).tallies
    ]
    ranked = sorted(changes, key=lambda c: (-len(c.tally.after), c.tally.service, c.tally.template))
    findings = []
    for change in _capped(ranked, config):
        found = _finding(change, periods, vault, config)
        statement = _statement(change, periods, vault, config).rpartition(", ")[0]
        findings.append(
            found.model_copy(
                update={
                    "baseline": None,
                    "strength": 0.1,
                    "statement": f"{statement}; there is no earlier log to compare with.",
                }
            )
        )
    return findings
