"""What people type, in either language, and the intent it stands for."""

import pytest

from copilot.surfaces.chat.understand import intents

SAID = [
    ("咋回事", "status"),
    ("啥情况啊这是", "status"),
    ("what is down", "status"),
    ("give it to me in two sentences", "brief"),
    ("一句话概括下", "brief"),
    ("影响哪些用户", "impact"),
    ("how many customers are hit", "impact"),
    ("失败了几单", "impact"),
    ("错误率的趋势", "trend"),
    ("plot the latency of cart", "trend"),
    ("did traffic spike", "trend"),
    ("是不是数据库挂了", "why_not"),
    ("谁同意的", "decisions"),
    ("who signed off", "decisions"),
    ("how confident are you", "sureness"),
    ("靠谱吗", "sureness"),
    ("哪个团队负责 cart", "owners"),
    ("who should we page", "owners"),
    ("发个公告", "update"),
    ("draft a status update", "update"),
    ("could we revert", "advise"),
    ("重启管用吗", "advise"),
    ("draft the postmortem", "postmortem"),
    ("多谢", "smalltalk"),
    ("thx", "smalltalk"),
]


@pytest.mark.parametrize(("question", "intent"), SAID, ids=[q for q, _ in SAID])
def test_what_people_type_is_understood(question: str, intent: str) -> None:
    assert intent in intents(question)
