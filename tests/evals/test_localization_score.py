"""Hand-made rankings with known scores, ties above all."""

import random

import pytest

from evals.localization.score import AnswerRank, place, score


def test_the_answer_on_top_scores_one_everywhere() -> None:
    figures = score([place([("cart", 3.0), ("web", 1.0)], "cart")])
    assert (figures.ac1, figures.ac3, figures.avg5, figures.mrr) == (1.0, 1.0, 1.0, 1.0)


def test_the_third_place_counts_from_three_on() -> None:
    figures = score([place([("a", 3), ("b", 2), ("c", 1), ("d", 0)], "c")])
    assert (figures.ac1, figures.ac3, figures.ac5) == (0.0, 1.0, 1.0)
    assert figures.avg5 == pytest.approx(3 / 5)
    assert figures.mrr == pytest.approx(1 / 3)


@pytest.mark.parametrize("answer", ["aaa", "mmm", "zzz"])
def test_a_tie_is_not_won_by_name_order(answer: str) -> None:
    scored = [("aaa", 1.0), ("mmm", 1.0), ("zzz", 1.0)]
    figures = score([place(scored, answer)])
    assert figures.ac1 == pytest.approx(1 / 3)
    assert figures.ac3 == 1.0
    assert figures.mrr == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


def test_the_order_in_which_candidates_are_given_does_not_matter() -> None:
    scored = [("a", 2.0), ("b", 2.0), ("c", 1.0), ("d", 1.0)]
    shuffled = scored[:]
    random.Random(3).shuffle(shuffled)
    assert place(scored, "c") == place(shuffled, "c") == AnswerRank(better=2, tied=2)


def test_a_tie_across_the_border_of_k_is_shared() -> None:
    tied = place([("a", 9), ("b", 5), ("c", 5), ("d", 5), ("e", 1)], "c")
    assert tied == AnswerRank(better=1, tied=3)
    assert tied.within(3) == pytest.approx(2 / 3)
    assert tied.within(4) == 1.0


def test_everything_tied_scores_as_chance_does() -> None:
    names = [f"s{i}" for i in range(10)]
    figures = score([place([(name, 0.0) for name in names], "s7")])
    assert figures.ac1 == pytest.approx(0.1)
    assert figures.avg5 == pytest.approx(0.3)


def test_an_answer_that_was_not_ranked_scores_nothing() -> None:
    figures = score([place([("a", 1.0)], "b"), place([], "b")])
    assert (figures.ac5, figures.mrr) == (0.0, 0.0)


def test_of_several_right_answers_the_best_counts_and_the_others_are_in_nobodys_way() -> None:
    scored = [("web", 9), ("a", 5), ("b", 5), ("c", 5)]
    assert place(scored, "b", "web") == AnswerRank(better=0, tied=1)
    assert place(scored, "a", "b") == AnswerRank(better=1, tied=2)
    assert place(scored, "gone", "c") == place(scored, "c") == AnswerRank(better=1, tied=3)


def test_a_component_named_twice_stands_at_its_best_place() -> None:
    assert place([("a", 1.0), ("b", 2.0), ("a", 3.0)], "a") == AnswerRank(better=0, tied=1)


def test_no_cases_score_zero() -> None:
    assert score([]).cases == 0


def test_a_better_place_never_scores_less() -> None:
    for tied in (1, 2, 4):
        for better in range(6):
            near, far = (
                AnswerRank(better=better, tied=tied),
                AnswerRank(better=better + 1, tied=tied),
            )
            assert near.reciprocal() > far.reciprocal()
            assert all(near.within(k) >= far.within(k) for k in range(1, 6))
