"""Trial: the real copilot beside the real shop, scenario after scenario, by the wall clock."""
