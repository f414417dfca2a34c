"""Random texts that match a regular expression of the simple kind that schemas have."""

import re
from random import Random

_PART = re.compile(
    r"(?P<set>\[(?:\\.|[^\]])+\])|(?P<group>\((?:\?:)?(?P<inner>[^()]*)\))|(?P<one>\\.|[^\\])"
)
_TIMES = re.compile(r"\{(\d+)(?:(,)(\d*))?\}|([?*+])")
_CLASSES = {"d": "0123456789", "w": "abcdefghijklmnopqrstuvwxyz0123456789_", "s": " "}


def matching(pattern: str, rng: Random) -> str:
    """A text that matches: characters, sets, groups without groups inside, and repetitions."""
    made = _made(pattern.removeprefix("^").removesuffix("$"), rng)
    assert re.search(pattern, made), f"the pattern {pattern!r} is more than this can make texts of"
    return made


def _made(pattern: str, rng: Random) -> str:
    said, place = "", 0
    while place < len(pattern):
        part = _PART.match(pattern, place)
        assert part is not None
        times = _TIMES.match(pattern, part.end())
        place = times.end() if times else part.end()
        for _ in range(_count(times, rng)):
            said += _one(part, rng)
    return said


def _one(part: re.Match[str], rng: Random) -> str:
    if part["group"]:
        return _made(rng.choice(str(part["inner"]).split("|")), rng)
    if part["set"]:
        return rng.choice(_members(part["set"][1:-1]))
    character = str(part["one"])
    if character == ".":
        return "x"
    return rng.choice(_CLASSES.get(character[1:], character[-1]))


def _members(inside: str) -> str:
    """The characters of a set; of a negated one those of words that it leaves."""
    members = ""
    for known, low, high, one in re.findall(r"\\([dws])|(\w)-(\w)|(\\?.)", inside.lstrip("^")):
        members += _CLASSES.get(known, "")
        members += "".join(map(chr, range(ord(low), ord(high) + 1))) if low else one[-1:]
    if inside.startswith("^"):
        return "".join(one for one in _CLASSES["w"] if one not in members)
    return members


def _count(times: re.Match[str] | None, rng: Random) -> int:
    if times is None:
        return 1
    if times[4]:
        return {"?": rng.randint(0, 1), "*": rng.randint(0, 3), "+": rng.randint(1, 3)}[times[4]]
    low = int(times[1])
    high = low if not times[2] else int(times[3] or low + 3)
    return rng.randint(low, high)
