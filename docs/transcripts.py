"""Writes docs/transcripts.md: what a person at night reads, of two recordings that ship.

`python -m docs.transcripts`; an integration test asks all of it again and holds the page to it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from copilot.settings import Settings
from copilot.surfaces.chat import ChatService, Question
from copilot.surfaces.commands.chat_wiring import local_chat_service
from copilot.testing.ollama import ollama_server
from copilot.testing.policies import ReplySchema, RequestView, ServedPolicy
from evals.localization.cases import RECORDINGS
from evals.worked_incident import work_on
from prompts import LANGUAGES, Language

PAGE = Path(__file__).parent / "transcripts.md"
WAITING, RECOVERED = ("lab-148f78", "shipping", ""), ("lab-789e1d", "cart", "anna")
"""Recordings: name, located service, and who approves."""

Questions = Mapping[Language, Sequence[str]]
NIGHT: Questions = {
    "en": (
        "just woke up, what's going on",
        "how bad is it",
        "is it getting worse?",
        "what changed",
        "why not the database?",
        "is shiping ok",
        "and carrier?",
        "how sure are you",
        "what did nobody check",
        "should i restart it",
        "ok roll it back",
        "draft me two lines for the incident channel",
        "thanks",
    ),
    "zh": (
        "刚被叫醒,啥情况",
        "影响多大",
        "还在变坏吗",
        "谁改了什么",
        "不是数据库的问题吗",
        "shippng 正常吗",
        "那 carrier 呢",
        "有几成把握",
        "今天天气怎么样",
        "重启管用吗",
        "行,你回滚吧",
        "给领导写个简报",
        "谢谢",
    ),
}
AFTERWARDS: Questions = {
    "en": ("did the rollback work?", "has this happened before?"),
    "zh": ("回滚起作用了吗", "以前出过吗"),
}
WITH_A_MODEL: Questions = {"en": ("how bad is it",), "zh": ("影响多大",)}

_DRAWN = {
    r"\binc-[0-9a-f]{8}\b": "inc-…",
    r"\brollback-[0-9a-f]{12}\b": "rollback-…",
    r"\b[0-9a-f]{64}\b": "…",
}
"""Names drawn at random, and what is made of them."""

_RISEN = re.compile(
    r"^(E\d+) \| metric \| \S+ \| (\S+) (\S+) rose to (\S+), normally (\S+?)\.", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class WriterPolicy:
    """Asks for no look; says of the first series what it shows, or where it `lies`, of another."""

    lies: bool = False

    def __call__(self, texts: Sequence[str], schema: ReplySchema) -> str:
        seen = RequestView.of(texts, schema)
        rising = _RISEN.search(seen.data)
        if rising is None or "sentences" not in str(schema):
            return "{}"
        number, service, metric, now, before = rising.groups()
        said = f"{metric} of {service} rose from {before} to {now}."
        if seen.chinese:
            said = f"{service} 的 {metric} 从 {before} 上升到 {now}。"
        if self.lies:
            said = "bank 最先失败。" if seen.chinese else "bank failed before all others."
        return json.dumps({"sentences": [{"text": said, "cites": [number]}]}, ensure_ascii=False)


def conversation(desk: ChatService, questions: Sequence[str], incident: str) -> Iterator[str]:
    """Each question with its answer; the sources, which repeat what stands above, are left out."""
    name = ""
    for asked in questions:
        turn = desk.ask(Question(text=asked, conversation_id=name, incident_id=incident))
        name = turn.conversation_id
        said = turn.answer.text.strip() if turn.answer is not None else ""
        body = re.split(
            r"^(?:Rests on|Records|依据|记录)[::]", said, maxsplit=1, flags=re.MULTILINE
        )
        foot = said.splitlines()[-1].partition(" · ")[2].rpartition(" · ")[0]
        shown = body[0].removesuffix(said.splitlines()[-1])
        for drawn, instead in _DRAWN.items():
            shown = re.sub(drawn, instead, shown)
        lines = [line for line in shown.splitlines() if line.strip()]
        quoted = "\n>\n".join(f"> {line}" for line in lines).replace("\n>\n> - ", "\n> - ")
        yield f"**{asked}**\n\n{quoted}\n>\n> *{foot}*"


def page() -> str:
    """All of it; about 15 seconds of processor."""
    parts = [HEAD]
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), model_use="off")
        waits, ended = (
            work_on(settings, RECORDINGS / "incidents" / name, cause, approver).id
            for name, cause, approver in (WAITING, RECOVERED)
        )
        for language in LANGUAGES:
            with local_chat_service(settings) as desk:
                parts.append(HEADINGS[language])
                parts += conversation(desk, NIGHT[language], waits)
                parts.append(LATER[language])
                parts += conversation(desk, AFTERWARDS[language], ended)
            for lies in (False, True):
                parts.append(MODEL[language][lies])
                with (
                    ollama_server(ServedPolicy(WriterPolicy(lies))) as server,
                    local_chat_service(
                        Settings(
                            data_dir=Path(folder),
                            model_use="on",  # the tests' own environment says off
                            model_url=server.url,
                            model=STAND_IN,
                        )
                    ) as desk,
                ):
                    parts += conversation(desk, WITH_A_MODEL[language], waits)
    return "\n\n".join(parts) + "\n"


STAND_IN = "qwen3:30b"
HEAD = """# Transcripts

Written by `python -m docs.transcripts` from two recordings that ship: what a person at night reads.
Each question is typed as it stands here, with its misspellings. Left out are the sources that
follow each answer, and the name of the incident.

Of a real model, SmolLM2-135M-Instruct (98,362,432 bytes, sha256
`b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53`), nothing held: its answers are
these, but for the last line ([a real model](real-model.md))."""
HEADINGS: Mapping[Language, str] = {"en": "## English, no model", "zh": "## 中文,不用模型"}
LATER: Mapping[Language, str] = {
    "en": "Another incident, ended by a step that a person approved:",
    "zh": "另一个事件,经人批准后已恢复:",
}
MODEL: Mapping[Language, tuple[str, str]] = {
    "en": (
        """## English, with a model

This is no model: a stand-in of ours answers on the server that plays Ollama, under the name
that the settings ask for. It writes one sentence, which holds:""",
        "Now it writes *bank failed before all others*, and cites the same series:",
    ),
    "zh": (
        """## 中文,使用模型

这里没有真正的模型:由模拟 Ollama 的服务器上的替身作答。它写了一句话,与证据相符:""",
        "这一次它写“bank 最先失败”,并引用同一条指标:",
    ),
}

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
