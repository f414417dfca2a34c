"""Whose fault it was: the catalogue's, the parameters', or the policy's that refused."""


class PlaybookError(ValueError):
    """A playbook of the catalogue is wrong; `source` and `line` say where."""

    def __init__(self, source: str, line: int, problem: str) -> None:
        super().__init__(f"{source}:{line}: {problem}")
        self.source = source
        self.line = line
        self.problem = problem


class ParameterError(ValueError):
    """A value does not fit what the playbook declares for the parameter."""

    def __init__(self, playbook_id: str, parameter: str, problem: str) -> None:
        super().__init__(f"playbook {playbook_id!r}, parameter {parameter!r}: {problem}")
        self.playbook_id = playbook_id
        self.parameter = parameter
        self.problem = problem


class StepRefusedError(Exception):
    """The step must not be run. Nothing was done; the message says why."""


class DigestError(StepRefusedError):
    """The plan is not the one that was approved, or was changed since."""


class PlanExpiredError(StepRefusedError):
    """The plan or the approval is too old, or the clock contradicts them."""


class ApprovalError(StepRefusedError):
    """No valid approval: rejected, another plan's, too few approvers, or without the right."""


class StepError(StepRefusedError):
    """There is no such step, it was run before, or an earlier one is missing."""


class PreconditionError(StepRefusedError):
    """What had to be true of the target is not, or is not known."""
