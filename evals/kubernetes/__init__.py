"""Recorded Kubernetes faults (Cloud-OpsBench): kubectl's texts as a cluster, and its score."""
