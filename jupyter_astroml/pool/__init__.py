"""The hub's shared service: many users, few GPUs, vetted models, and never anybody's code."""
