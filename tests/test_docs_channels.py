"""The page of conversations is what the senders and doors say now."""

import pytest

from docs.channels import PAGE, WORLDS, page, recorded


@pytest.mark.integration
def test_the_recorded_conversations_are_those_of_this_code() -> None:
    found = {name: recorded(name) for name in WORLDS}
    assert page(found) == PAGE.read_text(encoding="utf-8"), "python -m docs.channels writes it"
