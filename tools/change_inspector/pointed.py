"""Lines that a reader may point at as the cause, and whether the rules convict by that.

The rules alone need the harm said in words of their table. A reader who understands other words may
stand in for that one thing, and for nothing else:

- time: a change took the commit to its component before the onset, as for every conviction;
- place: its path, or the change that brought it, names the component located first;
- form: the pointed line is one in which a form of the table shows, whatever the evidence says;
- no other commit is left, here or elsewhere, in which a form shows. A reader never chooses.

So a reader can only say yes or no to one line, and what does most harm is a yes to an innocent one:
`evals run changes` measures it ("any reader, at worst"). Method: docs/decisions/commits.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tools.change_inspector.diff import DiffLine, FileDiff, files_of
from tools.change_inspector.forms import forms
from tools.change_inspector.judge import CommitCase, CommitVerdict, judge, left_over, owners, worded
from tools.change_inspector.table import file_kind
from tools.types import Commit, Text

MOST_LINES = 8
"""Changed lines of one file that are laid before a reader.

Of 5,067 changes of one file in two weeks of this repository 37 % have no more, 56 % no more than
20 (`git log --numstat`): of a longer one a reader sees the beginning, and a prompt stays short.
"""


@dataclass(frozen=True, slots=True)
class ReadableLine:
    """A changed line of a commit that neither time nor place clears."""

    commit: Commit
    file: FileDiff
    line: DiffLine

    @property
    def form(self) -> Text | None:
        """The form that shows in this line; None where none does."""
        for form in forms():
            for shown in form.shows(self.file):
                if shown.text.lower() in self.line.text.lower():
                    return worded(form.title, shown.what)
        return None


def readable(case: CommitCase) -> tuple[ReadableLine, ...]:
    """Lines that a reader may point at, newest commit first; none where no answer could matter.

    That is where a commit is convicted, where the evidence names a cause outside, and where not
    exactly one commit is left in which a form shows.
    """
    verdict = judge(case)
    if verdict.commit is not None or verdict.outside is not None or not case.suspects:
        return ()
    left = {one: tuple(_lines(one)) for one in sorted(left_over(case), key=lambda one: -one.at)}
    here = [one for one in left if case.suspects[0] in _places(one, case)]
    formed = [one for one, lines in left.items() if any(line.form for line in lines)]
    if len(formed) != 1 or formed[0] not in here:
        return ()
    return tuple(line for one in here for line in left[one])


def convicted(case: CommitCase, pointed: ReadableLine) -> CommitVerdict | None:
    """The verdict that the pointed line makes whole; None where the rules do not agree with it."""
    form = pointed.form if pointed in readable(case) else None
    if form is None:
        return None
    innocent = tuple(one for one in judge(case).innocent if one.commit != pointed.commit)
    return CommitVerdict(
        pointed.commit, form, pointed.file.path, pointed.line.number, innocent=innocent
    )


def _places(commit: Commit, case: CommitCase) -> frozenset[str]:
    """Components that its paths name; where they name none, those it was brought to alone."""
    brought = case.brought.get((commit.repository, commit.sha), [])
    return owners(commit, case) or frozenset(one.service for one in brought)


def _lines(commit: Commit) -> Iterator[ReadableLine]:
    for file in files_of(commit.diff, commit.files):
        changed = [one for one in file.lines if one.mark in "+-" and one.text.strip()]
        if not file_kind(file.path):
            yield from (ReadableLine(commit, file, one) for one in changed[:MOST_LINES])
