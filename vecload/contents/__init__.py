"""Contents: sealed and opened on this machine, and the keys that do it."""

from vecload.contents.envelope import Opener, Sealer, key_id_of
from vecload.contents.keys import Key, generate_key

__all__ = ["Key", "Opener", "Sealer", "generate_key", "key_id_of"]
