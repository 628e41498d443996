"""Generators and discriminators, one family per file.

Every module is called as `module(inputs, train, axis_name)`: `train` chooses batch statistics and
dropout, `axis_name` is the mapped device axis (or None) that batch norm and dropout look across.
Discriminators return one score per example, `[B]`.
"""
