"""What is known before an incident: the playbooks a person may approve."""

from knowledge_base.catalogue import playbooks

__all__ = ["playbooks"]
