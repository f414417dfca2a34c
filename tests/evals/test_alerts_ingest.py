"""The ingest benchmark measures a running service and finds on disk what it answered for."""

from evals.alerts.ingest import bodies_of, service


def test_a_flood_is_measured_and_all_of_it_is_on_disk_after_kill_9() -> None:
    measured = service(bodies_of(100, 16, seed=1), 100)
    assert measured.kept == 100
    assert len(measured.latencies_ms) == 7
    assert measured.rate > 0
