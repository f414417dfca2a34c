"""MCP: what an assistant of somebody's may ask of the copilot, by the Model Context Protocol."""
