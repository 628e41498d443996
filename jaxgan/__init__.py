"""Generative adversarial networks as small pure JAX functions."""
