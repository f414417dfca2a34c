"""Feature flags and configuration values as one JSON file per service, replaced atomically."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from copilot.hands.report import Rehearsal, StepFailedError, of_type, reported
from copilot.ports import Clock
from tools.playbook_executor.vocabulary import ConfigArguments, FeatureFlagArguments
from tools.types import FrozenModel, PlanStep, Scalar, StepResult


class ServiceConfig(FrozenModel):
    """What the file of one service holds."""

    flags: dict[str, bool] = Field(default_factory=dict)
    config: dict[str, Scalar] = Field(default_factory=dict)


class SettingsFileRunner:
    """Runs `feature_flag` and `config` steps on `<folder>/<service>.json`.

    Only a service that has a file already can be changed, so that a wrong name creates nothing. A
    reader sees the old file or the new one, never half of one.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Set the flag or value; setting what is set already changes nothing and is ok."""
        return reported(self._clock, key, lambda: self._set(step))

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """Read what is set now, and whether the file can be replaced."""
        service = str(step.arguments.get("service"))
        before = self._read(service)
        values: Mapping[str, Scalar] = {**before.config, **before.flags}
        key = str(step.arguments.get("key") or step.arguments.get("flag"))
        locked = "" if os.access(self._folder, os.W_OK) else f"{self._folder} cannot be written"
        return Rehearsal(f"{service}: {key} is {_word(values.get(key))}", locked)

    def touches(self, step: PlanStep) -> bool:
        """The file is written."""
        return True

    def _set(self, step: PlanStep) -> str:
        if step.action == "feature_flag":
            flag = of_type(step, FeatureFlagArguments)
            before = self._read(flag.service)
            flags = {**before.flags, flag.flag: flag.value}
            self._write(flag.service, before.model_copy(update={"flags": flags}))
            old: Scalar | None = before.flags.get(flag.flag)
            return f"{flag.service}: flag {flag.flag} {_word(old)} -> {_word(flag.value)}"
        wanted = of_type(step, ConfigArguments)
        before = self._read(wanted.service)
        config = {name: value for name, value in before.config.items() if name != wanted.key}
        if wanted.value is not None:
            config[wanted.key] = wanted.value
        self._write(wanted.service, before.model_copy(update={"config": config}))
        old = before.config.get(wanted.key)
        return f"{wanted.service}: {wanted.key} {_word(old)} -> {_word(wanted.value)}"

    def _path(self, service: str) -> Path:
        path = self._folder / f"{service}.json"
        if path.is_symlink() or not path.is_file():
            raise StepFailedError(f"service {service!r} has no settings file in {self._folder}")
        return path

    def _read(self, service: str) -> ServiceConfig:
        try:
            text = self._path(service).read_bytes()
            return ServiceConfig.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise StepFailedError(f"settings of {service!r} are not readable: {error}") from error

    def _write(self, service: str, settings: ServiceConfig) -> None:
        path = self._path(service)
        with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False) as temporary:
            json.dump(settings.model_dump(mode="json"), temporary, indent=1, sort_keys=True)
            temporary.flush()
            os.fsync(temporary.fileno())
        Path(temporary.name).replace(path)


def _word(value: Scalar | None) -> str:
    return "unset" if value is None else json.dumps(value)
