"""Playbooks are read strictly, and an error says where."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.playbook_executor import ParameterError, PlaybookError, fill, parse, schema
from tools.playbook_executor.parse import MAX_CHARACTERS, read_yaml

GOOD = """
id: grow
title: {en: "Grow ${service}", zh: "扩容 ${service}"}
risk: B
applies:
  - faults: [cpu_saturation]
parameters:
  - name: service
    type: name
    title: {en: "Service", zh: "服务"}
    source: component
  - name: replicas
    type: integer
    title: {en: "Replicas", zh: "副本数"}
    source: fact
    fact: replicas
    minimum: 1
    maximum: 9
steps:
  - title: {en: "Scale ${service}", zh: "扩容 ${service}"}
    action: kubernetes
    arguments: {verb: scale, kind: deployment, name: "${service}", replicas: "${replicas}"}
irreversible: {en: "Example", zh: "示例"}
verification: {watch: [component]}
expected_effect: {en: "More room", zh: "更多余量"}
check: {en: "Look at CPU", zh: "查看 CPU"}
blast_radius: {instances: 1, notice: {en: "New instances", zh: "新实例"}}
cooldown_s: 60
lock: "deployment/${service}"
"""


def test_a_good_playbook_is_read_with_its_types() -> None:
    playbook = parse(GOOD, "grow.yaml")
    assert (playbook.id, playbook.risk, playbook.cooldown_s) == ("grow", "B", 60.0)
    assert playbook.steps[0].arguments["replicas"] == "${replicas}"


def line_of(text: str) -> int:
    return GOOD[: GOOD.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        pytest.param("risk: B", "risk: B\nsudo: true", "sudo", id="unknown key"),
        pytest.param("risk: B", "risk: B\nrisk: A", "twice", id="repeated key"),
        pytest.param("risk: B", "risk: D", "risk", id="value outside of the closed set"),
        pytest.param("risk: B", "risk: \ud800", "not YAML", id="half a character"),
        pytest.param("risk: B", "risk: !!str B", "tag", id="explicit tag"),
        pytest.param("risk: B", "risk: !!python/name:os.system x", "tag", id="object tag"),
        pytest.param("risk: B", "risk: &r B", "anchors", id="anchor"),
        pytest.param("risk: B", "risk: *r", "aliases", id="alias"),
        pytest.param("risk: B", "risk: [B", "expected", id="not YAML"),
        pytest.param("maximum: 9", 'maximum: "9"', "number", id="text for a number"),
        pytest.param("maximum: 9", "maximum: 0x9", "number", id="hexadecimal number"),
        pytest.param("maximum: 9", "maximum: .inf", "number", id="infinite number"),
        pytest.param("kind: deployment", "kind: job", "kind", id="kind outside of the vocabulary"),
        pytest.param("verb: scale", "verb: exec", "exec", id="verb outside of the vocabulary"),
        pytest.param('name: "${service}"', 'name: "a b"', "not a name", id="literal with a space"),
        pytest.param('name: "${service}"', 'name: "${owner}"', "owner", id="undeclared hole"),
        pytest.param('name: "${service}"', 'name: "${service"', "'$'", id="broken hole"),
        pytest.param('name: "${service}"', 'name: "$(id)"', "'$'", id="shell substitution"),
        pytest.param("fact: replicas\n    ", "", "fact", id="a fact source without its fact"),
        pytest.param("    minimum: 1\n", "", "minimum", id="a number without bounds"),
        pytest.param("source: component", "source: prompt", "source", id="unknown source"),
        pytest.param(
            "applies:\n  - faults: [cpu_saturation]", "applies: []", "applies", id="for nothing"
        ),
        pytest.param("irreversible:", "note:", "note", id="misspelt key"),
        pytest.param("cooldown_s: 60", "cooldown_s: -1", "cooldown", id="negative cool-down"),
        pytest.param("id: grow", "id: ../grow", "id", id="path as an id"),
        pytest.param('lock: "deployment/${service}"', "lock: x", "", id="control: still good"),
    ],
)
def test_what_is_not_a_playbook_is_refused(old: str, new: str, problem: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if not problem:
        assert parse(text, "grow.yaml").lock == "x"
        return
    with pytest.raises(PlaybookError, match="grow.yaml") as refused:
        parse(text, "grow.yaml")
    assert problem in refused.value.problem


def test_the_error_names_the_line() -> None:
    with pytest.raises(PlaybookError) as refused:
        parse(GOOD.replace("maximum: 9", "maximum: nine"), "grow.yaml")
    assert refused.value.line == line_of("maximum: 9")
    assert str(refused.value).startswith(f"grow.yaml:{refused.value.line}: ")


def test_a_parameter_that_nothing_uses_is_refused() -> None:
    text = GOOD.replace('replicas: "${replicas}"', "replicas: 2")
    with pytest.raises(PlaybookError, match="'replicas' is never used"):
        parse(text, "grow.yaml")


def test_a_number_cannot_hide_inside_a_longer_text() -> None:
    text = GOOD.replace("type: integer", "type: number").replace(
        'lock: "deployment/${service}"', 'lock: "deployment/${replicas}"'
    )
    with pytest.raises(PlaybookError, match="cannot stand inside a text"):
        parse(text, "grow.yaml")


def test_class_b_without_a_way_back_says_why() -> None:
    text = "\n".join(line for line in GOOD.splitlines() if not line.startswith("irreversible"))
    with pytest.raises(PlaybookError, match="rollback"):
        parse(text, "grow.yaml")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("- a", id="a list"),
        pytest.param("a: 1\n---\na: 2", id="two documents"),
        pytest.param("a: " + "[" * 40 + "]" * 40, id="deeply nested"),
        pytest.param("a: " + "x" * MAX_CHARACTERS, id="too long"),
        pytest.param("? [a]\n: 1", id="a list as a key"),
        pytest.param("a: \x00", id="a control character"),
        pytest.param("a: &a [x]\nb: [*a, *a, *a]", id="the start of a billion laughs"),
    ],
)
def test_documents_that_are_not_plain_mappings_are_refused(text: str) -> None:
    with pytest.raises(PlaybookError):
        parse(text, "bad.yaml")


def test_words_that_other_readers_convert_stay_text() -> None:
    text = "{a: yes, b: 2026-01-01, c: 010, d: 1_000, e: true, f: 7, g: 0.5, h: '7'}"
    assert read_yaml(text, "x").value == {
        "a": "yes",
        "b": "2026-01-01",
        "c": "010",
        "d": "1_000",
        "e": True,
        "f": 7,
        "g": 0.5,
        "h": "7",
    }


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_playbook_or_an_error_that_says_where(text: str) -> None:
    with pytest.raises(PlaybookError, match="any.yaml"):
        parse(text, "any.yaml")


plain = st.recursive(
    st.booleans() | st.integers(-(10**9), 10**9) | st.text("abc xyz", min_size=1, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), plain, min_size=1, max_size=4))
def test_json_is_read_as_what_it_says(value: dict[str, object]) -> None:
    assert read_yaml(json.dumps(value), "x").value == value


def test_the_schema_knows_every_field_and_allows_no_other() -> None:
    found = schema()
    assert found["additionalProperties"] is False
    properties = found["properties"]
    assert isinstance(properties, dict)
    assert {"id", "steps", "rollback", "verification", "parameters"} <= set(properties)


MANY = (
    GOOD.replace('type: name\n    title: {en: "Service"', 'type: names\n    title: {en: "Service"')
    .replace("source: component", "source: fact\n    fact: services")
    .replace(
        "    action: kubernetes\n",
        """    each: service
    canary:
      - title: {en: "Wait", zh: "等待"}
        action: wait
        arguments: {seconds: 60}
      - title: {en: "Look at ${service}", zh: "查看 ${service}"}
        action: check
        arguments: {owner: "${service}", metric: error_pct, comparison: "<", value: 5}
    action: kubernetes
""",
    )
)


def many(services: str) -> list[str]:
    values = {"service": services, "replicas": 3}
    plan = fill(parse(MANY, "grow.yaml"), values, "inc-1", "cart", (), 1.0, 900.0)
    assert [one.index for one in plan.steps] == list(range(len(plan.steps)))
    return [f"{one.action} {one.arguments.get('name', '')}".strip() for one in plan.steps]


def test_a_step_for_each_runs_on_one_is_looked_at_and_runs_on_the_rest() -> None:
    first = ["kubernetes a", "wait", "check"]
    assert many("a") == first
    assert many("a, b,c") == [*first, "kubernetes b", "kubernetes c"]


def test_many_names_may_have_a_default() -> None:
    text = MANY.replace("source: fact\n    fact: services", 'source: default\n    default: "a, b"')
    assert parse(text, "grow.yaml").parameters[0].default == "a, b"


@pytest.mark.parametrize(
    "services", ["", "a,", "a,,b", "a,a", "a b", "a,b;c", ",".join(f"s{n}" for n in range(11))]
)
def test_names_that_are_none_twice_or_too_many_are_refused(services: str) -> None:
    with pytest.raises(ParameterError, match="name"):
        many(services)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        pytest.param("each: service", "each: replicas", "no parameter of type names", id="number"),
        pytest.param("    each: service\n", "", "needs `each`", id="a canary of nothing"),
        pytest.param(
            "action: wait\n        arguments: {seconds: 60}",
            'action: config\n        arguments: {service: "${service}", key: k, value: 1}',
            "does more than read",
            id="a canary that changes something",
        ),
        pytest.param(
            "action: wait",
            "each: service\n        action: wait",
            "no `each`",
            id="each in a canary",
        ),
        pytest.param(
            'name: "${service}", replicas',
            "name: cart, replicas",
            "the same would be done for each",
            id="each of nothing",
        ),
        pytest.param("seconds: 60", "seconds: 9000", "seconds", id="a wait without bounds"),
        pytest.param("action: wait", "action: wait\n        shell: x", "shell", id="unknown key"),
    ],
)
def test_a_wrong_canary_is_refused(old: str, new: str, problem: str) -> None:
    assert old in MANY
    with pytest.raises(PlaybookError, match=problem):
        parse(MANY.replace(old, new, 1), "grow.yaml")


def test_many_names_need_a_step_for_each() -> None:
    text = MANY.replace("    each: service\n", "")
    text = text[: text.index("    canary:")] + text[text.index("    action: kubernetes") :]
    with pytest.raises(PlaybookError, match="needs `each: service`"):
        parse(text, "grow.yaml")
