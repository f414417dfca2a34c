"""What accounts allow, asked by the name that stands in an approval. docs/decisions/rights.md."""

from collections.abc import Callable

from copilot.store import Store
from copilot.types.people import ROLES, Account
from tools.playbook_executor import Wish, one_person, touched_services
from tools.types import Plan

API_KEY = "api-key"
"""Who decides by COPILOT_API_KEY where people have accounts: one, whoever holds it."""

MOST_ALERTS = 200


def by_accounts(
    store: Store, operator: str, *, outside: bool = False, cluster: str = ""
) -> Callable[[str, Wish, Plan | None], bool | None]:
    """Whether somebody may, by their account; None while nobody has one, and `outside` has none.

    `operator` owns the data folder, and so may do everything, unless an account of that name says
    otherwise. `cluster` is the namespace that steps on Kubernetes act in, whatever an alert says.
    """
    keys = {one_person(operator), one_person(API_KEY)}

    def may(person: str, wish: Wish, plan: Plan | None) -> bool | None:
        account = store.people.named(person)
        if account is not None:
            return _may(store, account, wish, plan, cluster)
        if not outside and not store.people.known():
            return None
        return one_person(person) in keys

    return may


def _may(store: Store, account: Account, wish: Wish, plan: Plan | None, cluster: str) -> bool:
    rank = ROLES.index(account.role)
    if account.disabled:
        return False
    if wish == "reject" or account.role != "approver":
        return rank >= ROLES.index("responder" if wish == "reject" else "admin")
    if plan is None:
        return True
    services = touched_services(plan)
    alerts = store.alerts.decisions(plan.incident_id, MOST_ALERTS)
    told = {(one.alert.service, one.alert.subject.namespace) for one in alerts}
    # A service of which no alert says where it runs is in no namespace that has a name.
    unknown = {"" for one in services if one not in {service for service, _ in told}}
    spaces = unknown | {space for service, space in told if service in services}
    acts = (*plan.steps, *plan.rollback)
    spaces |= {cluster for one in acts if one.action == "kubernetes" and cluster}
    return account.scope.covers(plan.risk, services, spaces)
