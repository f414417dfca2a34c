"""The one question a surface asks of an error: is it the operator's to mend?"""


class OperatorError(Exception):
    """What was wrong and what to do stand in the message; no traceback helps."""


def install(extra: str) -> str:
    """Say how an extra is installed; with torch, its CPU build: the one of CUDA has several GB."""
    index = " --extra-index-url https://download.pytorch.org/whl/cpu"
    return f"pip install 'incident-copilot[{extra}]'{index if extra in _WITH_TORCH else ''}"


_WITH_TORCH = ("all", "semantic")
