"""What a column's name suggests: words that mark vectors, contents, and parts of documents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

NameHint: TypeAlias = Literal["vector", "perhaps", "other", "nothing"]
"""What a name suggests: an embedding, perhaps one (`values`), another list of numbers, or nothing."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")
"""One word of a name in `snake_case`, `kebab-case`, `camelCase` or `dotted.case`."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VECTOR_WORDS = _words(
    "embedding embeddings embed embeds emb embs vector vectors vec vecs dense feature features v values "
    "tensor tensors"
)
_WHOLE_NAMES = frozenset({"v", "values", "feature", "tensor", "tensors", "embed", "embeds", "dense"})
"""Vector words that count only as whole names, and count less."""
_ABOUT_VECTORS = _words(
    "error errors model models status state id ids dim dims dimension dimensions size sizes count counts "
    "version provider name names type types dtype hash key keys url path file time timestamp at date cost "
    "token tokens usage length len created updated config params method source sources score scores index "
    "ready done failed missing generated metadata meta input prompt text batch job task retries reason flag"
)
"""Words for facts about a vector: `embedding_model` is not a vector."""
_HOW_WRITTEN = _words(
    "data value list array arr raw float floats float16 float32 float64 f16 f32 f64 fp16 fp32 bf16 "
    "bfloat16 int int8 uint8 i u b base64 bytes blob binary bin buffer json str text norm normalized "
    "normalised column col x result"
)
"""Words for how a vector is written, which do not say which vector it is."""
_NO_VECTORS = _words(
    "score scores rating ratings bbox bboxes box boxes rect rects region regions range ranges span spans "
    "token tokens ids id mask masks neighbor neighbors neighbour neighbours knn sort loc location "
    "locations coordinates coordinate coords coord geo point points position positions offset offsets "
    "timing timings time times timestamp timestamps date dates logprob logprobs prob probs probability "
    "probabilities rank ranks distance distances histogram hist price prices label labels tag tags count "
    "counts page pages year years color colors colour colours rgb size sizes shape dims bounds polygon "
    "polygons quantiles percentiles index indices indexes weight weights attention amounts values_count "
    "latlon latlng lat lng lon latitude longitude keys order orders series audio samples pixels pixel "
    "image hours minutes seconds days frequencies freqs counts stats steps ages sums totals extent center "
    "centroid_xy corner corners landmark landmarks keypoints segments segment chars lengths similarity "
    "similarities scalars"
)
"""Words for numbers that are not an embedding."""

CONTENTS_NAMES = (
    "contents",
    "content",
    "text",
    "document",
    "page_content",
    "body",
    "chunk",
    "passage",
    "chunk_text",
    "text_chunk",
    "page_text",
    "raw_text",
    "sentence",
    "snippet",
    "paragraph",
    "abstract",
    "transcript",
    "markdown",
    "html",
    "message",
)
"""Usual names of contents."""
_CONTENTS_WORDS = _words(
    "contents content text texts document documents body chunk chunks passage passages sentence sentences "
    "snippet snippets paragraph paragraphs abstract abstracts transcript transcripts markdown html "
    "message messages blob fulltext plaintext rawtext maintext bodytext textcontent pagecontent chunktext"
)
_NO_CONTENTS = _words(
    "id ids type types lang language languages url urls uri uris link links path paths hash md5 sha sha1 "
    "sha256 digest checksum len length lengths size sizes count counts no num nr number numbers index idx "
    "ordinal date time timestamp at by name names title titles source sources model format mime status "
    "state key keys version page pages start end offset offsets position positions token tokens score "
    "scores rank category categories class classes label labels tag tags encoding charset file filename "
    "filenames author authors level kind group parent root role priority count words chars characters "
    "embedding embeddings vector vectors emb vec template updated created modified metadata meta is has "
    "flag ratio topic topics entropy uuid guid ref refs reference from to cc bcc subject sender recipient "
    "method strategy rating disposition splitter splitters color colour style styles part parts available "
    "department license licence mode attribution provider owner region country city currency unit extension "
    "bucket"
)
"""Last words of names that are not the text itself: `content_type`, `document_id`, `html_url`."""
_FORMS = _words(
    "data value raw rendered plain full string original cleaned clean view storage payload parts s html md"
)
"""Fields of an object that hold a form of its text: `content.rendered`, `body.storage.value`."""
_DIGEST = re.compile(r"(?:md5|sha[0-9]+|crc[0-9]*|blake[0-9a-z]*|xxh[0-9]*|hash)$")
_LANGUAGES = re.compile(r"[a-z]{2}")

_PARTS = frozenset({"chunk", "chunks", "part", "parts", "page", "section", "segment"})
_PART_ENDS = frozenset({"no", "nr", "num", "index", "idx", "ordinal", "seq", "offset", "position"})


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case."""
    return tuple(word.lower() for word in _WORD.findall(name))


def name_hint_of(path: Sequence[str]) -> NameHint:
    """What the names that lead to a list of numbers suggest. The innermost name with a suggestion decides.

    Args:
        path: The column's name, and the names of the fields inside it.
    """
    return next((hint for name in reversed(path) if (hint := _hint_of(name)) != "nothing"), "nothing")


@lru_cache(maxsize=4096)
def _hint_of(name: str) -> NameHint:
    if name.strip().lower() in VECTOR_WORDS:
        return "perhaps" if name.strip().lower() in _WHOLE_NAMES else "vector"
    words = [word for word in words_of(name) if not word.isdigit()]
    at = next((i for i, word in enumerate(words) if word in VECTOR_WORDS - _WHOLE_NAMES), None)
    if at is not None:
        after = words[at + 1 :]
        return "other" if _NO_VECTORS.intersection(after) else "vector"
    return "other" if _NO_VECTORS.intersection(words) else "nothing"


@lru_cache(maxsize=4096)
def is_vector_name(name: str) -> bool:
    """Whether a name suggests a vector and not a fact about one: `emb_f32`, but not `embedding_error`."""
    words = [word for word in words_of(name) if not word.isdigit()]
    at = next((i for i, word in enumerate(words) if word in VECTOR_WORDS - _WHOLE_NAMES), None)
    if at is None:
        return name.lower() in VECTOR_WORDS - {"feature", "features"}
    return _ABOUT_VECTORS.isdisjoint(words[at + 1 :])


def vector_qualifiers(path: str) -> set[str]:
    """What the last name of a path says about which vector it is: `title` in `title_embedding_v2`."""
    words = {word for word in words_of(path.rpartition(".")[2]) if not word.isdigit()}
    return words - VECTOR_WORDS - _HOW_WRITTEN


@lru_cache(maxsize=4096)
def is_contents_name(name: str) -> bool:
    """Whether a name suggests contents: a usual name, or one with such a word (`body_html`, `text_en`)."""
    if name.lower() in CONTENTS_NAMES or name == "_node_content":
        return True
    if _DIGEST.search(name.lower()):
        return False
    words = [word for word in words_of(name) if not word.isdigit()]
    while len(words) > 1 and (_LANGUAGES.fullmatch(words[-1]) and words[-1] not in _NO_CONTENTS):
        words.pop()
    return bool(words) and words[-1] not in _NO_CONTENTS and not _CONTENTS_WORDS.isdisjoint(words)


@lru_cache(maxsize=4096)
def is_contents_path(names: tuple[str, ...]) -> bool:
    """Whether the names that lead to a text suggest contents: `blob.data`, but not `photo.data`.

    The forms of a text in an object with such a name count as well (`body.plain`, `text.en`).
    """
    for name in reversed(names):
        if is_contents_name(name):
            return True
        low = name.lower()
        if low not in _FORMS and (low in _NO_CONTENTS or not _LANGUAGES.fullmatch(low)):
            return False
    return False


@lru_cache(maxsize=4096)
def is_part_name(name: str) -> bool:
    """Whether a name suggests that rows are parts of a thing (`chunk_no`), or names that thing (`doc_id`)."""
    words = [word for word in words_of(name) if not word.isdigit()]
    if not words or is_vector_name(name):
        return False
    ends = words[-1] in _PART_ENDS or (words[-1] == "id" and len(words) > 1)
    return ends or words[0] in _PARTS or words[-1] in _PARTS
