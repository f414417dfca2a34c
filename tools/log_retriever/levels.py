"""How severe a line says it is, in one spelling."""

LEVELS = ("TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "FATAL")
"""From the least to the most severe; every level a line names is told as one of these."""
SYNONYMS = {
    "V": "TRACE", "VERBOSE": "TRACE", "FINE": "DEBUG", "FINER": "TRACE", "FINEST": "TRACE",
    "D": "DEBUG", "DBG": "DEBUG", "I": "INFO", "INF": "INFO", "INFORMATION": "INFO",
    "INFORMATIONAL": "INFO", "CONFIG": "INFO", "W": "WARN", "WRN": "WARN", "WARNING": "WARN",
    "E": "ERROR", "ERR": "ERROR", "SEVERE": "ERROR", "FAILURE": "ERROR", "F": "FATAL",
    "C": "FATAL", "CRIT": "FATAL", "CRITICAL": "FATAL", "ALERT": "FATAL", "EMERG": "FATAL",
    "EMERGENCY": "FATAL", "PANIC": "FATAL",
}  # fmt: skip

_BY_NAME = SYNONYMS | {name: name for name in LEVELS}


def level_name(text: str) -> str:
    """The level a word stands for, `""` if it is none.

    >>> level_name("warning"), level_name("E"), level_name("hello")
    ('WARN', 'ERROR', '')
    """
    return _BY_NAME.get(text) or _BY_NAME.get(text.strip().upper(), "")
