"""Which commit did it: forms convict, time, place and form exonerate, causes outside are told."""

import pytest

from tools.change_inspector import CommitCase, CommitVerdict, convicted, judge, readable
from tools.change_inspector.diff import files_of
from tools.change_inspector.outside import OUTSIDE, OutsideCause, external
from tools.change_inspector.table import FormRow, table
from tools.types import Change, Commit, Edge, Timestamp, Topology

ONSET = 10_000.0
SHOP = Topology(
    nodes=("web", "cart-service", "ledger", "mail"),
    edges=(Edge(caller="web", callee="cart-service"), Edge(caller="cart-service", callee="ledger")),
)
QUIET = "the page greets in another colour"


def commit(
    diff: str, *files: str, at: Timestamp = ONSET - 900.0, message: str = "tidy up"
) -> Commit:
    return Commit(sha="c0ffee", at=at, author="lin", message=message, files=files, diff=diff)


def judged(
    made: Commit, *said: str, changes: tuple[Change, ...] = (), suspect: str = "cart-service"
) -> CommitVerdict:
    return judge(CommitCase([made], changes, said, (), [suspect], SHOP, ONSET))


def released(service: str, ago: float) -> Change:
    return Change(at=ONSET - ago, service=service, kind="deploy")


@pytest.mark.parametrize("row", table().form, ids=lambda row: row.name)
def test_each_form_convicts_where_the_evidence_says_its_harm(row: FormRow) -> None:
    made = commit(row.diff, "pkg/settings.yaml")
    found = judged(made, row.evidence)
    assert found.commit == made
    assert found.file == "pkg/settings.yaml"
    assert judged(made, QUIET).commit is None


@pytest.mark.parametrize("row", table().form, ids=lambda row: row.name)
def test_no_form_convicts_where_it_is_undone(row: FormRow) -> None:
    swap = {"+": "-", "-": "+"}
    lines = (swap.get(line[:1], line[:1]) + line[1:] for line in row.diff.splitlines())
    found = judged(commit("\n".join(lines), "pkg/settings.yaml"), row.evidence)
    assert row.name not in found.reason.en


@pytest.mark.parametrize("cause", OUTSIDE, ids=lambda cause: cause.name)
def test_each_outside_cause_is_read_from_its_example(cause: OutsideCause) -> None:
    assert external([cause.example]) == cause
    assert external([QUIET]) is None


@pytest.mark.parametrize(
    "ordinary",
    [
        "billing: pool of connections exhausted",
        "java.net.ConnectException: Connection refused",
        "java.io.IOException: Connection reset by peer",
        "GET https://ledger.shop.svc.cluster.local/charge: 503 service unavailable",
        "failed scraping target web:9090",
        "peering into the cart",
    ],
)
def test_ordinary_words_of_ours_are_no_cause_outside(ordinary: str) -> None:
    assert external([ordinary]) is None


POOL = "-max_conns: 40\n+max_conns: 4"
EXHAUSTED = "timed out waiting for a connection from the pool"


@pytest.mark.parametrize(
    ("made", "changes", "why"),
    [
        pytest.param(commit(POOL, "db/pool.yaml", at=ONSET + 5), (), "after the onset", id="later"),
        pytest.param(
            commit(POOL, "services/mail/pool.yaml"), (), "not reached", id="another service's file"
        ),
        pytest.param(
            commit(POOL, "db/pool.yaml"),
            (released("cart-service", 4000.0), released("mail", 60.0)),
            "not reached",
            id="released nowhere on the way since",
        ),
        pytest.param(commit("+all is well", "docs/pool.md"), (), "documents", id="documents"),
        pytest.param(commit("+assert x", "db/pool_test.go"), (), "tests", id="tests"),
        pytest.param(commit("", "db/pool.go"), (), "not known", id="no diff"),
        pytest.param(
            commit("-  return a.get(k)\n+  return get(k)\n+func get(k) {\n+  return a.get(k)", "x"),
            (),
            "moves code",
            id="moved",
        ),
    ],
)  # fmt: skip
def test_time_place_and_form_exonerate(made: Commit, changes: tuple[Change, ...], why: str) -> None:
    found = judged(made, EXHAUSTED, changes=changes)
    assert found.commit is None
    assert why in found.innocent[0].why.en


def test_a_release_that_carried_it_to_a_caller_or_callee_convicts() -> None:
    made = commit(POOL, "pkg/db/pool.yaml")
    for service in ("web", "cart-service", "ledger"):
        assert judged(made, EXHAUSTED, changes=(released(service, 300.0),)).commit == made


def test_tuning_by_less_than_double_is_innocent() -> None:
    assert judged(commit("-max_conns: 40\n+max_conns: 30", "a.yaml"), EXHAUSTED).commit is None
    assert judged(commit("-timeout: 1m\n+timeout: 60s", "a.yaml"), "timeout").commit is None


def test_a_cause_outside_acquits_unless_the_evidence_names_the_commits_own() -> None:
    expired = "x509: certificate has expired or is not yet valid"
    made = commit(POOL, "db/pool.go")
    found = judged(made, EXHAUSTED, expired)
    assert found.commit is None
    assert found.outside is not None
    assert found.outside.name == "certificate"
    assert judged(made, EXHAUSTED, expired, "panic at pool.go:18").commit == made


def test_a_name_on_both_sides_of_a_diff_is_no_name_of_its_own() -> None:
    error = 'column "note" does not exist'
    kept = commit('-  q("SELECT note FROM carts")\n+  p("SELECT note FROM carts")', "dao.py")
    brought = commit('+  q("SELECT note FROM carts")', "dao.py")
    assert judged(kept, error).commit is None
    assert judged(brought, error).commit == brought


@pytest.mark.parametrize(
    ("diff", "error", "guilty"),
    [
        ("-host: ledger\n+host: ledgr", "dial tcp: lookup ledgr on 10.0.0.2: no such host", True),
        ("+host: mail", "dial tcp: lookup ledger on 10.0.0.2: no such host", False),
        ("+open(file)", "open /etc/cart.toml: no such file or directory", False),
        ("-  note(a)\n+  note(a, note)", 'column "note" does not exist', False),
    ],
    ids=["a host it brings in", "another host", "plain English", "a name used once more"],
)
def test_the_name_that_an_error_does_not_find_has_to_be_the_commits_own(
    diff: str, error: str, guilty: bool
) -> None:
    assert (judged(commit(diff, "app.yaml"), error).commit is not None) == guilty


DIALECTS = {
    "git": "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x = 1\n+x = 9",
    "a forge's patch of one file": "@@ -1,3 +1,3 @@ def f():\n-x = 1\n+x = 9",
    "only the path": "@@ a.py @@\n-x = 1\n+x = 9",
    "cut in the middle": "--- a/a.py\n+++ b/a.py\n@@ -1,90 +1,90 @@\n-x = 1\n+x = 9\n con",
}


@pytest.mark.parametrize("diff", DIALECTS.values(), ids=DIALECTS.keys())
def test_every_dialect_of_diffs_is_read_alike(diff: str) -> None:
    (file,) = files_of(diff, ("a.py",))
    assert (file.path, file.settings) == ("a.py", {"x": (1.0, 9.0)})


@pytest.mark.parametrize(
    "diff",
    [
        "\x00\x01binary",
        "+" * 200_000,
        "+x = 1e999999\n-x = 1",
        "@@ @@ @@\n+\n-\n \n",
        "-" + "(a" * 5_000,
    ],
    ids=["binary", "one long line", "overflow", "nothing in it", "nested"],
)
def test_hostile_diffs_are_read_without_harm(diff: str) -> None:
    assert judged(commit(diff, "a.go"), EXHAUSTED, "slow query").commit is None


POOL = "-max_pool_size: 20\n+max_pool_size: 2"
COLOUR = "-colour: red\n+colour: blue"
CART_FILE, LEDGER_FILE = "cart-service/pool.yaml", "ledger/pool.yaml"


def named(sha: str, diff: str, *files: str, at: Timestamp = ONSET - 900.0) -> Commit:
    return commit(diff, *files, at=at).model_copy(update={"sha": sha})


TINTED, LEDGERS = named("b", COLOUR, CART_FILE), named("b", POOL, LEDGER_FILE)


def unsaid(*commits: Commit, said: str = QUIET) -> CommitCase:
    """Commits beside evidence whose words the table does not know."""
    return CommitCase(commits, (), [said], (), ["cart-service"], SHOP, ONSET)


@pytest.mark.parametrize(
    ("commits", "convicts"),
    [
        pytest.param([named("a", POOL, CART_FILE)], True, id="time, place and form agree"),
        pytest.param([named("a", COLOUR, CART_FILE)], False, id="no form shows in the line"),
        pytest.param([named("a", POOL, "pool.yaml")], False, id="its path names no component"),
        pytest.param([named("a", POOL, LEDGER_FILE)], False, id="it is of another component"),
        pytest.param([named("a", POOL, CART_FILE, at=ONSET + 1)], False, id="it came after"),
        pytest.param([named("a", POOL, "cart-service/pool.md")], False, id="a document"),
        pytest.param([named("a", POOL, CART_FILE), TINTED], True, id="the other is innocent"),
        pytest.param([named("a", POOL, CART_FILE), LEDGERS], False, id="a form in two"),
    ],
)
def test_a_pointed_line_convicts_only_where_time_place_and_form_agree(
    commits: list[Commit], convicts: bool
) -> None:
    case = unsaid(*commits)
    verdicts = [convicted(case, line) for line in readable(case)]
    assert {one.commit.sha for one in verdicts if one and one.commit} == (
        {"a"} if convicts else set()
    )


def test_nothing_is_left_to_read_where_the_rules_convict_or_a_cause_lies_outside() -> None:
    pool = named("a", POOL, CART_FILE)
    told = next(row.evidence for row in table().form if row.name == "a smaller pool")
    assert judge(unsaid(pool, said=told)).commit == pool
    assert readable(unsaid(pool, said=told)) == ()
    assert readable(unsaid(pool, said=OUTSIDE[0].example)) == ()


def test_a_line_that_was_not_laid_before_the_reader_convicts_nobody() -> None:
    (line, *_) = readable(unsaid(named("a", POOL, CART_FILE)))
    assert convicted(unsaid(named("b", COLOUR, CART_FILE)), line) is None
