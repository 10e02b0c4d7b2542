"""Stands in for sentence-transformers, which brings PyTorch: the client's LangChain store imports it."""


class SentenceTransformer:
    """A model that nobody loads."""
