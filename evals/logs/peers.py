"""The peer of the log retriever: Drain3 with the masks of its own example configuration."""

import importlib
import importlib.util
import re
from collections.abc import Sequence

# As in examples/drain3.ini of the Drain3 repository, without its one system's own rule.
_MASKS = (
    (r"((?<=[^A-Za-z0-9])|^)(([0-9a-f]{2,}:){3,}([0-9a-f]{2,}))((?=[^A-Za-z0-9])|$)", "ID"),
    (
        r"((?<=[^A-Za-z0-9])|^)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})((?=[^A-Za-z0-9])|$)",
        "IP",
    ),
    (r"((?<=[^A-Za-z0-9])|^)([0-9a-f]{6,} ?){3,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    (r"((?<=[^A-Za-z0-9])|^)([0-9A-F]{4} ?){4,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    (r"((?<=[^A-Za-z0-9])|^)(0x[a-f0-9A-F]+)((?=[^A-Za-z0-9])|$)", "HEX"),
    (r"((?<=[^A-Za-z0-9])|^)([\-\+]?\d+)((?=[^A-Za-z0-9])|$)", "NUM"),
)
_MASKED = re.compile(r"<:?[A-Z]+:?>")


def installed() -> bool:
    """Whether `drain3` is there (extra `bench`)."""
    return importlib.util.find_spec("drain3") is not None


class Drain3:
    """Drain3 behind the two calls the suite and the benchmark make."""

    def __init__(self) -> None:
        mask = importlib.import_module("drain3.masking").MaskingInstruction
        config = importlib.import_module("drain3.template_miner_config").TemplateMinerConfig()
        config.masking_instructions = [mask(*one) for one in _MASKS]
        self._miner = importlib.import_module("drain3").TemplateMiner(None, config)

    def add(self, line: str) -> int:
        """The number of the line's cluster."""
        return int(self._miner.add_log_message(line)["cluster_id"])

    def templates(self, lines: Sequence[str]) -> list[str]:
        """Mine all lines; the final template of each."""
        numbers = [self.add(line) for line in lines]
        final = {c.cluster_id: c.get_template() for c in self._miner.drain.clusters}
        return [_MASKED.sub("<*>", final[number]) for number in numbers]
