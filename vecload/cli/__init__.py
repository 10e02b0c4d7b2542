"""The command line: parse, wire the parts together, map errors to exit codes."""
