"""Owners of services by a Backstage catalogue: in chat, in the brief and on the page."""

from dataclasses import replace
from pathlib import Path

import pytest

from copilot import wiring
from copilot.settings import SettingsError, load
from copilot.sources.catalogue import ServiceCatalogue, ServiceOwner, read_catalogue
from copilot.sources.connected import with_declared
from copilot.sources.deployment import Sources
from copilot.store import Store
from copilot.surfaces.chat.tools import TOOLS
from copilot.surfaces.chat.tools.tool import ServiceArguments
from copilot.surfaces.chat.understand.rules import intents
from copilot.surfaces.console.answer import answer_rows
from prompts import Language
from tests.copilot.test_briefing import brief, state
from tests.copilot.test_chat_unknown import scope

SHOP = """
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: shipping
  annotations:
    pagerduty.com/service-id: PSHIP1
    pagerduty.com/integration-key: 0123456789abcdef0123456789abcdef
spec:
  owner: "group:default/logistics"
  system: fulfilment
  dependsOn: ["resource:default/orders-db"]
---
kind: Resource
metadata: {name: orders-db, annotations: {backstage.io/kubernetes-id: orders-postgres}}
spec: {type: database, owner: storage}
---
kind: Group
metadata: {name: logistics}
spec: {type: team, profile: {displayName: Logistics, email: logistics@shop.example}}
---
# nothing of ours
on: push
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "catalog-info.yaml").write_text(SHOP)
    return tmp_path / "catalog-info.yaml"


def test_an_entity_tells_team_contact_system_and_who_is_called(file: Path) -> None:
    found = read_catalogue(file).of("Shipping")
    assert found is not None
    who = "Logistics (logistics@shop.example)"
    assert found.told("en") == f"{who}, system fulfilment, on call: PagerDuty service PSHIP1"
    assert found.told("zh") == f"{who},系统 fulfilment,值班: PagerDuty service PSHIP1"


def test_a_key_among_the_annotations_is_never_read(file: Path) -> None:
    assert "0123456789abcdef" not in repr(read_catalogue(file))


def test_a_component_goes_by_the_name_that_kubernetes_has_for_it_too(file: Path) -> None:
    read = read_catalogue(file)
    assert read.of("orders-postgres") == read.of("orders-db")
    assert [(e.caller, e.callee) for e in read.topology().edges] == [
        ("shipping", "orders-postgres")
    ]


def test_a_folder_is_read_with_all_its_files(file: Path) -> None:
    (file.parent / "more").mkdir()
    (file.parent / "more" / "a.yml").write_text(
        "kind: API\nmetadata: {name: rates}\nspec: {owner: user:ann}"
    )
    found = read_catalogue(file.parent).of("rates")
    assert found is not None
    assert (found.team, found.told("en")) == ("ann", "ann")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Component\nmetadata: [x]", "entity 1 has no metadata.name"),
        ("kind: [", "is not YAML"),
        ("kind: API\nmetadata: {name: a}\nspec: {since: 2026-02-30}", "is not YAML: day is out"),
        ("kind: Component\nmetadata: {name: &a [x, *a]}", "entity 1 has no metadata.name"),
    ],
    ids=["no name", "no YAML", "a day of no month", "a name without end"],
)
def test_a_wrong_file_is_named(text: str, said: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match=said):
        read_catalogue(file)


def test_values_of_another_kind_are_no_value(file: Path) -> None:
    file.write_text("kind: Component\nmetadata: {name: a, annotations: [1]}\nspec: {owner: {x: 1}}")
    found = read_catalogue(file).of("a")
    assert found is not None
    assert found.told("en") == "not named"


def test_its_graph_stands_in_where_no_source_has_one(file: Path) -> None:
    sources = with_declared(load(catalogue=file), Sources())
    assert sources.topology().nodes == ("shipping", "orders-postgres")
    measured = Sources(graph=read_catalogue(file))
    assert with_declared(load(catalogue=file), measured).graph is measured.graph


def test_the_settings_name_it(file: Path) -> None:
    sources = wiring.configured_sources(load(catalogue=file))
    assert sources.owners.lines(["shipping", "nobody"], "en")[0].startswith("shipping: Logistics (")


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "**Owner**: cart: Checkout, on call: #checkout"),
        ("zh", "**负责人**:cart: Checkout,值班: #checkout"),
    ],
)
def test_the_brief_and_the_page_name_the_owner_of_the_cause(language: Language, said: str) -> None:
    owner = ServiceOwner(service="cart", team="Checkout", on_call="#checkout")
    text = brief(language, state(), catalogue=ServiceCatalogue({"cart": owner}))
    assert said in text
    (row,) = (one for one in answer_rows(text, language) if one.key == "owner")
    assert "Checkout" in row.lines[0][0].text


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("shipping", "Owner of shipping: Logistics (logistics@shop.example), system"),
        ("rates", "Who owns rates is not known: no catalogue names it."),
    ],
)
def test_chat_says_who_owns_a_service(service: str, said: str, file: Path, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    sources = with_declared(load(catalogue=file), Sources())
    about = scope(store, "likely")
    about = replace(about, deps=replace(about.deps, sources=sources))
    told = TOOLS["owners"].look(ServiceArguments(service=service), about)
    assert told.lead[0].en.startswith(said)
    assert "shipping" in about.services()
    store.close()


@pytest.mark.parametrize("text", ["which team owns shipping", "shipping 归谁管"])
def test_a_question_for_the_team_wants_the_owner(text: str) -> None:
    assert "owners" in intents(text)
