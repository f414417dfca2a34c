"""What ails one database server: zero-shot, after one closed incident per cause, and compounds."""
