"""How an answer came about, in one line under it: a reader weighs it by that."""

from copilot.surfaces.chat.session import Session
from copilot.surfaces.chat.understand import Understanding
from copilot.types.time_format import date_time


def how_answered(session: Session, known: Understanding, *, written: bool, trouble: str) -> str:
    """By whom, of which moment, and why not by the model."""
    chinese = known.language == "zh"
    at = date_time(session.scope.now)
    if session.model is None:
        how = "未使用模型,按意图作答" if chinese else "answered by intent, no model is used"
    elif written:
        name = session.model.name
        how = f"由 {name} 撰写,已逐条核对证据" if chinese else f"written by {name}, checked by code"
    elif trouble:
        how = (
            f"模型的回答不可用({trouble[:160]}),以下由工具直接作答"
            if chinese
            else f"the model's reply was not used ({trouble[:160]}); answered from the tools alone"
        )
    else:
        how = "由工具直接作答" if chinese else "answered from the tools alone"
    return f"{how} · {'数据截至' if chinese else 'as of'} {at}"
