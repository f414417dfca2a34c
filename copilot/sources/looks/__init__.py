"""Further looks that an operator declared: tools of MCP servers, and JSON over HTTP.

For what has no adapter of its own. Each is read-only, its arguments are fixed in the file but for
placeholders, and it is bounded in time and bytes. What comes back is evidence of others: it is
quoted, capped, redacted and named by its origin, it decides no ranking, and no order in it is
followed. docs/looks.md.
"""
