"""Loads that send only what changed: by item (`--changed-only`), by source (`--skip-loaded`)."""
