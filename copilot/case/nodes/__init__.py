"""One file per node of the graph, named by its verb."""
