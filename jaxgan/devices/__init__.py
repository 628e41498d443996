"""Devices: meshes, processes, and what JAX must be told before its first use."""
