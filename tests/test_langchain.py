"""LangChain reads what vecload loaded the documented way: the client's store, and langchain-cyborgdb."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

import vecload
from tests.docs.pages import STAND_INS

DIMENSION = 8
TEXTS = [f"The text of {n}, naïve ☃\nin two lines" for n in range(30)]


class Numbers(Embeddings):
    """Embeds a text as its position among TEXTS; no model is needed."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        seed = TEXTS.index(text) if text in TEXTS else 1000
        vector: list[float] = np.random.default_rng(seed).standard_normal(DIMENSION).tolist()
        return vector


def rows() -> list[dict[str, Any]]:
    return [
        {
            "id": f"doc-{n}",
            "vector": Numbers().embed_query(text),
            "text": text,
            "page": n,
            "kind": "even" if n % 2 == 0 else "odd",
        }
        for n, text in enumerate(TEXTS)
    ]


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The client's store; the package that it imports for models by name may be missing."""
    if find_spec("sentence_transformers") is None:
        monkeypatch.syspath_prepend(STAND_INS)
    # The client imports its store with itself, which another test may have done without the package.
    for name in [name for name in sys.modules if name.startswith("cyborgdb.integrations")]:
        monkeypatch.delitem(sys.modules, name)
    before = {*sys.modules}
    from cyborgdb.integrations.langchain import CyborgVectorStore

    yield CyborgVectorStore
    for name in {*sys.modules} - before:
        if name == "sentence_transformers" or name.startswith("cyborgdb.integrations"):
            del sys.modules[name]


def check(store: Any) -> None:
    """Every document is found by its own text, whole, and filters hold."""
    for n, text in enumerate(TEXTS):
        (found,) = store.similarity_search(text, k=1)
        assert found.page_content == text
        assert found.metadata == {"page": n, "kind": "even" if n % 2 == 0 else "odd"}
    odd = store.similarity_search(TEXTS[0], k=30, filter={"kind": "odd"})
    assert {document.metadata["page"] for document in odd} == {*range(1, 30, 2)}
    ((document, score),) = store.similarity_search_with_score(TEXTS[3], k=1)
    assert document.page_content == TEXTS[3]
    assert score == pytest.approx(1.0)
    (retrieved,) = store.as_retriever(search_kwargs={"k": 1}).invoke(TEXTS[5])
    assert retrieved.page_content == TEXTS[5]
    store.add_documents([Document(page_content="its own", metadata={"page": 99})], ids=["its-own"])
    assert store.similarity_search("its own", k=1)[0].metadata == {"page": 99}


FOR_THE_CLIENT = {
    "metadata_column": ["text", "page", "kind"],
    "rename": {"text": "_content"},
    "unfilterable": ["_content"],
}


def test_the_clients_store_reads_what_was_loaded_for_it(service: str, index_name: str, remote: Any) -> None:
    key = vecload.generate_key()
    vecload.load(rows(), to=service, index=index_name, key=key, **FOR_THE_CLIENT)
    check(remote(index_name, key.index_key, None, service, Numbers()))


def test_the_clients_store_shows_no_text_of_a_load_as_usual(
    service: str, index_name: str, remote: Any
) -> None:
    key = vecload.generate_key()
    vecload.load(rows(), to=service, index=index_name, key=key)
    found = remote(index_name, key.index_key, None, service, Numbers()).similarity_search(TEXTS[0], k=30)
    assert {document.page_content for document in found} == {""}


def embedded(folder: Path, key: vecload.Key) -> Any:
    from langchain_cyborgdb import CyborgVectorStore, StorageConfig

    config = StorageConfig.disk(str(folder))
    return CyborgVectorStore("docs", key.index_key, "", Numbers(), config)


def test_langchain_cyborgdb_reads_a_folder_that_was_loaded_unsealed(tmp_path: Path) -> None:
    key = vecload.generate_key()
    vecload.load(rows(), to=tmp_path / "store", index="docs", key=key, seal=False)
    check(embedded(tmp_path / "store", key))


def test_langchain_cyborgdb_shows_sealed_pages_of_a_load_as_usual(tmp_path: Path) -> None:
    key = vecload.generate_key()
    vecload.load(rows(), to=tmp_path / "store", index="docs", key=key)
    (found,) = embedded(tmp_path / "store", key).similarity_search(TEXTS[0], k=1)
    assert TEXTS[0] not in found.page_content
    assert found.metadata["page"] == 0
