"""What people have becomes a draft: checked, and no playbook before a person has filled it in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.playbook_executor import PlaybookError, draft, parse
from tools.playbook_executor.parse import FILL_IN

RUNBOOK = """
# Mails of <service> are stuck

## How to check
- More than a thousand wait.

## Steps
1. Look at the workers
2. Start them anew
   ```bash
   kubectl rollout restart deployment/$SERVICE
   ```
3. `kubectl scale deployment/{{ service }} --replicas=${replicas}`
4. Tell the team; it costs $5 a minute

## Roll back
1. `kubectl rollout undo deployment/$SERVICE`
"""
PLAYS = """
- name: Start the web tier anew
  hosts: web
  vars: {batch: 2, unit: nginx, greeting: hello world, wait: true}
  tasks:
    - name: start anew
      ansible.builtin.service: {name: "{{ unit }}", state: restarted}
"""
VALUES = {"risk": "B", "faults": "errors", "minimum": "1", "maximum": "9", "instances": "1"}


def filled(text: str) -> str:
    """The draft as a person fills it in."""
    for key, value in {**VALUES, "cooldown_s": "60"}.items():
        text = text.replace(f"{key}: {FILL_IN}", f"{key}: {value}")
        text = text.replace(f"{key}: [{FILL_IN}]", f"{key}: [{value}]")
    return text.replace(FILL_IN, "as it says")


@pytest.mark.parametrize(
    ("text", "source"), [(RUNBOOK, "mails-stuck.md"), (PLAYS, "/opt/web-anew.yml")]
)
def test_a_draft_is_a_playbook_only_once_it_is_filled_in(text: str, source: str) -> None:
    made = draft(text, source)
    with pytest.raises(PlaybookError, match="risk is still to be filled in"):
        parse(made, "draft.yaml")
    half = made.replace(f"risk: {FILL_IN}", "risk: B")
    with pytest.raises(PlaybookError, match="still to be filled in"):
        parse(half, "draft.yaml")
    assert parse(filled(made), "draft.yaml").id in source


def test_a_runbook_becomes_typed_steps_where_we_have_them_and_else_steps_by_hand() -> None:
    playbook = parse(filled(draft(RUNBOOK, "mails-stuck.md")), "draft.yaml")
    assert [one.action for one in playbook.steps] == [
        *("manual", "kubernetes", "kubernetes", "manual"),
    ]
    assert playbook.steps[2].arguments["replicas"] == "${replicas}"
    assert playbook.rollback[0].arguments["verb"] == "rollout_undo"
    assert [(one.name, one.source) for one in playbook.parameters] == [
        ("service", "component"),
        ("replicas", "fact"),
    ]
    assert playbook.check.en == "More than a thousand wait."
    assert "＄5" in playbook.steps[3].title.en


def test_an_ansible_playbook_is_one_step_with_its_plain_variables() -> None:
    made = draft(PLAYS, "/opt/web-anew.yml")
    (step,) = parse(filled(made), "draft.yaml").steps
    assert step.arguments["argv"] == [
        *("ansible-playbook", "--limit", "${hosts}", "-e", "batch=${batch}"),
        *("-e", "unit=${unit}", "/opt/web-anew.yml"),
    ]
    assert "as the playbook has them: greeting, wait" in made


def test_a_command_that_may_mean_another_cluster_stays_by_hand() -> None:
    text = "1. `kubectl rollout restart deployment/cart -n other`\n2. `kubectl delete pod cart`\n"
    found = parse(filled(draft(text, "a.md")), "draft.yaml")
    assert {one.action for one in found.steps} == {"manual"}


def test_two_pieces_of_code_in_a_line_are_not_one_command() -> None:
    text = "1. Run `kubectl drain node-1`, and not `2`\n"
    found = parse(filled(draft(text, "a.md")), "draft.yaml")
    assert [one.action for one in found.steps] == ["manual"]


REFUSED = {
    "prose": ("Just call Anna.", "a.md", "write one step to a line"),
    "nothing": ("", "a.md", "no list of steps"),
    "too many steps": ("1. do\n" * 13, "a.md", "split it"),
    "too long": ("x" * 70_000, "a.md", "split it"),
    "a name that is none": ("1. do", "-.md", "rename the file"),
    "no plays": ("tasks: []", "/a.yml", "no Ansible playbook"),
    "a list of tasks": ("- name: x\n  command: ls\n", "/a.yml", "no Ansible playbook"),
    "no whole path": (PLAYS, "web.yml", "whole path"),
    "a tag": ("- hosts: !vault x\n", "/a.yml", "tag"),
    "an alias": ("- hosts: &a web\n- hosts: *a\n", "/a.yml", "anchors and aliases"),
    "nested without end": ("[" * 300, "/a.yml", "nested deeper|expected"),
    "a path that is none": (PLAYS, "/opt/$(reboot)/web.yml", "write it by hand"),
    "more values than a plan has": (
        "\n".join(f"{n}. <a{n}> <b{n}>" for n in range(1, 9)),
        "a.md",
        "write it by hand",
    ),
}


@pytest.mark.parametrize(("text", "source", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_none_is_refused_with_what_to_do(text: str, source: str, said: str) -> None:
    with pytest.raises(PlaybookError, match=said):
        draft(text, source)


HOSTILE = [
    "x\n   risk: A",
    'x", zh: ""}, risk: A, z: {en: "',
    "\x1b[2J ‮ x",
    "$(reboot) `reboot` {{ lookup('pipe', 'id') }}",
    "x <risk> ${ruby:x} $$ ${",
    "--- !!python/object/apply:os.system ['id']",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_runbook_becomes_a_field_of_the_playbook(text: str) -> None:
    made = draft(f"# {text}\n\n1. {text}\n", "a.md")
    found = parse(filled(made), "draft.yaml")
    assert [one.action for one in found.steps] == ["manual"]
    assert (found.risk, found.rollback) == ("B", ())
    assert "\x1b" not in made
    assert "\u202e" not in made


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=400), st.sampled_from(["/a.md", "/a.yml"]))
def test_any_text_is_a_draft_that_needs_a_person_or_refused(text: str, source: str) -> None:
    try:
        made = draft(f"1. {text}" if source.endswith("md") else text, source)
    except PlaybookError:
        return
    with pytest.raises(PlaybookError, match="still to be filled in"):
        parse(made, "draft.yaml")


ORDER = "`kubectl rollout restart deployment/$SERVICE`"
FORBIDDEN = [
    f"Do not run {ORDER}",
    f"Don't run {ORDER} at noon",
    f"Never run {ORDER}, it loses the queue",
    f"WARNING: do not run {ORDER}",
    f"If people are paying, please do not run {ORDER}",
    f"Avoid {ORDER}",
    f"You must not run {ORDER} yourself",
    "The primary should not be restarted",
    f"Make sure not to run {ORDER}",
    f"Restarting is forbidden: {ORDER}",
    f"不要执行 {ORDER}",
    f"如果还有流量,请勿执行 {ORDER}",
    f"注意:切勿执行 {ORDER}",
    f"千万别跑 {ORDER}",
    f"严禁在高峰期执行 {ORDER}",
    "主库不得重启",
    f"无需执行 {ORDER}",
    f"During peak hours do not run {ORDER}",
    f"In production, never run {ORDER}",
    f"在高峰期不要执行 {ORDER}",
]
ORDERED = [
    f"Run {ORDER}",
    f"Do not forget to run {ORDER}",
    f"If the pod does not start, run {ORDER}",
    f"When it cannot be reached, run {ORDER}",
    f"别忘了执行 {ORDER}",
    f"如果 Pod 不能启动,执行 {ORDER}",
    f"不得不重启时,执行 {ORDER}",
]


@pytest.mark.parametrize("line", FORBIDDEN)
def test_what_a_runbook_forbids_is_a_note_and_no_step(line: str) -> None:
    made = draft(f"# Stuck\n\n1. Tell the team\n2. {line}\n", "mails-stuck.md")
    assert "# line 4 says what not to do, and is no step: " in made
    assert "restart" not in made.partition("steps:")[2], "neither a typed step nor one by hand"


@pytest.mark.parametrize("line", ORDERED)
def test_what_it_orders_is_a_step_though_a_word_of_it_denies(line: str) -> None:
    made = draft(f"# Stuck\n\n1. Tell the team\n2. {line}\n", "mails-stuck.md")
    assert "verb: rollout_restart" in made


@pytest.mark.parametrize("heading", ["Don'ts", "What not to do", "禁止操作"])
def test_what_stands_under_a_heading_of_what_not_to_do_is_no_step(heading: str) -> None:
    text = f"# Stuck\n\n1. Tell the team\n\n## {heading}\n\n1. {ORDER}\n"
    assert "restart" not in draft(text, "mails-stuck.md").partition("steps:")[2]


@pytest.mark.parametrize(
    "line",
    [
        f"Run {ORDER}, but never at noon",
        f"Do not drain the node; run {ORDER} instead",
        f"执行 {ORDER},但不要在中午",
    ],
)
def test_what_is_forbidden_in_part_is_done_by_hand_with_all_that_it_says(line: str) -> None:
    steps = draft(f"# Stuck\n\n1. {line}\n", "mails-stuck.md").partition("steps:")[2]
    assert "action: manual" in steps
    assert "rollout_restart" not in steps
