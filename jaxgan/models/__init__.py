"""Generators and discriminators, one family per file, and an autoencoder.

Every module is called as `module(inputs, train=train)`, or `module(inputs, labels, train=train)` if
it is conditional; `train` chooses batch statistics and dropout. Discriminators return one unbounded
score per example, `[B]`: a logit or a critic value, never a probability, so that any loss fits any
of them; some may be given a head of `jaxgan.nn.heads` that returns more besides.
"""
