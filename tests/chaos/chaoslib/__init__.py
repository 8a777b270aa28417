"""Chaos on the tunnel, see ../run."""
