"""A model that does what its input says: crash, hang, take memory, fail, or take its time."""
