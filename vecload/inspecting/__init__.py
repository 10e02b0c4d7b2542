"""Inspecting: what a load would find and do, reported before anything is created, written or sent."""
