"""What is known of each family of models: thinking, sampling, bugs of servers; and which is best.

Only what its source says stands here; what is not known is not sent, and the server's own
parameters hold. Sources: `known` of each family, docs/decisions/model.md.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from copilot.types.model_io import QuestionKind

ModelApi = Literal["ollama", "openai"]
"""How a server is spoken to: Ollama's own API, or OpenAI's, which many servers speak."""

Thinking = bool | Literal["low", "medium"]
"""Whether a request lets a model think; families that cannot stop have levels."""

LIGHT: frozenset[QuestionKind] = frozenset({"triage", "narrative", "chat"})
"""Questions that nobody thinks long about: a verdict of a word, a retelling, one a person waits
for. `COPILOT_MODEL_THINK=true` lets a model think about the others."""


@dataclass(frozen=True, slots=True)
class SamplingAdvice:
    """How the next token is drawn, as the makers advise; None is left to the server."""

    temperature: float
    top_p: float
    top_k: int | None = None
    min_p: float | None = None


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """What its models have in common. `tags` are matched against `normal` names.

    `thinks`: `never` where it cannot; `asked` where it is told; `always` where it does whatever it
    is told. `blind_schema`: Ollama ignores the schema of a reply unless the model thinks.
    `ollama` is the oldest version that runs it, `known` what was reported, with links.
    """

    name: str
    tags: str
    thinks: Literal["never", "asked", "always"] = "asked"
    levels: bool = False
    plain: SamplingAdvice | None = None
    thinking: SamplingAdvice | None = None
    blind_schema: bool = False
    ollama: tuple[int, ...] = ()
    known: tuple[str, ...] = ()

    def thought(
        self,
        wanted: bool | Literal["auto"],
        kind: QuestionKind,
        api: ModelApi = "ollama",
        *,
        schema: bool = True,
    ) -> Thinking:
        """Whether a question of this kind is thought about.

        With `auto` no question is, unless that is the only way to a reply that fits its schema.
        """
        if wanted == "auto":
            think = self.blind_schema and api == "ollama" and schema
        else:
            think = wanted and kind not in LIGHT
        if self.levels:
            return "medium" if think else "low"
        return think and self.thinks != "never"

    def sampling(self, thought: Thinking) -> SamplingAdvice | None:
        """How it draws; None leaves it to the server."""
        return self.thinking if thought not in (False, "low") else self.plain


_QWEN_PLAIN = SamplingAdvice(0.7, 0.8, 20, 0.0)
_QWEN_THINKING = SamplingAdvice(0.6, 0.95, 20, 0.0)
"""Both of Qwen3's model cards, which also advise against temperature 0 (endless repetition)."""
_BLIND = "a schema is ignored while thinking is off: https://github.com/ollama/ollama/issues/14645"
_NO_QUERY = (
    "500 'no user query found' once the user's turn was cut away: "
    "https://github.com/ollama/ollama/issues/17778"
)

FAMILIES: tuple[ModelFamily, ...] = (
    ModelFamily(
        "qwen3 instruct",
        r"qwen3-.*instruct.*",
        thinks="never",
        plain=_QWEN_PLAIN,
    ),
    ModelFamily(
        "qwen3 thinking",
        r"qwen3(-latest|-30b(-a3b)?|-.*thinking.*)?(-q\w+)?",
        thinks="always",
        plain=_QWEN_PLAIN,
        thinking=_QWEN_THINKING,
        known=(
            "thinks though told not to; the thought is cut out, its time is not: "
            "https://github.com/ollama/ollama/issues/17292",
        ),
    ),
    ModelFamily("qwen3", r"qwen3-.*", plain=_QWEN_PLAIN, thinking=_QWEN_THINKING),
    ModelFamily("qwen3.5", r"qwen3\.5.*", blind_schema=True, known=(_BLIND,)),
    ModelFamily("qwen3.6", r"qwen3\.6.*", blind_schema=True, known=(_BLIND,)),
    ModelFamily(
        "qwen3.8",
        r"qwen3\.8.*",
        ollama=(0, 32, 12),
        known=(
            _NO_QUERY,
            "tool calls come as text on long prompts with thinking off (none are asked for here): "
            "https://github.com/QwenLM/Qwen3.8/issues/236",
        ),
    ),
    ModelFamily(
        "gpt-oss",
        r"gpt-oss.*",
        thinks="always",
        levels=True,
        plain=SamplingAdvice(1.0, 1.0),
        thinking=SamplingAdvice(1.0, 1.0),
        known=(
            "thinking cannot be switched off, only low: "
            "https://github.com/ollama/ollama/issues/11751",
            "temperature and top_p 1.0 are its makers' advice, which the tag lacks: "
            "https://github.com/ollama/ollama/issues/11725",
        ),
    ),
    ModelFamily(
        "gemma4",
        r"gemma4.*|gemma-4.*",
        known=(
            "a schema was ignored while thinking is off in Ollama 0.20: "
            "https://github.com/ollama/ollama/issues/15260",
        ),
    ),
    ModelFamily("mistral", r"(mistral|ministral|mixtral|devstral).*", thinks="never"),
    ModelFamily("llama", r"(meta-)?llama.*", thinks="never"),
)

UNKNOWN = ModelFamily("unknown", r".*")

BEST: tuple[str, ...] = (
    r"qwen3\.8-27b.*",
    r"qwen3\.6-(27b|35b-a3b).*",
    r"qwen3-30b(-a3b)?-instruct.*",
    r"qwen3-30b.*",
    r"qwen3\.5-(27b|35b-a3b).*",
    r"qwen3-(32b|235b).*",
    r"gemma4-(26b|31b).*",
    r"mistral-small.*",
    r"llama3\.3.*|llama-3\.3.*",
    r"gpt-oss.*",
)
"""What `COPILOT_MODEL=auto` takes, the first that a server has.

An order by what others report (models for one card of 24 GB; gpt-oss did worse than no model at
attributing changes), not by a measurement of ours: `evals run reasoning --model` is the measure.
"""

ADVISED = "qwen3.8:27b"
"""What to pull where there is nothing: about 18 GB, Apache-2.0, wants Ollama 0.32.12."""


def normal(name: str) -> str:
    """A model's name as families are written: without its publisher, in one case and sign.

    >>> normal("Qwen/Qwen3.8-27B-FP8"), normal("qwen3:30b")
    ('qwen3.8-27b-fp8', 'qwen3-30b')
    """
    return name.lower().rpartition("/")[2].replace(":", "-").replace("_", "-")


def family_of(name: str) -> ModelFamily:
    """The family of a model, `UNKNOWN` where it is in none."""
    found = normal(name)
    return next((one for one in FAMILIES if re.fullmatch(one.tags, found)), UNKNOWN)


def best_of(names: Collection[str]) -> str:
    """The best model of those a server has; empty where it has none of the list."""
    for pattern in BEST:
        fitting = sorted(one for one in names if re.fullmatch(pattern, normal(one)))
        if fitting:
            return fitting[0]
    return ""
