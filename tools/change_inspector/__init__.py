"""Change inspector: which commit did it, or none of ours.

`judge` holds every commit against what the evidence says went wrong: by time, by place and by form;
a cause that lies outside of our changes is an answer of its own.
Method and the table of forms: docs/decisions/commits.md.
"""

from tools.change_inspector.judge import CommitCase, CommitVerdict, judge
from tools.change_inspector.pointed import ReadableLine, convicted, readable

__all__ = ["CommitCase", "CommitVerdict", "ReadableLine", "convicted", "judge", "readable"]
