"""Which of the two languages a text is in."""

import re

from prompts import Language

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN = re.compile(r"[A-Za-z]{2,}")

HAN_PER_WORD = 0.7
"""Chinese text keeps service names and units in Latin letters: fewer characters than this per
Latin word are names within English."""


def language_of(text: str, default: Language) -> Language:
    """Chinese where Han characters outweigh Latin words; the default where there is neither.

    >>> language_of("payment 现在正常吗?", "en")
    'zh'
    >>> language_of("is 支付 healthy now, or is it not?", "zh")
    'en'
    >>> language_of("E7?", "zh")
    'zh'
    """
    han, latin = len(_HAN.findall(text)), len(_LATIN.findall(text))
    if not han and not latin:
        return default
    return "zh" if han > HAN_PER_WORD * latin else "en"
