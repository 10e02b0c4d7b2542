"""Recipes: how the exports of other tools become items, as data. One TOML file a tool, and their reader."""
