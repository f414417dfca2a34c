"""Kubernetes: a live API read with the official client, and recorded kubectl text and YAML."""

from copilot.adapters.kubernetes.describe import described
from copilot.adapters.kubernetes.listings import listing
from copilot.adapters.kubernetes.manifests import manifest, objects

__all__ = ["described", "listing", "manifest", "objects"]
