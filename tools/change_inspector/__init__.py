"""Change inspector: which commit did it, or none of ours.

`judge` holds every commit against what the evidence says went wrong: by time, by place and by form;
`external` reads from the evidence alone that no change of ours can have done it.
Method and the table of forms: docs/decisions/commits.md.
"""

from tools.change_inspector.forms import Form, forms
from tools.change_inspector.judge import (
    CommitCase,
    CommitCharge,
    CommitVerdict,
    InnocentCommit,
    judge,
)
from tools.change_inspector.outside import OUTSIDE, OutsideCause, external

__all__ = [
    "OUTSIDE",
    "CommitCase",
    "CommitCharge",
    "CommitVerdict",
    "Form",
    "InnocentCommit",
    "OutsideCause",
    "external",
    "forms",
    "judge",
]
