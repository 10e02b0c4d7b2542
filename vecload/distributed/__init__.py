"""Loads on a cluster: the driver plans and records, and each worker loads one split after the other."""
