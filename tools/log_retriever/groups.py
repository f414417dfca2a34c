"""Group messages of one template, learning from siblings which words are values.

Two messages whose shapes are equal belong together at once. A word that its form does not give
away (a user's name, a state) is taken for a value when `siblings` groups differ in that one word
only: prose seldom offers that many alternatives in one place, values soon do. The groups are then
merged, and a prefix tree finds the merged group for words never seen before.
"""

from tools.log_retriever.masks import VARIABLE
from tools.log_retriever.shapes import ANY, MessageShape, Phrase, Words

_MAX_WORDS = 64
_MAX_STEPS = 256
_MIN_CONSTANTS = 2
_END = ""


class MessageGroup:
    """Messages with one template; `text` becomes more general as members join."""

    __slots__ = ("count", "identity", "into", "key", "text")

    def __init__(self, key: Phrase) -> None:
        self.key = key
        self.text: Phrase | None = None
        self.count = 0
        self.into: MessageGroup | None = None
        self.identity: tuple[str, str] | None = None

    def current(self) -> "MessageGroup":
        """The group this one has been merged into, or itself."""
        group = self
        while group.into is not None:
            group = group.into
        return group

    def widen(self, text: Phrase, short: Phrase) -> None:
        """Make the text cover a member's text (or its short form where lists differ in length)."""
        before = self.text
        if before is None or before == text:
            self.text = text
        elif before.gaps == text.gaps:
            self.text = before.generalised(text)
        elif before.gaps == short.gaps:
            self.text = before.generalised(short)
        else:
            self.text = short
        if self.text != before:
            self.identity = None


class _Node:
    """A step of the prefix tree of merged keys."""

    __slots__ = ("children", "group")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.group: MessageGroup | None = None


class MessageGroups:
    """All groups of one miner."""

    def __init__(self, siblings: int | None, limit: int) -> None:
        self._siblings = siblings
        self._limit = limit
        self._by_key: dict[Phrase, MessageGroup] = {}
        self._beside: dict[tuple[Words, Words, Words], dict[str, MessageGroup]] = {}
        self._trees: dict[Words, _Node] = {}

    def place(self, shape: MessageShape) -> MessageGroup:
        """Return the group of a message of this shape; make one where none fits."""
        group = self._by_key.get(shape.key) or self._match(shape.key)
        if group is None:
            group = self._found(shape.key)
            group.widen(shape.text, shape.short)
            if self._siblings is not None:
                self._learn(group, self._siblings)
        group = group.current()
        group.widen(shape.text, shape.short)
        return group

    def living(self) -> list[MessageGroup]:
        """Every group that has not been merged into another."""
        return list({id(g): g for g in (x.current() for x in self._by_key.values())}.values())

    def full(self) -> bool:
        """Return whether the groups have reached their limit, so that `forget` is due."""
        return len(self._by_key) > self._limit

    def forget(self) -> list[MessageGroup]:
        """Keep the more frequent half of the groups, drop all that was learnt of the others."""
        kept = sorted(self.living(), key=lambda g: -g.count)[: self._limit // 2]
        self._by_key = {group.key: group for group in kept}
        self._beside.clear()
        self._trees.clear()
        for group in kept:
            self._remember(group)
        return kept

    def _found(self, key: Phrase) -> MessageGroup:
        group = self._by_key[key] = MessageGroup(key)
        return group

    def _match(self, key: Phrase) -> MessageGroup | None:
        root = self._trees.get(key.gaps)
        if root is None:
            return None
        stack, last = [(root, 0)], len(key.words)
        for _ in range(_MAX_STEPS):
            if not stack:
                return None
            node, depth = stack.pop()
            if depth == last:
                return node.group
            # Pushed last, tried first: the word itself is preferred to any word.
            for word in (ANY, key.words[depth]):
                child = node.children.get(word)
                if child is not None:
                    stack.append((child, depth + 1))
        return None

    def _remember(self, group: MessageGroup) -> None:
        node = self._trees.setdefault(group.key.gaps, _Node())
        for word in group.key.words:
            node = node.children.setdefault(word, _Node())
        node.group = group

    def _learn(self, group: MessageGroup, enough: int) -> None:
        """File the group beside those that differ in one word, and merge where there are enough."""
        words, gaps = group.key.words, group.key.gaps
        prose = [i for i, word in enumerate(words) if _has_letter(word)]
        if len(words) > _MAX_WORDS or len(prose) <= _MIN_CONSTANTS:
            return
        if len(self._beside) > self._limit * 8:
            self._beside.clear()
        for i in prose:
            beside = self._beside.setdefault((words[:i], words[i + 1 :], gaps), {})
            beside[words[i]] = group
            if len(beside) >= enough:
                key = Phrase((*words[:i], ANY, *words[i + 1 :]), gaps)
                self._merge(key, list(beside.values()), enough)
                return

    def _merge(self, key: Phrase, members: list[MessageGroup], enough: int) -> None:
        known = self._by_key.get(key)
        merged = known.current() if known else self._found(key)
        self._remember(merged)
        for member in map(MessageGroup.current, members):
            if member is merged or member.text is None:
                continue
            member.into = merged
            merged.count += member.count
            merged.widen(member.text, _plain(member.key))
        if known is None:
            self._learn(merged, enough)


def _plain(key: Phrase) -> Phrase:
    return Phrase(tuple(word.replace(ANY, VARIABLE) for word in key.words), key.gaps)


def _has_letter(word: str) -> bool:
    return any(map(str.isalpha, word))
