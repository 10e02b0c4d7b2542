"""Inspecting: what a load would find and do, told before anything is made, written or sent."""
