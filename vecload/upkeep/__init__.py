"""What is done with a whole index: export, copy, rekey, and taking items out."""
