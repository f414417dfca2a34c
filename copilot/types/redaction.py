"""Redact what comes in, value by value, so that what was equal stays equal."""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from tools.clusterer import Matcher
from tools.log_retriever import Vault, redact

ModelT = TypeVar("ModelT", bound=BaseModel)
JsonT = TypeVar("JsonT")

IDENTITY = frozenset({"fingerprint", "id", "digest", "sha", "created_by", "approver", "by"})
"""Fields that stay: hashes and ids of our own, and who answers for something."""

_OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
"""A name of a Kubernetes object. Source: RFC 1123, as `kube_secret_info{secret="..."}` has it."""


class Redactor:
    """The one door for text from outside: alerts, changes, telemetry, questions, reasons, errors.

    A secret becomes the same token wherever it comes in, so grouping, silences and matchers work
    on, while people, models and the disk see the token. The key makes that last over restarts;
    without one it lasts as long as the process.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._vault = Vault(key or secrets.token_bytes(16))

    def text(self, text: str) -> str:
        """Return the text without its secrets."""
        return redact(text, self._vault)

    def value(self, name: str, text: str, named: bool = False) -> str:
        """Return a value without its secrets, of which one may be told by its name.

        `secret` names an object where a namespace stands beside it (`named`).
        """
        shown = self.text(text)
        if shown != text or not text or '"' in text:
            return shown
        if name == "secret" and named and _OBJECT.fullmatch(text):
            return text
        pair = self.text(f'{name}="{text}"')
        head = f'{name}="'
        return pair[len(head) : -1] if pair.startswith(head) and pair.endswith('"') else text

    def pairs(self, pairs: Mapping[str, str]) -> dict[str, str]:
        """Return labels, annotations or settings; most have no secret, and cost one look."""
        told = "\n".join(f'{name}="{text}"' for name, text in pairs.items())
        if self.text(told) == told:
            return dict(pairs)
        named = "namespace" in pairs
        return {self.text(name): self.value(name, text, named) for name, text in pairs.items()}

    def names(self, texts: Iterable[str]) -> dict[str, str]:
        """Return only those of many names that change, each with what stands for it."""
        found = sorted(set(texts))
        told = "\n".join(found)
        if self.text(told) == told:
            return {}
        return {one: shown for one in found if (shown := self.text(one)) != one}

    def model(self, value: ModelT) -> ModelT:
        """Return a value of ours with every text in it redacted, whatever its shape."""
        if isinstance(value, Matcher):
            return value.model_copy(update=self._matched(value))
        changed = {}
        for name in type(value).model_fields:
            held = getattr(value, name)
            if name not in IDENTITY and (shown := self.document(held)) != held:
                changed[name] = shown
        return value.model_copy(update=changed) if changed else value

    def models(self, values: Sequence[ModelT]) -> list[ModelT]:
        """Return many values redacted; without a secret that costs one look at their JSON."""
        told = "\n".join(one.model_dump_json(exclude_defaults=True) for one in values)
        return list(values) if self.text(told) == told else [self.model(one) for one in values]

    def document(self, held: JsonT) -> JsonT:
        """Return a text, a number, or a list, mapping or value of them, redacted."""
        shown: Any = held
        if isinstance(held, str):
            shown = self.text(held)
        elif isinstance(held, BaseModel):
            shown = self.model(held)
        elif isinstance(held, dict):
            texts = {k: v for k, v in held.items() if isinstance(v, str) and k not in IDENTITY}
            rest = {k: self.document(v) for k, v in held.items() if not isinstance(v, str)}
            pairs = dict(zip(texts, self.pairs(texts).items(), strict=True))
            shown = {
                pairs[k][0] if k in pairs else k: pairs[k][1] if k in pairs else rest.get(k, v)
                for k, v in held.items()
            }
        elif isinstance(held, list | tuple) and not hasattr(held, "_fields"):
            shown = type(held)(self.document(one) for one in held)
        return shown  # type: ignore[no-any-return]

    def _matched(self, matcher: Matcher) -> dict[str, str]:
        """What is asked of a label is asked of what stands for it; an expression stays."""
        if matcher.operator not in ("=", "!="):
            return {}
        return {"value": self.value(matcher.label, matcher.value)}
