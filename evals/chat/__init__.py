"""Questions of on-call engineers to the chat, against a key of patterns."""
