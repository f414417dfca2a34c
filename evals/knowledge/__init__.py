"""Search of the knowledge base measured: where the right document stands."""
