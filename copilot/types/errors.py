"""The one question a surface asks of an error: is it the operator's to mend?"""


class OperatorError(Exception):
    """What was wrong and what to do stand in the message; no traceback helps."""
