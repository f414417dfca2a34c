"""What a row of the ranking's table is worth, counted on one recording that ships."""

from pathlib import Path

import pytest
from rich.progress import Progress

from evals.localization.ablate import MatchedCase, run, sums_by_system
from evals.localization.cases import RECORDINGS, CaseSetError, read
from evals.localization.gathered import bundle_sets, of_bundle
from evals.localization.train import example, model_of, prior
from evals.report import Options
from tools.topology_walker.ranking import RULES, matches


@pytest.fixture(scope="module")
def told() -> MatchedCase:
    (case,) = read(RECORDINGS, 1)
    gathered = of_bundle(case)
    return MatchedCase(gathered, matches(gathered.evidence, gathered.topology))


def test_a_case_counts_for_its_system_and_is_lost_without_all_weights(told: MatchedCase) -> None:
    nothing = RULES.model_copy(
        update={
            "weights": dict.fromkeys(RULES.weights, 0.0),
            "votes": dict.fromkeys(RULES.votes, 0.0),
        }
    )
    whole, lost = (sums_by_system([told], model)["lab"] for model in (RULES, nothing))
    assert whole == [1.0, 1.0, 1.0]
    assert lost[0] < 1.0


def test_the_rules_are_the_prior_of_the_fit(told: MatchedCase) -> None:
    model = model_of(prior())
    assert model.weights == pytest.approx(RULES.weights)
    assert model.votes == pytest.approx(RULES.votes)
    laid_out = example(told)
    scores = laid_out.pairs @ prior()
    assert laid_out.right[scores.argmax()] == 1.0


def test_a_folder_of_bundle_sets_is_a_place_to_ablate(tmp_path: Path) -> None:
    (tmp_path / "own" / "truth").mkdir(parents=True)
    (tmp_path / "own" / "truth" / "truth.jsonl").write_text("")
    assert bundle_sets(tmp_path) == [tmp_path / "own"]
    with pytest.raises(CaseSetError, match=r"hold no truth/truth\.jsonl"):
        bundle_sets(tmp_path / "own" / "truth")


def test_ablation_without_data_says_what_it_needs() -> None:
    with pytest.raises(SystemExit, match="ablate needs --data DIR"), Progress(disable=True) as bar:
        run(Options(), bar)
