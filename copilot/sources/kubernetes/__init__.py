"""Kubernetes objects: a live API read with the official client, or recorded manifests."""

from copilot.sources.kubernetes.manifests import manifest, objects

__all__ = ["manifest", "objects"]
