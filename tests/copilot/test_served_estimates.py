"""Tokens that were estimated, against the counts of a tokenizer."""

import pytest

from copilot.model.estimates import Estimate, estimated
from tests.copilot.served_bench import TEXT

COUNTED = {
    "English": (
        "The payment service answers slowly since the deploy at 14:02; checkout and cart wait "
        "for it.",
        23,
    ),
    "Chinese": (
        "支付服务从 14:02 的发布开始响应变慢，数据库连接池已耗尽，购物车与结算在等待。",
        30,
    ),
    "rare characters": ("饕餮罄竹氍毹龘靐齉", 11),
    "code": (
        "def act(state: State, runtime: Runtime[Deps]) -> dict[str, object]:\n"
        "    return {'step': state['step'] + 1}\n",
        31,
    ),
    "JSON": (
        '{"p99_ms": [812.4416, 790.0312], "service": "checkout-7d9f4b6c5-x2k9q", "errors": 0.0417}',
        58,
    ),
    "hexadecimal": ("4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7", 44),
    "Base64": ("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=", 37),
    "random letters": ("xqjvkzwpfhgtbmrndlcyxsaq", 15),
    "capitals": ("ERRCONNREFUSED EPIPE SIGKILL OOMKILLED", 13),
    "a log line": (
        '2026-11-25T14:02:11.417Z level=error msg="upstream timeout after 3000ms" '
        "addr=10.0.12.7:8080",
        56,
    ),
    "emoji": ("🔥🚨 down ✅", 5),
    "indentation": ("a:\n        b:\n                c: 1\n", 11),
}
"""Texts with what the vocabulary of Qwen (qwen.tiktoken of the dashscope package) makes of them."""


@pytest.mark.parametrize(("text", "count"), COUNTED.values(), ids=COUNTED)
def test_an_estimate_is_never_below_the_count_of_the_tokenizer(text: str, count: int) -> None:
    assert count <= estimated(text)


def test_an_estimate_is_raised_for_good_once_a_server_counted_more() -> None:
    estimate = Estimate()
    before = estimate.tokens(TEXT)
    estimate.counted(100, 130)
    assert estimate.tokens(TEXT) >= 1.3 * before
    estimate.counted(100, 20)
    assert estimate.tokens(TEXT) >= 1.3 * before
