"""A run of everything in an MLflow file store: parameters, metrics, prompts, page, graph traces."""

import importlib
import importlib.util
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prompts
from copilot.types.errors import install
from evals.page.whole import OverviewResult
from evals.report import Result

EXPERIMENT = "incident-copilot"
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
"""Read by MLflow when it is imported: it calls nobody, and keeps plain files where told to."""

_SAMPLED = "MLFLOW_TRACE_SAMPLING_RATIO"
_ONE_IN_FIVE = "0.2"
"""A trace holds what went into every node and came out, half a megabyte an incident."""


class TrackingError(Exception):
    """MLflow is not there, or refused; the message says what to do."""


def check() -> None:
    """Say before a long run, not after it, that MLflow is missing."""
    if importlib.util.find_spec("mlflow") is None:
        raise TrackingError(f"--mlflow needs MLflow: {install('mlflow')}")


@contextmanager
def traced(store: Path) -> Iterator[None]:
    """While inside, MLflow keeps a trace of every fifth run of the graph: its nodes and states."""
    check()
    os.environ.update(_QUIET)
    os.environ.setdefault(_SAMPLED, _ONE_IN_FIVE)
    mlflow = importlib.import_module("mlflow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about type hints of its own
        graphs = importlib.import_module("mlflow.langchain")
    refusal: type[Exception] = importlib.import_module("mlflow.exceptions").MlflowException
    try:
        mlflow.set_tracking_uri(store.resolve().as_uri())
        mlflow.set_experiment(EXPERIMENT)
    except (refusal, OSError) as error:
        raise TrackingError(f"--mlflow {str(store)!r}: {error}") from error
    graphs.autolog(silent=True)
    try:
        yield
    finally:
        mlflow.flush_trace_async_logging()
        graphs.autolog(disable=True, silent=True)


def track(whole: OverviewResult, written: Path, store: Path) -> str:
    """Log the run into the folder `store` and return its id; `written` holds the page."""
    check()
    os.environ.update(_QUIET)
    client_type = importlib.import_module("mlflow.tracking").MlflowClient
    refusal: type[Exception] = importlib.import_module("mlflow.exceptions").MlflowException
    try:
        client = client_type(tracking_uri=store.resolve().as_uri())
        known = client.get_experiment_by_name(EXPERIMENT)
        experiment = known.experiment_id if known else client.create_experiment(EXPERIMENT)
        run_id: str = client.create_run(experiment).info.run_id
        for name, value in {**parameters(whole), **fingerprints()}.items():
            client.log_param(run_id, name, value)
        for name, number in metrics(whole.result).items():
            client.log_metric(run_id, name, number)
        client.log_artifacts(run_id, str(written))
        client.set_terminated(run_id, "FAILED" if whole.failures else "FINISHED")
    except (refusal, OSError) as error:
        raise TrackingError(f"--mlflow {str(store)!r}: {error}") from error
    return run_id


def parameters(whole: OverviewResult) -> dict[str, str]:
    """What was asked and where it ran; an address may carry a secret and is left out."""
    asked = whole.facts.asked
    return {
        "version": whole.facts.version,
        "data": whole.facts.data,
        "arms": ",".join(asked.arms),
        "limit": str(asked.limit or ""),
        "seed": str(asked.seed),
        "model": asked.model,
        "machine": whole.facts.machine,
    }


def fingerprints() -> dict[str, str]:
    """The fingerprint of every prompt in every language, so that a change of words is seen."""
    return {
        f"prompt.{name}.{language}": prompts.load(name, language).fingerprint
        for name in prompts.names()
        for language in prompts.LANGUAGES
    }


def metrics(result: Result) -> dict[str, float]:
    """The figures there are, under names that MLflow takes for a file's."""
    return {
        re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".")[:200]: value
        for name, value in result.summary.items()
        if value == value and abs(value) != float("inf")
    }
