"""Where the bytes of sources are: local files, object stores, standard input, packed or not."""
