"""Loading: the flow from sources into an index."""
