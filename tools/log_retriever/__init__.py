"""Log retriever: mine templates, find what is new, search, and let no secret out.

`Miner.add` turns lines into templates, `novelty` turns two windows of lines into findings,
`Index.search` finds lines, `redact` and `sanitize` make text fit to leave the tool.
"""

from tools.log_retriever.changes import NoveltyConfig
from tools.log_retriever.index import Hit, Index
from tools.log_retriever.miner import Miner, MinerConfig, Parsed, Template, Variable
from tools.log_retriever.novelty import novelty
from tools.log_retriever.redact import Redacted, Vault, excerpt, redact
from tools.log_retriever.sanitize import sanitize

__all__ = [
    "Hit",
    "Index",
    "Miner",
    "MinerConfig",
    "NoveltyConfig",
    "Parsed",
    "Redacted",
    "Template",
    "Variable",
    "Vault",
    "excerpt",
    "novelty",
    "redact",
    "sanitize",
]
