"""Log retriever: mine templates, find what is new, search, and let no secret out.

`Miner.add` turns lines into templates, `novelty` turns two windows of lines into findings,
`Index.search` finds lines, `join_records` keeps stack traces whole, and `excerpt` (`redact`, then
`sanitize`) makes text fit to leave the tool.
"""

from tools.log_retriever.changes import NoveltyConfig
from tools.log_retriever.cut_lines import is_cut
from tools.log_retriever.error_onset import error_onset
from tools.log_retriever.index import Index, IndexSize, LogHit
from tools.log_retriever.miner import Miner, MinerConfig, ParsedLine, Template, Variable
from tools.log_retriever.novelty import novelty
from tools.log_retriever.records import join_records, with_exception
from tools.log_retriever.redact import Vault, excerpt, redact
from tools.log_retriever.sanitize import sanitize

__all__ = [
    "LogHit",
    "Index",
    "IndexSize",
    "Miner",
    "MinerConfig",
    "NoveltyConfig",
    "ParsedLine",
    "Template",
    "Variable",
    "Vault",
    "error_onset",
    "excerpt",
    "is_cut",
    "join_records",
    "novelty",
    "redact",
    "sanitize",
    "with_exception",
]
