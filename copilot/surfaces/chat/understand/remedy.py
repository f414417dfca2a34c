"""Which fault a question wants mended: one it describes, or the open incident."""

import re
from collections.abc import Iterator

from copilot.surfaces.chat.understand.scene import ChatScene, Entities

_MEND = (
    r"(?:fix|solve|repair|resolve|handle|mitigate|remedy|cure|debug|troubleshoot|unblock|"
    r"clean up|clear up|free up|deal with|get rid of|recover from|recover|renew|stop)"
)
_WHO = r"(?: (?:i|we|you|one))?"
_ZH_HOW = "(?:怎么|如何|咋|怎样)"
_ZH_MEND = "处理|解决|修复|恢复|排查|清理|应对|处置|修|清|治"
_ABOUT = (
    rf"\bhow (?:do|can|could|should|shall|would|to){_WHO}(?: best| even)? {_MEND}\b(.{{0,200}})",
    rf"\bwhat (?:should|can|do|could|must|to){_WHO} do "
    r"(?:about|with|when|if|against|for)\b(.{0,200})",
    r"\b(?:run ?books?|documents?|docs?|fix(?:es)?|remed(?:y|ies)) "
    r"(?:for|about|against|on)\b(.{0,200})",
    rf"{_ZH_HOW}(?:{_ZH_MEND})([^?？。]{{0,200}})",
    rf"([^?？。]{{0,200}}?)(?:应该|应当|要|该|可以)?{_ZH_HOW}(?:办|{_ZH_MEND}|弄|搞)",
    r"([^?？。]{0,200}?)的?(?:运维手册|手册|处理方案|处理办法|文档)",
)
_ASKS = tuple(re.compile(pattern, re.IGNORECASE) for pattern in _ABOUT)

_POINTS = re.compile(
    r"^\W*(?:it|this|that|these|those|them)\b(?!\s*:)|它|这个|这次|这起|该(?:事件|故障|告警|问题)|"
    r"此(?:事件|故障|告警)|本次|当前|目前",
    re.IGNORECASE,
)
"""Words that point at what is at hand; `this:` announces what was pasted."""

_FILLING = re.compile(
    r"\b(?:it|this|that|the|an?|our|my|all|of|incident|problem|issue|outage|situation|alerts?|fault|"
    r"error|thing|everything|mess|bleeding|services?|now|here|next|then|please|quickly|fast|asap|again|from|and|so|ok)\b"
    r"|现在|接下来|下一步|那么|那|我们?|咱们?|请问|应该|需要|可以|这种|情况|问题|故障|事件|告警|报警|事情|"
    r"相关|服务|系统|线上|业务|有没有|有|没有|是否|里|先|再|又|快|[该要的了吗呢啊吧个]|\W|_",
    re.IGNORECASE,
)
"""What may stand around a subject without being one."""

_BY_KIND = re.compile(r"^\W*the (?:database|db|cache|queue|broker|gateway)\W*$", re.IGNORECASE)
"""A kind of component by itself means the one of the incident."""

LEAST_SUBJECT = 2
"""Characters of a subject: a Chinese word has two."""


def asks_how(question: str) -> bool:
    """Whether it asks how, whatever it begins with: `restart loop, how do I fix it` is no order."""
    return re.search(rf"\bhow\b|{_ZH_HOW}", question, re.IGNORECASE) is not None


def fault_to_mend(question: str, named: Entities, scene: ChatScene) -> str:
    """What a question wants to know how to mend, as it says it; empty where it is the incident.

    It is the incident where the question points at it, names its id, its evidence or one of its
    services, or names no subject at all.
    """
    if named.incident or named.evidence:
        return ""
    subjects = list(_subjects(question))
    if named.quoted and subjects:
        return named.quoted
    for subject in subjects:
        words = _FILLING.sub("", _BY_KIND.sub("", subject))
        if _POINTS.search(subject) or len(words) < LEAST_SUBJECT:
            continue
        return "" if _of_the_incident(question, scene) else subject.strip()
    return ""


def _subjects(question: str) -> Iterator[str]:
    for pattern in _ASKS:
        if found := pattern.search(question):
            yield found[1]


def _of_the_incident(question: str, scene: ChatScene) -> bool:
    return any(
        re.search(
            rf"(?<![A-Za-z0-9_.-]){re.escape(name)}(?![A-Za-z0-9_-])", question, re.IGNORECASE
        )
        for name in scene.involved
        if name
    )
