"""Types: the values that every wing shares: incidents, conversations, what a model is asked.

They are frozen and say nothing of where they are kept or shown. The lowest floor: it stands on
`tools` and the knowledge base only.
"""
