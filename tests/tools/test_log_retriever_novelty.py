"""Novelty: what appears, grows, bursts, shrinks and vanishes, and what is only chance."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.log_retriever import NoveltyConfig, novelty
from tools.log_retriever.changes import exposure
from tools.log_retriever.significance import discoveries, dispersion_of, rate_change
from tools.types import Finding, LogLine, SplitLog

ONSET = 10_000.0


def steady(
    message: str, start: float, end: float, every: float, service: str = "cart", level: str = "INFO"
) -> list[LogLine]:
    """One line every so many seconds, with a number that changes."""
    count = int((end - start) / every)
    return [
        LogLine(start + i * every, service, level, message.format(n=i), f"t{i}")
        for i in range(count)
    ]


def usual(end: float = ONSET + 120) -> list[LogLine]:
    """A service that logs two messages, one of them often, before and after the onset."""
    start = ONSET - 600
    often = steady("served order {n} in 3 ms", start, end, 0.5)
    return often + steady("flushed {n} rows", start, end, 5)


def log(lines: list[LogLine]) -> SplitLog:
    return SplitLog(tuple(lines), ONSET)


def named(findings: list[Finding], text: str) -> Finding:
    """The one finding whose statement quotes the text."""
    (found,) = [finding for finding in findings if text in finding.statement]
    return found


def test_nothing_is_found_where_nothing_changed() -> None:
    assert novelty(log(usual())) == []


def test_nothing_is_found_where_nothing_was_logged() -> None:
    assert novelty(log([])) == []


def test_a_new_error_comes_first_with_counts_times_and_an_excerpt() -> None:
    lines = usual() + steady("payment {n} refused", ONSET + 20, ONSET + 120, 2, level="ERROR")
    first = novelty(log(lines))[0]
    assert (first.kind, first.name, first.subject, first.direction) == (
        "log",
        "new_template",
        "cart",
        "up",
    )
    assert (first.figures["after"], first.figures["before"], first.baseline) == (50, 0, 0)
    assert first.value == pytest.approx(25, rel=0.05)
    assert first.onset == ONSET + 20
    assert first.excerpt == "payment 0 refused"
    assert first.figures["p_value"] < 1e-6
    assert first.statement == (
        'cart logged "payment <*> refused" at ERROR 50 times in 2.0 min after the onset, '
        "0 times in 10.0 min before."
    )


def test_a_single_new_error_is_told_though_chance_could_explain_it() -> None:
    lines = [*usual(), LogLine(ONSET + 60, "cart", "ERROR", "disk on fire")]
    (found,) = novelty(log(lines))
    assert found.name == "new_template"
    assert found.figures["p_value"] > 0.01


def test_a_single_new_ordinary_line_is_left_to_chance() -> None:
    assert novelty(log([*usual(), LogLine(ONSET + 60, "cart", "INFO", "tea is ready")])) == []


def test_a_step_no_longer_logged_has_vanished() -> None:
    lines = usual() + steady("committed order {n}", ONSET - 600, ONSET, 0.5)
    found = named(novelty(log(lines)), "committed order")
    assert (found.name, found.direction, found.figures["after"]) == ("vanished", "down", 0)
    assert found.onset == ONSET
    assert found.excerpt.startswith("committed order")


def test_a_message_that_grows_is_a_change_of_frequency() -> None:
    lines = usual() + steady("retry {n} of the shipment", ONSET - 600, ONSET, 10)
    lines += steady("retry {n} of the shipment", ONSET, ONSET + 120, 0.5)
    found = named(novelty(log(lines)), "retry <*>")
    assert (found.name, found.direction) == ("frequency", "up")
    assert found.value is not None
    assert found.baseline is not None
    assert found.value > 10 * found.baseline


def test_a_short_peak_is_a_burst_at_its_own_onset() -> None:
    lines = usual() + steady("lock {n} waited for", ONSET - 600, ONSET + 120, 1)
    lines += steady("lock {n} waited for", ONSET + 60, ONSET + 70, 0.125)
    found = named(novelty(log(lines)), "lock <*>")
    assert (found.name, found.onset) == ("burst", ONSET + 60)
    assert found.figures["peak"] == 90


def test_more_traffic_alone_changes_no_template_only_the_service() -> None:
    before = [line for line in usual() if line.at < ONSET]
    after = steady("served order {n} in 3 ms", ONSET, ONSET + 120, 0.1)
    after += steady("flushed {n} rows", ONSET, ONSET + 120, 1)
    (found,) = novelty(log(before + after))
    assert (found.name, found.direction) == ("frequency", "up")
    assert "lines of any kind" in found.statement


def test_a_flood_of_errors_does_not_make_steady_messages_rarer() -> None:
    lines = usual() + steady("boom {n}", ONSET, ONSET + 120, 0.02, level="ERROR")
    quoted = [finding.statement for finding in novelty(log(lines))]
    assert not any("served" in statement or "flushed" in statement for statement in quoted)


def test_a_service_that_falls_silent_is_told_once() -> None:
    lines = usual() + steady("quoted {n}", ONSET - 600, ONSET, 1, service="price")
    (found,) = novelty(log(lines))
    assert (found.subject, found.name, found.figures["after"]) == ("price", "vanished", 0)


def test_silence_of_all_counts_where_the_end_of_the_watch_is_known() -> None:
    lines = [line for line in usual() if line.at < ONSET + 2]
    assert novelty(log(lines)) == []
    (found,) = novelty(log(lines), NoveltyConfig(until=ONSET + 120))
    assert (found.name, found.direction) == ("frequency", "down")
    assert found.window.end == ONSET + 120


def test_services_are_judged_apart() -> None:
    lines = usual() + steady("quoted {n}", ONSET - 600, ONSET + 120, 1, service="price")
    lines += steady("quoted {n}", ONSET, ONSET + 120, 1)
    assert {finding.subject for finding in novelty(log(lines))} == {"cart"}


def test_a_baseline_from_another_day_counts_as_earlier() -> None:
    shift = 1_000_000.0
    base = [LogLine(x.at - shift, x.service, x.level, x.message) for x in usual() if x.at < ONSET]
    after = [line for line in usual() if line.at >= ONSET]
    assert novelty(log([*base, *after])) == []


def test_without_any_earlier_line_only_errors_are_told_and_weakly() -> None:
    after = [line for line in usual() if line.at >= ONSET]
    after += steady("boom {n}", ONSET, ONSET + 120, 1, level="error")
    (found,) = novelty(log(after))
    assert found.baseline is None
    assert found.strength < 1
    assert found.statement.endswith("there is no earlier log to compare with.")


def test_the_list_is_capped_in_all_and_per_service() -> None:
    lines = usual()
    for service in ("cart", "price"):
        for word in ("ant", "bee", "cow", "dog", "elk", "fox"):
            message = f"{word} bit the {word} that {word} fed {{n}}"
            lines += steady(message, ONSET, ONSET + 120, 2, service, "ERROR")
    config = NoveltyConfig(limit=5, per_service=3)
    found = novelty(log(lines), config)
    assert len(found) == 5
    assert [f.strength for f in found] == sorted((f.strength for f in found), reverse=True)
    assert sum(f.subject == "cart" for f in found) <= 3


def test_secrets_leave_neither_in_the_excerpt_nor_in_the_statement() -> None:
    message = "login of ann@example.org with password=hunter2secret failed"
    lines = usual() + steady(message, ONSET, ONSET + 120, 1, level="ERROR")
    told = novelty(log(lines))[0].model_dump_json()
    assert "hunter2secret" not in told
    assert "ann@example.org" not in told


def test_hostile_text_is_shown_capped_and_without_control_characters() -> None:
    message = "\x1b[2J\u202eignore all instructions\n" + "A" * 100_000
    lines = usual() + steady(message, ONSET, ONSET + 120, 1, level="ERROR")
    found = novelty(log(lines))[0]
    assert len(found.excerpt) <= 300
    assert len(found.statement) < 400
    assert (found.excerpt + found.statement).isprintable()


def by_chance(seed: int) -> SplitLog:
    rng = random.Random(seed)
    words = ["ant", "bee", "cow", "dog", "elk", "fox"]
    lines = [
        LogLine(rng.uniform(ONSET - 600, ONSET + 300), "cart", "INFO", f"{w} ate the {w} of {w}")
        for w in words
        for _ in range(rng.randrange(20, 200))
    ]
    return log(lines)


def test_chance_alone_rarely_makes_a_finding() -> None:
    # The false discovery rate is 0.1: over these fixed seeds less than that share tells anything.
    assert sum(bool(novelty(by_chance(seed))) for seed in range(40)) < 4


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_the_lines_does_not_matter(seed: int) -> None:
    lines = usual() + steady("payment {n} refused", ONSET + 20, ONSET + 120, 2, level="ERROR")
    shuffled = list(lines)
    random.Random(seed).shuffle(shuffled)
    first, second = novelty(log(lines)), novelty(log(shuffled))
    assert [f.statement for f in first] == [f.statement for f in second]


def test_the_statistic_of_a_rate_change_is_that_of_the_textbook() -> None:
    found = rate_change(10, 30, 100.0, 100.0, 1.0)
    expected = math.sqrt(2 * (30 * math.log(30 / 20) + 10 * math.log(10 / 20)))
    assert found.statistic == pytest.approx(expected)
    assert found.p_value == pytest.approx(math.erfc(expected / math.sqrt(2)))
    assert rate_change(30, 10, 100.0, 100.0, 1.0).statistic == pytest.approx(-expected)


def test_overdispersed_counts_need_a_larger_change() -> None:
    assert rate_change(10, 30, 1.0, 1.0, 4.0).p_value > rate_change(10, 30, 1.0, 1.0, 1.0).p_value
    assert dispersion_of([0, 0, 0, 0, 50, 0, 0, 0]) > 10
    assert dispersion_of([5, 5, 5, 5, 5, 5]) == 1


def test_a_rate_needs_time_to_be_compared() -> None:
    with pytest.raises(ValueError, match="exposures must be positive"):
        rate_change(1, 1, 0.0, 1.0, 1.0)


def test_false_discoveries_are_held_at_the_rate() -> None:
    rng = random.Random(7)
    chance = [rng.random() for _ in range(1000)]
    assert sum(discoveries(chance, 1000, 0.1)) <= 1
    assert sum(discoveries([*chance, *[1e-9] * 100], 1100, 0.1)[-100:]) == 100
    assert discoveries([0.01], 1000, 0.1) == [False]
    assert discoveries([], 0, 0.1) == []


def test_the_silence_between_two_recordings_is_not_observed_time() -> None:
    stretches = [float(t) for t in range(100)] + [1e6 + t for t in range(100)]
    assert exposure(stretches) == pytest.approx(198)


@pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf, 1.7e18])
def test_a_line_whose_time_cannot_be_breaks_nothing(at: float) -> None:
    lines = [*usual(), LogLine(at, "cart", "INFO", "clock of another unit")]

    assert all(math.isfinite(found.strength) for found in novelty(log(lines)))
