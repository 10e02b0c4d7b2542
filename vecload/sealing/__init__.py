"""Sealing: encrypting and decrypting contents on this machine, and the keys for it."""

from __future__ import annotations

from vecload.sealing.envelope import Opener, Sealer, key_id_of
from vecload.sealing.keys import Key, generate_key

__all__ = ["Key", "Opener", "Sealer", "generate_key", "key_id_of"]
