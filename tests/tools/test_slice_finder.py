"""The slice finder on small tables: what is blamed, what is everywhere, what is refused."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.slice_finder import MetricCube, MetricMoment, SliceAnswer, SliceError, find

DIMENSIONS = ("isp", "region", "device")
LEAVES = tuple(product(("telecom", "mobile", "cable"), ("south", "north"), ("tv", "phone", "pad")))


def moment(usual: float = 100.0, **moved: tuple[dict[str, str], float]) -> MetricMoment:
    """Every leaf as usual, but those of the named slices times their factor."""
    observed = np.full(len(LEAVES), usual)
    for attributes, factor in moved.values():
        for at, leaf in enumerate(LEAVES):
            if all(leaf[DIMENSIONS.index(key)] == value for key, value in attributes.items()):
                observed[at] *= factor
    return MetricMoment(DIMENSIONS, LEAVES, observed, np.full(len(LEAVES), usual))


def said(answer: SliceAnswer) -> list[str]:
    return [one.name for one in answer.slices]


@pytest.mark.parametrize("factor", [0.0, 0.5, 3.0, 20.0], ids=["gone", "half", "thrice", "twenty"])
@pytest.mark.parametrize(
    ("cause", "name"),
    [
        ({"isp": "telecom"}, "isp=telecom"),
        ({"isp": "telecom", "region": "south"}, "isp=telecom in region=south"),
        (
            {"isp": "telecom", "region": "south", "device": "tv"},
            "isp=telecom in region=south in device=tv",
        ),
    ],
    ids=["one attribute", "two", "three"],
)
def test_the_slice_that_moved_is_blamed_whatever_its_depth_and_direction(
    cause: dict[str, str], name: str, factor: float
) -> None:
    answer = find(moment(one=(cause, factor)))
    assert said(answer) == [name]
    assert answer.slices[0].share == pytest.approx(1.0)
    assert answer.direction == ("up" if factor > 1 else "down")


def test_two_values_of_one_attribute_are_both_named_the_larger_share_first() -> None:
    answer = find(moment(a=({"device": "tv"}, 4.0), b=({"device": "pad"}, 6.0)))
    assert said(answer) == ["device=pad", "device=tv"]
    assert "and 1 more like it, 100% of the rise" in answer.reason.en
    assert "等 2 个同类切片" in answer.reason.zh


def test_what_moved_alike_in_every_slice_is_everywhere() -> None:
    answer = find(moment(a=({}, 2.0), b=({"isp": "telecom"}, 1.1)))
    assert answer.everywhere
    assert answer.slices == ()
    assert answer.reason.en == "everywhere: no attribute sets the rise apart"


def test_an_attribute_that_all_leaves_of_a_slice_share_belongs_to_its_name() -> None:
    leaves = (("telecom", "south"), ("mobile", "north"), ("mobile", "south"))
    usual = np.full(3, 100.0)
    answer = find(MetricMoment(("isp", "region"), leaves, usual * [5.0, 1.0, 1.0], usual))
    assert said(answer) == ["isp=telecom in region=south"]


def cube(values: list[list[float]], counts: list[list[float]] | None = None) -> MetricCube:
    times = np.linspace(0.0, 60.0 * (len(values[0]) - 1), len(values[0]))
    tries = None if counts is None else np.array(counts)
    return MetricCube(("isp",), (("a",), ("b",)), times, np.array(values), tries)


def test_a_ratio_is_judged_by_its_tries_and_not_by_its_traffic() -> None:
    failures = [[10.0, 10.0, 100.0], [10.0, 10.0, 60.0]]
    tries = [[1000.0, 1000.0, 10_000.0], [1000.0, 1000.0, 1000.0]]
    assert said(find(cube(failures, tries).moment())) == ["isp=b"]
    assert said(find(cube(failures).moment())) != ["isp=b"]


def test_a_share_of_success_that_falls_is_told_as_failures_that_rise() -> None:
    answer = find(cube([[98.0, 98.0, 98.0], [98.0, 98.0, 60.0]], [[100.0] * 3] * 2).moment())
    assert said(answer) == ["isp=b"]
    assert answer.direction == "up"


def test_a_minute_of_the_past_that_was_bad_already_is_not_taken_for_normal() -> None:
    steady, bad = [10.0] * 5, [10.0, 10.0, 10.0, 90.0, 95.0]
    assert find(cube([steady, bad]).moment()).slices[0].expected == pytest.approx(10.0, rel=0.1)


@given(st.floats(1e-6, 1e6), st.permutations(range(len(LEAVES))))
def test_neither_the_unit_nor_the_order_of_leaves_changes_the_answer(
    unit: float, order: list[int]
) -> None:
    plain = moment(a=({"isp": "cable", "device": "tv"}, 5.0))
    turned = MetricMoment(
        DIMENSIONS, tuple(LEAVES[at] for at in order), plain.observed[order] * unit,
        plain.expected[order] * unit, unit,
    )  # fmt: skip
    assert said(find(turned)) == said(find(plain))


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (cube([[1.0], [1.0]]), "has a past"),
        (cube([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]), "nothing was tried"),
    ],
    ids=["no past", "no tries"],
)
def test_a_table_without_a_past_is_refused(table: MetricCube, problem: str) -> None:
    with pytest.raises(SliceError, match=problem):
        table.moment()


def test_leaves_without_attributes_or_with_too_many_are_refused() -> None:
    one = np.ones(1)
    with pytest.raises(SliceError, match="no attributes"):
        find(MetricMoment((), ((),), one, one))
    many = tuple(f"d{n}" for n in range(13))
    with pytest.raises(SliceError, match="at most 12"):
        find(MetricMoment(many, (many,), one, one))


def test_nothing_at_all_that_changed_is_everywhere_and_no_error() -> None:
    assert find(moment()).everywhere
