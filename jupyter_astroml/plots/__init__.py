"""Records to Bokeh figures in physical axes, each with a summary in words.

The modules of this room import bokeh as they are loaded; whoever needs one imports it where it is
needed.
"""
