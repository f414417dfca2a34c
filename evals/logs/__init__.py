"""Log mining measured: templates of annotated logs, and what mining and search cost."""
