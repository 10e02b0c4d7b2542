"""What is done with a whole index: export, copy, rekey."""
