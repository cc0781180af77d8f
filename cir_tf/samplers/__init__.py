"""Samplers by name: what an epoch of training is made of."""
